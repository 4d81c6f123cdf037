"""A runner's successor goes on where it ended: with its engines, and with what they write."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from common.api import instances, logs
from common.api.instances import Instance, StartInstance
from common.api.logs import Appended, AppendLines, Line
from common.bus.bus import Bus
from common.delivery import Delivery
from common.live_settings import LiveSettings
from common.settings import Settings
from tests.support.bus import Joiner
from tests.support.children import ENV
from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.waiting import until
from workers.runner import run_file
from workers.runner.engine import Engine
from workers.runner.instance import Setting
from workers.runner.runner import Runner

NAME = "runner-0@testhost"


class Stored:
    """A `logs` process that keeps lines in memory, each once by its sender's number."""

    def __init__(self, bus: Bus) -> None:
        self.lines: list[Line] = []
        bus.serve(logs.APPEND, self._append)

    async def _append(self, batch: AppendLines) -> Appended:
        last = self.lines[-1].sequence if self.lines else -1
        self.lines += [line for line in batch.lines if line.sequence > last]
        return Appended(sequence=self.lines[-1].sequence if self.lines else -1)

    @property
    def flood(self) -> list[int]:
        """The numbers of the lines that an engine counts aloud."""
        told = [line.message.partition("flood: line ")[2].split() for line in self.lines]
        return [int(words[0]) for words in told if words]


class Succession:
    """One runner after another, of the same name and directory."""

    def __init__(self, joiner: Joiner, directory: Path) -> None:
        server = write_fake_llama_server(directory, log_lines_per_s=200)
        self.engines = directory / "engines"
        self.engines.mkdir()
        self._joiner = joiner
        self._setting = Setting(
            runner=NAME,
            find_engine=lambda: Engine("llama-server", (str(server),)),
            live=LiveSettings(Settings()),
            device_uuids=(),
            base_environment=ENV,
            extra_environment={},
            tag_prefix=str(directory),
            directory=self.engines,
            tell_room=self._tell_room,
        )

    async def _tell_room(self) -> None:
        """Nobody asks."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Runner]:
        """A runner that leaves its engines behind, as after USR1."""
        bus = self._joiner.create(NAME, "runner")
        delivery = Delivery(bus)
        tasks: set[asyncio.Task[None]] = set()

        def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            task = asyncio.create_task(work, name=name)
            tasks.add(task)
            return task

        runner = Runner(bus, delivery, self._setting, spawn)
        runner.take_over()
        await self._joiner.start(bus)
        delivering = spawn(delivery.run(), "delivery")
        runner.watch_adopted()
        try:
            yield runner
            await runner.release_all()
        finally:
            delivering.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)
            await self._joiner.stop(bus)


@pytest.fixture
async def succession(joiner: Joiner, tmp_path: Path) -> AsyncIterator[Succession]:
    succession = Succession(joiner, tmp_path)
    yield succession
    for run in run_file.read_all(succession.engines):
        if run.pid is not None:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(run.pid).kill()


@pytest.mark.parametrize("killed_before_it_wrote_that_down", [True, False])
async def test_an_emptied_output_is_followed_without_loss_or_repetition(
    joiner: Joiner, succession: Succession, killed_before_it_wrote_that_down: bool
) -> None:
    logs_bus = joiner.create("logs", "logs")
    stored, rows = Stored(logs_bus), logs_bus.mirror(instances.INSTANCE)
    await joiner.start(logs_bus)

    def engine() -> Instance | None:
        row = rows.find("one")
        return row if row is not None and row.state == "ready" else None

    async with succession.running() as runner:
        await runner.start(
            StartInstance(id="one", model_id="qwen", path="/qwen.gguf", size=1, timeout_s=20)
        )
        await until(engine)
        await until(lambda: len(stored.flood) > 20)
        ready = engine()
        assert ready is not None
        process = psutil.Process(ready.pid)
        process.suspend()
        await until(lambda: process.status() == psutil.STATUS_STOPPED)
        output = succession.engines / "one.log"
        await until(lambda: stored.lines[-1].message == output.read_text().splitlines()[-1])

    # The predecessor had begun to empty the file.
    (run,) = run_file.read_all(succession.engines)
    size = output.stat().st_size
    os.truncate(output, 0)
    note = (
        {"output_next_start": size} if killed_before_it_wrote_that_down else {"output_start": size}
    )
    run_file.write(succession.engines, msgspec.structs.replace(run, **note))

    before = len(stored.flood)
    async with succession.running() as successor:
        # Not sooner: real files are emptied at 64 MiB, which no engine writes again before its
        # runner's successor looks at the size; these few lines it would. It looks in the first step
        # of a task that was just made.
        for _ in range(3):
            await asyncio.sleep(0)
        process.resume()
        await until(lambda: len(stored.flood) > before + 20)
        assert stored.flood == list(range(len(stored.flood)))
        assert min(line.sequence for line in stored.lines[-20:]) >= size
        (run,) = run_file.read_all(succession.engines)
        assert (run.output_start, run.output_next_start) == (size, None)
        await successor.stop_all()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert not output.exists()
