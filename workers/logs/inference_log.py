"""Answers `metrics:inference`, of which this process is the one writer.

All records of all proxies come here anyway, so that proxies keep no history of their own, and after
a restart of this process it is made anew of the records on disk.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from common.api import metrics, requests
from common.api.metrics import GetHistory, InferenceHistory
from common.api.requests import ListRequests, RequestInFlight, RequestRecord
from common.bus.bus import Bus
from common.errors import ProxyError
from workers.logs.inference_hour import InferenceHour

logger = logging.getLogger(__name__)

LIST_TIMEOUT_S = 1.0
"""A proxy that hangs holds nobody up for longer."""

FRESH_S = 0.8
"""Proxies are asked what is under way while somebody looks, and not more often than this."""


class InferenceLog:
    """`hour` knows the records that were there before this process."""

    def __init__(
        self,
        bus: Bus,
        hour: InferenceHour,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._hour = hour
        self._under_way: Sequence[RequestInFlight] = ()
        self._asked_s = float("-inf")
        self._ended: set[str] = set()
        self._asking = asyncio.Lock()
        bus.serve(metrics.INFERENCE, self.history)

    def add(self, records: Sequence[RequestRecord]) -> None:
        """These have just been stored, for the first time."""
        now_s = self._clock()
        for record in records:
            self._hour.add(record, now_s)
        if time.monotonic() - self._asked_s < LIST_TIMEOUT_S + FRESH_S:
            self._ended.update(record.id for record in records)

    async def history(self, request: GetHistory) -> InferenceHistory:
        """The last `seconds`, those under way included."""
        async with self._asking:
            if time.monotonic() - self._asked_s > FRESH_S:
                await self._ask()
        under_way = [one for one in self._under_way if one.id not in self._ended]
        return self._hour.last(request.seconds, self._clock(), under_way)

    async def _ask(self) -> None:
        # What ends from here on has a record and may be in the answer as well.
        self._ended.clear()
        self._asked_s = time.monotonic()
        proxies = self._bus.present("proxy")
        answers = await asyncio.gather(*(self._of(proxy) for proxy in proxies))
        self._under_way = [one for answer in answers for one in answer]

    async def _of(self, proxy: str) -> tuple[RequestInFlight, ...]:
        try:
            told = await self._bus.call(
                proxy, requests.LIST, ListRequests(), timeout_s=LIST_TIMEOUT_S
            )
        except ProxyError as error:
            logger.debug("no requests under way from %s: %s", proxy, error)
            return ()
        return told.requests
