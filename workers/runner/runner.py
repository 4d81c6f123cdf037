"""A runner: the instances on its devices, by id."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from common import environment
from common.api import instances
from common.api.base import Empty
from common.api.instances import (
    AskSlots,
    BusySlots,
    Instance,
    StartInstance,
    StopInstance,
)
from common.bus.bus import Bus
from common.delivery import Delivery
from common.engine_flags import layers
from common.engine_flags.catalogue import shipped
from common.errors import Unavailable
from common.logging import LINES
from common.processes import environments
from workers import draining
from workers.runner import run_file
from workers.runner.child import Child
from workers.runner.engine_log import deliver, sender_of
from workers.runner.engine_slots import busy_slots
from workers.runner.instance import EngineInstance, Setting
from workers.runner.output import OutputFollower
from workers.runner.output_space import start_of
from workers.runner.proc import read_stat
from workers.runner.run_file import RunFile

logger = logging.getLogger(__name__)

MAX_FAILED_ROWS = 32

Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class Runner:
    """Answers `instances:start` and `instances:stop`; adopts what its predecessor left."""

    def __init__(
        self,
        bus: Bus,
        delivery: Delivery,
        setting: Setting,
        spawn: Spawn,
    ) -> None:
        self._name = bus.identity.name
        self._bus = bus
        self._delivery = delivery
        self._setting = setting
        self._spawn = spawn
        self._table = bus.table(instances.INSTANCE)
        self._running: dict[str, EngineInstance] = {}
        self._closing = False
        self._ended: list[RunFile] = []
        bus.serve(instances.START, self.start)
        bus.serve(instances.STOP, self.stop)
        bus.serve(instances.SLOTS, self.slots)

    async def start(self, request: StartInstance) -> Empty:
        """Start an engine and answer at once; a second start of the same instance is the first.

        Raises `ModelLoadFailed` where there is no engine to start.
        """
        if self._closing:
            raise Unavailable(f"{self._name} is stopping")
        if request.id not in self._running and self._table.get(request.id) is None:
            self._setting.find_engine()
            run = RunFile(
                instance_id=request.id,
                model_id=request.model_id,
                path=request.path,
                size=request.size,
                timeout_s=request.timeout_s,
                runner=self._name,
                host=self._setting.engine_host,
                port=0,
                api_key=secrets.token_urlsafe(32),
                boot_id=run_file.boot_id(),
                flags=layers.flags(layers.stacked((self._setting.flags, request.flags), shipped())),
                preset=request.preset,
            )
            self._forget_old_failures()
            self._live(self._register(run, None), request.id)
        return Empty()

    async def stop(self, request: StopInstance) -> Empty:
        """Stop an engine; answer when it has ended."""
        instance = self._running.get(request.id)
        if instance is not None:
            await instance.stop()
        return Empty()

    async def slots(self, request: AskSlots) -> BusySlots:
        """What an engine that is ready says of its work."""
        row = self._table.get(request.id)
        if row is None or row.state != "ready":
            return BusySlots(busy=0)
        return BusySlots(busy=await busy_slots(row.host, row.port, row.api_key))

    async def stop_all(self) -> None:
        """Drain and stop every engine at the same time, and start none any more."""
        self._closing = True
        await asyncio.gather(
            *(self._drain_and_stop(*entry) for entry in list(self._running.items()))
        )

    async def _drain_and_stop(self, instance_id: str, instance: EngineInstance) -> None:
        await draining.drain(self._bus, instance_id, self._setting.drain_s)
        await instance.stop()

    async def release_all(self) -> None:
        """Leave every engine to a successor, and start none any more."""
        self._closing = True
        await asyncio.gather(*(instance.release() for instance in self._running.values()))

    def take_over(self) -> None:
        """Find what a predecessor of this runner left; `watch_adopted` goes on from here.

        Called before the first request can arrive, since a stop of an engine that is not known
        would count as done.
        """
        directory = self._setting.directory
        for run in run_file.read_all(directory):
            if run.runner != self._name:
                continue
            child = _find(run, self._setting.tag_prefix)
            if child is None:
                self._ended.append(run)
                logger.info("%s: its engine has ended meanwhile", run.model_id)
                continue
            known = run if run.pid else _with_pid(run, child)
            self._register(known, child)
            logger.info("%s: engine %d is adopted", run.model_id, child.pid)

    def watch_adopted(self) -> None:
        """Begin to live with what was taken over."""
        for instance_id, instance in self._running.items():
            self._live(instance, instance_id)
        for run in self._ended:
            self._spawn(self._bury(run), f"last words of {run.instance_id}")

    async def _bury(self, run: RunFile) -> None:
        """Deliver what an engine said before it ended unwatched, and remove its files."""
        output = self._setting.directory / f"{run.instance_id}.log"
        if output.exists():
            outbox = self._delivery.open(LINES, sender_of(run.instance_id), 0)
            start = start_of(run.output_start, run.output_next_start, output.stat().st_size)
            follower = OutputFollower(output, start, start=start)
            follower.finish()
            await deliver(follower, outbox, run.model_id)
            outbox.close()
            output.unlink(missing_ok=True)
        run_file.remove(self._setting.directory, run.instance_id)

    def _register(self, run: RunFile, child: Child | None) -> EngineInstance:
        outbox = self._delivery.open(LINES, sender_of(run.instance_id), 0)
        instance = EngineInstance(run, self._setting, self._table, outbox, child)
        self._running[run.instance_id] = instance
        return instance

    def _live(self, instance: EngineInstance, instance_id: str) -> None:
        self._spawn(self._run(instance_id, instance), f"instance {instance_id}")

    async def _run(self, instance_id: str, instance: EngineInstance) -> None:
        try:
            await instance.run()
        finally:
            del self._running[instance_id]

    def _forget_old_failures(self) -> None:
        failed: list[Instance] = [row for row in self._table.values() if row.state == "failed"]
        for row in failed[:-MAX_FAILED_ROWS]:
            self._table.remove(row.id)


def _find(run: RunFile, tag_prefix: str) -> Child | None:
    """The engine that a run-file speaks of, if it lives."""
    if run.boot_id != run_file.boot_id():
        return None
    if run.pid is not None and run.started_ticks is not None:
        return Child.adopt(run.pid, run.started_ticks)
    tag = f"{tag_prefix}:{run.instance_id}"
    for process, variables in environments():
        stat = read_stat(process.pid) if variables.get(environment.ENGINE) == tag else None
        if stat is not None:
            return Child.adopt(process.pid, stat.started_at)
    return None


def _with_pid(run: RunFile, child: Child) -> RunFile:
    return msgspec.structs.replace(run, pid=child.pid, started_ticks=child.started_at)
