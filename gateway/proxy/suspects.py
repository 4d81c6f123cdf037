"""Engines that have just broken off: no request goes to one before something new is known of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from common.api.instances import Instance

SUSPECTED_S = 1.0


class Suspects:
    """By instance id. Its runner has news of a dead engine within milliseconds; no news after a
    while is good news: it only closed a connection. `on_trust` is called then.
    """

    def __init__(self, on_trust: Callable[[], None]) -> None:
        self._on_trust = on_trust
        self._suspects: dict[str, Instance] = {}

    def __contains__(self, instance_id: object) -> bool:
        return instance_id in self._suspects

    def add(self, instance: Instance) -> None:
        """An engine broke off."""
        self._suspects[instance.id] = instance
        asyncio.get_running_loop().call_later(SUSPECTED_S, self._trust, instance)

    def news_of(self, instance_id: str) -> None:
        """Its runner has told something: what that is counts from now on."""
        self._suspects.pop(instance_id, None)

    def _trust(self, instance: Instance) -> None:
        if self._suspects.get(instance.id) is instance:
            del self._suspects[instance.id]
            self._on_trust()
