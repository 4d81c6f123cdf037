from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.errors import (
    Busy,
    ModelLoadFailed,
    ProxyError,
    ServerError,
    Unavailable,
)
from tests.support.bus import Joiner
from tests.support.controller_world import MakeWorld, reason, worlds
from tests.support.scripted_runner import GIB, ScriptedRunner
from tests.support.waiting import until
from workers import draining
from workers.controller import engines


@pytest.fixture
async def make_world(joiner: Joiner, tmp_path: Path) -> AsyncIterator[MakeWorld]:
    async with worlds(joiner, tmp_path / "desired.json") as make:
        yield make


class TestRoom:
    async def test_the_least_recently_used_idle_model_makes_room(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(max_models=2)
        await world.add("old", "new", "wanted")
        for model_id, used_at in (("old", 2e9), ("new", 3e9)):
            await world.client.load(model_id)
            world.proxy.use(world.instance_of(model_id), 0, at=used_at)
        await world.knows_traffic()
        old = world.instance_of("old")
        assert (await world.client.load("wanted")).status == "loaded"
        assert world.proxy.drained == world.runner.stopped == [old]
        assert (world.status("old"), world.status("new")) == ("unloaded", "loaded")

    async def test_no_more_models_go_than_must(self, make_world: MakeWorld) -> None:
        world = await make_world(memory_gib=24, measures=True)
        world.runner.answers_before_it_tells = True
        await world.add("a", "b", gib=10)
        await world.add("wanted", gib=8)
        await world.client.load("a")
        world.proxy.use(world.instance_of("a"), 0, at=2e9)
        await world.client.load("b")
        world.proxy.use(world.instance_of("b"), 0, at=3e9)
        await world.knows_traffic()
        assert (await world.client.load("wanted")).status == "loaded"
        assert (world.status("a"), world.status("b")) == ("unloaded", "loaded")

    async def test_when_all_are_busy_a_load_fails_with_the_numbers(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(max_models=1, queue_timeout=0.2)
        await world.add("busy", gib=10)
        await world.add("wanted", gib=1)
        await world.client.load("busy")
        world.proxy.use(world.instance_of("busy"), 1)
        await world.knows_traffic()
        with pytest.raises(ModelLoadFailed) as caught:
            await world.client.load("wanted")
        assert reason(caught) == "no_room"
        for number in ("0.2 s", "1 of at most 1 models", "1 busy", f"{int(1.2 * GIB):,} bytes"):
            assert number in caught.value.message
        record = world.client.model("wanted")
        assert record.status == "unloaded"
        assert record.reason is not None
        assert world.proxy.drained == []
        assert world.status("busy") == "loaded"

    async def test_an_engine_that_still_works_is_kept_whatever_the_proxies_say(
        self, make_world: MakeWorld
    ) -> None:
        # A proxy that is stopped is not present, and has streams under way nevertheless.
        world = await make_world(max_models=1, drain_timeout_seconds=0.5, queue_timeout=2)
        await world.add("a", "b")
        await world.client.load("a")
        world.runner.busy_slots = 1
        with pytest.raises(ModelLoadFailed):
            await world.client.load("b")
        assert world.status("a") == "loaded"
        assert world.runner.stopped == []
        world.runner.busy_slots = 0
        assert (await world.client.load("b")).status == "loaded"

    async def test_who_may_not_wait_has_idle_models_evicted_all_the_same(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(max_models=1, queue_timeout=0)
        await world.add("a", "b")
        await world.client.load("a")
        assert (await world.client.load("b")).status == "loaded"
        assert world.status("a") == "unloaded"

    async def test_room_that_is_being_made_is_waited_for_beyond_the_limit(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(max_models=1, queue_timeout=0)
        await world.add("a", "b")
        await world.client.load("a")
        instance_id = world.instance_of("a")
        world.runner.may_stop.clear()
        load = world.begin_load("b")
        await until(lambda: world.runner.stopped == [instance_id])
        await world.add("later")  # told after the limit
        world.proxy.use("another", 1)
        await world.knows_traffic()
        assert world.status("b") == "loading"
        world.runner.may_stop.set()
        assert (await load).status == "loaded"

    async def test_who_may_not_wait_is_refused_at_once_where_all_are_busy(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(max_models=1, queue_timeout=0)
        await world.add("busy", "wanted")
        await world.client.load("busy")
        world.proxy.use(world.instance_of("busy"), 1)
        await world.knows_traffic()
        with pytest.raises(ModelLoadFailed, match=r"within 0 s: .*1 busy"):
            await world.client.load("wanted")
        assert world.proxy.drained == []

    async def test_a_waiting_load_starts_when_a_busy_model_becomes_idle(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(max_models=1)
        await world.add("busy", "wanted")
        await world.client.load("busy")
        instance_id = world.instance_of("busy")
        world.proxy.use(instance_id, 1)
        await world.knows_traffic()
        load = world.begin_load("wanted")
        await world.seen("wanted", "loading")
        assert world.proxy.drained == []
        world.proxy.use(instance_id, 0)
        assert (await load).status == "loaded"
        assert world.runner.stopped == [instance_id]

    async def test_loads_that_wait_get_room_in_their_order(self, make_world: MakeWorld) -> None:
        world = await make_world(max_models=1)
        await world.add("busy", "first", "second")
        await world.client.load("busy")
        world.proxy.use(world.instance_of("busy"), 1)
        await world.knows_traffic()
        first = world.begin_load("first")
        await world.seen("first", "loading")
        second = world.begin_load("second")
        await world.seen("second", "loading")
        world.proxy.use(world.instance_of("busy"), 0)
        assert (await first).status == "loaded"
        assert (await second).status == "loaded"
        assert [start.model_id for start in world.runner.started] == ["busy", "first", "second"]

    async def test_a_model_that_does_not_drain_stays_loaded(self, make_world: MakeWorld) -> None:
        world = await make_world(max_models=1, drain_timeout_seconds=0.1, queue_timeout=2)
        await world.add("a", "b")
        await world.client.load("a")
        instance_id = world.instance_of("a")
        world.proxy.use_untold(instance_id, 1)
        load = world.begin_load("b")
        await until(lambda: world.proxy.resumed)
        world.proxy.use(instance_id, 1)
        with pytest.raises(ModelLoadFailed) as caught:
            await load
        assert reason(caught) == "no_room"
        assert set(world.proxy.resumed) == {instance_id}
        assert world.runner.stopped == []
        assert (world.status("a"), world.instance_of("a")) == ("loaded", instance_id)

    @pytest.mark.parametrize("refusal", [Busy("full"), ServerError("a bug")])
    async def test_a_proxy_that_cannot_drain_keeps_the_model_loaded(
        self, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, refusal: ProxyError
    ) -> None:
        monkeypatch.setattr(draining, "UNTOLD_PAUSE_S", 0.1)
        world = await make_world(max_models=1, queue_timeout=0.3)
        await world.add("a", "b")
        await world.client.load("a")
        world.proxy.refusal = refusal
        with pytest.raises(ModelLoadFailed) as caught:
            await world.client.load("b")
        assert reason(caught) == "no_room"
        assert world.runner.stopped == []
        await world.seen("a", "loaded")

    async def test_a_load_during_an_eviction_that_is_given_up_finds_it_loaded(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(max_models=1, drain_timeout_seconds=0.2, queue_timeout=2)
        await world.add("a", "b")
        await world.client.load("a")
        instance_id = world.instance_of("a")
        world.proxy.use_untold(instance_id, 1)
        load_b = world.begin_load("b")
        await world.seen("a", "unloading")
        load_a = world.begin_load("a")
        assert (await load_a).instance_id == instance_id
        world.proxy.use(instance_id, 1)
        with pytest.raises(ModelLoadFailed):
            await load_b
        assert len(world.runner.started) == 1

    async def test_a_model_that_never_fits_is_refused_at_once(self, make_world: MakeWorld) -> None:
        world = await make_world(memory_gib=24)
        await world.add("huge", gib=21)
        with pytest.raises(ModelLoadFailed, match="in all") as caught:
            await world.client.load("huge")
        assert reason(caught) == "no_room"
        assert f"{24 * GIB:,}" in caught.value.message
        assert world.status("huge") == "unloaded"

    async def test_without_a_runner_a_load_waits_and_fails(self, make_world: MakeWorld) -> None:
        world = await make_world(queue_timeout=0.2)
        await world.add("qwen")
        await world.joiner.stop(world.runner.bus)
        await until(lambda: not world.controller.fleet.runners())
        with pytest.raises(ModelLoadFailed, match="no runner is present on testhost") as caught:
            await world.client.load("qwen")
        assert reason(caught) == "no_room"

    async def test_a_load_outlives_a_restart_of_the_runner_that_was_chosen_for_it(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        world.runner.refusal = Unavailable("it is stopping")
        load = world.begin_load("qwen")
        await until(lambda: world.runner.refused > 1)
        await world.joiner.stop(world.runner.bus)
        bus = world.joiner.create("runner-0@testhost", "runner")
        successor = ScriptedRunner(bus)
        successor.add_file("qwen")
        await world.joiner.start(bus)
        assert (await load).status == "loaded"
        assert len(successor.started) == 1

    async def test_but_not_for_ever(
        self, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engines, "RUNNER_RETURNS_S", 0.5)
        world = await make_world()
        await world.add("qwen")
        world.runner.refusal = Unavailable("it is stopping")
        with pytest.raises(ModelLoadFailed, match="it is stopping"):
            await world.client.load("qwen")

    async def test_a_runner_that_comes_takes_the_load_that_waits(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        await world.joiner.stop(world.runner.bus)
        load = world.begin_load("qwen")
        await world.seen("qwen", "loading")
        bus = world.joiner.create("runner-0@testhost", "runner")
        successor = ScriptedRunner(bus)
        successor.add_file("qwen")
        await world.joiner.start(bus)
        assert (await load).status == "loaded"
        assert [start.model_id for start in successor.started] == ["qwen"]

    async def test_a_second_runner_takes_what_the_first_has_no_room_for(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(memory_gib=12, measures=True)
        bus = world.joiner.create("runner-1@testhost", "runner")
        other = ScriptedRunner(bus, memory_gib=12, measures=True, files=False)
        await world.joiner.start(bus)
        await world.add("a", "b", gib=9)
        assert len({(await world.client.load(model_id)).runner for model_id in "ab"}) == 2
        assert [len(world.runner.started), len(other.started)] == [1, 1]

    async def test_where_memory_runs_out_one_idle_model_goes_and_it_is_tried_again(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world()
        await world.add("idle", "wanted")
        await world.client.load("idle")
        world.runner.ready_at_once = False
        load = world.begin_load("wanted")
        await until(lambda: len(world.runner.started) == 2)
        world.runner.fail("wanted", "out_of_memory", "no memory", excerpt=())
        await until(lambda: len(world.runner.started) == 3)
        world.runner.become_ready("wanted")
        assert (await load).status == "loaded"
        assert world.status("idle") == "unloaded"

    async def test_room_that_is_being_made_is_kept_for_whom_it_is_made(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(memory_gib=24, measures=True)
        await world.add("a", gib=10)
        await world.add("first", gib=12)
        await world.add("second", gib=2)
        await world.client.load("a")
        world.runner.may_stop.clear()
        first = world.begin_load("first")
        await until(lambda: world.runner.stopped)
        second = world.begin_load("second")  # it would fit already
        await world.seen("second", "loading")
        world.runner.may_stop.set()
        assert (await first).status == "loaded"
        assert (await second).status == "loaded"
        assert [start.model_id for start in world.runner.started] == ["a", "first", "second"]
