from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from common.api.models import UnloadModel
from common.bus import rpc
from common.errors import ModelUnloadFailed
from tests.support.bus import Joiner
from tests.support.controller_world import MakeWorld, worlds
from tests.support.scripted_runner import GIB, ScriptedRunner
from tests.support.waiting import until
from workers.controller import surplus


@pytest.fixture
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surplus, "CHECK_S", 0.05)


@pytest.fixture
async def make_world(joiner: Joiner, tmp_path: Path) -> AsyncIterator[MakeWorld]:
    async with worlds(joiner, tmp_path / "desired.json") as make:
        yield make


class TestLifeOfAnEngine:
    async def test_an_engine_that_ends_for_good_leaves_an_error(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        await world.client.load("qwen")
        world.runner.fail("qwen", "crashed", "it crashed too often", excerpt=("last words",))
        await world.seen("qwen", "error")
        record = world.client.model("qwen")
        assert record.reason == "it crashed too often"
        assert record.failure is not None
        assert record.failure.excerpt == ("last words",)
        assert (record.instance_id, record.runner, record.memory_usage) == (None, None, None)
        assert (await world.client.load("qwen")).status == "loaded"

    async def test_an_engine_that_restarts_loads_again(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        await world.client.load("qwen")
        world.runner.restart("qwen")
        await until(lambda: world.client.model("qwen").reason == "it crashed")
        assert world.status("qwen") == "loading"
        load = world.begin_load("qwen")
        world.runner.become_ready("qwen")
        await world.seen("qwen", "loaded")
        assert (await load).status == "loaded"
        assert world.client.model("qwen").reason is None
        assert len(world.runner.started) == 1

    async def test_an_engine_whose_row_goes_is_started_anew(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        before = await world.client.load("qwen")
        world.runner.lose("qwen")
        await until(
            lambda: (
                world.status("qwen") == "loaded" and world.instance_of("qwen") != before.instance_id
            )
        )
        assert len(world.runner.started) == 2

    async def test_an_engine_that_ends_while_an_eviction_drains_it_is_not_taken_for_loaded(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(max_models=1, drain_timeout_seconds=0.3)
        await world.add("a", "b")
        await world.client.load("a")
        instance_id = world.instance_of("a")
        world.proxy.use_untold(instance_id, 1)
        load = world.begin_load("b")
        await until(lambda: world.proxy.drained)
        world.runner.fail("a", "crashed", "it crashed", excerpt=())
        assert (await load).status == "loaded"
        assert (world.status("a"), world.client.model("a").reason) == ("error", "it crashed")
        assert world.runner.stopped == []

    async def test_memory_that_grows_shows(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        await world.client.load("qwen")
        world.runner.remember_size("qwen", 3 * GIB)
        world.runner.become_ready("qwen")
        await until(lambda: world.client.model("qwen").memory_usage == 3 * GIB)

    async def test_late_news_of_a_stopped_engine_is_not_taken_for_a_new_one(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        await world.client.load("qwen")
        engine = world.runner.engine("qwen")
        await world.client.unload(UnloadModel(id="qwen"))
        unloaded = world.client.model("qwen")
        world.runner.repeat(engine)
        await world.add("later")  # told after it
        assert world.client.model("qwen") == unloaded


def read_text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@pytest.mark.usefixtures("quick_checks")
class TestSurplus:
    @pytest.mark.parametrize("memory_gib", [12, 24])
    async def test_of_two_engines_that_run_the_one_that_was_loaded_stays(
        self, make_world: MakeWorld, memory_gib: int
    ) -> None:
        world = await make_world(memory_gib=memory_gib)
        bus = world.joiner.create("runner-1@testhost", "runner")
        mine, other = world.runner, ScriptedRunner(bus, memory_gib=18, files=False)
        if memory_gib < 18:
            mine, other = other, mine
        await world.joiner.start(bus)
        await until(lambda: len(world.controller.fleet.runners()) == 2)
        await world.add("qwen")
        loaded = await world.client.load("qwen")
        assert loaded.runner == mine.name
        await until(lambda: mine.name in read_text(world.desired_file))
        await world.stop_controller()
        first = mine.engine("qwen")
        second = other.already_runs(replace(first, id="second", started_at=first.started_at - 9))
        await world.start_controller()
        await until(lambda: second.id in other.stopped)
        assert world.proxy.drained == [second.id]
        assert world.instance_of("qwen") == loaded.instance_id
        assert (world.status("qwen"), mine.stopped) == ("loaded", [])
        assert len(mine.started) + len(other.started) == 1

    async def test_an_engine_on_a_host_that_comes_back_is_one_too_many(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        loaded = await world.client.load("qwen")
        bus = world.joiner.create("runner-0@elsewhere", "runner")
        other = ScriptedRunner(bus)
        second = other.already_runs(replace(world.runner.engine("qwen"), id="second"))
        await world.joiner.start(bus)
        await until(lambda: second.id in other.stopped)
        assert (world.status("qwen"), world.instance_of("qwen")) == ("loaded", loaded.instance_id)
        assert world.runner.stopped == []

    async def test_an_engine_that_could_not_be_stopped_is_stopped_when_its_runner_is_back(
        self, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rpc, "UNAVAILABLE_PATIENCE_S", 0.1)
        world = await make_world()
        await world.add("qwen")
        await world.client.load("qwen")
        engine = world.runner.engine("qwen")
        await world.joiner.stop(world.runner.bus)
        with pytest.raises(ModelUnloadFailed):
            await world.client.unload(UnloadModel(id="qwen"))
        assert world.status("qwen") == "error"
        bus = world.joiner.create(world.runner.name, "runner")
        successor = ScriptedRunner(bus)
        successor.add_file("qwen")
        successor.already_runs(engine)
        await world.joiner.start(bus)
        await until(lambda: engine.id in successor.stopped)
        assert (await world.client.load("qwen")).instance_id != engine.id


class TestWithoutFile:
    async def test_an_engine_is_adopted_though_its_file_is_gone(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen", gib=2)
        before = await world.client.load("qwen")
        world.runner.remove_file("qwen")
        await world.replace_controller()
        await until(
            lambda: (
                world.status("qwen") == "loaded"
                and world.client.model("qwen").generation > before.generation
            )
        )
        after = world.client.model("qwen")
        assert (after.name, after.path, after.size) == (before.name, before.path, before.size)
        assert (after.instance_id, world.runner.stopped) == (before.instance_id, [])
        await world.client.unload(UnloadModel(id="qwen"))
        assert world.runner.stopped == [before.instance_id]
        await world.seen("qwen", None)

    async def test_it_makes_room_like_any_other(self, make_world: MakeWorld) -> None:
        world = await make_world(max_models=1)
        await world.add("gone", "other")
        await world.client.load("gone")
        world.runner.remove_file("gone")
        await world.replace_controller()
        assert (await world.client.load("other")).status == "loaded"
        await world.seen("gone", None)
        assert [row.model_id for row in world.runner.engines] == ["other"]

    async def test_a_file_that_returns_is_its_file_again(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        await world.client.load("qwen")
        world.runner.remove_file("qwen")
        await world.replace_controller()
        await world.seen("qwen", "loaded")
        world.runner.add_file("qwen", gib=3, mtime_ns=7)
        await until(lambda: world.client.model("qwen").mtime_ns == 7)
        assert world.client.model("qwen").size == 3 * GIB
        assert (await world.client.unload(UnloadModel(id="qwen"))).status == "unloaded"
        assert (await world.client.load("qwen")).status == "loaded"

    async def test_an_engine_that_restarts_is_adopted_too(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        before = await world.client.load("qwen")
        await world.stop_controller()
        world.runner.restart("qwen")
        await world.start_controller()
        await until(
            lambda: (
                world.status("qwen") == "loading"
                and world.client.model("qwen").generation > before.generation
            )
        )
        assert world.client.model("qwen").reason == "it crashed"
        world.runner.become_ready("qwen")
        await world.seen("qwen", "loaded")
        assert (world.instance_of("qwen"), len(world.runner.started)) == (before.instance_id, 1)


class TestRestart:
    async def test_a_new_controller_adopts_what_runs(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen", "other")
        before = await world.client.load("qwen")
        await world.replace_controller()
        await until(
            lambda: (
                world.status("qwen") == "loaded"
                and world.client.model("qwen").generation > before.generation
            )
        )
        after = world.client.model("qwen")
        assert (after.instance_id, after.loaded_at) == (before.instance_id, before.loaded_at)
        assert after.memory_usage == before.memory_usage
        assert world.status("other") == "unloaded"
        assert (len(world.runner.started), world.runner.stopped) == (1, [])
        await world.client.unload(UnloadModel(id="qwen"))
        assert world.runner.stopped == [before.instance_id]

    async def test_the_first_request_to_a_new_controller_finds_what_runs(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen", "other")
        before = await world.client.load("qwen")
        await world.replace_controller()
        after, other = await asyncio.gather(world.client.load("qwen"), world.client.load("other"))
        assert (after.instance_id, other.status) == (before.instance_id, "loaded")
        assert [start.model_id for start in world.runner.started] == ["qwen", "other"]

    async def test_a_new_controller_follows_a_load_under_way(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        world.runner.ready_at_once = False
        load = world.begin_load("qwen")
        await until(lambda: world.runner.started)
        await world.seen("qwen", "loading")
        await world.replace_controller()
        await asyncio.gather(load, return_exceptions=True)
        again = world.begin_load("qwen")
        await world.seen("qwen", "loading")
        world.runner.become_ready("qwen")
        assert (await again).status == "loaded"
        assert len(world.runner.started) == 1

    async def test_a_controller_that_stops_begins_nothing(self, make_world: MakeWorld) -> None:
        world = await make_world(memory_gib=24, measures=True)
        await world.add("a", "b", "first", gib=8)
        await world.add("second", gib=18)
        await world.client.load("a")
        await world.client.load("b")
        world.runner.may_stop.clear()
        # Room is being made for the first, and kept free of the second.
        loads = [world.begin_load("first")]
        await until(lambda: world.runner.stopped)
        loads.append(world.begin_load("second"))
        await world.seen("second", "loading")
        await world.controller.stop()
        for load in loads:
            load.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        assert [start.model_id for start in world.runner.started] == ["a", "b"]
