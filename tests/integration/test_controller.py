from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.api.models import UnloadModel
from common.bus import rpc
from common.errors import (
    ModelLoadFailed,
    ModelNotFound,
    ModelUnloadFailed,
)
from tests.support.bus import Joiner
from tests.support.controller_world import MakeWorld, reason, worlds
from tests.support.scripted_runner import GIB
from tests.support.waiting import until
from workers.controller import model as model_module


@pytest.fixture
async def make_world(
    joiner: Joiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeWorld]:
    monkeypatch.setattr(rpc, "UNAVAILABLE_PATIENCE_S", 0.2)
    async with worlds(joiner, tmp_path / "desired.json") as make:
        yield make


class TestLoad:
    async def test_a_model_is_loaded_and_unloaded(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen", gib=2)
        loaded = await world.client.load("qwen")
        engine = world.runner.engine("qwen")
        assert (loaded.status, loaded.instance_id) == ("loaded", engine.id)
        assert (loaded.memory_usage, loaded.runner) == (2 * GIB, "runner-0@testhost")
        assert loaded.loaded_at is not None
        (started,) = world.runner.started
        assert (started.model_id, started.path) == ("qwen", "/models/qwen.gguf")
        assert started.size == 2 * GIB

        unloaded = await world.client.unload(UnloadModel(id="qwen"))
        assert unloaded.status == "unloaded"
        assert unloaded.unloaded_at is not None
        assert (unloaded.instance_id, unloaded.memory_usage) == (None, None)
        assert world.proxy.drained == [engine.id]
        assert world.runner.stopped == [engine.id]
        expected = ["unloaded", "loading", "loaded", "unloading", "unloaded"]
        assert world.statuses("qwen") == expected

    async def test_two_loads_start_one_engine_and_both_settle(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        world.runner.ready_at_once = False
        first, second = world.begin_load("qwen"), world.begin_load("qwen")
        await until(lambda: world.runner.started)
        third = world.begin_load("qwen")
        await world.seen("qwen", "loading")
        world.runner.become_ready("qwen")
        assert {(await load).status for load in (first, second, third)} == {"loaded"}
        assert (await world.client.load("qwen")).status == "loaded"
        assert len(world.runner.started) == 1

    async def test_it_is_said_whether_anything_was_begun(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        world.runner.ready_at_once = False
        assert not (await world.client.begin_load("qwen")).loaded
        await until(lambda: world.runner.started)
        assert not (await world.client.begin_load("qwen")).loaded
        world.runner.become_ready("qwen")
        await world.seen("qwen", "loaded")
        assert (await world.client.begin_load("qwen")).loaded
        unloading = await world.client.begin_unload("qwen")
        loading = await world.client.begin_load("qwen")
        assert (unloading.loaded, loading.loaded) == (False, False)

    async def test_progress_shows_while_it_loads_and_not_after(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        world.runner.ready_at_once = False
        load = world.begin_load("qwen")
        await until(lambda: world.runner.started)
        world.runner.progress("qwen", 0.5)
        await until(lambda: world.client.model("qwen").progress == 0.5)
        world.runner.become_ready("qwen")
        assert (await load).progress is None

    async def test_no_move_looks_settled_before_it_has_begun(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        for _ in range(2):
            await world.client.load("qwen")
            await world.client.unload(UnloadModel(id="qwen"))
        for before, after in zip(world.records, world.records[1:], strict=False):
            if after.generation > before.generation:
                assert after.status in ("loading", "unloading")

    async def test_an_unknown_model_is_not_found(self, make_world: MakeWorld) -> None:
        world = await make_world()
        with pytest.raises(ModelNotFound, match="nothing"):
            await world.client.load("nothing")
        with pytest.raises(ModelNotFound, match="nothing"):
            await world.client.unload(UnloadModel(id="nothing"))

    async def test_an_engine_that_fails_gives_its_reason_and_last_lines(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        world.runner.ready_at_once = False
        load = world.begin_load("qwen")
        await until(lambda: world.runner.started)
        world.runner.fail("qwen", "corrupt_file", "it is corrupt", excerpt=("line 1", "line 2"))
        with pytest.raises(ModelLoadFailed, match="it is corrupt") as caught:
            await load
        assert reason(caught) == "corrupt_file"
        assert "line 1\nline 2" in caught.value.message
        record = world.client.model("qwen")
        assert (record.status, record.reason) == ("error", "it is corrupt")
        assert (record.instance_id, record.runner) == (None, None)
        # Asked for again, it is tried again.
        world.runner.ready_at_once = True
        assert (await world.client.load("qwen")).status == "loaded"
        assert world.client.model("qwen").failure is None

    async def test_a_runner_without_an_engine_says_why(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        world.runner.refusal = ModelLoadFailed(
            "/opt/llama-server is not executable", {"reason": "no_engine", "hint": "chmod +x"}
        )
        with pytest.raises(ModelLoadFailed, match="not executable") as caught:
            await world.client.load("qwen")
        assert reason(caught) == "no_engine"
        assert "chmod" in caught.value.message

    async def test_a_request_does_not_try_a_failed_model_again_at_once(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        world.runner.refusal = ModelLoadFailed("it cannot", {"reason": "bad_argument"})
        for on_demand in (False, True):
            with pytest.raises(ModelLoadFailed, match="it cannot") as caught:
                await world.client.load("qwen", on_demand=on_demand)
            assert reason(caught) == "bad_argument"
        world.runner.refusal = None
        with pytest.raises(ModelLoadFailed):
            await world.client.load("qwen", on_demand=True)
        assert world.runner.started == []
        assert (await world.client.load("qwen")).status == "loaded"

    async def test_a_load_that_takes_too_long_is_given_up(
        self, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(model_module, "READY_MARGIN_S", 0.1)
        world = await make_world(load_timeout_seconds=0.1)
        await world.add("qwen")
        world.runner.ready_at_once = False
        with pytest.raises(ModelLoadFailed, match="not ready within") as caught:
            await world.client.load("qwen")
        assert reason(caught) == "timeout"
        assert world.runner.stopped == [world.runner.started[0].id]
        assert world.client.model("qwen").status == "error"

    async def test_a_load_is_given_up_though_its_runner_does_not_answer(
        self, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(model_module, "READY_MARGIN_S", 0.1)
        world = await make_world(load_timeout_seconds=0.1)
        await world.add("qwen")
        world.runner.ready_at_once = False
        load = world.begin_load("qwen")
        await until(lambda: world.runner.started)
        await world.joiner.stop(world.runner.bus)
        with pytest.raises(ModelLoadFailed, match="not ready within") as caught:
            await load
        assert reason(caught) == "timeout"


class TestCancel:
    async def test_an_unload_cancels_a_load(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        world.runner.ready_at_once = False
        load = world.begin_load("qwen")
        await until(lambda: world.runner.started)
        unload = world.begin_unload("qwen")
        with pytest.raises(ModelLoadFailed, match="cancelled") as caught:
            await load
        assert reason(caught) == "cancelled"
        assert (await unload).status == "unloaded"
        assert world.runner.stopped == [world.runner.started[0].id]
        assert world.proxy.drained == []  # it never took a request

    async def test_an_unload_cancels_a_load_that_waits_for_room(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(max_models=1)
        await world.add("a", "b")
        await world.client.load("a")
        world.proxy.use(world.instance_of("a"), 1)
        load = world.begin_load("b")
        await world.seen("b", "loading")
        assert (await world.client.unload(UnloadModel(id="b"))).status == "unloaded"
        with pytest.raises(ModelLoadFailed) as caught:
            await load
        assert reason(caught) == "cancelled"
        # Nobody waits any more: room that comes free stays free.
        world.proxy.use(world.instance_of("a"), 0)
        await world.client.unload(UnloadModel(id="a"))
        assert [start.model_id for start in world.runner.started] == ["a"]

    async def test_a_load_during_an_unload_follows_it(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        await world.client.load("qwen")
        world.runner.may_stop.clear()
        unload = world.begin_unload("qwen")
        await until(lambda: world.runner.stopped)
        load = world.begin_load("qwen")
        unload_again = world.begin_unload("qwen")
        load_again = world.begin_load("qwen")
        await world.add("other")
        await world.client.load("other")  # by now all of these have been accepted
        world.runner.may_stop.set()
        assert (await load_again).status == "loaded"
        assert (await unload).status in ("unloaded", "loading", "loaded")
        await unload_again
        with pytest.raises(ModelLoadFailed) as caught:
            await load
        assert reason(caught) == "cancelled"
        assert world.status("qwen") == "loaded"
        assert world.instance_of("qwen") == world.runner.engine("qwen").id

    async def test_moves_run_one_after_the_other_however_they_are_cancelled(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        first = (await world.client.load("qwen")).instance_id
        world.runner.may_stop.clear()
        moves = [world.begin_unload("qwen")]
        await until(lambda: world.runner.stopped)
        for _ in range(3):
            moves += [world.begin_load("qwen"), world.begin_unload("qwen")]
        last = world.begin_load("qwen")
        await world.add("other")
        await world.client.load("other")  # by now all of these have been accepted
        assert [start.model_id for start in world.runner.started] == ["qwen", "other"]
        world.runner.may_stop.set()
        assert (await last).status == "loaded"
        await asyncio.gather(*moves, return_exceptions=True)
        assert [start.model_id for start in world.runner.started] == ["qwen", "other", "qwen"]
        assert world.runner.stopped == [first]
        assert world.status("qwen") == "loaded"


class TestUnload:
    async def test_requests_in_flight_are_waited_for(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        await world.client.load("qwen")
        instance_id = world.instance_of("qwen")
        world.proxy.use(instance_id, 1)
        unload = world.begin_unload("qwen")
        await until(lambda: world.proxy.drained)
        assert world.runner.stopped == []
        world.proxy.use(instance_id, 0)
        assert (await unload).status == "unloaded"

    async def test_requests_that_do_not_end_are_cut_in_the_end(self, make_world: MakeWorld) -> None:
        world = await make_world(drain_timeout_seconds=0.1)
        await world.add("qwen")
        await world.client.load("qwen")
        world.proxy.use(world.instance_of("qwen"), 1)
        assert (await world.client.unload(UnloadModel(id="qwen"))).status == "unloaded"
        assert len(world.runner.stopped) == 1

    async def test_a_model_that_is_not_loaded_counts_as_unloaded(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        unloaded = await world.client.unload(UnloadModel(id="qwen"))
        assert unloaded.status == "unloaded"
        assert world.runner.stopped == []

    async def test_a_stop_that_fails_is_an_error(self, make_world: MakeWorld) -> None:
        world = await make_world()
        await world.add("qwen")
        await world.client.load("qwen")
        await world.joiner.stop(world.runner.bus)
        with pytest.raises(ModelUnloadFailed, match="runner-0@testhost"):
            await world.client.unload(UnloadModel(id="qwen"))
        assert world.status("qwen") == "error"

    async def test_an_unload_during_an_eviction_takes_it_over(self, make_world: MakeWorld) -> None:
        world = await make_world(max_models=1)
        await world.add("a", "b")
        await world.client.load("a")
        instance_id = world.instance_of("a")
        world.proxy.use_untold(instance_id, 1)
        load = world.begin_load("b")
        await until(lambda: world.proxy.drained)
        unload = world.begin_unload("a")
        await until(lambda: len(world.proxy.drained) == 2)
        world.proxy.use_untold(instance_id, 0)
        assert (await unload).status == "unloaded"
        assert (await load).status == "loaded"
        assert world.runner.stopped == [instance_id]
