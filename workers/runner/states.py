"""The states of an instance, and which may follow which. Pure."""

from __future__ import annotations

from common.api.instances import InstanceState

FOLLOWING: dict[InstanceState, frozenset[InstanceState]] = {
    "loading": frozenset({"ready", "restarting", "stopping", "failed"}),
    "ready": frozenset({"restarting", "stopping", "failed"}),
    "restarting": frozenset({"loading", "stopping", "failed"}),
    "stopping": frozenset(),  # then the row goes
    "failed": frozenset(),
}


def may_follow(before: InstanceState, after: InstanceState) -> bool:
    """Whether an instance may go from one state to the other."""
    return after in FOLLOWING[before]
