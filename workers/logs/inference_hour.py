"""Inference of all proxies over the last hour, per second, made of the records of finished requests
and of those under way. Pure; times are given, in seconds since 1970."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from math import floor

from common import timestamps
from common.api.metrics import HISTORY_SECONDS, InferenceHistory
from common.api.requests import Request, RequestInFlight, RequestRecord

SLACK_SECONDS = 300
"""How much older seconds may be kept, so that they go in blocks."""

# A second's figures. What lasts is kept in two: the share of the second in which it began or ended
# (PART), and by how much more or less there is of it from this second on (STEP), so that a request
# costs the same however long it took.
_IN_FLIGHT, _WAITING, _TOKENS = 0, 2, 4
_STEPS = (_IN_FLIGHT + 1, _WAITING + 1, _TOKENS + 1)
_FINISHED, _FIRST_TOKENS, _FIRST_TOKEN_MS, _ANSWERS, _LATENCY_MS = 6, 7, 8, 9, 10
_WIDTH = 11


class InferenceHour:
    """`add` each record once, in any order; `last` tells.

    Nothing is told of the time before `known_from_s` and before the first record: that there were
    no requests then is not known.
    """

    def __init__(self, known_from_s: float = 0.0) -> None:
        self._known_from_s = known_from_s
        self._seconds: dict[int, array[float]] = {}
        self._forgotten = array("d", [0.0]) * _WIDTH
        self._from_s: int | None = None

    def add(self, record: RequestRecord, now_s: float) -> None:
        """Take in a finished request."""
        began_s = timestamps.parse(record.started_at, "startedAt")
        ended_s = began_s + record.duration_ms / 1000
        self._forget(floor(now_s) - HISTORY_SECONDS - SLACK_SECONDS)
        if ended_s < (self._from_s or 0):
            return
        self._known_from_s = min(self._known_from_s, began_s)
        self._last(_IN_FLIGHT, began_s, ended_s)
        self._last(_WAITING, began_s, min(ended_s, began_s + _waited_s(record)))
        if record.completion_tokens:
            flowed_s = began_s + (record.first_token_ms or 0) / 1000
            flowed_s = min(flowed_s, ended_s - 0.001)  # an answer in one piece took a moment, too
            self._last(_TOKENS, flowed_s, ended_s, record.completion_tokens / (ended_s - flowed_s))
        second = self._second(floor(ended_s))
        second[_FINISHED] += 1
        if record.end == "done":
            second[_ANSWERS] += 1
            second[_LATENCY_MS] += record.duration_ms
            if record.first_token_ms is not None:
                second[_FIRST_TOKENS] += 1
                second[_FIRST_TOKEN_MS] += record.first_token_ms

    def last(
        self, seconds: int, now_s: float, under_way: Iterable[RequestInFlight] = ()
    ) -> InferenceHistory:
        """The whole seconds before `now_s`; `under_way` are requests that `add` has not seen."""
        present = InferenceHour()
        for request in under_way:
            began_s = timestamps.parse(request.started_at, "startedAt")
            waits = request.state in ("arriving", "waiting")
            waited_s = now_s if waits else began_s + _waited_s(request)
            present._last(_IN_FLIGHT, began_s, now_s)
            present._last(_WAITING, began_s, min(now_s, waited_s))
        end = floor(now_s)
        first = min(end, max(end - seconds, floor(self._known_from_s)))
        ours, theirs = self._figures(first, end), present._figures(first, end)
        rows = [
            array("d", map(sum, zip(*pair, strict=True))) for pair in zip(ours, theirs, strict=True)
        ]
        return InferenceHistory(
            times_ms=[second * 1000 for second in range(first, end)],
            in_flight=[_rounded(row[_IN_FLIGHT]) for row in rows],
            waiting=[_rounded(row[_WAITING]) for row in rows],
            finished=[int(row[_FINISHED]) for row in rows],
            first_token_ms=[_mean(row[_FIRST_TOKEN_MS], row[_FIRST_TOKENS]) for row in rows],
            latency_ms=[_mean(row[_LATENCY_MS], row[_ANSWERS]) for row in rows],
            tokens_out=[_rounded(row[_TOKENS]) for row in rows],
        )

    def _figures(self, first: int, end: int) -> list[array[float]]:
        """The figures of each second, steps summed up."""
        level = [self._forgotten[step] for step in _STEPS]
        for at, second in self._seconds.items():
            if at < first:
                level = [sum(pair) for pair in zip(level, (second[s] for s in _STEPS), strict=True)]
        rows = []
        nothing = array("d", [0.0]) * _WIDTH
        for at in range(first, end):
            row = self._seconds.get(at, nothing)[:]
            for index, step in enumerate(_STEPS):
                level[index] += row[step]
                row[step - 1] += level[index]
            rows.append(row)
        return rows

    def _last(self, figure: int, began_s: float, ended_s: float, height: float = 1.0) -> None:
        """Something of this height was there for so long."""
        if ended_s <= began_s:
            return
        first, last = floor(began_s), floor(ended_s)
        # Whole from the second in which it begins to before that in which it ends, less what it
        # missed of the first, and what it had of the last.
        self._second(first)[figure + 1] += height
        self._second(first)[figure] -= height * (began_s - first)
        self._second(last)[figure + 1] -= height
        self._second(last)[figure] += height * (ended_s - last)

    def _second(self, at: int) -> array[float]:
        if self._from_s is not None and at < self._from_s:
            return self._forgotten  # its step counts on, and nothing else is read of it
        return self._seconds.setdefault(at, array("d", [0.0]) * _WIDTH)

    def _forget(self, before: int) -> None:
        if self._from_s is not None and before < self._from_s + SLACK_SECONDS:
            return
        self._from_s = before
        for at in [at for at in self._seconds if at < before]:
            second = self._seconds.pop(at)
            for step in _STEPS:
                self._forgotten[step] += second[step]


def _waited_s(request: Request) -> float:
    return (request.queue_ms + request.load_ms) / 1000


def _mean(total: float, count: float) -> float | None:
    return round(total / count, 3) if count else None


def _rounded(value: float) -> float:
    return round(max(value, 0.0), 3)  # sums of parts may miss zero by a hair
