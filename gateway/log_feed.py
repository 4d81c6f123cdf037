"""`logs:entry` to every client that wants it, no faster than leaves time for everything else.

Lines wait here for up to `PAUSE_S` and go out in batches. Whatever a flood brings beyond
`DELIVERIES_AT_ONCE` per batch waits, and beyond `MAX_WAITING` is dropped, oldest first; clients are
told how many they missed (`logs:dropped`). `logs:get` has them all.

Nothing on this way may write a log line for each log line, or it would feed itself for ever.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from common.api import logs
from common.api.logs import NewEntry
from common.bus.bus import Bus
from gateway.outgoing import Outgoing
from gateway.subscriptions import LogFilter, LogReaders
from gateway.told import Told

PAUSE_S = 0.05
DELIVERIES_AT_ONCE = 250
LINES_AT_ONCE = 100
MAX_WAITING = 2_000


class LogFeed:
    """Listens to `Sockets` for who is there; `run` it. Until told otherwise, a client gets all."""

    def __init__(self, bus: Bus) -> None:
        self.readers = LogReaders()
        self._waiting: deque[NewEntry] = deque()
        self._dropped: Counter[LogFilter] = Counter()
        self._filled = asyncio.Event()
        bus.listen(logs.ENTRY, self._stored)

    def client_connected(self, client_id: str) -> None:
        """A client came."""
        self.readers.add(client_id)

    def client_disconnected(self, client_id: str) -> None:
        """A client went."""
        self.readers.remove(client_id)

    async def run(self, outgoing: Outgoing) -> None:
        """Send until cancelled."""
        while True:
            await self._filled.wait()
            self._send_batch(outgoing)
            if not self._waiting:
                self._filled.clear()
            await asyncio.sleep(PAUSE_S)

    def _stored(self, told: NewEntry) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._dropped.update(self.readers.filters_for(self._waiting.popleft().entry))
        self._waiting.append(told)
        self._filled.set()

    def _send_batch(self, outgoing: Outgoing) -> None:
        for wanted, count in self._dropped.items():
            for client_id in self.readers.members(wanted):
                outgoing.lose(client_id, count)
        self._dropped.clear()
        deliveries = lines = 0
        while self._waiting and lines < LINES_AT_ONCE and deliveries < DELIVERIES_AT_ONCE:
            new = self._waiting.popleft()
            told = Told(logs.ENTRY, new)
            lines += 1
            for client_id in self.readers.of(new.entry):
                outgoing.send(client_id, told)
                deliveries += 1
