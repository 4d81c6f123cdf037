"""What the other proxies have in flight: a model's limit is for all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from common.api import instances
from common.api.instances import Traffic
from common.bus.bus import Bus


class Elsewhere:
    """A sum by instance, kept up with each change. It is as old as what the others told last, a
    tenth of a second, so that many that arrive at once may together be a few too many.
    """

    def __init__(self, bus: Bus, on_change: Callable[[], None]) -> None:
        self._own = bus.identity.name
        self._on_change = on_change
        self._in_flight: Counter[str] = Counter()
        bus.mirror(instances.TRAFFIC, forget_with_owner=True).on_change(self._changed)

    def in_flight(self, instance_id: str) -> int:
        """Requests of the other proxies for an instance."""
        return self._in_flight.get(instance_id, 0)

    def _changed(
        self, proxy: str, instance_id: str, before: Traffic | None, after: Traffic | None
    ) -> None:
        if proxy == self._own:
            return
        change = (after.in_flight if after else 0) - (before.in_flight if before else 0)
        self._in_flight[instance_id] += change
        if not self._in_flight[instance_id]:
            del self._in_flight[instance_id]
        self._on_change()
