"""A proxy without requests: the test says how many are in flight."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from common.api import instances
from common.api.base import Empty
from common.api.instances import Demand, Drained, DrainInstance, ResumeInstance, Traffic
from common.bus.bus import Bus
from common.errors import ProxyError


class ScriptedProxy:
    """Answers drains and resumes, and publishes traffic as it is told."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.drained: list[str] = []
        self.resumed: list[str] = []
        self.refusal: ProxyError | None = None
        self._in_flight: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._traffic = bus.table(instances.TRAFFIC)
        self._demand = bus.table(instances.DEMAND)
        bus.serve(instances.DRAIN, self._drain)
        bus.serve(instances.RESUME, self._resume)

    def use(self, instance_id: str, in_flight: int, *, at: float | None = None) -> None:
        """So many requests are in flight now, and are published."""
        self.use_untold(instance_id, in_flight)
        used_at = time.time() if at is None else at
        self._traffic.put(instance_id, Traffic(in_flight=in_flight, last_used_at=used_at))

    def use_untold(self, instance_id: str, in_flight: int) -> None:
        """So many requests are in flight now, and the controller has not heard of them yet."""
        self._in_flight[instance_id] = in_flight
        self._changed.set()

    def wait_for(self, model_id: str, waiting: int) -> None:
        """So many requests wait for a model."""
        if waiting:
            self._demand.put(model_id, Demand(waiting=waiting))
        else:
            self._demand.remove(model_id)

    async def _drain(self, request: DrainInstance) -> Drained:
        if self.refusal is not None:
            raise self.refusal
        self.drained.append(request.id)
        with suppress(TimeoutError):
            async with asyncio.timeout(request.timeout_s):
                while self._in_flight.get(request.id, 0):
                    self._changed.clear()
                    await self._changed.wait()
        return Drained(in_flight=self._in_flight.get(request.id, 0))

    async def _resume(self, request: ResumeInstance) -> Empty:
        self.resumed.append(request.id)
        return Empty()
