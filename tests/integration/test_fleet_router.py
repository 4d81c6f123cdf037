from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from common.api import instances
from common.api.instances import DrainInstance, Instance, InstanceState, ResumeInstance, Traffic
from common.api.models import Failure
from common.bus.bus import Bus
from common.errors import DeadlineExceeded, ModelLoadFailed, ModelNotFound, Unavailable
from common.live_settings import LiveSettings
from common.settings import ModelSettings, Settings
from gateway import fleet as fleet_module
from gateway.fleet import Fleet
from gateway.proxy import fleet_router, suspects
from gateway.proxy.errors import QueueFull, QueueTimeout, TooManyRequests
from gateway.proxy.fleet_router import FleetRouter
from gateway.proxy.in_flight import EngineAddress, Lease
from gateway.proxy.upstreams import Upstreams
from tests.support.bus import Joiner
from tests.support.scripted_controller import ScriptedController
from tests.support.scripted_proxy import ScriptedProxy
from tests.support.waiting import until

PROXY = "proxy-0@testhost"
RUNNER = "runner-0@testhost"


def instance(
    instance_id: str, model_id: str = "qwen", state: InstanceState = "ready", port: int = 9001
) -> Instance:
    return Instance(
        id=instance_id,
        model_id=model_id,
        path=f"/models/{model_id}.gguf",
        size=1,
        runner=RUNNER,
        state=state,
        host="127.0.0.1",
        port=port,
        api_key=f"key of {instance_id}",
        pid=1,
        started_at=1.0,
    )


@dataclass
class World:
    """A proxy's router between a scripted controller and a runner's table of engines."""

    controller: ScriptedController
    router: FleetRouter
    upstreams: Upstreams
    engines_bus: Bus
    fleet: Fleet

    def __post_init__(self) -> None:
        self.engines = self.engines_bus.table(instances.INSTANCE)
        self.traffic = self.controller.bus.mirror(instances.TRAFFIC)
        self.known = self.controller.bus.mirror(instances.INSTANCE)
        self.demand = self.controller.bus.mirror(instances.DEMAND)

    def load(
        self, instance_id: str = "one", model_id: str = "qwen", slots: int | None = None
    ) -> None:
        """The model is loaded, and its engine is there."""
        self.engines.put(instance_id, replace(instance(instance_id, model_id), slots=slots))
        self.controller.change(model_id, status="loaded", instance_id=instance_id)

    async def loaded(self) -> None:
        """One model, loaded; the router knows it and its engine, and has used it already."""
        self.controller.add("qwen")
        self.load()
        await until(self._leases)

    def _leases(self) -> bool:
        if not self.router.knows("qwen") or (lease := self.router.lease("qwen")) is None:
            return False
        lease.release()
        return True

    def set(self, **llama: Any) -> None:
        """These settings hold from now on."""
        live = self.fleet.live
        live.replace(replace(live.current, llama=replace(live.current.llama, **llama)))

    def waiting(self) -> dict[str, int]:
        """How many requests wait, by model, as the controller knows it."""
        return {key: row.waiting for key, row in self.demand.rows(PROXY).items()}

    def acquire(self, model_id: str = "qwen") -> asyncio.Task[Lease]:
        return asyncio.create_task(self.router.acquire(model_id))

    def drain(self, instance_id: str = "one", timeout_s: float = 20) -> asyncio.Task[int]:
        """As the controller asks for it; gives what is in flight in the end."""

        async def ask() -> int:
            request = DrainInstance(id=instance_id, timeout_s=timeout_s)
            bus = self.controller.bus
            reply = await bus.call(PROXY, instances.DRAIN, request, timeout_s=timeout_s + 5)
            return reply.in_flight

        return asyncio.create_task(ask())

    async def resume(self, instance_id: str = "one") -> None:
        await self.controller.bus.call(PROXY, instances.RESUME, ResumeInstance(id=instance_id))


