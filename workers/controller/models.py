"""All models: merges the inventories and the engines of all runners, answers loads and unloads."""

from __future__ import annotations

import asyncio
import itertools
import time

import msgspec

from common.api import models
from common.api.instances import Instance
from common.api.inventory import ModelFile
from common.api.models import Accepted, BeginLoad, Model, UnloadModel
from common.bus.bus import Bus
from common.errors import ModelNotFound
from common.live_settings import LiveSettings
from workers.controller.desired import Desired, Wanted
from workers.controller.disuse import Disuse
from workers.controller.engines import RUNNER_RETURNS_S, Engines
from workers.controller.fleet import Fleet
from workers.controller.model import ModelLife
from workers.controller.moves import Spawn
from workers.controller.order import Order
from workers.controller.placement import FleetView, runner_called
from workers.controller.presets.loading import ModelPresets
from workers.controller.records import of_engine, of_file
from workers.controller.room import Room
from workers.controller.surplus import LIVE, Surplus, by_preference

LEARN_S = 2.0
LEARN_CHECK_S = 0.02
RESTORE_CHECK_S = 0.1


class Models:
    """The lives of all models, by id, and the table that tells of them."""

    def __init__(
        self,
        bus: Bus,
        fleet: Fleet,
        live: LiveSettings,
        spawn: Spawn,
        desired: Desired,
        presets: ModelPresets,
    ) -> None:
        self._fleet = fleet
        self._spawn = spawn
        self._lives: dict[str, ModelLife] = {}
        self._live = live
        self._learned = asyncio.Event()
        self._table = bus.table(models.MODEL, self._learned)
        self._desired = desired
        self._presets = presets
        self._engines = Engines(bus, live)
        self._surplus = Surplus(
            fleet, self._engines, spawn, lambda: live.current.llama.drain_timeout_seconds
        )
        self._room = Room(self._view, self._evict, live=live)
        # Later than any generation of an earlier start, which gateways may still hold.
        self._generations = itertools.count(time.time_ns() // 1_000_000)
        fleet.files.on_change(self._file_changed)
        fleet.instances.on_change(self._instance_changed)
        fleet.on_room_change(self._room.review)
        live.on_change(lambda _before, _after: self._room.review())
        bus.serve(models.BEGIN_LOAD, self.begin_load)
        bus.serve(models.BEGIN_UNLOAD, self.begin_unload)

    async def begin_load(self, request: BeginLoad) -> Accepted:
        """Answer `models:begin-load`."""
        await self._learned.wait()
        life = self._life(request.id)
        if request.on_demand:
            life.refuse_hopeless()
        order = Order(
            preset=await self._presets.choose(request.id, request.preset),
            runner=None
            if request.runner is None
            else runner_called(request.runner, self._fleet.runners()),
            ttl_s=request.ttl_seconds,
            # One that is to be loaded anyway is wanted by more than the request.
            on_demand=request.on_demand and request.id not in self._desired.pending,
        )
        life = self._life(request.id)  # it may have gone meanwhile
        self._desired.settle(request.id)
        generation = life.begin_load(order, insist=request.preset is not None)
        loaded = life.record.status == "loaded" and life.record.generation == generation
        return Accepted(id=request.id, generation=generation, loaded=loaded)

    async def begin_unload(self, request: UnloadModel) -> Accepted:
        """Answer `models:begin-unload`."""
        await self._learned.wait()
        life = self._life(request.id)
        self._desired.settle(request.id)
        return Accepted(id=request.id, generation=life.begin_unload())

    async def restore(self) -> None:
        """Learn what there is, then load again what was loaded when the last controller ended.

        Not before the runners have said which engines they have: what still runs is adopted, and
        a runner that had a model gets the time to come back with it.
        """
        await self._learn()
        for model_id in list(self._lives):
            if await self._presets.wants_load(model_id):
                self._desired.pending.setdefault(model_id, Wanted())
        deadline = time.monotonic() + RUNNER_RETURNS_S
        while self._desired.pending:
            await asyncio.sleep(RESTORE_CHECK_S)
            for model_id, wanted in list(self._desired.pending.items()):
                life = self._lives.get(model_id)
                runners = [view.name for view in self._fleet.runners()]
                if life is None or not runners:
                    continue
                waited = wanted.runner in (None, *runners) or time.monotonic() > deadline
                if waited and all(self._fleet.engines_known(name) for name in runners):
                    preset = await self._presets.remembered(model_id, wanted.preset)
                    if model_id in self._desired.pending and self._lives.get(model_id) is life:
                        self._desired.settle(model_id)
                        life.begin_load(Order(preset=preset, ttl_s=wanted.ttl_s))

    async def end_disuse(self) -> None:
        """Unload what is not used and call off what nobody waits for, until cancelled."""
        await Disuse(self._lives.values, self._fleet, self._live).run()

    async def _learn(self) -> None:
        """Hear which files and engines the runners have, before any request is answered.

        Else one of the first requests might not find its model, or start a second engine for it.
        """
        for _ in range(round(LEARN_S / LEARN_CHECK_S)):
            if self._fleet.known():
                break
            await asyncio.sleep(LEARN_CHECK_S)
        await self._presets.learn()
        self._learned.set()
        for _, _, instance in list(self._fleet.instances.items()):
            self._consider(instance.model_id)

    def _life(self, model_id: str) -> ModelLife:
        life = self._lives.get(model_id)
        if life is None:
            raise ModelNotFound(
                f"there is no model '{model_id[:200]}'; models:list gives all ids",
                {"id": model_id[:200]},
            )
        return life

    def _file_changed(
        self, _scanner: str, key: str, _before: ModelFile | None, _after: ModelFile | None
    ) -> None:
        found = self._fleet.file(key)
        life = self._lives.get(key)
        if life is None and found is not None:
            life = self._lives[key] = self._new_life(of_file(found))
        if life is None:
            return
        life.see_file(found)
        self._consider(key)

    def _instance_changed(
        self, _runner: str, key: str, before: Instance | None, after: Instance | None
    ) -> None:
        told = after or before
        if told is None:
            return
        life = self._lives.get(told.model_id)
        if life is not None and life.place is not None and life.place.instance_id == key:
            life.see_instance(after)
        self._consider(told.model_id)
        self._room.review()

    def _consider(self, model_id: str) -> None:
        """Which of the engines that run for a model is its own; the others are ended."""
        wanted = self._desired.pending.get(model_id)
        runner = wanted.runner if wanted else None
        engines = [
            engine
            for engine in by_preference(self._fleet.engines_of(model_id), runner)
            if engine.state in LIVE and engine.id not in self._surplus
        ]
        life = self._lives.get(model_id)
        if life is None and engines:
            life = self._lives[model_id] = self._new_life(of_engine(engines[0]))
        if life is None:
            return
        for engine in engines:
            # While not all runners have told, the one that had the model may yet do so.
            if self._learned.is_set() or runner in (None, engine.runner):
                life.adopt(engine)
        for engine in engines:
            if self._learned.is_set() and life.disowns(engine.id):
                self._surplus.end(engine)
        self._drop_if_deserted(model_id, life)

    def _new_life(self, record: Model) -> ModelLife:
        record = msgspec.structs.replace(record, generation=next(self._generations))
        return ModelLife(
            record,
            publish=self._publish,
            room=self._room,
            engines=self._engines,
            live=self._live,
            spawn=self._spawn,
            next_generation=lambda: next(self._generations),
            on_rest=lambda: self._rested(record.id),
            relieve=self._relieve,
            presets=self._presets,
        )

    def _rested(self, model_id: str) -> None:
        self._consider(model_id)
        self._room.review()

    def _publish(self, record: Model) -> None:
        self._table.put(record.id, record)
        self._desired.tell(record)

    def _drop_if_deserted(self, model_id: str, life: ModelLife) -> None:
        if life.deserted:
            del self._lives[model_id]
            self._table.remove(model_id)

    def _view(self) -> FleetView:
        occupants = []
        for life in self._lives.values():
            if life.place is not None:
                traffic = self._fleet.traffic(life.place.instance_id)
                occupant = life.occupant(traffic.in_flight, traffic.last_used_at)
                if occupant is not None:
                    occupants.append(occupant)
        return FleetView(self._fleet.runners(), occupants, self._live.current.llama.max_models)

    async def _relieve(self, runner: str) -> bool:
        """Unload the least recently used idle model of a runner; false where there is none."""
        idle = [
            occupant
            for occupant in self._view().occupants
            if occupant.runner == runner and occupant.state == "idle"
        ]
        if not idle:
            return False
        oldest = min(idle, key=lambda occupant: occupant.last_used_at)
        return await self._lives[oldest.model_id].evicted()

    def _evict(self, model_id: str) -> None:
        self._lives[model_id].evict()
