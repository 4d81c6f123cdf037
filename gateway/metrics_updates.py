"""`metrics:update` to every client at its pace, by one task for all."""

from __future__ import annotations

import asyncio

from common.api import metrics
from common.api.metrics import DEFAULT_INTERVAL_MS, Metrics
from common.errors import Unavailable
from gateway.fleet_metrics import FleetMetrics
from gateway.outgoing import Outgoing
from gateway.subscriptions import Pacing
from gateway.told import Told

TOGETHER_S = 0.05
"""Who is due so soon is served now: waking up costs about as much as sending."""


class MetricsUpdates:
    """Listens to `Sockets` for who is there; `run` it.

    Each client's turns are counted from when it came, so that a thousand clients are not served in
    one moment.
    """

    def __init__(self, figures: FleetMetrics) -> None:
        self._figures = figures
        self._pacing = Pacing(DEFAULT_INTERVAL_MS / 1000)
        self._changed = asyncio.Event()
        self._told: tuple[Metrics, Told] | None = None

    def client_connected(self, client_id: str) -> None:
        """A client came."""
        self._pacing.add(client_id, _now())
        self._changed.set()

    def client_disconnected(self, client_id: str) -> None:
        """A client went."""
        self._pacing.remove(client_id)

    def set_pace(self, client_id: str, interval_ms: int) -> None:
        """Serve a client at its own pace, beginning now."""
        self._pacing.set_pace(client_id, interval_ms / 1000, _now())
        self._changed.set()

    def reset_pace(self, client_id: str) -> None:
        """Serve a client as all others again."""
        self._pacing.reset_pace(client_id, _now())
        self._changed.set()

    async def run(self, outgoing: Outgoing) -> None:
        """Send until cancelled."""
        while True:
            self._changed.clear()
            due = self._pacing.due(_now() + TOGETHER_S)
            if due and (told := self._newest()) is not None:
                for client_id in due:
                    outgoing.send(client_id, told)
            await self._next_turn()

    async def _next_turn(self) -> None:
        at = self._pacing.next_at
        try:
            async with asyncio.timeout_at(at):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _newest(self) -> Told | None:
        """The newest figures, encoded once however many get them; None while there are none."""
        try:
            current = self._figures.current()
        except Unavailable:
            return None
        if self._told is None or self._told[0] is not current:
            self._told = current, Told(metrics.UPDATE, current)
        return self._told[1]


def _now() -> float:
    return asyncio.get_running_loop().time()
