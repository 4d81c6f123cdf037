"""Answers `requests:append`, `requests:history` and `requests:last-use`, and tells of what was
stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor

from common.api import requests
from common.api.logs import Appended
from common.api.requests import (
    AppendRecords,
    FinishedRequests,
    GetLastUse,
    GetRequests,
    LastUse,
    RequestHistory,
    RequestRecord,
)
from common.bus.bus import Bus
from workers.logs.request_search import RequestSearch
from workers.logs.request_store import RequestStore

logger = logging.getLogger(__name__)

MAX_TOLD = 10
"""Records in one `requests:finished`: what nobody can read must not keep all gateways busy."""


class RequestLog:
    """The records of all proxies. Storing and searching have a thread each, as the log's lines.

    `on_stored` hears of each record once.
    """

    def __init__(
        self,
        bus: Bus,
        store: RequestStore,
        search: RequestSearch,
        writing: Executor,
        reading: Executor,
        on_stored: Callable[[list[RequestRecord]], None] = lambda _records: None,
    ) -> None:
        self._bus = bus
        self._store = store
        self._search = search
        self._writing = writing
        self._reading = reading
        self._on_stored = on_stored
        bus.serve(requests.APPEND, self.append)
        bus.serve(requests.HISTORY, self.history)
        bus.serve(requests.LAST_USE, self.last_use)

    async def append(self, request: AppendRecords) -> Appended:
        """Store for good, acknowledge, publish."""
        loop = asyncio.get_running_loop()
        new = await loop.run_in_executor(self._writing, self._store.append, request)
        if new and request.dropped:
            logger.warning(
                "%d records of requests of %s are lost: there were too many to keep",
                request.dropped,
                request.sender,
            )
        if new:
            self._on_stored(new)
            told = FinishedRequests(
                requests=tuple(new[-MAX_TOLD:]), omitted=max(0, len(new) - MAX_TOLD)
            )
            self._bus.publish(requests.FINISHED, told)
        return Appended(sequence=request.records[-1].sequence if request.records else -1)

    async def history(self, request: GetRequests) -> RequestHistory:
        """The newest that match."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, self._search.newest, request)

    async def last_use(self, _request: GetLastUse) -> LastUse:
        """Of every model that is in the history."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, self._search.last_use)
