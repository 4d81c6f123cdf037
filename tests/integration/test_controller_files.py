from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.api.models import UnloadModel
from common.errors import (
    ModelLoadFailed,
    ModelNotFound,
)
from tests.support.bus import Joiner
from tests.support.controller_world import MakeWorld, worlds
from tests.support.scripted_runner import GIB, ScriptedRunner
from tests.support.waiting import until


@pytest.fixture
async def make_world(joiner: Joiner, tmp_path: Path) -> AsyncIterator[MakeWorld]:
    async with worlds(joiner, tmp_path / "desired.json") as make:
        yield make


class TestFiles:
    async def test_a_faulty_file_shows_its_reason(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("cut", state="error", reason="the file is truncated")
        record = world.client.model("cut")
        assert (record.status, record.reason) == ("error", "the file is truncated")
        await world.add("cut", mtime_ns=2)
        await world.seen("cut", "unloaded")
        assert world.client.model("cut").reason is None

    async def test_a_changed_file_gets_rid_of_an_old_failure(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        world.runner.refusal = ModelLoadFailed("it cannot", {"reason": "corrupt_file"})
        with pytest.raises(ModelLoadFailed):
            await world.client.load("qwen")
        assert world.status("qwen") == "error"
        world.runner.add_file("qwen", mtime_ns=2, gib=2)
        await world.seen("qwen", "unloaded")
        assert world.client.model("qwen").size == 2 * GIB

    async def test_a_removed_file_is_gone_from_the_list_and_may_return(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        world.runner.remove_file("qwen")
        await world.seen("qwen", None)
        with pytest.raises(ModelNotFound):
            await world.client.load("qwen")
        await world.add("qwen")
        assert (await world.client.load("qwen")).status == "loaded"

    async def test_a_loaded_model_stays_without_its_file_until_it_is_unloaded(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen", "other")
        await world.client.load("qwen")
        world.runner.remove_file("qwen")
        world.runner.remove_file("other")
        await world.seen("other", None)
        assert world.status("qwen") == "loaded"
        await world.client.unload(UnloadModel(id="qwen"))
        await world.seen("qwen", None)

    async def test_an_unload_settles_though_the_record_goes_at_the_same_moment(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(max_models=1)
        await world.add("busy", "waiting")
        await world.client.load("busy")
        world.proxy.use(world.instance_of("busy"), 1)
        await world.knows_traffic()
        load = world.begin_load("waiting")
        await world.seen("waiting", "loading")
        world.runner.remove_file("waiting")
        async with asyncio.timeout(5):
            await asyncio.gather(world.begin_unload("waiting"), load, return_exceptions=True)
        await world.seen("waiting", None)

    async def test_two_hosts_have_the_same_file(self, make_world: MakeWorld) -> None:
        world = await make_world()
        bus = world.joiner.create("runner-0@elsewhere", "runner")
        other = ScriptedRunner(bus)
        other.add_file("qwen")
        await world.joiner.start(bus)
        await world.add("qwen")

        def hosts() -> frozenset[str]:
            found = world.controller.fleet.file("qwen")
            return frozenset() if found is None else found.hosts

        await until(lambda: hosts() == {"testhost", "elsewhere"})
        world.runner.remove_file("qwen")
        await until(lambda: world.client.model("qwen").scanner == "runner-0@elsewhere")
        other.remove_file("qwen")
        await world.seen("qwen", None)
