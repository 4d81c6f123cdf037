from __future__ import annotations

from pathlib import Path

import pytest

from common.api.requests import End
from gateway.proxy import activity
from gateway.proxy.activity import Activity
from gateway.proxy.trace import Trace


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def request(self, counts: Activity, took_s: float, end: End = "done") -> None:
        """One request from its begin to its end."""
        trace = Trace("/v1/chat/completions", "somebody", self)
        counts.began()
        self.now_s += took_s
        trace.end = end
        counts.ended(trace)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_request_is_active_while_it_lasts_and_processed_at_its_end(clock: Clock) -> None:
    counts = Activity()
    done, refused = (Trace("/v1/completions", "somebody", clock) for _ in range(2))
    counts.began()
    counts.began()
    assert (counts.row().active, counts.row().processed) == (2, 0)
    counts.ended(refused)
    assert (counts.row().active, counts.row().processed) == (1, 0)
    done.end = "done"
    counts.ended(done)
    assert (counts.row().active, counts.row().processed) == (0, 1)


@pytest.mark.parametrize("end", ["refused", "failed", "cut", "left", "cancelled"])
def test_a_request_that_was_not_answered_to_the_end_is_not_processed(
    clock: Clock, end: End
) -> None:
    counts = Activity()
    clock.request(counts, 1, end)
    row = counts.row()
    assert (row.active, row.processed, row.recent, row.recent_ms) == (0, 0, 0, 0)


def test_response_times_are_from_begin_to_end_in_ms(clock: Clock) -> None:
    counts = Activity()
    clock.request(counts, 0.25)
    clock.request(counts, 0.75)
    row = counts.row()
    assert (row.recent, row.recent_ms) == (2, 1000.0)


def test_only_the_last_requests_make_the_mean(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "RECENT", 3)
    counts = Activity()
    for took_s in (100, 1, 2, 3):
        clock.request(counts, took_s)
    row = counts.row()
    assert (row.processed, row.recent, row.recent_ms) == (4, 3, 6000.0)


def test_a_successor_goes_on_counting(clock: Clock, tmp_path: Path) -> None:
    first = Activity(tmp_path / "proxy.requests")
    for _ in range(300):
        clock.request(first, 1)
    second = Activity(tmp_path / "proxy.requests")
    assert (second.row().processed, second.row().recent) == (300, 0)
    clock.request(second, 1)
    assert second.row().processed == 301


def test_a_file_that_is_too_short_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "proxy.requests"
    file.write_bytes(b"")
    assert Activity(file).row().processed == 0
