"""Tells which processes of this host live without being heard: other hosts cannot see that."""

from __future__ import annotations

import asyncio

from common.api import system
from common.api.bus import Beat
from common.api.system import SilentProcess
from common.bus.bus import Bus
from common.bus.liveness import lives

CHECK_S = 1.0


class Silence:
    """The table of silent processes."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._table = bus.table(system.SILENT)
        self._seen: dict[str, Beat] = {}

    async def run(self) -> None:
        """Look once a second until cancelled."""
        while True:
            self._look()
            await asyncio.sleep(CHECK_S)

    def _look(self) -> None:
        here = [beat for beat in self._bus.members if beat.host == self._bus.identity.host]
        self._seen |= {beat.name: beat for beat in here}
        heard = {beat.name for beat in here}
        for name, beat in list(self._seen.items()):
            if name in heard:
                self._table.remove(name)
            elif lives(beat):
                self._table.put(name, SilentProcess(pid=beat.pid, epoch=beat.epoch))
            else:
                self._table.remove(name)
                del self._seen[name]
