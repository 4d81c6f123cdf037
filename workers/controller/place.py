"""Where a model's engine is or will be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from common.api.instances import Instance
from workers.controller.placement import OccupantView


@dataclass
class Place:
    """A place on a runner, from the decision for it until the engine has left it."""

    runner: str
    instance_id: str
    needed_bytes: int
    state: Literal["loading", "loaded", "leaving"] = "loading"

    def view(
        self, model_id: str, instance: Instance | None, in_flight: int, last_used_at: float
    ) -> OccupantView:
        """How a placement sees it, given what its runner and its proxies say."""
        if self.state != "loaded":
            state: Literal["loading", "idle", "busy", "leaving"] = self.state
        else:
            state = "busy" if in_flight else "idle"
        ready_at = (instance.ready_at if instance else None) or 0.0
        needed = self.needed_bytes
        if state == "loading" and instance is not None:
            # What it has taken already is missing from its runner's free memory, too.
            needed = max(needed - (instance.memory_bytes or 0), 0)
        return OccupantView(model_id, self.runner, state, needed, max(last_used_at, ready_at))
