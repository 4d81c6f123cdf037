"""supervisord as a child of `up`: start it, and stop it with everything below it.

A stop by signal alone would take a second per program, since supervisord stops one at a time and
looks once a second; so programs of one priority are stopped together, by calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from common import environment
from common.home import RUN_FILE_SUFFIX, Home
from common.supervisor_rpc import SupervisorRpc, SupervisorUnreachable
from deploy.processes import end, engine_processes, kill, resume, stack_processes
from deploy.render import CODE_ROOT, render_full
from deploy.stack import Program, Stack

# Together below the 15 s in which nothing of a home may be left alive, with some left for `down`.
_STAGE_S = 4.0
_ORDERLY_STOP_S = 9.0
_TERMINATE_S = 2.0
_ENGINE_GRACE_S = 1.0
_SWEEPS = 3

_WAKE_S = 5.0

_POLL_S = 0.05

# supervisord's process states (subprocess.html of its manual). EXITED is in neither: it is about
# to be started again, and can be stopped then.
_STOPPABLE = frozenset({"STARTING", "RUNNING", "BACKOFF"})
_ENDED = frozenset({"STOPPED", "FATAL", "UNKNOWN"})


def output_file(stack: Stack) -> Path:
    """What supervisord prints besides its log: why it did not start."""
    return stack.log_file("supervisord-output")


def last_words(stack: Stack) -> str:
    """The last line that supervisord printed."""
    lines = output_file(stack).read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"


async def start(stack: Stack) -> asyncio.subprocess.Process:
    """Write the configuration and start supervisord, in a session of its own.

    So Ctrl-C reaches `up` alone, which then stops things in order. To be called in the main thread,
    with which it is to end.
    """
    conf = stack.home.supervisord_conf
    conf.write_text(render_full(stack), "utf-8")
    with output_file(stack).open("wb") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            # Read the configuration as UTF-8 whatever the locale is.
            "-X",
            "utf8",
            "-m",
            "deploy.tied_supervisord",
            str(os.getpid()),
            "-n",
            "-c",
            str(conf),
            cwd=CODE_ROOT,
            env=_environment(stack),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _environment(stack: Stack) -> dict[str, str]:
    """Ours, tagged. A token in it is for the CLI; engines would inherit it."""
    ours = {name: value for name, value in os.environ.items() if name != environment.BEARER}
    return {**ours, environment.STACK: str(stack.home.root)}


async def wake(stack: Stack) -> None:
    """Call supervisord once it listens: else it waits a second before it starts its programs."""
    rpc = SupervisorRpc(stack.home.supervisord_socket)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_WAKE_S):
            while True:
                try:
                    await asyncio.to_thread(rpc.states)
                except SupervisorUnreachable:
                    await asyncio.sleep(_POLL_S)
                else:
                    return


async def stop(stack: Stack, process: asyncio.subprocess.Process, hurry: asyncio.Event) -> None:
    """Stop all programs and supervisord. Once `hurry` is set, or after a while, it is killed.

    `sweep` is to follow; both together take less than 15 s.
    """
    orderly = asyncio.create_task(_stop_in_order(stack, process))
    hurried = asyncio.create_task(hurry.wait())
    await asyncio.wait(
        {orderly, hurried}, timeout=_ORDERLY_STOP_S, return_when=asyncio.FIRST_COMPLETED
    )
    for task in (orderly, hurried):
        task.cancel()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await asyncio.wait({orderly, hurried})
    if not orderly.cancelled():
        orderly.result()


async def _stop_in_order(stack: Stack, process: asyncio.subprocess.Process) -> None:
    rpc = SupervisorRpc(stack.home.supervisord_socket)
    await asyncio.to_thread(lambda: resume(stack_processes(stack.home.root)))
    try:
        for names in stages(stack.programs):
            await _stop_together(rpc, names)
        await asyncio.to_thread(rpc.shut_down)
    except SupervisorUnreachable:
        # Not listening yet, or hung: a signal is all that is left.
        if process.returncode is None:
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _TERMINATE_S)
    else:
        await process.wait()


def stages(programs: Sequence[Program]) -> list[list[str]]:
    """Names of programs that stop together, highest priority first."""
    ordered = sorted(programs, key=lambda program: program.priority, reverse=True)
    return [
        [program.name for program in together]
        for _, together in groupby(ordered, key=lambda program: program.priority)
    ]


async def _stop_together(rpc: SupervisorRpc, names: Sequence[str]) -> None:
    """Stop some programs. One that takes longer than a stage is killed: others wait for it to go,
    an engine for the proxy's streams, say."""
    deadline = time.monotonic() + _STAGE_S
    while True:
        states = await asyncio.to_thread(rpc.states)
        left = [name for name in names if states.get(name, "STOPPED") not in _ENDED]
        if not left:
            return
        for name in left:
            if time.monotonic() > deadline:
                await asyncio.to_thread(rpc.kill, name)
            elif states[name] in _STOPPABLE:
                await asyncio.to_thread(rpc.stop, name)
        await asyncio.sleep(_POLL_S)


def sweep(home: Home) -> None:
    """Kill what is left of a home's programs and end its engines; blocks for seconds.

    Of their files those stay that hold an engine's last words, for its runner's successor.
    """
    for _ in range(_SWEEPS):
        programs = stack_processes(home.root)
        kill(programs)
        # Listed once no runner is left that could start one more.
        engines = engine_processes(home.root)
        end(engines, _ENGINE_GRACE_S)
        if not programs and not engines:
            break
    with_output = {output.stem for output in home.engine_outputs()}
    for run_file in home.run_files():
        if run_file.name.removesuffix(RUN_FILE_SUFFIX) not in with_output:
            run_file.unlink(missing_ok=True)
    home.supervisord_pid_file.unlink(missing_ok=True)
    for path in home.run.glob("*.sock*"):  # supervisord adds its pid while it binds its own
        path.unlink(missing_ok=True)
