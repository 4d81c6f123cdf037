"""What a runner says of its memory, also when a GPU goes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from common.api import instances
from common.bus.tables import Mirror
from common.devices import Nvml
from common.errors import ModelLoadFailed
from tests.support.bus import Joiner
from tests.support.fake_nvml import FakeGpu, FakeNvml
from tests.support.waiting import until
from workers.runner.room_table import RoomTable

RUNNER = "pair@testhost"
PAIR = (FakeGpu("GPU-a"), FakeGpu("GPU-b"))


@pytest.fixture
def library() -> FakeNvml:
    return FakeNvml(*PAIR)


@pytest.fixture
async def room(
    joiner: Joiner, library: FakeNvml
) -> AsyncIterator[tuple[RoomTable, Mirror[instances.RunnerState]]]:
    runner, controller = joiner.create(RUNNER, "runner"), joiner.create("controller")
    mirror = controller.mirror(instances.RUNNER)
    table = RoomTable(runner, ("GPU-a", "GPU-b"), Nvml(library))
    await joiner.start(runner, controller)
    running = asyncio.create_task(table.run())
    yield table, mirror
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_runner_that_stops_has_no_room_and_says_why(
    room: tuple[RoomTable, Mirror[instances.RunnerState]],
) -> None:
    table, mirror = room
    await until(lambda: mirror.find(RUNNER))
    before = mirror.find(RUNNER)
    assert before is not None
    assert before.problem is None
    table.stop()
    await until(lambda: mirror.find(RUNNER) != before)
    after = mirror.find(RUNNER)
    assert after is not None
    assert (after.memory_free, after.problem) == (0, "it is stopping")
    assert after.memory_total == before.memory_total
    await table.tell()
    assert mirror.find(RUNNER) == after


async def test_a_gpu_that_goes_takes_the_room_of_the_whole_runner(
    room: tuple[RoomTable, Mirror[instances.RunnerState]],
    library: FakeNvml,
    caplog: pytest.LogCaptureFixture,
) -> None:
    table, mirror = room

    def total() -> int | None:
        state = mirror.find(RUNNER)
        return state.memory_total if state else None

    await until(lambda: total() == sum(gpu.memory_total_bytes for gpu in PAIR))
    table.refuse_missing()

    library.gpus = PAIR[:1]
    await table.tell()
    await until(lambda: total() == 0)
    told = mirror.find(RUNNER)
    assert told is not None
    assert told.problem == "GPU-b is not there; GPUs that are: GPU-a (H200)"
    with pytest.raises(ModelLoadFailed, match="GPU-b is not there; GPUs that are: GPU-a") as caught:
        table.refuse_missing()
    assert caught.value.details == {"reason": "device_missing"}
    assert caplog.text.count("no engine can be started: GPU-b is not there") == 1

    library.gpus = PAIR
    await table.tell()
    await until(lambda: total() == sum(gpu.memory_total_bytes for gpu in PAIR))
    told = mirror.find(RUNNER)
    assert told is not None
    assert told.problem is None
    table.refuse_missing()
