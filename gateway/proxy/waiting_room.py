"""Who waits for which model, in order of arrival, and how many may."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gateway.proxy.errors import QueueFull

MAX_WAITING = 256
"""Requests that may wait for one model in one process. Each holds its body in memory meanwhile."""

EXPECTED_S = 10.0
"""How long one that was told to come back counts as waiting: twice as long as it was told to."""


class WaitingRoom:
    """The queues of one process, by model. Everybody in one is let go when its model is ready.

    `clock` gives seconds and only grows.
    """

    def __init__(
        self, max_waiting: int = MAX_WAITING, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.max_waiting = max_waiting
        self._clock = clock
        self._queues: dict[str, list[object]] = {}
        self._expected_until: dict[str, float] = {}

    @contextmanager
    def enter(self, model_id: str, facts: Mapping[str, Any] | None = None) -> Iterator[object]:
        """Wait in the body; gives the ticket. Raises `QueueFull`, with these facts of the model."""
        queue = self._queues.setdefault(model_id, [])
        if len(queue) >= self.max_waiting:
            raise QueueFull(
                f"{len(queue)} requests wait for this model already; try again later",
                {"waiting": len(queue), "limit": self.max_waiting, **(facts or {})},
            )
        ticket = object()
        queue.append(ticket)
        try:
            yield ticket
        finally:
            queue.remove(ticket)
            if not queue:
                self._queues.pop(model_id, None)

    def position(self, model_id: str, ticket: object) -> int:
        """Where a ticket stands, from 1."""
        return self._queues[model_id].index(ticket) + 1

    def expect(self, model_id: str) -> None:
        """One that has waited long enough was told to come back for the model."""
        self._expected_until[model_id] = self._clock() + EXPECTED_S

    def counts(self) -> dict[str, int]:
        """How many wait, by model; models for which nobody waits are not in it.

        Those who are expected back count as one more.
        """
        counts = {model_id: len(queue) for model_id, queue in self._queues.items()}
        now = self._clock()
        for model_id, until in list(self._expected_until.items()):
            if until <= now:
                del self._expected_until[model_id]
            else:
                counts[model_id] = counts.get(model_id, 0) + 1
        return counts
