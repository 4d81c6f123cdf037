"""How somebody wants a model loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Order:
    """One load, as `models:load` describes it.

    `preset` and `runner`: null for any. `ttl_s`: null for what the settings say. `on_demand`: only
    requests want it, and when none waits any more, nobody does.
    """

    preset: str | None = None
    runner: str | None = None
    ttl_s: float | None = None
    on_demand: bool = False

    def joined_by(self, later: Order) -> Order:
        """What holds once a later order found this one under way or carried out."""
        return replace(
            self,
            ttl_s=self.ttl_s if later.ttl_s is None else later.ttl_s,
            on_demand=self.on_demand and later.on_demand,
        )

    def carried_out(self) -> Order:
        """The same for a model that is loaded: whoever waits for it has no say any more."""
        return replace(self, on_demand=False)
