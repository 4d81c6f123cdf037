"""One model's life: its record, its place, and the one move that is under way.

Moves (load, unload, evict) run one after the other. Each has a generation, which the record shows
from the move's beginning, so that whoever asked for it knows which outcome is theirs.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec

from common import timestamps
from common.api.instances import Instance
from common.api.models import Failure, Model
from common.errors import ModelLoadFailed, ModelUnloadFailed, ProxyError
from common.live_settings import LiveSettings
from workers.controller.engine_sight import EngineSight
from workers.controller.engines import Engines
from workers.controller.fleet import FoundFile
from workers.controller.idle_clock import IdleClock
from workers.controller.moves import Moves, Spawn
from workers.controller.order import Order
from workers.controller.place import Place
from workers.controller.placement import OccupantView, Wish, needed_bytes
from workers.controller.presets.loading import ModelPresets
from workers.controller.records import (
    at_rest,
    described,
    failure_of,
    lost_engine,
    pause_after,
)
from workers.controller.room import Room
from workers.controller.surplus import LIVE

logger = logging.getLogger(__name__)

OUT_OF_MEMORY = "out_of_memory"
READY_MARGIN_S = 5.0  # the runner gives up first, and knows why


class ModelLife:
    """A model from its first sight until its file and its engine are both gone."""

    def __init__(
        self,
        record: Model,
        *,
        publish: Callable[[Model], None],
        room: Room,
        engines: Engines,
        live: LiveSettings,
        spawn: Spawn,
        next_generation: Callable[[], int],
        on_rest: Callable[[], None],
        relieve: Callable[[str], Awaitable[bool]],
        presets: ModelPresets,
    ) -> None:
        self.record = record
        self.place: Place | None = None
        self._presets = presets
        self.order = Order()
        """How it was wanted when it was loaded last, or is being loaded."""
        self.idle_clock = IdleClock(time.monotonic())
        """Counts while it is loaded."""
        self.demanded_at_s = 0.0
        """When a request was known to want it last, by the monotonic clock."""
        self._publish = publish
        self._room = room
        self._engines = engines
        self._live = live
        self._on_rest = on_rest
        self._relieve = relieve
        self._found: FoundFile | None = None
        self._engine = EngineSight(record.id)
        self._left_instance_id: str | None = None
        self._failures = 0
        self._failed_at = 0.0
        self._moves = Moves(
            record.id,
            record.generation,
            spawn=spawn,
            next_generation=next_generation,
            begins=self._move_begins,
            rests=self._move_rests,
        )

    @property
    def deserted(self) -> bool:
        """Neither a file nor an engine nor a move is left."""
        return self._found is None and self.place is None and self._moves.under_way is None

    @property
    def awaited_by_requests(self) -> bool:
        """Whether it is being loaded, and only for requests that wait for it."""
        return self.order.on_demand and self._loading

    @property
    def _loading(self) -> bool:
        return self._moves.under_way == "load"

    @property
    def _load_s(self) -> float:
        return self._live.current.llama.load_timeout_seconds

    @property
    def _drain_s(self) -> float:
        return self._live.current.llama.drain_timeout_seconds

    # What others tell

    def see_file(self, found: FoundFile | None) -> None:
        """The inventory says something new about this model's file."""
        before, self._found = self._found, found
        if found is None:
            return
        changed = before is not None and found.file.mtime_ns != before.file.mtime_ns
        if self.place is None and self._moves.under_way is None:
            self._rest(failure=None if changed else self.record.failure)
        else:
            self.record = described(self.record, found)
            self._set()

    def see_instance(self, instance: Instance | None) -> None:
        """A runner says something new about this model's engine; null: it has ended."""
        self._engine.see(instance)
        if self._moves.under_way is not None or self.place is None or self.place.state != "loaded":
            return  # the move looks at it
        if instance is not None and instance.state == "restarting":
            self._moves.begin("load", self._follow_restart)
        elif instance is None or instance.state == "failed":
            self.place = None
            failure = instance.failure if instance else None
            self._rest(failure=failure or lost_engine(self.record.id))
            logger.warning("%s: %s", self.record.id, self.record.reason)
            if instance is None:
                # Its runner ended, and a successor knows nothing of the engine.
                self.begin_load(self.order)
        else:
            self._set(memory_usage=instance.memory_bytes)

    def adopt(self, instance: Instance) -> None:
        """An engine runs already that this controller did not start: take it as ours."""
        if (
            self.place is None
            and self._moves.under_way is None
            and instance.state in LIVE
            and instance.id != self._left_instance_id  # late news of one that we stopped
        ):
            self.place = Place(instance.runner, instance.id, needed_bytes(self.record.size))
            self._engine.expect(instance)
            self.order = Order(preset=instance.preset)
            self._moves.begin("load", self._follow_adopted)

    def disowns(self, instance_id: str) -> bool:
        """Whether an engine is not this model's: it was given up, or another one has its place."""
        if self.place is not None:
            return self.place.instance_id != instance_id
        return self._left_instance_id == instance_id

    # What others ask for

    def begin_load(self, order: Order, *, insist: bool = False) -> int:
        """See to it that the model gets loaded; returns the generation of that move.

        One that is or gets loaded already stays so, unless somebody insists on another preset, or
        orders it to another runner.
        """
        now_s = time.monotonic()
        self.demanded_at_s = now_s
        self.idle_clock.use(now_s)
        there = self._loading or self.place is not None
        if there and self._differs(order, insist=insist):
            self.begin_unload()
        elif self._loading or (self._moves.under_way is None and self.place is not None):
            self.order = self.order.joined_by(order)
            if self.record.ttl_seconds != self.order.ttl_s:
                self._set(ttl_seconds=self.order.ttl_s)
            return self._moves.generation
        self.order = order
        return self._moves.begin("load", self._load)

    def _differs(self, order: Order, *, insist: bool) -> bool:
        if insist and order.preset != self.order.preset:
            return True
        runner = self.place.runner if self.place is not None else self.order.runner
        return order.runner is not None and order.runner != runner

    def refuse_hopeless(self) -> None:
        """Raise why the last load failed, while it is too soon to try again unasked."""
        failure = self.record.failure
        if failure is None or self.record.status != "error":
            return
        if time.monotonic() < self._failed_at + pause_after(self._failures):
            raise ModelLoadFailed(failure.message, msgspec.to_builtins(failure))

    def begin_unload(self) -> int:
        """See to it that the model gets unloaded; a load under way is cancelled."""
        if self._moves.under_way is None and self.place is None:
            self._set(unloaded_at=self.record.unloaded_at or timestamps.now())
            return self._moves.generation
        if self._moves.under_way == "unload":
            return self._moves.generation
        return self._moves.begin("unload", self._unload, cancel=True)

    async def evicted(self) -> bool:
        """Evict and wait; false where requests arrived in the meantime."""
        self.evict()
        await self._moves.wait()
        return self.place is None

    def expire_at(self, moment: str | None) -> None:
        """It will be unloaded then, or never if null, unless it is used before."""
        if self._moves.under_way is None and moment != self.record.expires_at:
            self._set(expires_at=moment)

    def evict(self) -> None:
        """Make room: unload unless requests arrive in the meantime."""
        if self._moves.under_way is None and self.place is not None:
            self.place.state = "leaving"
            self._moves.begin("evict", self._evict)

    def occupant(self, in_flight: int, last_used_at: float) -> OccupantView | None:
        """How a placement sees this model, given what its proxies say."""
        if self.place is None:
            return None
        return self.place.view(self.record.id, self._engine.instance, in_flight, last_used_at)

    # Moves

    def _move_begins(self, generation: int) -> None:
        # Told with the move's first change of status: with the old status it would look settled.
        self.record = msgspec.structs.replace(self.record, generation=generation)

    def _move_rests(self) -> None:
        if self.place is not None and self.place.state == "loaded":
            self.see_instance(self._engine.instance)  # what became of it while nobody looked
        self._on_rest()

    async def _load(self) -> None:
        if self.place is not None:
            # An eviction was given up before this began: it is loaded, as it was.
            self.order = replace(self.order.carried_out(), preset=self.record.preset)
            self._set(ttl_seconds=self.order.ttl_s)
            return
        self._set(
            status="loading",
            reason=None,
            failure=None,
            progress=None,
            preset=self.order.preset,
            ttl_seconds=self.order.ttl_s,
        )
        try:
            found = self._found
            if found is None:
                raise ModelLoadFailed(
                    f"the file of {self.record.id} is gone", {"reason": "file_gone"}
                )
            await self._obtain_and_start(found)
        except ProxyError as error:
            self._fail_to_load(error)

    async def _obtain_and_start(self, found: FoundFile) -> None:
        """Where the engine finds too little memory, one idle model goes, and it tries once more."""
        preset, runner = self.order.preset, self.order.runner
        flags = await self._presets.flags(self.record.id, preset, found.scanner)
        wish = Wish(self.record.id, needed_bytes(found.file.size), found.hosts, runner)
        await self._room.obtain(wish, lambda runner: self._take_place(runner, wish))
        try:
            await self._start(found, preset, flags)
        except ModelLoadFailed as error:
            runner, self.place = self._held_place().runner, None
            if (error.details or {}).get("reason") != OUT_OF_MEMORY:
                raise
            if not await self._relieve(runner):
                raise
            logger.info("%s: out of memory; tried again with one model less", self.record.id)
            await self._room.obtain(wish, lambda runner: self._take_place(runner, wish))
            await self._start(found, preset, flags)

    async def _follow_adopted(self) -> None:
        """An engine that runs already: a predecessor of this controller had it started."""
        try:
            await self._follow_start()
        except ProxyError as error:
            self._fail_to_load(error)

    async def _follow_restart(self) -> None:
        """The engine crashed and its runner starts it again, after a pause and within limits."""
        place = self._held_place()
        place.state = "loading"
        logger.warning("%s: its engine crashed and starts again", self.record.id)
        await self._follow_adopted()

    def _fail_to_load(self, error: ProxyError) -> None:
        logger.warning("loading %s failed: %s", self.record.id, error.message)
        self._failures += 1
        self._failed_at = time.monotonic()
        self.place = None
        self._rest(failure=failure_of(error))

    def _take_place(self, runner: str, wish: Wish) -> None:
        self.place = Place(runner, uuid.uuid4().hex[:12], wish.needed_bytes)

    async def _start(self, found: FoundFile, preset: str | None, flags: dict[str, str]) -> None:
        place = self._held_place()
        file = found.on_host_of(place.runner)
        self._engine.expect(None)
        await self._engines.start(
            place.runner,
            instance_id=place.instance_id,
            model_id=self.record.id,
            path=file.path,
            size=file.size,
            timeout_s=self._load_s,
            flags=flags,
            preset=preset,
        )
        await self._follow_start()

    async def _follow_start(self) -> None:
        """Until the engine is ready or has failed; its progress shows in the record."""
        place = self._held_place()
        self._set(
            status="loading",
            runner=place.runner,
            instance_id=place.instance_id,
            preset=self.order.preset,
        )
        try:
            async with asyncio.timeout(self._load_s + READY_MARGIN_S):
                instance = await self._engine.ready(self._show_progress)
        except TimeoutError:
            self._left_instance_id = place.instance_id
            with suppress(ProxyError):  # whatever the runner says: it is over for this load
                await self._engines.stop(place.runner, place.instance_id)
            raise ModelLoadFailed(
                f"{self.record.id} was not ready within {self._load_s:g} s",
                {"reason": "timeout"},
            ) from None
        place.state = "loaded"
        self._failures = 0
        self.order = self.order.carried_out()
        self.idle_clock = IdleClock(time.monotonic())
        self._set(
            status="loaded",
            reason=None,
            failure=None,
            progress=None,
            memory_usage=instance.memory_bytes or 0,
            loaded_at=timestamps.iso(instance.ready_at or time.time()),
        )

    def _show_progress(self, instance: Instance) -> None:
        reason = instance.failure.message if instance.failure else None
        self._set(progress=instance.progress, reason=reason)

    async def _unload(self) -> None:
        await self._leave(wait_for_requests=True)

    async def _evict(self) -> None:
        place = self._held_place()
        self._set(status="unloading", expires_at=None)
        if await self._engines.drain(place.runner, place.instance_id, self._drain_s):
            await self._leave(wait_for_requests=False)
            return
        await self._engines.resume(place.instance_id)
        place.state = "loaded"
        if self._engine.is_ready:
            self._set(status="loaded")

    async def _leave(self, *, wait_for_requests: bool) -> None:
        """Stop the engine, if there is one, and rest."""
        place = self.place
        if place is not None:
            ready = self._engine.is_ready
            place.state = "leaving"
            self._left_instance_id = place.instance_id
            self._set(status="unloading", reason=None, failure=None, progress=None, expires_at=None)
            try:
                if wait_for_requests and ready:
                    await self._engines.drain(place.runner, place.instance_id, self._drain_s)
                await self._engines.stop(place.runner, place.instance_id)
                await self._engine.gone()
            except ProxyError as error:
                self.place = None
                self._rest(failure=failure_of(error, code=ModelUnloadFailed.code))
                return
        self.place = None
        self._rest(failure=None, unloaded_at=timestamps.now())

    def _held_place(self) -> Place:
        if self.place is None:
            raise ModelLoadFailed(f"{self.record.id} lost its place", {"reason": "cancelled"})
        return self.place

    # The record

    def _rest(self, *, failure: Failure | None, **changes: Any) -> None:
        """No engine runs: say so, and why."""
        self.record = at_rest(self.record, self._found, failure)
        self._set(**changes)

    def _set(self, **changes: Any) -> None:
        self.record = msgspec.structs.replace(self.record, **changes)
        self._publish(self.record)
