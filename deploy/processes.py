"""The processes of a home, found by the tags in their environment, and ended.

A tag outlives every parent: it also finds what a killed `up`, supervisord or runner left behind.
Processes of other users cannot be read and are never ours.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psutil

from common import environment
from common.processes import environments

_KILL_S = 2.0
_POLL_S = 0.02


def stack_processes(home: Path) -> list[psutil.Process]:
    """What `up` of this home started: supervisord and its programs, without engines."""
    return [
        process
        for process, tags in _tagged()
        if tags.get(environment.STACK) == str(home) and environment.ENGINE not in tags
    ]


def supervisors(home: Path) -> list[psutil.Process]:
    """The supervisord that `up` of this home started: `stack_processes` without programs."""
    return [
        process
        for process, tags in _tagged()
        if tags.get(environment.STACK) == str(home)
        and environment.ENGINE not in tags
        and environment.SUPERVISOR not in tags
    ]


def engine_processes(home: Path) -> list[psutil.Process]:
    """The engines of this home."""
    return [process for _, process in engine_instances(home)]


def engine_instances(home: Path) -> list[tuple[str, psutil.Process]]:
    """The engines of this home, each with its instance's id; one may be several processes."""
    tag = f"{home}:"
    return [
        (tags[environment.ENGINE].removeprefix(tag), process)
        for process, tags in _tagged()
        if tags.get(environment.ENGINE, "").startswith(tag)
    ]


def foreign_programs(home: Path) -> list[psutil.Process]:
    """Programs of this home under a supervisord that `up` did not start (`llama-proxy render`)."""
    return [
        process
        for process, tags in environments()
        if tags.get(environment.HOME) == str(home)
        and "SUPERVISOR_ENABLED" in tags
        and environment.STACK not in tags
        and environment.ENGINE not in tags
    ]


def home_of(pid: int) -> str | None:
    """The home of the stack to which a process belongs; None for any other process.

    The home's variable alone does not tell: a user may have set it in a shell. supervisord marks
    what it starts.
    """
    try:
        variables = psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return None
    if environment.STACK in variables:
        return variables[environment.STACK]
    return variables.get(environment.HOME) if "SUPERVISOR_ENABLED" in variables else None


def end(processes: Iterable[psutil.Process], grace_s: float) -> None:
    """TERM, then KILL for what is left after `grace_s`; returns when all are gone."""
    asked = list(processes)
    for process in asked:
        _signal(process, psutil.Process.terminate)
    wait_or_kill(asked, grace_s)


def wait_or_kill(processes: Iterable[psutil.Process], grace_s: float) -> None:
    """Let processes end by themselves; KILL for what is left after `grace_s`."""
    kill(wait(processes, grace_s))


def resume(processes: Iterable[psutil.Process]) -> None:
    """Let those go on that somebody has stopped (SIGSTOP): only so can they end in order."""
    for process in processes:
        _signal(process, psutil.Process.resume)


def hand_over(processes: Iterable[psutil.Process], grace_s: float) -> None:
    """USR1: leave, and leave your engines; KILL, which leaves them too, for who is still there
    after `grace_s`."""
    asked = list(processes)
    for process in asked:
        _signal(process, lambda process: process.send_signal(signal.SIGUSR1))
    wait_or_kill(asked, grace_s)


def kill(processes: Iterable[psutil.Process]) -> None:
    """KILL at once; returns when all are gone, or after two seconds (uninterruptible sleep)."""
    killed = list(processes)
    for process in killed:
        _signal(process, psutil.Process.kill)
    wait(killed, _KILL_S)


def wait(processes: Iterable[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """What still lives after `timeout_s`; returns sooner if that is nothing.

    A zombie counts as gone: in a container its new parent may be one that never reaps. Not while
    other threads of it are still ending: they hold its memory, that of a GPU included.
    """
    deadline = time.monotonic() + timeout_s
    left = [process for process in processes if _lives(process)]
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        left = [process for process in left if _lives(process)]
    return left


def _lives(process: psutil.Process) -> bool:
    try:
        if not process.is_running():
            return False
        return process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
    except psutil.NoSuchProcess:
        return False


def _tagged() -> Iterable[tuple[psutil.Process, Mapping[str, str]]]:
    for process, variables in environments():
        if environment.STACK in variables or environment.ENGINE in variables:
            yield process, variables


def _signal(process: psutil.Process, send: Callable[[psutil.Process], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send(process)
