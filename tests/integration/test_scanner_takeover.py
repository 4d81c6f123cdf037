"""One runner of a host scans for all of them; when it goes, another does."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from common.api import inventory
from deploy.demo_model import write_demo_model
from tests.support.bus import Joiner
from tests.support.waiting import until
from workers.runner.inventory.table import ModelTable


@asynccontextmanager
async def scanning(table: ModelTable) -> AsyncIterator[None]:
    """A runner's scanning, for as long as it lives."""
    task = asyncio.create_task(table.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_another_runner_takes_over_and_sees_what_is_new(
    joiner: Joiner, tmp_path: Path
) -> None:
    models, cache = tmp_path / "models", tmp_path / "cache"
    models.mkdir()
    cache.mkdir()
    write_demo_model(models / "one.gguf")
    reader = joiner.create("controller")
    files = reader.mirror(inventory.FILE)
    first, second = (joiner.create(f"runner-{n}@testhost", "runner") for n in range(2))
    tables = [ModelTable(bus, models, cache) for bus in (first, second)]
    await joiner.start(reader, first, second)
    async with AsyncExitStack() as lives:
        async with scanning(tables[0]):
            await until(lambda: files.rows(first.identity.name).keys() == {"one"})
            await lives.enter_async_context(scanning(tables[1]))
            await until(lambda: files.knows(second.identity.name))
            assert files.rows(second.identity.name) == {}
        await joiner.stop(first)
        shutil.copy(models / "one.gguf", models / "two.gguf")
        await until(lambda: files.rows(second.identity.name).keys() == {"one", "two"})
