"""What a proxy tells the controller and other proxies: requests in flight, and who waits."""

from __future__ import annotations

import asyncio

from common.api import instances
from common.api.instances import Demand, Traffic
from common.bus.bus import Bus
from gateway.proxy.in_flight import InFlight
from gateway.proxy.waiting_room import WaitingRoom

TELL_TRAFFIC_S = 0.1


class TrafficReport:
    """Two tables, of instances in use and of models that are waited for."""

    def __init__(self, bus: Bus, in_flight: InFlight, waiting: WaitingRoom) -> None:
        self._in_flight = in_flight
        self._waiting = waiting
        self._traffic = bus.table(instances.TRAFFIC)
        self._demand = bus.table(instances.DEMAND)
        self._told: set[str] = set()
        self._demanded: set[str] = set()

    async def tell(self) -> None:
        """Publish both, until cancelled."""
        while True:
            self._tell_traffic()
            self._tell_demand()
            await asyncio.sleep(TELL_TRAFFIC_S)

    def _tell_traffic(self) -> None:
        uses = self._in_flight.uses()
        used = {use.instance_id for use in uses}
        for instance_id in self._told - used:
            self._traffic.remove(instance_id)
        for use in uses:
            row = Traffic(in_flight=use.in_flight, last_used_at=use.last_used_s)
            self._traffic.put(use.instance_id, row)
        self._told = used

    def _tell_demand(self) -> None:
        counts = self._waiting.counts()
        for model_id in self._demanded.difference(counts):
            self._demand.remove(model_id)
        for model_id, waiting in counts.items():
            self._demand.put(model_id, Demand(waiting=waiting))
        self._demanded = set(counts)
