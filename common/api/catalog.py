"""All commands and events, by name."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from common.api import (
    bus,
    config,
    instances,
    inventory,
    logs,
    metrics,
    models,
    parameters,
    presets,
    requests,
    system,
    tokens,
)
from common.api.base import Command, Event

DOMAINS: tuple[ModuleType, ...] = (
    models,
    presets,
    system,
    tokens,
    config,
    requests,
    logs,
    metrics,
    instances,
    inventory,
    parameters,
    bus,
)


def _collect(kind: type[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for domain in DOMAINS:
        for value in vars(domain).values():
            if isinstance(value, kind) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"two entries are named {value.name}")
    return found


COMMANDS: dict[str, Command[Any, Any]] = _collect(Command)
EVENTS: dict[str, Event[Any]] = _collect(Event)
