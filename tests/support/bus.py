"""A real backplane and real buses for tests of what talks over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from common.api.bus import ProcessKind
from common.bus.addresses import Addresses
from common.bus.bus import Bus, Identity
from common.bus.wire import Publication
from tests.support.waiting import until


@dataclass
class Joiner:
    """Runs buses on one backplane until the test ends."""

    addresses: Addresses
    tasks: dict[Bus, asyncio.Task[None]] = field(default_factory=dict)

    def create(self, name: str, kind: ProcessKind = "controller") -> Bus:
        """A bus that is not yet running, to be set up."""
        return Bus(Identity.new(name, kind, "testhost"), self.addresses)

    async def start_without_waiting(self, *buses: Bus) -> None:
        """Run these."""
        for bus in buses:
            self.tasks[bus] = asyncio.create_task(bus.run())

    def give_up(self, bus: Bus) -> None:
        """One has ended by itself."""
        self.tasks.pop(bus)
        bus.close()

    async def start(self, *buses: Bus) -> None:
        """Run these, and return when each has seen all others."""
        await self.start_without_waiting(*buses)
        names = {bus.identity.name for bus in self.tasks}
        await until(lambda: all(names <= {beat.name for beat in bus.members} for bus in self.tasks))

    async def stop(self, bus: Bus) -> None:
        """End one as a process ends that was told to."""
        task = self.tasks.pop(bus)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        bus.close()


def hear_late(bus: Bus, delay_s: float) -> None:
    """From now on events reach a bus so much later than answers do, as on a busy machine."""
    take = bus._take_event  # nothing else of a real backplane can be told to be slow

    def later(publication: Publication) -> None:
        asyncio.get_running_loop().call_later(delay_s, take, publication)

    bus._take_event = later  # type: ignore[method-assign]


@asynccontextmanager
async def joined(addresses: Addresses) -> AsyncIterator[Joiner]:
    """A joiner whose buses are all stopped at the end."""
    joiner = Joiner(addresses)
    try:
        yield joiner
    finally:
        for bus in list(joiner.tasks):
            await joiner.stop(bus)
