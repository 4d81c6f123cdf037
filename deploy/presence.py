"""Waiting until every program of a stack is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.api import system
from common.errors import ProxyError
from common.supervisor_rpc import SupervisorRpc, SupervisorUnreachable
from deploy.addresses import gateway_url
from deploy.client import local_client
from deploy.failure import CommandFailed
from deploy.stack import Stack

_PAUSE_S = 0.1
_CALL_S = 2.0


@dataclass(frozen=True)
class Presence:
    """What is there: whether the gateway (or the main host) answers, which programs are missing,
    and supervisord's word for each program's state. `silence` says who it is that does not answer,
    and what to do."""

    answers: bool
    missing: tuple[str, ...]
    states: Mapping[str, str]
    silence: str = ""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to wait for."""
        return self.answers and not self.missing

    def explain(self, stack: Stack) -> list[str]:
        """What is missing, a line each, and where to read why."""
        lines = [
            f"{name} is not there ({self.states.get(name, 'not started')}):"
            f" see {stack.log_file(name)}"
            for name in self.missing
        ]
        if not self.answers:
            lines.append(self.silence or f"nothing answers at {gateway_url(stack.settings)}")
        return lines


def wait_until_present(stack: Stack, timeout_s: float, stopped: threading.Event) -> Presence:
    """Ask the gateway until it lists every program as running; blocks, so call from a thread.

    Returns early once `stopped` is set. While the gateway does not answer, supervisord's view has
    to do: a program whose process is up may still be starting.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        presence = _look(stack)
        if presence.complete or stopped.is_set() or time.monotonic() > deadline:
            return presence
        stopped.wait(_PAUSE_S)


def _look(stack: Stack) -> Presence:
    try:
        # This call also wakes supervisord, which else takes a second before its first child.
        states = SupervisorRpc(stack.home.supervisord_socket).states()
    except SupervisorUnreachable:
        states = {}
    wanted = [program.name for program in stack.programs]
    try:
        with local_client(stack.home, stack.settings) as client:
            status = client.call(system.STATUS, system.GetStatus(), _CALL_S)
    except (ProxyError, CommandFailed):
        down = tuple(name for name in wanted if states.get(name) != "RUNNING")
        return Presence(False, down, states)
    host = stack.settings.host.resolved_name()
    return Presence(True, absent(wanted, host, status), states)


def absent(wanted: Sequence[str], host: str, status: system.SystemStatus) -> tuple[str, ...]:
    """Which programs of `host` the status does not list as running, in their own order.

    Processes may be listed by their address, `name@host`.
    """
    there = {
        process.name.partition("@")[0]
        for process in status.processes
        if process.host == host and process.status == "running"
    }
    return tuple(name for name in wanted if name not in there)
