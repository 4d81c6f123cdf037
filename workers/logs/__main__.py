"""The log process: stores every line of every process and engine, and what every inference request
took, and publishes both."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Protocol, TypeVar

from common import service, timestamps
from common.api import logs
from common.api.logs import Appended, AppendLines, GetLogs, Line, Logs, NewEntry
from common.api.metrics import HISTORY_SECONDS
from common.bus.bus import Bus
from workers.logs.inference_hour import InferenceHour
from workers.logs.inference_log import InferenceLog
from workers.logs.request_log import RequestLog
from workers.logs.request_search import RequestSearch
from workers.logs.request_store import RequestStore
from workers.logs.search import Search
from workers.logs.store import Store

logger = logging.getLogger(__name__)


class Log:
    """Answers `logs:append` and `logs:get`, each with a thread and a connection of its own.

    So whoever searches a long log delays nobody who has lines to store.
    """

    def __init__(
        self, bus: Bus, store: Store, search: Search, writing: Executor, reading: Executor
    ) -> None:
        self._bus = bus
        self._store = store
        self._search = search
        self._writing = writing
        self._reading = reading
        bus.serve(logs.APPEND, self.append)
        bus.serve(logs.GET, self.get)

    async def append(self, request: AppendLines) -> Appended:
        """Store for good, acknowledge, publish."""
        if request.dropped:
            request = _with_loss(request)
        loop = asyncio.get_running_loop()
        last, new = await loop.run_in_executor(self._writing, self._store.append, request)
        for entry in new:
            self._bus.publish(logs.ENTRY, NewEntry(entry=entry))
        return Appended(sequence=last)

    async def get(self, request: GetLogs) -> Logs:
        """The newest matching lines."""
        since = timestamps.parse(request.since, "since") if request.since is not None else 0.0
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, self._search.find, request, since)


def _with_loss(request: AppendLines) -> AppendLines:
    """The batch, led by a line that says how many before it are lost.

    That line takes the number before the first, which belongs to a line that was dropped.
    """
    first = request.lines[0] if request.lines else None
    sequence = first.sequence - 1 if first else 0
    loss = Line(
        sequence=sequence,
        time=first.time if first else time.time(),
        level="warn",
        source=request.sender,
        message=f"{request.dropped} lines before this one were lost: there were too many to keep",
    )
    return AppendLines(sender=request.sender, epoch=request.epoch, lines=(loss, *request.lines))


async def work(process: service.Process) -> None:
    """Store lines until told to stop."""
    folder = process.home.logs(process.settings)
    with (
        ThreadPoolExecutor(1, thread_name_prefix="writing") as writing,
        ThreadPoolExecutor(1, thread_name_prefix="reading") as reading,
    ):
        async with AsyncExitStack() as opened:
            lines, records = folder / "log.sqlite", folder / "requests.sqlite"
            store = await _open(opened, writing, lambda: Store(lines))
            search = await _open(opened, reading, lambda: Search(lines))
            Log(process.bus, store, search, writing, reading)
            request_store = await _open(opened, writing, lambda: RequestStore(records))
            request_search = await _open(opened, reading, lambda: RequestSearch(records))
            hour = await asyncio.get_running_loop().run_in_executor(
                reading, _last_hour, request_search
            )
            inference = InferenceLog(process.bus, hour)
            RequestLog(process.bus, request_store, request_search, writing, reading, inference.add)
            async with process.joined():
                await process.stopping.wait()


def _last_hour(search: RequestSearch) -> InferenceHour:
    now_s = time.time()
    hour = InferenceHour(known_from_s=now_s)
    for record in search.ended_since(now_s - HISTORY_SECONDS):
        hour.add(record, now_s)
    return hour


class _Closable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closable)


async def _open(opened: AsyncExitStack, thread: Executor, make: Callable[[], T]) -> T:
    """Make something in a thread, in which it is closed in the end."""
    loop = asyncio.get_running_loop()
    made = await loop.run_in_executor(thread, make)

    async def close() -> None:
        await loop.run_in_executor(thread, made.close)

    opened.push_async_callback(close)
    return made


if __name__ == "__main__":
    service.run("logs", work)