@pytest.fixture
async def world(joiner: Joiner) -> AsyncIterator[World]:
    proxy = joiner.create(PROXY, "proxy")
    fleet, upstreams = Fleet(proxy, LiveSettings(Settings())), Upstreams()
    world = World(
        controller=ScriptedController(joiner.create("controller", "controller")),
        router=FleetRouter(proxy, fleet, upstreams),
        upstreams=upstreams,
        engines_bus=joiner.create(RUNNER, "runner"),
        fleet=fleet,
    )
    await joiner.start(proxy, world.controller.bus, world.engines_bus)
    telling = asyncio.create_task(world.router.tell_traffic())
    yield world
    telling.cancel()
    with suppress(asyncio.CancelledError):
        await telling
    upstreams.close()


class TestAcquire:
    async def test_a_loaded_model_is_leased_without_asking(self, world: World) -> None:
        await world.loaded()
        with await world.router.acquire("qwen") as lease:
            assert lease.address == EngineAddress("one", "127.0.0.1", 9001, "key of one")
        assert world.controller.asked == []

    async def test_a_model_is_loaded_on_demand(self, world: World) -> None:
        world.controller.add("qwen")
        await until(lambda: world.router.models())
        lease = world.acquire()
        await until(lambda: world.controller.asked)
        world.load()
        assert (await lease).instance_id == "one"
        (request,) = world.controller.asked
        assert (request.id, request.on_demand) == ("qwen", True)

    async def test_requests_that_come_while_it_loads_wait_for_the_same_load(
        self, world: World
    ) -> None:
        world.controller.add("qwen")
        await until(lambda: world.router.models())
        leases = [world.acquire() for _ in range(5)]
        await until(lambda: len(world.controller.asked) == 5)
        world.load()
        assert {(await lease).instance_id for lease in leases} == {"one"}
        assert await world.drain(timeout_s=0) == 5

    async def test_an_engines_own_record_is_waited_for(self, world: World) -> None:
        world.controller.add("qwen", status="loaded", instance_id="one")
        await until(lambda: world.router.models())
        lease = world.acquire()
        await until(lambda: world.controller.asked)
        world.engines.put("one", instance("one", state="loading"))
        world.controller.add("other")
        await until(lambda: len(world.router.models()) == 2)
        assert not lease.done()
        world.engines.put("one", instance("one"))
        assert (await lease).instance_id == "one"

    async def test_an_engine_that_stays_unknown_is_an_error(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fleet_router, "ARRIVE_S", 0.1)
        world.controller.add("qwen", status="loaded", instance_id="one")
        await until(lambda: world.router.models())
        with pytest.raises(DeadlineExceeded, match="qwen is loaded"):
            await world.router.acquire("qwen")

    async def test_a_model_that_moves_on_is_asked_for_again(self, world: World) -> None:
        world.controller.add("qwen", status="loaded", instance_id="one")
        await until(lambda: world.router.models())
        lease = world.acquire()
        await until(lambda: world.controller.asked)
        world.controller.change("qwen", status="unloaded", instance_id=None)
        await until(lambda: len(world.controller.asked) == 2)
        world.load("two")
        assert (await lease).instance_id == "two"

    async def test_so_is_one_whose_moving_on_overtakes_the_controllers_answer(
        self, world: World
    ) -> None:
        world.controller.add("qwen", status="loaded", instance_id="one")
        await until(lambda: world.router.models())
        world.controller.may_answer.clear()
        lease = world.acquire()
        await until(lambda: world.controller.asked)
        world.controller.move("qwen", status="unloading")
        await until(lambda: [entry.status for entry in world.router.models()] == ["unloading"])
        world.controller.may_answer.set()
        await until(lambda: len(world.controller.asked) == 2)
        world.load("two")
        assert (await lease).instance_id == "two"

    async def test_an_unknown_model_is_not_found_and_nobody_is_asked(self, world: World) -> None:
        await world.fleet.learn(asyncio.Event())
        with pytest.raises(ModelNotFound, match="nothing"):
            await world.router.acquire("nothing")
        assert world.controller.asked == []

    async def test_no_model_is_called_unknown_before_the_controller_has_spoken(
        self, joiner: Joiner
    ) -> None:
        bus = joiner.create(PROXY, "proxy")
        alone = Fleet(bus, LiveSettings(Settings()))
        await joiner.start(bus)
        with pytest.raises(Unavailable, match="try again"):
            alone.model("qwen")
        stopping = asyncio.Event()
        learning = asyncio.create_task(alone.learn(stopping))
        stopping.set()
        await asyncio.wait_for(learning, fleet_module.LEARN_S / 2)

    async def test_a_load_that_fails_says_why(self, world: World) -> None:
        world.controller.add("qwen")
        await until(lambda: world.router.models())
        lease = world.acquire()
        await until(lambda: world.controller.asked)
        failure = Failure(code="MODEL_LOAD_FAILED", reason="out_of_memory", message="too large")
        world.controller.change("qwen", status="error", reason="too large", failure=failure)
        with pytest.raises(ModelLoadFailed, match="too large") as caught:
            await lease
        assert caught.value.details is not None
        assert caught.value.details["reason"] == "out_of_memory"

    async def test_a_load_that_is_refused_says_why(self, world: World) -> None:
        world.controller.refusal = ModelLoadFailed("it just failed", {"reason": "corrupt_file"})
        world.controller.add("qwen")
        await until(lambda: world.router.models())
        with pytest.raises(ModelLoadFailed, match="it just failed"):
            await world.router.acquire("qwen")

    async def test_who_leaves_while_waiting_holds_nothing(self, world: World) -> None:
        world.controller.add("qwen")
        await until(lambda: world.router.models())
        lease = world.acquire()
        await until(lambda: world.controller.asked)
        lease.cancel()
        with suppress(asyncio.CancelledError):
            await lease
        world.load()
        await until(lambda: world.fleet.model("qwen").status == "loaded")
        assert await world.drain(timeout_s=0) == 0

    async def test_models_are_given_with_their_status(self, world: World) -> None:
        world.controller.add("b", status="loaded")
        world.controller.add("a")
        await until(lambda: len(world.router.models()) == 2)
        told = [(entry.id, entry.created_s, entry.status) for entry in world.router.models()]
        assert told == [("a", 7, "unloaded"), ("b", 7, "loaded")]
        world.controller.remove("b")
        await until(lambda: [entry.id for entry in world.router.models()] == ["a"])


