"""How busy this proxy is: requests under way, answered so far, and how long the last ones took."""

from __future__ import annotations

import asyncio
import mmap
from collections import deque
from pathlib import Path

from common.api import metrics
from common.bus.tables import Table
from gateway.proxy.trace import Trace

RECENT = 1000
"""Over how many of its last requests a proxy takes the mean."""

TELL_S = 1.0
ROW = "requests"

_COUNT_BYTES = 8


class Activity:
    """Counts requests; `tell` publishes the counts.

    The number of answered requests is kept in a page of `file` that is mapped into memory, so that
    it goes on where it was after any death of this process, and costs no write. Without a file it
    starts at 0.
    """

    def __init__(self, file: Path | None = None) -> None:
        page = mmap.mmap(-1, _COUNT_BYTES) if file is None else _mapped(file)
        self._processed = memoryview(page).cast("Q")
        self._active = 0
        self._recent_ms: deque[float] = deque(maxlen=RECENT)
        self._untold = True
        self._changed = asyncio.Event()
        self._changed.set()

    def began(self) -> None:
        """A request is under way."""
        self._active += 1
        if not self._untold:
            self._tell()

    def ended(self, trace: Trace) -> None:
        """It is over; its trace tells how it came out."""
        if trace.end == "done":
            self._recent_ms.append(trace.took_s * 1000)
            self._processed[0] += 1
        self._active -= 1
        if not self._untold:
            self._tell()

    def _tell(self) -> None:
        self._untold = True
        self._changed.set()

    def row(self) -> metrics.Activity:
        """The counts as they are now."""
        return metrics.Activity(
            active=self._active,
            processed=self._processed[0],
            recent=len(self._recent_ms),
            recent_ms=sum(self._recent_ms),
        )

    async def tell(self, table: Table[metrics.Activity]) -> None:
        """Publish each change, at most once a second, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._untold = False
            table.put(ROW, self.row())
            await asyncio.sleep(TELL_S)


def _mapped(file: Path) -> mmap.mmap:
    """The first bytes of `file`, created with zeros where it is missing or short."""
    file.touch(mode=0o600)
    with file.open("r+b") as opened:
        opened.truncate(_COUNT_BYTES)
        return mmap.mmap(opened.fileno(), _COUNT_BYTES)
