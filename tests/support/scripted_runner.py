"""A runner without engines: the test says what becomes of each start."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from common.api import instances, inventory
from common.api.base import Empty
from common.api.instances import (
    AskSlots,
    BusySlots,
    Instance,
    RunnerState,
    StartInstance,
    StopInstance,
)
from common.api.inventory import FileState, ModelFile
from common.api.models import Failure
from common.bus.bus import Bus
from common.errors import ProxyError

GIB = 1024**3


class ScriptedRunner:
    """Answers starts and stops, and publishes files, instances and room as it is told.

    An engine is ready at once, unless `ready_at_once` is off; `may_stop` holds stops back while it
    is cleared. With `measures` engines take and free memory; the room is told before the engine's
    own row changes. `answers_before_it_tells`: its answers to stops overtake its news.
    """

    def __init__(
        self, bus: Bus, *, memory_gib: int = 24, measures: bool = False, files: bool = True
    ) -> None:
        self.bus = bus
        self.name = bus.identity.name
        self.started: list[StartInstance] = []
        self.stopped: list[str] = []
        self.busy_slots = 0
        self.ready_at_once = True
        self.refusal: ProxyError | None = None
        self.refused = 0
        self.answers_before_it_tells = False
        self.may_stop = asyncio.Event()
        self.may_stop.set()
        self._total = memory_gib * GIB
        self._measures = measures
        self._sizes: dict[str, int] = {}
        self._held: dict[str, int] = {}
        self._rows = bus.table(instances.INSTANCE)
        self._room = bus.table(instances.RUNNER)
        self._files = bus.table(inventory.FILE) if files else None
        bus.serve(instances.START, self._start)
        bus.serve(instances.STOP, self._stop)
        bus.serve(instances.SLOTS, self._slots)
        self.tell_room()

    async def _slots(self, _request: AskSlots) -> BusySlots:
        return BusySlots(busy=self.busy_slots)

    # Files

    def add_file(
        self,
        model_id: str,
        *,
        gib: float = 1,
        state: FileState = "ok",
        reason: str | None = None,
        mtime_ns: int = 1,
    ) -> None:
        """A file appears or changes."""
        assert self._files is not None
        path = f"/models/{model_id}.gguf"
        file = ModelFile(
            id=model_id,
            name=f"{model_id}.gguf",
            path=path,
            paths=(path,),
            size=int(gib * GIB),
            mtime_ns=mtime_ns,
            state=state,
            reason=reason,
        )
        self._files.put(model_id, file)

    def remove_file(self, model_id: str) -> None:
        """A file disappears."""
        assert self._files is not None
        self._files.remove(model_id)

    # Engines

    @property
    def engines(self) -> list[Instance]:
        """All engines that it tells of."""
        return self._rows.values()

    def engine(self, model_id: str) -> Instance:
        """The newest engine of a model."""
        return [row for row in self._rows.values() if row.model_id == model_id][-1]

    def already_runs(self, engine: Instance) -> Instance:
        """An engine that was started earlier, by whomever; as this runner tells of it."""
        row = msgspec.structs.replace(engine, runner=self.name)
        self._sizes[row.id] = self._held[row.id] = row.size
        self._rows.put(row.id, row)
        return row

    def progress(self, model_id: str, progress: float) -> None:
        """A loading engine says how far it is."""
        self._change(model_id, progress=progress)

    def remember_size(self, model_id: str, size_bytes: int) -> None:
        """What an engine holds from its next report on."""
        self._sizes[self.engine(model_id).id] = size_bytes

    def become_ready(self, model_id: str) -> None:
        """An engine answers requests."""
        instance_id = self.engine(model_id).id
        size = self._held[instance_id] = self._sizes[instance_id]
        self.tell_room()
        self._change(model_id, state="ready", ready_at=time.time(), memory_bytes=size)

    def fail(self, model_id: str, reason: str, message: str, *, excerpt: tuple[str, ...]) -> None:
        """An engine ends for good, while it loads or later."""
        failure = Failure(
            code="MODEL_LOAD_FAILED",
            reason=reason,
            message=message,
            hint="Do something about it.",
            excerpt=excerpt,
        )
        self._free(self.engine(model_id).id)
        self._change(model_id, state="failed", failure=failure)

    def restart(self, model_id: str) -> None:
        """An engine crashes, and will be started again."""
        failure = Failure(code="MODEL_LOAD_FAILED", reason="crashed", message="it crashed")
        self._change(model_id, state="restarting", failure=failure)

    def lose(self, model_id: str) -> None:
        """An engine's row goes, though nobody asked for its end."""
        self._end(self.engine(model_id).id)

    def repeat(self, row: Instance) -> None:
        """Old news of an engine arrives late."""
        self._rows.put(row.id, row)

    def tell_room(self) -> None:
        """Publish what is free."""
        held = sum(self._held.values())
        state = RunnerState(
            name=self.name,
            host=self.bus.identity.host,
            devices=(),
            memory_total=self._total,
            memory_free=self._total - (held if self._measures else 0),
        )
        self._room.put(self.name, state)

    def _free(self, instance_id: str) -> None:
        self._held.pop(instance_id, None)
        self.tell_room()

    def _change(self, model_id: str, **changes: Any) -> None:
        row = msgspec.structs.replace(self.engine(model_id), **changes)
        self._rows.put(row.id, row)

    # What the controller asks for

    async def _start(self, request: StartInstance) -> Empty:
        if self.refusal is not None:
            self.refused += 1
            raise self.refusal
        self.started.append(request)
        self._sizes[request.id] = request.size
        row = Instance(
            id=request.id,
            model_id=request.model_id,
            path=request.path,
            size=request.size,
            runner=self.name,
            state="loading",
            host="127.0.0.1",
            port=9000 + len(self.started),
            api_key="secret",
            pid=1000 + len(self.started),
            started_at=time.time(),
            preset=request.preset,
        )
        self._rows.put(row.id, row)
        if self.ready_at_once:
            self.become_ready(request.model_id)
        return Empty()

    async def _stop(self, request: StopInstance) -> Empty:
        self.stopped.append(request.id)
        await self.may_stop.wait()
        if self.answers_before_it_tells:
            asyncio.get_running_loop().call_later(0.05, self._end, request.id)
        else:
            self._end(request.id)
        return Empty()

    def _end(self, instance_id: str) -> None:
        self._free(instance_id)
        self._rows.remove(instance_id)