class TestDrain:
    async def test_it_is_answered_when_nothing_is_in_flight(self, world: World) -> None:
        await world.loaded()
        first = await world.router.acquire("qwen")
        second = await world.router.acquire("qwen")
        drained = world.drain()
        assert await world.drain(timeout_s=0) == 2  # asked later: the first has arrived
        first.release()
        assert await world.drain(timeout_s=0) == 1
        assert not drained.done()
        second.release()
        assert await drained == 0

    async def test_an_idle_instance_is_drained_at_once(self, world: World) -> None:
        await world.loaded()
        assert await world.drain() == 0
        assert await world.drain("never used") == 0

    async def test_after_its_timeout_it_says_how_many_are_left(self, world: World) -> None:
        await world.loaded()
        with await world.router.acquire("qwen"), await world.router.acquire("qwen"):
            assert await world.drain(timeout_s=0.05) == 2

    async def test_no_request_gets_in_while_it_lasts(self, world: World) -> None:
        await world.loaded()
        with await world.router.acquire("qwen"):
            drained = world.drain()
            assert await world.drain(timeout_s=0) == 1  # asked later: the first has arrived
            late = world.acquire()
            await until(lambda: world.controller.asked)
        assert await drained == 0
        assert not late.done()
        world.controller.change("qwen", status="unloading")
        world.engines.remove("one")
        world.controller.change("qwen", status="unloaded", instance_id=None)
        await until(lambda: len(world.controller.asked) == 2)
        world.load("two")
        assert (await late).instance_id == "two"

    async def test_a_resumed_instance_takes_those_who_wait(self, world: World) -> None:
        await world.loaded()
        with await world.router.acquire("qwen"):
            assert await world.drain(timeout_s=0) == 1
            late = world.acquire()
            await until(lambda: world.controller.asked)
            await world.resume()
            assert (await late).instance_id == "one"
        assert len(world.controller.asked) == 1


