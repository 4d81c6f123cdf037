"""What nobody uses is unloaded, what nobody waits for is not loaded, and on which runner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from common.errors import InvalidRequest, ModelLoadFailed
from common.settings import ModelSettings
from tests.support.bus import Joiner
from tests.support.controller_world import MakeWorld, World, reason, worlds
from tests.support.scripted_proxy import ScriptedProxy
from tests.support.scripted_runner import ScriptedRunner
from tests.support.waiting import until
from workers.controller import disuse

NEVER_S = 60.0
"""A time that does not pass while a test runs."""


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disuse, "CHECK_S", 0.01)
    monkeypatch.setattr(disuse, "UNWANTED_S", 0.2)
    monkeypatch.setattr(disuse, "SETTLED_S", 0.05)


@pytest.fixture
async def make_world(joiner: Joiner, tmp_path: Path) -> AsyncIterator[MakeWorld]:
    async with worlds(joiner, tmp_path / "desired.json") as make:
        yield make


def expires_at(world: World, model_id: str = "qwen") -> str | None:
    return world.client.model(model_id).expires_at


def written(path: Path) -> str:
    return path.read_text() if path.exists() else ""


class TestIdleModels:
    async def test_a_model_that_is_not_used_is_drained_and_unloaded(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(ttl_seconds=0.3)
        await world.add("qwen")
        instance_id = (await world.client.load("qwen")).instance_id
        await world.seen("qwen", "unloaded")
        assert world.proxy.drained == [instance_id]
        assert world.runner.stopped == [instance_id]
        record = world.client.model("qwen")
        assert (record.reason, record.expires_at) == (None, None)
        assert record.unloaded_at is not None

    async def test_one_that_is_used_stays(self, make_world: MakeWorld) -> None:
        world = await make_world(ttl_seconds=0.2)
        await world.add("used", "other")
        await world.client.load("used", ttl_seconds=NEVER_S)
        world.proxy.use(world.instance_of("used"), 1)
        await world.knows_traffic()
        await world.client.load("used", ttl_seconds=0.2)
        await world.client.load("other")
        await world.seen("other", "unloaded")  # it was loaded later
        assert world.status("used") == "loaded"
        world.proxy.use(world.instance_of("used"), 0)
        await world.seen("used", "unloaded")

    async def test_without_a_limit_nothing_is_unloaded_and_nothing_is_told(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("stays", "goes")
        await world.client.load("stays")
        await world.client.load("goes", ttl_seconds=0.2)
        await world.seen("goes", "unloaded")
        assert world.status("stays") == "loaded"
        assert expires_at(world, "stays") is None

    async def test_the_load_says_how_long_until_the_model_is_unloaded(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(ttl_seconds=0.2)
        await world.add("qwen", "other")
        await world.client.load("qwen", ttl_seconds=0)
        await world.client.load("other")
        await world.seen("other", "unloaded")
        assert world.status("qwen") == "loaded"
        await world.client.load("qwen", ttl_seconds=NEVER_S)  # of one that is loaded already
        await until(lambda: expires_at(world))
        assert world.client.model("qwen").ttl_seconds == NEVER_S
        await world.begin_unload("qwen")
        await world.client.load("qwen")
        await world.seen("qwen", "unloaded")

    async def test_settings_hold_at_once(self, make_world: MakeWorld) -> None:
        world = await make_world(ttl_seconds=NEVER_S)
        await world.add("qwen", "other")
        await world.client.load("qwen")
        await world.client.load("other")
        live = world.controller.live
        live.replace(replace(live.current, models={"qwen": ModelSettings(ttl_seconds=0.1)}))
        await world.seen("qwen", "unloaded")
        assert world.status("other") == "loaded"

    async def test_when_it_will_be_unloaded_is_told_while_it_is_idle(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(ttl_seconds=NEVER_S)
        await world.add("qwen")
        await world.client.load("qwen")
        await until(lambda: expires_at(world))
        first = next(record for record in world.records if record.status == "loaded")
        assert first.expires_at is None
        world.proxy.use(world.instance_of("qwen"), 1)
        await until(lambda: expires_at(world) is None)
        world.proxy.use(world.instance_of("qwen"), 0)
        await until(lambda: expires_at(world))

    async def test_a_proxy_that_was_started_anew_knows_of_no_use(
        self, make_world: MakeWorld, joiner: Joiner
    ) -> None:
        world = await make_world(ttl_seconds=NEVER_S)
        await world.add("qwen")
        await world.client.load("qwen")
        await until(lambda: expires_at(world))
        world.proxy.use(world.instance_of("qwen"), 1)
        await until(lambda: expires_at(world) is None)
        world.proxy.use(world.instance_of("qwen"), 0)
        await until(lambda: expires_at(world))  # the controller has looked at both
        told = len(world.records)
        await joiner.stop(world.proxy.bus)
        bus = joiner.create("proxy-0@testhost", "proxy")
        ScriptedProxy(bus)
        await joiner.start(bus)
        await until(lambda: any(record.expires_at is None for record in world.records[told:]))
        await until(lambda: expires_at(world))  # it begins again

    async def test_how_long_it_stays_survives_the_controller(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        await world.client.load("qwen", ttl_seconds=NEVER_S)
        await until(lambda: "ttl_s" in written(world.desired_file))
        await world.replace_controller()
        await until(lambda: world.client.model("qwen").ttl_seconds == NEVER_S)
        await until(lambda: expires_at(world))
        assert len(world.runner.started) == 1


class TestDemand:
    async def loading(self, world: World, *, on_demand: bool = True) -> asyncio.Task[object]:
        await world.add("qwen")
        world.runner.ready_at_once = False
        load = asyncio.create_task(world.client.load("qwen", on_demand=on_demand))
        await until(lambda: world.runner.started)
        return load

    async def test_a_load_that_nobody_waits_for_is_called_off(self, make_world: MakeWorld) -> None:
        world = await make_world()
        world.proxy.wait_for("qwen", 2)
        load = await self.loading(world)
        world.proxy.wait_for("qwen", 0)
        with pytest.raises(ModelLoadFailed) as caught:
            await load
        assert reason(caught) == "cancelled"
        await world.seen("qwen", "unloaded")
        assert world.runner.engines == []

    async def test_one_that_waits_keeps_it(self, make_world: MakeWorld) -> None:
        world = await make_world()
        world.proxy.wait_for("qwen", 1)
        load = await self.loading(world)
        await world.add("other")
        unwanted = asyncio.create_task(world.client.load("other", on_demand=True))
        with pytest.raises(ModelLoadFailed):
            await unwanted  # it began later
        world.runner.become_ready("qwen")
        await load
        world.proxy.wait_for("qwen", 0)
        await world.knows_traffic()
        assert world.status("qwen") == "loaded"

    async def test_a_load_that_somebody_asked_for_goes_on(self, make_world: MakeWorld) -> None:
        world = await make_world()
        world.proxy.wait_for("qwen", 1)
        load = await self.loading(world)
        asked = world.begin_load("qwen")
        await world.add("other")
        world.proxy.wait_for("qwen", 0)
        with pytest.raises(ModelLoadFailed):
            await world.client.load("other", on_demand=True)
        assert world.status("qwen") == "loading"
        world.runner.become_ready("qwen")
        assert (await asked).status == "loaded"
        await load

    async def test_a_proxy_that_is_gone_waits_for_nothing(
        self, make_world: MakeWorld, joiner: Joiner
    ) -> None:
        world = await make_world()
        world.proxy.wait_for("qwen", 1)
        load = await self.loading(world)
        await joiner.stop(world.proxy.bus)
        with pytest.raises(ModelLoadFailed) as caught:
            await load
        assert reason(caught) == "cancelled"


class TestRunners:
    async def second(self, world: World, joiner: Joiner) -> ScriptedRunner:
        bus = joiner.create("runner-1@testhost", "runner")
        runner = ScriptedRunner(bus, memory_gib=1, files=False)
        await joiner.start(bus)
        await until(lambda: len(world.controller.fleet.runners()) == 2)
        return runner

    async def test_a_load_may_name_its_runner(self, make_world: MakeWorld, joiner: Joiner) -> None:
        world = await make_world()
        await world.add("small", gib=0.5)
        other = await self.second(world, joiner)
        loaded = await world.client.load("small", runner="runner-1")
        assert loaded.runner == other.name
        assert world.runner.started == []

    async def test_a_model_that_is_elsewhere_moves(
        self, make_world: MakeWorld, joiner: Joiner
    ) -> None:
        world = await make_world()
        await world.add("small", gib=0.5)
        other = await self.second(world, joiner)
        assert (await world.client.load("small")).runner == world.runner.name
        assert (await world.client.load("small", runner=other.name)).runner == other.name
        assert len(world.runner.stopped) == 1
        assert (await world.client.load("small")).runner == other.name
        assert len(other.started) == 1

    async def test_a_runner_that_can_never_take_it_refuses(
        self, make_world: MakeWorld, joiner: Joiner
    ) -> None:
        world = await make_world()
        await world.add("large", gib=2)
        other = await self.second(world, joiner)
        with pytest.raises(ModelLoadFailed, match="runner-1") as caught:
            await world.client.load("large", runner=other.name)
        assert reason(caught) == "no_room"

    async def test_a_runner_that_is_not_there_is_answered_with_those_that_are(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        with pytest.raises(InvalidRequest, match="runner-0@testhost"):
            await world.client.load("qwen", runner="gpu")
        assert world.status("qwen") == "unloaded"
