"""One instance: an engine from its start to its end, as the table of instances tells it.

An instance outlives its engine: after a crash the engine is started again, with growing pauses. It
may also outlive its runner: `release` leaves the engine for a successor, which adopts it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from common.api.instances import Instance, InstanceState
from common.api.models import Failure
from common.bus.tables import Table
from common.errors import ConfigInvalid, ModelLoadFailed
from common.live_settings import LiveSettings
from common.logging import LineOutbox
from workers.runner import run_file
from workers.runner.backoff import Backoff
from workers.runner.child import Child
from workers.runner.diagnosis import diagnose
from workers.runner.engine import Engine, arguments, environment
from workers.runner.engine_log import deliver
from workers.runner.engine_slots import learn_slots
from workers.runner.engine_watch import EngineHung, watch_engine
from workers.runner.listening import free_port
from workers.runner.memory import engine_memory_bytes
from workers.runner.output import OutputFollower
from workers.runner.output_space import start_of
from workers.runner.proc import load_progress
from workers.runner.race import first_of
from workers.runner.readiness import EngineEnded, PortTaken, ReadyTimeout, wait_until_ready
from workers.runner.run_file import RunFile
from workers.runner.states import may_follow

logger = logging.getLogger(__name__)

DIAGNOSED_LINES = 200
EXCERPT_LINES = 20
PORT_TAKEN = "port_taken"
PORT_TRIES = 3
PROGRESS_EVERY_S = 0.25
PROGRESS_STEP = 0.01
ADOPTED_READY_S = 12.0


@dataclass(frozen=True)
class Setting:
    """What is the same for all instances of a runner. `find_engine` raises `ModelLoadFailed`.

    `device_uuids` are None where `extra_environment` chooses the devices.
    """

    runner: str
    find_engine: Callable[[], Engine]
    live: LiveSettings
    device_uuids: tuple[str, ...] | None
    base_environment: Mapping[str, str]
    extra_environment: Mapping[str, str]
    tag_prefix: str
    directory: Path
    tell_room: Callable[[], Awaitable[None]]

    @property
    def engine_host(self) -> str:
        """Where the next engine listens."""
        return self.live.current.runner.engine_host

    @property
    def stop_grace_s(self) -> float:
        """How long an engine may take to end before it is killed."""
        return self.live.current.runner.stop_grace_seconds

    @property
    def drain_s(self) -> float:
        """How long requests in flight may take to end before a stop."""
        return self.live.current.llama.drain_timeout_seconds

    @property
    def flags(self) -> Mapping[str, str]:
        """Those of the next instance; one that is there keeps its own."""
        return self.live.current.llama.flags


class EngineInstance:
    """Starts an engine, tells how it is, stops it. `run` is its whole life, in one task.

    `adopted` is an engine that a predecessor started and `run` describes.
    """

    def __init__(
        self,
        run: RunFile,
        setting: Setting,
        table: Table[Instance],
        outbox: LineOutbox,
        adopted: Child | None = None,
    ) -> None:
        self._run = run
        self._setting = setting
        self._table = table
        self._outbox = outbox
        self._adopted = adopted
        self._output_path = setting.directory / f"{run.instance_id}.log"
        self._backoff = Backoff()
        self._chance = random.SystemRandom().random
        self._was_ready = run.ready_at is not None
        self._wish: Literal["stop", "release"] | None = None
        self._asked = asyncio.Event()
        self._over = asyncio.Event()
        self._row = Instance(
            id=run.instance_id,
            model_id=run.model_id,
            path=run.path,
            size=run.size,
            runner=setting.runner,
            state="loading" if run.ready_at is None else "ready",
            host=run.host,
            port=run.port,
            api_key=run.api_key,
            pid=run.pid or 0,
            started_at=time.time(),
            ready_at=run.ready_at,
            preset=run.preset,
        )
        self._put()

    async def stop(self) -> None:
        """Stop the engine; returns when it has ended."""
        self._wish = "stop"
        self._asked.set()
        await self._over.wait()

    async def release(self) -> None:
        """Leave the engine as it is, for a successor of this runner."""
        self._wish = self._wish or "release"
        self._asked.set()
        await self._over.wait()

    async def run(self) -> None:
        """From start to end. The row is `failed` afterwards, or gone where it was told to stop."""
        try:
            failure = await self._live()
            if self._wish == "release":
                return
            await self._setting.tell_room()
            run_file.remove(self._setting.directory, self._row.id)
            self._output_path.unlink(missing_ok=True)
            if self._wish == "stop":
                self._table.remove(self._row.id)
            elif failure is not None:
                logger.warning("%s: %s", self._row.model_id, failure.message)
                self._move("failed", failure=failure)
        finally:
            self._outbox.close()
            self._over.set()

    async def _live(self) -> Failure | None:
        """Engines, one after another, until the end was asked for or there is no use in trying."""
        port_tries = 0
        while True:
            try:
                failure = await self._one_engine()
            except PortTaken as error:
                failure = Failure(code=ModelLoadFailed.code, reason=PORT_TAKEN, message=str(error))
            if failure is None or self._wish is not None:
                return None
            if failure.reason == PORT_TAKEN and port_tries < PORT_TRIES:
                port_tries += 1
                continue
            if not self._was_ready:
                return failure
            pause_s = self._backoff.pause_after_crash(time.monotonic(), self._chance())
            if pause_s is None:
                return failure
            logger.warning(
                "%s: %s It starts again in %.1f s.", self._row.model_id, failure.message, pause_s
            )
            self._move(
                "restarting", failure=failure, ready_at=None, memory_bytes=None, pid=0, slots=None
            )
            try:
                async with asyncio.timeout(pause_s):
                    await self._asked.wait()
            except TimeoutError:
                self._move("loading")
            else:
                return None

    async def _one_engine(self) -> Failure | None:
        """Null where the end was asked for; else why the engine is no more."""
        # What a predecessor has not delivered is read again, and stored once.
        size = _size(self._output_path)
        start = start_of(self._run.output_start, self._run.output_next_start, size)
        offset = start if self._adopted else start + size
        try:
            child = self._adopted or await self._start()
        except (ModelLoadFailed, ConfigInvalid) as error:
            return _failure(error)
        self._note_output(start, None)
        follower = OutputFollower(self._output_path, offset, start=start, note=self._note_output)
        following = asyncio.create_task(deliver(follower, self._outbox, self._row.model_id))
        reason: Exception | None = None
        try:
            await first_of(self._asked.wait(), self._serve(child))
        except (EngineEnded, EngineHung, ReadyTimeout) as error:
            reason = error
        finally:
            self._adopted = None
            if self._wish == "release":
                child.release()
                following.cancel()
                await asyncio.wait([following])
            else:
                if self._wish == "stop":
                    self._move("stopping")
                await child.stop(0 if isinstance(reason, EngineHung) else self._grace_s)
                follower.finish()
                await following
        return self._explain(reason, child, follower) if reason else None

    @property
    def _grace_s(self) -> float:
        return self._setting.stop_grace_s

    async def _start(self) -> Child:
        """Write the intent, start the engine, write down what it became."""
        setting, run = self._setting, self._run
        port = free_port(setting.engine_host)
        argv = arguments(
            setting.find_engine(),
            model_path=run.path,
            host=setting.engine_host,
            port=port,
            alias=run.model_id,
            flags=setting.flags if run.flags is None else run.flags,
        )
        env = environment(
            setting.base_environment,
            api_key=run.api_key,
            tag=f"{setting.tag_prefix}:{run.instance_id}",
            device_uuids=setting.device_uuids,
            extra=setting.extra_environment,
        )
        self._note(host=setting.engine_host, port=port, pid=None, ready_at=None)
        child = await Child.start(argv, env, self._output_path)
        self._note(pid=child.pid, started_ticks=child.started_at)
        self._put(host=setting.engine_host, port=port, pid=child.pid)
        logger.info("%s: engine %d on port %d", run.model_id, child.pid, port)
        return child

    async def _serve(self, child: Child) -> None:
        """Until the engine is ready, and then until it ends or hangs: never returns."""
        run, devices = self._run, self._setting.device_uuids or ()
        if self._row.state == "ready":
            try:
                await wait_until_ready(child, run.host, run.port, run.api_key, ADOPTED_READY_S)
            except ReadyTimeout:
                raise EngineHung from None
        else:
            await first_of(
                wait_until_ready(child, run.host, run.port, run.api_key, run.timeout_s),
                self._tell_progress(child),
            )
            memory_bytes = await asyncio.to_thread(engine_memory_bytes, child.pid, devices)
            self._was_ready = True
            await self._setting.tell_room()
            self._note(ready_at=time.time())
            self._move(
                "ready",
                ready_at=self._run.ready_at,
                progress=None,
                memory_bytes=memory_bytes,
                failure=None,
            )
        await first_of(
            watch_engine(
                child,
                run.host,
                run.port,
                run.api_key,
                devices,
                self._row.memory_bytes or 0,
                lambda held: self._put(memory_bytes=held),
            ),
            self._tell_slots(),
        )

    async def _tell_slots(self) -> None:
        """How many requests the engine takes at a time; then nothing more, until cancelled."""
        run = self._run
        slots = await learn_slots(run.host, run.port, run.api_key)
        self._put(slots=slots)
        await asyncio.Event().wait()

    async def _tell_progress(self, child: Child) -> None:
        """How far the load is, until cancelled; it never goes back."""
        told = 0.0
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            seen = await asyncio.to_thread(load_progress, child.pid, self._run.size)
            if seen is not None and seen >= told + PROGRESS_STEP:
                told = seen
                held = await asyncio.to_thread(
                    engine_memory_bytes, child.pid, self._setting.device_uuids or ()
                )
                self._put(progress=round(seen, 2), memory_bytes=held)

    def _explain(self, reason: Exception, child: Child, follower: OutputFollower) -> Failure:
        word, sentence, hint = self._cause(reason, child, follower)
        return Failure(
            code=ModelLoadFailed.code,
            reason=word,
            message=f"{self._row.model_id}: {sentence}",
            hint=hint,
            excerpt=tuple(follower.last_lines(EXCERPT_LINES)),
        )

    def _cause(
        self, reason: Exception, child: Child, follower: OutputFollower
    ) -> tuple[str, str, str | None]:
        if isinstance(reason, ReadyTimeout):
            return (
                "timeout",
                f"the engine was not ready within {self._run.timeout_s:g} s.",
                "Raise llama.loadTimeoutSeconds if the model only needs longer.",
            )
        if isinstance(reason, EngineHung):
            return "hung", "the engine answered nothing any more and was ended.", None
        diagnosis = diagnose(child.exit_code, follower.last_lines(DIAGNOSED_LINES))
        return diagnosis.reason, diagnosis.sentence, diagnosis.hint

    def _note_output(self, start: int, next_start: int | None) -> None:
        if (start, next_start) != (self._run.output_start, self._run.output_next_start):
            self._note(output_start=start, output_next_start=next_start)

    def _note(self, **changes: Any) -> None:
        self._run = msgspec.structs.replace(self._run, **changes)
        run_file.write(self._setting.directory, self._run)

    def _move(self, state: InstanceState, **changes: Any) -> None:
        if not may_follow(self._row.state, state):
            raise RuntimeError(f"{self._row.id}: {state} cannot follow {self._row.state}")
        self._put(state=state, **changes)

    def _put(self, **changes: Any) -> None:
        self._row = msgspec.structs.replace(self._row, **changes)
        self._table.put(self._row.id, self._row)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _failure(error: ModelLoadFailed | ConfigInvalid) -> Failure:
    details = error.details or {}
    return Failure(
        code=ModelLoadFailed.code,
        reason=str(details.get("reason", error.code.lower())),
        message=error.message,
    )