class TestForgetting:
    @pytest.mark.parametrize("state", [None, "failed"])
    async def test_an_instance_that_ends_leaves_nothing_behind(
        self, world: World, state: InstanceState | None
    ) -> None:
        await world.loaded()
        lease = await world.router.acquire("qwen")
        upstream = world.upstreams.to(lease.address)
        await until(lambda: world.traffic.rows(PROXY))
        if state is None:
            world.engines.remove("one")
        else:
            world.engines.put("one", instance("one", state=state))
        await until(lambda: not world.traffic.rows(PROXY))
        assert world.upstreams.to(lease.address) is not upstream
        lease.release()
        assert await world.drain(timeout_s=0) == 0
        assert not world.traffic.rows(PROXY)

    async def test_the_next_instance_of_a_model_is_not_mixed_up_with_the_last(
        self, world: World
    ) -> None:
        await world.loaded()
        old = await world.router.acquire("qwen")
        assert await world.drain(timeout_s=0) == 1
        world.engines.remove("one")
        world.load("two")
        await until(lambda: world.fleet.model("qwen").instance_id == "two")
        with await world.router.acquire("qwen") as lease:
            assert lease.instance_id == "two"
            old.release()
            assert await world.drain("two", timeout_s=0) == 1

    async def test_an_engine_that_broke_off_is_left_alone_until_there_is_news(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(suspects, "SUSPECTED_S", 20.0)
        await world.loaded()
        world.router.suspect("one")
        lease = world.acquire()
        await until(lambda: world.controller.asked)
        assert not lease.done()
        world.engines.put("one", instance("one", state="restarting"))
        world.engines.put("one", instance("one", port=9002))
        assert (await lease).address.port == 9002

    async def test_without_news_an_engine_is_trusted_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(suspects, "SUSPECTED_S", 0.05)
        await world.loaded()
        world.router.suspect("one")
        assert (await world.router.acquire("qwen")).instance_id == "one"


class TestTraffic:
    async def test_what_is_in_flight_is_told(self, world: World) -> None:
        await world.loaded()

        def told() -> Traffic | None:
            return world.traffic.rows(PROXY).get("one")

        def in_flight() -> int | None:
            traffic = told()
            return None if traffic is None else traffic.in_flight

        before = time.time()
        first, second = await world.router.acquire("qwen"), await world.router.acquire("qwen")
        await until(lambda: in_flight() == 2)
        first.release()
        await until(lambda: in_flight() == 1)
        second.release()
        await until(lambda: in_flight() == 0)
        traffic = told()
        assert traffic is not None
        assert before <= traffic.last_used_at <= time.time()

    async def test_an_instance_that_nobody_uses_is_not_told(self, world: World) -> None:
        world.controller.add("qwen")
        world.load()
        assert await world.drain() == 0
        world.controller.add("used")
        world.load("two", "used")
        await until(lambda: [row.status for row in world.router.models()] == ["loaded"] * 2)
        with await world.router.acquire("used"):
            await until(lambda: list(world.traffic.rows(PROXY)) == ["two"])


class TestNames:
    async def test_an_alias_is_as_good_as_the_id(self, world: World) -> None:
        await world.loaded()
        live = world.fleet.live
        model = ModelSettings(aliases=("gpt-4", "other"))
        live.replace(replace(live.current, models={"qwen": model}))
        assert world.router.resolve("gpt-4") == "qwen"
        assert world.router.knows("gpt-4")
        assert not world.router.knows("GPT-4")
        assert world.router.resolve("GPT-4") == "GPT-4"
        assert [entry.aliases for entry in world.router.models()] == [("gpt-4", "other")]
        with await world.router.acquire("gpt-4") as lease:
            assert lease.instance_id == "one"

    async def test_a_models_own_id_comes_before_an_alias(self, world: World) -> None:
        await world.loaded()
        world.controller.add("other")
        await until(lambda: world.router.knows("other"))
        live = world.fleet.live
        live.replace(
            replace(live.current, models={"qwen": ModelSettings(aliases=("other", "third"))})
        )
        assert world.router.resolve("other") == "other"
        assert world.router.resolve("third") == "qwen"


def served_of(waiting: list[asyncio.Task[Lease]]) -> int:
    return sum(task.done() for task in waiting)


def is_served(waiting: list[asyncio.Task[Lease]], expected: int) -> bool:
    return served_of(waiting) == expected


class TestLimit:
    async def full(self, world: World, *, limit: int = 2) -> list[Lease]:
        world.set(max_concurrent=limit)
        await world.loaded()
        return [await world.router.acquire("qwen") for _ in range(limit)]

    async def test_one_too_many_is_refused_until_another_ends(self, world: World) -> None:
        leases = await self.full(world)
        with pytest.raises(TooManyRequests) as caught:
            world.router.lease("qwen")
        assert caught.value.details == {"inFlight": 2, "limit": 2}
        leases[0].release()
        assert world.router.lease("qwen") is not None

    async def test_the_default_is_four_for_each_slot(self, world: World) -> None:
        world.controller.add("qwen")
        world.load(slots=1)
        await until(lambda: [entry.status for entry in world.router.models()] == ["loaded"])
        for _ in range(4):
            await world.router.acquire("qwen")
        with pytest.raises(TooManyRequests):
            world.router.lease("qwen")

    async def test_what_other_proxies_have_counts(self, world: World, joiner: Joiner) -> None:
        bus = joiner.create("proxy-1@testhost", "proxy")
        other = ScriptedProxy(bus)
        other.use("one", 2)
        await joiner.start(bus)
        world.set(max_concurrent=3)
        await world.loaded()
        first = await world.router.acquire("qwen")
        await until(lambda: self.is_full(world))
        other.use("one", 1)
        await until(lambda: not self.is_full(world))
        first.release()

    def is_full(self, world: World) -> bool:
        try:
            lease = world.router.lease("qwen")
        except TooManyRequests:
            return True
        assert lease is not None
        lease.release()
        return False

    async def test_those_who_waited_for_the_load_come_one_after_another(self, world: World) -> None:
        world.set(max_concurrent=2)
        world.controller.add("qwen")
        await until(lambda: world.router.models())
        waiting = [world.acquire() for _ in range(5)]
        await until(lambda: len(world.controller.asked) == 5)
        world.load()
        for served in range(5):
            expected = min(2, 5 - served)
            await until(partial(is_served, waiting, expected))
            for _ in range(20):  # whoever could be served too many has the time to
                await asyncio.sleep(0)
            assert served_of(waiting) <= 2
            first = next(task for task in waiting if task.done())
            waiting.remove(first)
            first.result().release()

    async def test_an_instance_that_is_drained_is_waited_for_and_not_called_full(
        self, world: World
    ) -> None:
        await self.full(world)
        assert await world.drain(timeout_s=0) == 2
        assert world.router.lease("qwen") is None


class TestWaiting:
    async def cold(self, world: World, **fields: Any) -> None:
        world.controller.add("qwen", **fields)
        await until(lambda: world.router.models())

    async def test_those_who_wait_are_told_by_model(self, world: World) -> None:
        await self.cold(world)
        with world.router.queue("qwen"):
            with world.router.queue("qwen"):
                await until(lambda: world.waiting() == {"qwen": 2})
            await until(lambda: world.waiting() == {"qwen": 1})
        await until(lambda: world.waiting() == {})

    async def test_the_queue_is_as_long_as_the_settings_say(self, world: World) -> None:
        await self.cold(world, status="loading", progress=0.5)
        world.set(max_queue=1)
        with world.router.queue("qwen"):
            with pytest.raises(QueueFull) as caught, world.router.queue("qwen"):
                pass
            assert caught.value.details == {
                "waiting": 1,
                "limit": 1,
                "status": "loading",
                "progress": 0.5,
            }

    async def test_nobody_waits_for_longer_than_the_settings_say(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fleet_router, "QUEUE_MARGIN_S", 0.0)
        world.set(queue_timeout=1)
        await self.cold(world)
        late = pytest.raises(QueueTimeout, match=r"within 1 s")
        with world.router.queue("qwen") as place, late as caught:
            await place.lease()
        assert caught.value.details == {
            "status": "loading",
            "progress": None,
            "waitedSeconds": 1,
        }
        # It was told to come back, and the load goes on until it does.
        await until(lambda: world.waiting() == {"qwen": 1})
