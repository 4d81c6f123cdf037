"""Which instances may be given a request: ready, trusted, not draining, and below their limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from common.api import instances
from common.api.base import Empty
from common.api.instances import Drained, DrainInstance, Instance, ResumeInstance
from common.api.models import Model
from common.bus.bus import Bus
from gateway.proxy.elsewhere import Elsewhere
from gateway.proxy.errors import TooManyRequests
from gateway.proxy.in_flight import EngineAddress, InFlight, Lease
from gateway.proxy.model_rules import ModelRules
from gateway.proxy.suspects import Suspects
from gateway.proxy.upstreams import Upstreams


class ReadyInstances:
    """Leases them, and empties one that is going to be stopped.

    `on_change` is called when a lease may be had that could not be before, `on_release` at the end
    of each lease, here or in another proxy.
    """

    def __init__(
        self,
        bus: Bus,
        rules: ModelRules,
        upstreams: Upstreams,
        on_change: Callable[[], None],
        on_release: Callable[[], None],
    ) -> None:
        self.in_flight = InFlight(on_release=on_release)
        self._rules = rules
        self._upstreams = upstreams
        self._on_change = on_change
        self._elsewhere = Elsewhere(bus, on_release)
        self._suspects = Suspects(on_trust=on_change)
        self._addresses: dict[str, EngineAddress] = {}
        self._instances = bus.mirror(instances.INSTANCE)
        self._instances.on_change(self._changed)
        bus.serve(instances.DRAIN, self.drain)
        bus.serve(instances.RESUME, self.resume)

    def lease(self, model: Model) -> Lease | None:
        """Hold the model's instance for one request; None where that is not to be had now.

        Raises `TooManyRequests`.
        """
        if model.status != "loaded" or model.instance_id is None:
            return None
        instance = self._instances.find(model.instance_id)
        if instance is None or instance.state != "ready" or instance.id in self._suspects:
            return None
        limit = self._rules.limit(model.id, instance.slots)
        if limit is not None and not self.in_flight.draining(instance.id):
            count = self.in_flight.count(instance.id) + self._elsewhere.in_flight(instance.id)
            if count >= limit:
                raise TooManyRequests(
                    f"The model serves {count} requests, and may serve {limit} at a time"
                    " (maxConcurrent). Send this one again later.",
                    {"inFlight": count, "limit": limit},
                )
        return self.in_flight.lease(self._addresses[instance.id])

    def suspect(self, instance_id: str) -> None:
        """An engine broke off."""
        instance = self._instances.find(instance_id)
        if instance is not None:
            self._suspects.add(instance)

    async def drain(self, request: DrainInstance) -> Drained:
        """Give an instance no new request; answer when it has none, or after the timeout."""
        self.in_flight.drain(request.id)
        try:
            async with asyncio.timeout(request.timeout_s):
                await self.in_flight.drained(request.id)
        except TimeoutError:
            pass
        return Drained(in_flight=self.in_flight.count(request.id))

    async def resume(self, request: ResumeInstance) -> Empty:
        """The instance is not stopped after all."""
        self.in_flight.undrain(request.id)
        self._on_change()
        return Empty()

    def _changed(
        self, _runner: str, key: str, _before: Instance | None, after: Instance | None
    ) -> None:
        self._suspects.news_of(key)
        if after is None:
            self._addresses.pop(key, None)
        else:
            self._addresses[key] = EngineAddress(key, after.host, after.port, after.api_key)
        if after is None or after.state == "failed":
            self.in_flight.forget(key)
            self._upstreams.forget(key)
        self._on_change()
