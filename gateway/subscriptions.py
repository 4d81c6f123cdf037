"""Who gets metrics when, and log lines which. Pure: times are given, nothing is sent.

A client is in neither before `add` and after `remove`.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from common.api.logs import Level, LogEntry

_RANK: dict[Level, int] = {"debug": 0, "info": 1, "warn": 2, "error": 3}


class Pacing:
    """When each client is due, by one heap for all. Times and intervals are in seconds."""

    def __init__(self, default_interval_s: float) -> None:
        self._default_interval_s = default_interval_s
        self._intervals: dict[str, float] = {}
        self._turns: dict[str, int] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()

    def add(self, client_id: str, now: float) -> None:
        """A client that did not say anything: due after the default interval."""
        self._intervals[client_id] = self._default_interval_s
        self._plan(client_id, now + self._default_interval_s)

    def remove(self, client_id: str) -> None:
        """The client is gone."""
        self._intervals.pop(client_id, None)
        self._turns.pop(client_id, None)

    def set_pace(self, client_id: str, interval_s: float, now: float) -> None:
        """A client wants its own pace, beginning now."""
        if client_id in self._intervals:
            self._intervals[client_id] = interval_s
            self._plan(client_id, now)

    def reset_pace(self, client_id: str, now: float) -> None:
        """A client is as the others again."""
        if client_id in self._intervals:
            self.add(client_id, now)

    @property
    def next_at(self) -> float | None:
        """When the next client is due; None where there is none."""
        while self._heap and self._is_stale(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[str]:
        """The clients whose turn has come; their next is planned.

        Who was late is not sent for the turns in between.
        """
        found = []
        while (at := self.next_at) is not None and at <= now:
            client_id = heapq.heappop(self._heap)[2]
            found.append((client_id, at))
        for client_id, at in found:
            interval_s = self._intervals[client_id]
            self._plan(client_id, max(at + interval_s, now + interval_s / 2))
        return [client_id for client_id, _ in found]

    def _plan(self, client_id: str, at: float) -> None:
        number = self._turns[client_id] = next(self._numbers)
        heapq.heappush(self._heap, (at, number, client_id))

    def _is_stale(self, entry: tuple[float, int, str]) -> bool:
        """Whether the client is gone or has been planned anew."""
        _, number, client_id = entry
        return self._turns.get(client_id) != number


@dataclass(frozen=True)
class LogFilter:
    """What a client wants of the log; no `sources` means all."""

    level: Level = "debug"
    sources: tuple[str, ...] = ()

    def wants(self, entry: LogEntry) -> bool:
        """Whether a line passes: its level, and how its source begins."""
        return _RANK[entry.level] >= _RANK[self.level] and (
            not self.sources or entry.source.startswith(self.sources)
        )


EVERYTHING = LogFilter()


class LogReaders:
    """Which clients get which lines, those with the same filter together."""

    def __init__(self) -> None:
        self._filters: dict[str, LogFilter | None] = {}
        self._groups: dict[LogFilter, dict[str, None]] = {}

    def add(self, client_id: str) -> None:
        """A client that did not say anything gets everything."""
        self._filters[client_id] = None
        self.narrow(client_id, EVERYTHING)

    def remove(self, client_id: str) -> None:
        """The client is gone."""
        self.mute(client_id)
        self._filters.pop(client_id, None)

    def narrow(self, client_id: str, wanted: LogFilter) -> None:
        """A client gets what it wants from now on."""
        if client_id in self._filters:
            self.mute(client_id)
            self._filters[client_id] = wanted
            self._groups.setdefault(wanted, {})[client_id] = None

    def mute(self, client_id: str) -> None:
        """A client gets nothing from now on."""
        wanted = self._filters.get(client_id)
        if wanted is not None:
            self._filters[client_id] = None
            members = self._groups[wanted]
            del members[client_id]
            if not members:
                del self._groups[wanted]

    def of(self, entry: LogEntry) -> Iterable[str]:
        """Who gets a line."""
        for wanted, members in self._groups.items():
            if wanted.wants(entry):
                yield from members

    def filters_for(self, entry: LogEntry) -> list[LogFilter]:
        """The filters, of clients who are here, that a line passes."""
        return [wanted for wanted in self._groups if wanted.wants(entry)]

    def members(self, wanted: LogFilter) -> Iterable[str]:
        """Who has exactly this filter."""
        return self._groups.get(wanted, {})
