"""Starts processes of this host anew, through the supervisord that runs them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from common.api import system
from common.api.base import Empty
from common.api.system import RestartProgram
from common.bus.bus import Bus
from common.errors import InvalidRequest, Unavailable
from common.live_settings import LiveSettings
from common.supervisor_rpc import ProgramState, SupervisorRpc, SupervisorUnreachable, socket_of

logger = logging.getLogger(__name__)

ANSWER_TRAVELS_S = 0.3
"""Between the answer and the deed: it may be the gateway that brings the answer which then ends."""
POLL_S = 0.1
MARGIN_S = 10.0
HAND_OVER = "USR1"
"""Every process of ours ends by it and leaves to its successor what can outlive it: a runner its
engines, the controller what is to be loaded."""

# supervisord's process states (subprocess.html of its manual).
_HAS_PROCESS = frozenset({"STARTING", "RUNNING", "STOPPING"})
_STAYS_DOWN = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})

Spawn = Callable[[Coroutine[Any, Any, None], str], object]


class Supervisor:
    """Answers `system:restart-program`. `environ` says where supervisord listens.

    A signal is sent, and supervisord starts again what has ended: were it told to stop a program
    and start it again, and this process died in between, that program would stay stopped.
    """

    def __init__(
        self, bus: Bus, live: LiveSettings, spawn: Spawn, environ: Mapping[str, str]
    ) -> None:
        self._live = live
        self._spawn = spawn
        self._environ = environ
        self._under_way: set[str] = set()
        bus.serve(system.RESTART_PROGRAM, self.restart)

    async def restart(self, request: RestartProgram) -> Empty:
        """Begin once the answer is on its way. Raises `InvalidRequest` where there is no such
        program, `Unavailable` where no supervisord can be asked.
        """
        try:
            rpc = SupervisorRpc(socket_of(self._environ))
            program = await self._find(rpc, request.program)
        except SupervisorUnreachable as error:
            raise Unavailable(str(error)) from error
        if program is None:
            raise InvalidRequest(f"this host's supervisord has no program '{request.program}'")
        if request.program not in self._under_way:
            self._under_way.add(request.program)
            self._spawn(self._start_anew(rpc, program), f"restart of {request.program}")
        return Empty()

    async def _start_anew(self, rpc: SupervisorRpc, program: ProgramState) -> None:
        try:
            await asyncio.sleep(ANSWER_TRAVELS_S)
            logger.info("%s is started anew, as asked for", program.name)
            await self._end(rpc, program)
            await self._follow(rpc, program)
        except SupervisorUnreachable as error:
            logger.warning("%s is not known to have been started anew: %s", program.name, error)
        finally:
            self._under_way.discard(program.name)

    async def _end(self, rpc: SupervisorRpc, program: ProgramState) -> None:
        if program.state in _HAS_PROCESS:
            await asyncio.to_thread(rpc.signal, program.full_name, HAND_OVER)
        else:  # in a pause before its next start, or stopped: `_follow` starts it
            await asyncio.to_thread(rpc.stop, program.full_name)

    async def _follow(self, rpc: SupervisorRpc, before: ProgramState) -> None:
        """Until supervisord has it in hand; a process that does not end in its time is killed."""
        loop = asyncio.get_running_loop()
        settings = self._live.current
        deadline = (
            loop.time()
            + settings.llama.drain_timeout_seconds
            + settings.runner.stop_grace_seconds
            + MARGIN_S
        )
        while True:
            now = await self._find(rpc, before.name)
            if now is None or now.pid not in (0, before.pid) or now.state == "BACKOFF":
                return
            if now.state in _STAYS_DOWN:
                await asyncio.to_thread(rpc.start, now.full_name)
            elif now.pid == before.pid and loop.time() > deadline:
                logger.warning("%s does not end and is killed", before.name)
                await asyncio.to_thread(rpc.kill, now.full_name)
                deadline = loop.time() + MARGIN_S
            await asyncio.sleep(POLL_S)

    async def _find(self, rpc: SupervisorRpc, name: str) -> ProgramState | None:
        """The program of this name; of several, the one in the group that this process is in."""
        programs = await asyncio.to_thread(rpc.programs)
        named = [program for program in programs if program.name == name]
        ours = self._environ.get("SUPERVISOR_GROUP_NAME")
        return next((program for program in named if program.group == ours), None) or next(
            iter(named), None
        )
