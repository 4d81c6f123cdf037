"""The `Router` over the backplane: the controller says what is loaded, the runners say where."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from common.api.models import Model
from common.bus.bus import Bus
from common.errors import DeadlineExceeded
from common.settings import Settings
from gateway.fleet import Fleet
from gateway.proxy.body_filters import BodyFilter
from gateway.proxy.errors import QueueTimeout, TooManyRequests
from gateway.proxy.in_flight import Lease
from gateway.proxy.model_rules import ModelRules
from gateway.proxy.ready_instances import ReadyInstances
from gateway.proxy.routing import ModelEntry, ModelListener, Outlook, Place
from gateway.proxy.traffic import TrafficReport
from gateway.proxy.upstreams import Upstreams
from gateway.proxy.waiting_room import WaitingRoom

QUEUE_MARGIN_S = 1.0
"""The controller's own refusal, which has the numbers, comes before the end of a request's wait."""

ARRIVE_S = 5.0
"""How long the records of a model and of its instance may be apart: they come from two owners."""


class FleetRouter:
    """Finds or loads the instance for a request."""

    def __init__(self, bus: Bus, fleet: Fleet, upstreams: Upstreams) -> None:
        self._fleet = fleet
        self._rules = ModelRules(fleet.live)
        self._changed = asyncio.Event()
        self._crowded = 0
        self._instances = ReadyInstances(bus, self._rules, upstreams, self._wake, self._released)
        self._waiting = WaitingRoom(fleet.live.current.llama.max_queue)
        self._report = TrafficReport(bus, self._instances.in_flight, self._waiting)
        self._loading_since_s: dict[str, float] = {}
        fleet.live.on_change(self._settings_changed)
        fleet.on_model(self._model_changed)

    # What is known of models.

    def models(self) -> Sequence[ModelEntry]:
        """All models, by id."""
        return [self._entry(model) for model in self._fleet.models()]

    def on_change(self, listener: ModelListener) -> None:
        """Call `listener` with a model before and after each change."""

        def changed(before: Model | None, after: Model | None) -> None:
            listener(
                None if before is None else self._entry(before),
                None if after is None else self._entry(after),
            )

        self._fleet.on_model(changed)

    def knows(self, name: str) -> bool:
        """Whether there is a model of this id or alias."""
        return self._fleet.find(name) is not None

    def resolve(self, name: str) -> str:
        """The id of the model of this id or alias; where there is none, what was given."""
        found = self._fleet.find(name)
        return name if found is None else found.id

    def body_filter(self, model_id: str) -> BodyFilter:
        """What the settings have changed in the requests for a model."""
        return self._rules.body_filter(model_id)

    def loading_since_s(self, model_id: str) -> float | None:
        """When the model's last load began."""
        return self._loading_since_s.get(model_id)

    def outlook(self, model_id: str, ticket: object) -> Outlook:
        """How things stand for one of those who wait."""
        model = self._fleet.find(model_id)
        return Outlook(
            self._waiting.position(model_id, ticket),
            "gone" if model is None else model.status,
            None if model is None else model.progress,
        )

    # What is asked for by name.

    async def begin_load(self, model_id: str) -> None:
        """Have a model loaded, as if a person had asked for it."""
        await self._fleet.begin_load(self._fleet.model(model_id).id)

    async def begin_unload(self, model_id: str) -> None:
        """Have a model unloaded."""
        await self._fleet.begin_unload(self._fleet.model(model_id).id)

    # An instance for a request.

    def lease(self, model_id: str) -> Lease | None:
        """Hold an instance of a model for one request, if one is ready.

        Raises `TooManyRequests`.
        """
        return self._instances.lease(self._fleet.model(model_id))

    def suspect(self, instance_id: str) -> None:
        """An engine broke off: wait for news of it."""
        self._instances.suspect(instance_id)

    @contextmanager
    def queue(self, model_id: str) -> Iterator[Place]:
        """Wait for an instance of a model in the body."""
        with self._waiting.enter(model_id, self._facts(model_id)) as ticket:
            yield _Place(self, model_id, ticket)

    async def acquire(self, model_id: str) -> Lease:
        """Hold an instance of a model for one request, loading the model first if need be.

        Those who wait together may be more than the model takes at a time: each waits its turn.
        """
        while True:
            try:
                lease = self.lease(model_id)
                if lease is None:
                    loaded = await self._fleet.load(model_id, on_demand=True)
                    lease = await self._lease_soon(loaded)
            except TooManyRequests:
                await self._release()
                continue
            if lease is not None:
                return lease

    async def acquire_in_time(self, model_id: str) -> Lease:
        """As `acquire`. Raises `QueueTimeout` after `llama.queueTimeout`."""
        limit_s = self._fleet.live.current.llama.queue_timeout
        try:
            async with asyncio.timeout(limit_s + QUEUE_MARGIN_S):
                return await self.acquire(model_id)
        except TimeoutError:
            self._waiting.expect(model_id)
            facts = self._facts(model_id)
            raise QueueTimeout(
                f"The model is {facts['status']}, and was not ready for this request within"
                f" {limit_s:g} s (llama.queueTimeout). Send it again.",
                {**facts, "waitedSeconds": limit_s},
            ) from None

    async def tell_traffic(self) -> None:
        """Publish what is in flight and who waits, until cancelled."""
        await self._report.tell()

    async def _lease_soon(self, model: Model) -> Lease | None:
        """A lease once the instance's own record has come; null where the model moved on."""
        try:
            async with asyncio.timeout(ARRIVE_S):
                while True:
                    self._changed.clear()
                    current = self._fleet.model(model.id)
                    lease = self._instances.lease(current)
                    if lease is not None or current.status != "loaded":
                        return lease
                    await self._changed.wait()
        except TimeoutError:
            raise DeadlineExceeded(
                f"{model.id} is loaded, but its engine is not known here after {ARRIVE_S:g} s"
            ) from None

    async def _release(self) -> None:
        """Until something has changed, the end of a request included."""
        self._crowded += 1
        try:
            self._changed.clear()
            await self._changed.wait()
        finally:
            self._crowded -= 1

    def _released(self) -> None:
        if self._crowded:  # else nobody waits for this
            self._wake()

    def _facts(self, model_id: str) -> dict[str, Any]:
        """What is told of a model to those who may not wait any longer."""
        model = self._fleet.find(model_id)
        return {
            "status": "gone" if model is None else model.status,
            "progress": None if model is None else model.progress,
        }

    # What changes.

    def _settings_changed(self, _before: Settings, after: Settings) -> None:
        self._waiting.max_waiting = after.llama.max_queue
        self._wake()  # a limit may have been raised

    def _model_changed(self, before: Model | None, after: Model | None) -> None:
        if after is None:
            self._loading_since_s.pop(before.id if before is not None else "", None)
        elif after.status == "loading" and (before is None or before.status != "loading"):
            self._loading_since_s[after.id] = time.perf_counter()
        kept = after is not None and after.status == "loaded" and after.instance_id is not None
        if kept and before is not None and before.status == "unloading":
            # Should its resume be lost.
            self._instances.in_flight.undrain(str(after and after.instance_id))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()

    def _entry(self, model: Model) -> ModelEntry:
        return ModelEntry(
            model.id,
            model.mtime_ns // 1_000_000_000,
            model.status,
            model.path,
            model.progress,
            self._rules.aliases(model.id),
        )


@dataclass(frozen=True)
class _Place:
    router: FleetRouter
    model_id: str
    ticket: object

    async def lease(self) -> Lease:
        return await self.router.acquire_in_time(self.model_id)

    def outlook(self) -> Outlook:
        return self.router.outlook(self.model_id, self.ticket)

    @property
    def loading_since_s(self) -> float | None:
        return self.router.loading_since_s(self.model_id)
