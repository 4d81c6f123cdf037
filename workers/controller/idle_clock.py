"""For how long a model has not been used."""

from __future__ import annotations

from common.api.instances import Traffic
from common.settings import Settings


class IdleClock:
    """The time since a model's last use, by a clock that only grows: the proxies' own clocks may be
    set anew, and a proxy that was started anew knows of no use at all.

    Times are in seconds of that clock, `now_s` is its present.
    """

    def __init__(self, now_s: float) -> None:
        self.since_s = now_s
        """When the model was used last, as far as is known."""
        self._last_told: float | None = None

    def use(self, now_s: float) -> None:
        """The model is used."""
        self.since_s = now_s

    def look(self, traffic: Traffic, now_s: float) -> None:
        """Hear what all proxies say together. Anything new counts as use: another time, be it an
        earlier one, since the proxy that knew better may be gone.
        """
        if traffic.in_flight or traffic.last_used_at != self._last_told:
            self.since_s = now_s
        self._last_told = traffic.last_used_at

    def idle_s(self, now_s: float) -> float:
        """How long the model has not been used."""
        return now_s - self.since_s


def ttl_s(model_id: str, ordered_s: float | None, settings: Settings) -> float | None:
    """After how long without use a model is unloaded; null: never. Pure.

    What was ordered with the load is above the model's own setting, and that above the one for all.
    """
    model = settings.models.get(model_id)
    for said in (ordered_s, None if model is None else model.ttl_seconds):
        if said is not None:
            return said or None
    return settings.llama.ttl_seconds or None
