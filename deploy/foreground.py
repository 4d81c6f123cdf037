"""A stack in the foreground: the parent of supervisord, until INT, TERM or HUP.

Starts supervisord again if that dies, says where things are once everything is there, and stops it
all in the end. A second signal hurries the stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TextIO

from deploy import supervisord
from deploy.addresses import gateway_url, proxy_url
from deploy.failure import CommandFailed
from deploy.first_start import models_hint
from deploy.processes import hand_over, stack_processes
from deploy.restart_pause import WELL_S, RestartPause
from deploy.stack import Stack

if TYPE_CHECKING:
    from deploy.presence import Presence

_PRESENCE_S = 30.0
_ORPHAN_GRACE_S = 2.0


def where_things_are(stack: Stack) -> list[str]:
    """The lines that a user needs first."""
    settings = stack.settings
    models = str(stack.home.models(settings))
    if hint := models_hint(stack.home, settings):
        models += f"  ({hint})"
    if settings.backplane.join:
        host = settings.host.resolved_name()
        entrances = [f"Main host       {settings.backplane.join}, where this one is {host}"]
    else:
        entrances = [
            f"Socket.IO API   {gateway_url(settings)}/llamaproxws",
            f"OpenAI proxy    {proxy_url(settings)}/v1",
        ]
    return [
        *entrances,
        f"Models          {models}",
        f"Logs            {stack.logs}",
        f"Stop            Ctrl-C, or: llama-proxy down --home {shlex.quote(str(stack.home.root))}",
    ]


class _Stop:
    """Whether a stop is asked for, for tasks and for threads; asked twice, it is in a hurry."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.asked_of_threads = threading.Event()
        self.hurry = asyncio.Event()

    def ask(self) -> None:
        if self.asked.is_set():
            self.hurry.set()
        self.asked.set()
        self.asked_of_threads.set()

    def follow_signals(self) -> None:
        """INT, TERM and HUP ask; under nohup, HUP does not."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.ask)
        loop.add_signal_handler(signal.SIGTERM, self.ask)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self.ask)


async def serve(stack: Stack, quiet: bool) -> None:
    """Run a stack until a signal, and then leave nothing of it. Raises CommandFailed."""
    stop = _Stop()
    stop.follow_signals()
    supervising = asyncio.create_task(_keep_supervisord(stack, stop))
    announcing = asyncio.create_task(_announce(stack, stop, quiet))
    await asyncio.wait({supervising, announcing}, return_when=asyncio.FIRST_EXCEPTION)
    # Where one of them failed, the other is to end.
    stop.asked.set()
    stop.asked_of_threads.set()
    await supervising
    await announcing


def _wait_until_present(stack: Stack, stopped: threading.Event) -> Presence:
    # Its libraries take longer to import than supervisord to start, so that goes first.
    if stack.settings.backplane.join:
        from deploy.joined import wait_until_heard

        return wait_until_heard(stack, _PRESENCE_S, stopped)
    from deploy.presence import wait_until_present

    return wait_until_present(stack, _PRESENCE_S, stopped)


async def _announce(stack: Stack, stop: _Stop, quiet: bool) -> None:
    presence = await asyncio.to_thread(_wait_until_present, stack, stop.asked_of_threads)
    if stop.asked.is_set():
        return
    if not presence.complete:
        _say(sys.stderr, *presence.explain(stack), "supervisord keeps trying.")
    if not quiet:
        _say(sys.stdout, *where_things_are(stack))


async def _keep_supervisord(stack: Stack, stop: _Stop) -> None:
    """Run supervisord, again and again if need be, until a stop; then leave nothing behind."""
    pause = RestartPause()
    started = False
    try:
        while not stop.asked.is_set():
            code, lived_s = await _run_supervisord(stack, stop)
            if stop.asked.is_set():
                break
            if not started and code > 0 and lived_s < WELL_S:
                raise CommandFailed(
                    f"supervisord ended with code {code} right after its start:"
                    f" {supervisord.last_words(stack)}"
                )
            started = True
            pause_s = pause.after(lived_s)
            when = f"in {pause_s:g} s" if pause_s else "at once"
            _say(sys.stderr, f"supervisord ended with code {code}; it is started again {when}")
            pausing = asyncio.create_task(asyncio.wait_for(stop.asked.wait(), pause_s))
            # Its programs notice and end by themselves; two sets of them must not overlap.
            orphans = await asyncio.to_thread(stack_processes, stack.home.root)
            await asyncio.to_thread(hand_over, orphans, _ORPHAN_GRACE_S)
            with contextlib.suppress(TimeoutError):
                await pausing
    finally:
        await asyncio.to_thread(supervisord.sweep, stack.home)
    # A controller that had to be killed could not do it.
    stack.home.desired_file.unlink(missing_ok=True)


async def _run_supervisord(stack: Stack, stop: _Stop) -> tuple[int, float]:
    """Run one supervisord until it ends or is stopped; its exit code and how long it lived.

    A code below zero is the signal that ended it.
    """
    began_s = time.monotonic()
    process = await supervisord.start(stack)
    try:
        async with asyncio.TaskGroup() as tasks:
            waking = tasks.create_task(supervisord.wake(stack))
            await _first(process.wait(), stop.asked.wait())
            waking.cancel()
    finally:
        if process.returncode is None:
            await supervisord.stop(stack, process, stop.hurry)
    return await process.wait(), time.monotonic() - began_s


async def _first(*awaitables: Coroutine[Any, Any, object]) -> None:
    """Wait until one of several is done, and cancel the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _say(stream: TextIO, *lines: str) -> None:
    # The terminal may be gone by now; that must not keep anything from being stopped.
    with contextlib.suppress(OSError):
        stream.writelines(f"{line}\n" for line in lines)
        stream.flush()
