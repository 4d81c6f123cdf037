"""The table of this host's model files. One runner per host scans; the others wait to take over."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from common.api import inventory
from common.api.inventory import DescribeFile, FileDescription, ModelFile
from common.bus.bus import Bus
from common.errors import ModelNotFound, ProxyError
from workers.runner.inventory.describe import describe
from workers.runner.inventory.gguf_bytes import GgufError
from workers.runner.inventory.gguf_header import read_header
from workers.runner.inventory.header_cache import HeaderCache
from workers.runner.inventory.watch import watch
from workers.runner.race import first_of

TAKEOVER_CHECK_S = 1.0


class ModelTable:
    """Publishes what `watch` sees, and describes single files."""

    def __init__(self, bus: Bus, models: Path, cache: Path) -> None:
        self._known = asyncio.Event()
        self._table = bus.table(inventory.FILE, self._known)
        self._models = models
        self._moved = asyncio.Event()
        self._cache = cache
        bus.serve(inventory.DESCRIBE, self.describe)

    async def run(self) -> None:
        """Scan and watch until cancelled, once no other runner of this home does."""
        async with _lock(self._cache / "inventory.lock", on_wait=self._known.set):
            cache = HeaderCache(self._cache / "headers.msgpack")
            while True:
                self._moved.clear()
                await first_of(self._moved.wait(), self._watch(cache))

    def look_in(self, models: Path) -> None:
        """From now on the models are those of this directory; engines with others go on."""
        if models != self._models:
            self._models = models
            self._moved.set()

    async def _watch(self, cache: HeaderCache) -> None:
        async with aclosing(watch(self._models, cache)) as inventories:
            async for seen in inventories:
                self._publish(seen)

    def _publish(self, seen: dict[str, ModelFile]) -> None:
        for known in self._table.values():
            if known.id not in seen:
                self._table.remove(known.id)
        for file in seen.values():
            self._table.put(file.id, file)
        self._known.set()

    async def describe(self, request: DescribeFile) -> FileDescription:
        """Read a file's header anew: it is too big to be kept for every file."""
        file = self._table.get(request.id)
        if file is None:
            raise ModelNotFound(f"there is no model '{request.id}' here")
        return await asyncio.to_thread(_describe, file)


def _describe(file: ModelFile) -> FileDescription:
    try:
        header = read_header(Path(file.path))
    except (GgufError, OSError) as error:
        raise ProxyError(f"{file.path}: {error}") from error
    return FileDescription(id=file.id, parameters=describe(header, file.size))


@asynccontextmanager
async def _lock(path: Path, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """Hold a lock that ends with this process, however it ends; `on_wait` where another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            if _try_lock(descriptor):
                break
            on_wait()
            await asyncio.sleep(TAKEOVER_CHECK_S)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
