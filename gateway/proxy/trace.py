"""What one request took, noted while it passes and told when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from common.api.requests import End, State
from gateway.proxy.usage import TokenUsage, UsageReader


class Trace:
    """The times and sizes of one request.

    `endpoint` is the path that was asked for. `arrived_at_s` is Unix time, all others are seconds
    of `clock`, which only grows. Without a `model_id` it is not known yet what is asked for.
    `over_at_s` is None while the request is under way.
    """

    # What is not known yet.
    model_id = ""
    end: End = "refused"
    bytes_in = 0
    bytes_out = 0
    queued_at_s: float | None = None
    loading_since_s: float | None = None
    asked_at_s: float | None = None
    first_chunk_at_s: float | None = None
    over_at_s: float | None = None

    def __init__(
        self, endpoint: str, caller: str, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.endpoint = endpoint
        self.caller = caller
        self.arrived_at_s = time.time()
        self.began_s = clock()
        self._clock = clock
        self._usage = UsageReader()

    def now_s(self) -> float:
        """The present."""
        return self._clock()

    @property
    def took_s(self) -> float:
        """How long the request has taken."""
        return (self._clock() if self.over_at_s is None else self.over_at_s) - self.began_s

    def saw(self, chunk: bytes) -> None:
        """A part of the answer's body passes."""
        if self.first_chunk_at_s is None and chunk:
            self.first_chunk_at_s = self._clock()
        self.bytes_out += len(chunk)
        self._usage.feed(chunk)

    def usage(self) -> TokenUsage:
        """The tokens that the answer told of."""
        return self._usage.usage()

    @property
    def state(self) -> State:
        """How far it has come."""
        if not self.model_id:
            return "arriving"
        if self.asked_at_s is None:
            return "waiting"
        return "asked" if self.first_chunk_at_s is None else "answering"

    @property
    def waited_s(self) -> tuple[float, float]:
        """How long the request waited for room, and for the model to load."""
        if self.queued_at_s is None:
            return 0.0, 0.0
        until_s = self.asked_at_s or self.over_at_s or self._clock()
        loading_s = 0.0
        if self.loading_since_s is not None:
            loading_s = max(0.0, until_s - max(self.loading_since_s, self.queued_at_s))
        return until_s - self.queued_at_s - loading_s, loading_s
