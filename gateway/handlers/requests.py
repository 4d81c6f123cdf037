"""requests:list, requests:cancel, requests:history, requests:last-use."""

from __future__ import annotations

import asyncio
import logging

from common.api import requests
from common.api.requests import (
    CancelledRequest,
    CancelRequest,
    GetLastUse,
    GetRequests,
    LastUse,
    ListRequests,
    RequestHistory,
    RequestList,
)
from common.bus.bus import Bus
from common.delivery import LOGS_PROCESS
from common.dispatch import Dispatcher
from common.errors import ProxyError, RequestNotFound

logger = logging.getLogger(__name__)

LIST_TIMEOUT_S = 1.0
"""A proxy that hangs holds nobody up for longer."""


class RequestHandlers:
    """Those under way from the proxies, finished ones from the log process."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def register(self, dispatcher: Dispatcher) -> None:
        """Answer these commands."""
        dispatcher.register(requests.LIST, self.list)
        dispatcher.register(requests.CANCEL, self.cancel)
        dispatcher.register(requests.HISTORY, self.history)
        dispatcher.register(requests.LAST_USE, self.last_use)

    async def list(self, request: ListRequests) -> RequestList:
        """Those of every proxy that answers."""
        proxies = self._bus.present("proxy")
        answers = await asyncio.gather(*(self._of(proxy, request) for proxy in proxies))
        under_way = [told for answer in answers if answer for told in answer.requests]
        silent = (proxy for proxy, told in zip(proxies, answers, strict=True) if told is None)
        return RequestList(
            requests=tuple(sorted(under_way, key=lambda told: told.started_at)),
            silent=tuple(silent),
        )

    async def cancel(self, request: CancelRequest) -> CancelledRequest:
        """By the proxy that has it, which its id names. Raises `RequestNotFound`."""
        proxy = request.id.rpartition("/")[0]
        if proxy not in self._bus.present("proxy"):
            raise RequestNotFound(
                f"no proxy that is there has a request '{request.id}'", {"id": request.id}
            )
        return await self._bus.call(proxy, requests.CANCEL, request)

    async def history(self, request: GetRequests) -> RequestHistory:
        """The newest that match."""
        return await self._bus.call(LOGS_PROCESS, requests.HISTORY, request)

    async def last_use(self, request: GetLastUse) -> LastUse:
        """As the history tells."""
        return await self._bus.call(LOGS_PROCESS, requests.LAST_USE, request)

    async def _of(self, proxy: str, request: ListRequests) -> RequestList | None:
        try:
            return await self._bus.call(proxy, requests.LIST, request, timeout_s=LIST_TIMEOUT_S)
        except ProxyError as error:
            logger.warning("requests:list: no answer from %s: %s", proxy, error)
            return None
