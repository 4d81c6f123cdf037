"""Samples this host once per interval, publishes each sample and keeps those of the last hour."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from common.api import metrics
from common.api.metrics import GetHistory, Gpu, History
from common.bus.bus import Bus
from workers.metrics.history import HostRecord
from workers.metrics.sampling import read_gpus, take_sample

logger = logging.getLogger(__name__)

GPU_PATIENCE_S = 0.5
"""How long a sample waits for NVML; then it says what NVML said before."""


class Sampler:
    """Answers `metrics:history`; `run` it. `read` stands for NVML in tests."""

    def __init__(
        self,
        bus: Bus,
        models: Path,
        interval_s: float,
        read: Callable[[], tuple[Gpu, ...]] = read_gpus,
    ) -> None:
        self._host = bus.identity.host
        # A fresh gateway gets the newest sample at once; ours of before counts until there is one.
        self._known = asyncio.Event()
        self._newest = bus.table(metrics.SAMPLE, self._known)
        self._models = models
        self._interval_s = interval_s
        self._changed = asyncio.Event()
        self._read = read
        self._gpus: tuple[Gpu, ...] = ()
        self._reading: asyncio.Future[tuple[Gpu, ...]] | None = None
        self._record = HostRecord(self._host)
        bus.serve(metrics.HISTORY, self.history)

    def change(self, models: Path, interval_s: float) -> None:
        """From now on look at this disk, and so often."""
        if (models, interval_s) != (self._models, self._interval_s):
            self._models, self._interval_s = models, interval_s
            self._changed.set()

    async def history(self, request: GetHistory) -> History:
        """What was sampled here in the last `seconds`."""
        host = self._record.last(request.seconds)
        return History(hosts=() if host is None else (host,))

    async def run(self) -> None:
        """Sample until cancelled."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        thread = ThreadPoolExecutor(1, thread_name_prefix="nvml")
        try:
            while True:
                await self._read_gpus(thread)
                sample = await asyncio.to_thread(take_sample, self._host, self._models, self._gpus)
                self._record.add(sample)
                self._newest.put(self._host, sample)
                self._known.set()
                next_at = max(next_at + self._interval_s, loop.time())
                await self._wait_until(next_at)
                next_at = min(next_at, loop.time())  # sooner where the interval has changed
        finally:
            thread.shutdown(wait=False)

    async def _wait_until(self, next_at: float) -> None:
        """The time of the next sample, which comes at once where the interval has changed."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(next_at):
                await self._changed.wait()

    async def _read_gpus(self, thread: ThreadPoolExecutor) -> None:
        """Ask NVML, once at a time; without an answer in time the last one stays."""
        late = self._reading is not None
        if self._reading is None:
            self._reading = asyncio.get_running_loop().run_in_executor(thread, self._read)
        await asyncio.wait([self._reading], timeout=GPU_PATIENCE_S)
        if self._reading.done():
            reading, self._reading = self._reading, None
            self._gpus = reading.result()
        elif not late:
            logger.warning("NVML takes long; GPUs are shown as they were until it answers")
