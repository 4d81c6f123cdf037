"""From the fleet's changes to events for every client, in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from common.api import models, requests, system
from common.api.base import Event, Struct
from common.api.models import Model, ModelMoved, ModelStatusChange
from common.api.system import ClientId
from common.bus.bus import Bus
from gateway.fleet import Fleet

Emit = Callable[[Event[Any], Struct], None]
"""Sends an event to every client of this gateway."""


def model_events(before: Model | None, after: Model | None) -> list[tuple[Event[Any], Struct]]:
    """What clients hear when a model's record goes from `before` to `after`. Pure.

    A record that appears tells its status, but not that the model was loaded just now: this
    gateway may only have started. One goes when neither file nor engine is left, which clients hear
    as an error; `models:list` does not hold it any more.
    """
    if after is None:
        return [] if before is None else [(models.STATUS, _status(gone(before)))]
    told: list[tuple[Event[Any], Struct]] = []
    if before is None or _shown(before) != _shown(after):
        told.append((models.STATUS, _status(after)))
    if before is not None and before.status != after.status:
        if after.status == "loaded" and not _was_kept(before, after):
            told.append((models.LOADED, ModelMoved(model_id=after.id)))
        elif after.status == "unloaded" and before.status == "unloading":
            told.append((models.UNLOADED, ModelMoved(model_id=after.id)))
    return told


def gone(model: Model) -> Model:
    """A model's record for the moment when it ends."""
    reason = f"the file of {model.id} is gone"
    return msgspec.structs.replace(model, status="error", reason=reason, progress=None)


def _was_kept(before: Model, after: Model) -> bool:
    """Whether a model's eviction was given up, since requests came for it meanwhile."""
    return before.status == "unloading" and before.instance_id == after.instance_id


def _shown(model: Model) -> tuple[object, ...]:
    return (model.status, model.reason, model.progress, model.name, model.path, model.size)


def _status(model: Model) -> ModelStatusChange:
    return ModelStatusChange(
        id=model.id,
        name=model.name,
        path=model.path,
        size=model.size,
        status=model.status,
        reason=model.reason,
        progress=UNSET if model.progress is None else model.progress,
    )


class Relay:
    """Sends every client each event once, whichever gateway it happened at."""

    def __init__(self, fleet: Fleet, bus: Bus, emit: Emit) -> None:
        self._bus = bus
        self._emit = emit
        fleet.on_model(self._model_changed)
        for event in (system.CONNECTED, system.DISCONNECTED):
            bus.listen(event, partial(emit, event))
        bus.listen(requests.FINISHED, partial(emit, requests.FINISHED))

    def client_connected(self, client_id: str) -> None:
        """Tell the clients of every gateway."""
        self._bus.publish(system.CONNECTED, ClientId(client_id=client_id))

    def client_disconnected(self, client_id: str) -> None:
        """Tell the clients of every gateway."""
        self._bus.publish(system.DISCONNECTED, ClientId(client_id=client_id))

    def _model_changed(self, before: Model | None, after: Model | None) -> None:
        for event, payload in model_events(before, after):
            self._emit(event, payload)
