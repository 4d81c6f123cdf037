"""What every process does: read its settings, join the backplane, work until told to stop, leave.

It holds the lock of its name meanwhile, and is gone soon after its parent.

A main is `service.run("metrics", work)`. `async def work(process: Process) -> None` reads in order:
build the parts, `async with process.joined():`, wait for `process.stopping`, close in reverse. A
task that dies ends the process; whoever supervises it starts it anew.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from common import lock, settings_source
from common.api.bus import ProcessKind
from common.bus.addresses import Addresses
from common.bus.bus import Bus, Identity
from common.bus.key_files import KeyFiles
from common.delivery import Delivery
from common.errors import ConfigInvalid
from common.home import Home, find_home
from common.live_settings import CONTROLLER, LiveSettings
from common.logging import RecordHandler, keep_from, write_to_output
from common.parent import Parent
from common.settings import Settings

logger = logging.getLogger(__name__)

SINGLETONS: frozenset[ProcessKind] = frozenset({"backplane", "controller", "logs"})
"""Kinds of which a stack has one; their routing id is the plain name, known without asking."""

PREDECESSOR_S = 10.0
"""How long to wait for a process of the same name that is just leaving."""

ORPHAN_S = 0.8
"""How long a process whose parent is gone may take to hand over."""


@dataclass
class Process:
    """One running process, given to its `work`."""

    identity: Identity
    home: Home
    settings: Settings
    bus: Bus
    delivery: Delivery
    arguments: argparse.Namespace
    stopping: asyncio.Event
    live: LiveSettings = field(init=False)
    """What holds now; `settings` are what this process started with."""
    handing_over: bool = False
    """A successor will follow: what can outlive this process is to be left as it is."""
    _spawned: set[asyncio.Task[None]] = field(default_factory=set)
    _leaving: bool = False
    _tasks: asyncio.TaskGroup | None = None

    def __post_init__(self) -> None:
        self.live = LiveSettings(self.settings)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something until it ends or this process leaves. Only while joined.

        While it leaves, others still tell it things: what is begun for them then ends at once.
        """
        if self._tasks is None:
            raise RuntimeError("this process has not joined the backplane")
        task = self._tasks.create_task(work, name=name)
        if self._leaving:
            task.cancel()
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)
        return task

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Be on the backplane: the bus must be set up before, and works inside.

        At the end what was spawned is cancelled and the last log lines are delivered.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            bus_running = tasks.create_task(self.bus.run(), name="bus")
            self.spawn(self.delivery.run(), "delivery")
            logger.info("%s starts, pid %d", self.identity.name, os.getpid())
            yield
            logger.info("%s stops", self.identity.name)
            self._leaving = True
            for task in list(self._spawned):
                task.cancel()
            await self.delivery.finish()
            bus_running.cancel()

    def hand_over(self) -> None:
        """Stop, for a successor."""
        self.handing_over = True
        self.stopping.set()


Work = Callable[[Process], Awaitable[None]]
AddArguments = Callable[[argparse.ArgumentParser], None]


def run(kind: ProcessKind, work: Work, *, add_arguments: AddArguments | None = None) -> None:
    """Be a process of this kind until it ends: exits 0 after a stop, 1 after a failure."""
    parent = Parent(os.environ)
    arguments = _parse(kind, add_arguments)
    home = find_home(arguments.home, os.environ)
    try:
        settings = settings_source.load(home.root, arguments.config, os.environ)
        home.prepare(settings)
        addresses = backplane_addresses(home, settings)
    except ConfigInvalid as error:
        sys.exit(error.message)
    write_to_output(settings.logging.level)
    try:
        with (
            lock.hold(home.process_lock(arguments.name), PREDECESSOR_S, lambda: parent.gone),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_live(kind, work, arguments, home, settings, addresses, parent))
    except lock.LockHeld as held:
        sys.exit(
            f"another {arguments.name} of home {home.root} is running (pid {held.pid or 'unknown'})"
        )
    except BaseExceptionGroup:
        logger.exception("%s ends because of an error", arguments.name)
        sys.exit(1)


def backplane_addresses(home: Home, settings: Settings) -> Addresses:
    """Where the processes of this home meet: in it, or at the main host. Raises ConfigInvalid."""
    if not settings.backplane.join:
        return Addresses.in_directory(home.run)
    credentials = KeyFiles(home.keys(settings)).credentials()
    return Addresses.over_tcp(settings.backplane.join, credentials)


def _parse(kind: ProcessKind, add_arguments: AddArguments | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"The {kind} process of llama-proxy.")
    parser.add_argument("--home", type=Path, help="the directory of this stack")
    parser.add_argument("--config", type=Path, help="its configuration, if not in home")
    parser.add_argument("--name", default=kind, help="the name of this process on its host")
    if add_arguments is not None:
        add_arguments(parser)
    return parser.parse_args()


def _change_level(_before: Settings, after: Settings) -> None:
    keep_from(after.logging.level)


async def _live(
    kind: ProcessKind,
    work: Work,
    arguments: argparse.Namespace,
    home: Home,
    settings: Settings,
    addresses: Addresses,
    parent: Parent,
) -> None:
    host = settings.host.resolved_name()
    name = arguments.name if kind in SINGLETONS else f"{arguments.name}@{host}"
    identity = Identity.new(name, kind, host)
    loop = asyncio.get_running_loop()
    bus = Bus(identity, addresses)
    delivery = Delivery(bus)
    to_logs = RecordHandler(delivery, identity.name, identity.epoch)
    logging.getLogger().addHandler(to_logs)
    try:
        process = Process(identity, home, settings, bus, delivery, arguments, asyncio.Event())
        if kind != CONTROLLER and not settings.backplane.join:
            # The controller is the one who tells; a host that joins another has its own file.
            process.live.follow(bus)
        process.live.on_change(_change_level)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, process.stopping.set)
        loop.add_signal_handler(signal.SIGUSR1, process.hand_over)

        def orphaned() -> None:
            with suppress(RuntimeError):  # the loop is closed: this process is leaving already
                loop.call_soon_threadsafe(process.hand_over)

        parent.watch(orphaned, ORPHAN_S)
        await work(process)
    finally:
        logging.getLogger().removeHandler(to_logs)
        bus.close()
