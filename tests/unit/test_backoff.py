from __future__ import annotations

from workers.controller.records import pause_after
from workers.runner.backoff import (
    FORGIVEN_AFTER_S,
    JITTER,
    LONGEST_PAUSE_S,
    MAX_CRASHES,
    WITHIN_S,
    Backoff,
)


def test_pauses_double_up_to_a_minute() -> None:
    backoff = Backoff()
    pauses = [backoff.pause_after_crash(at, 0.0) for at in range(0, 240, 30)]
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_chance_adds_a_tenth_at_most() -> None:
    assert Backoff().pause_after_crash(0.0, 0.999) == 1 + JITTER * 0.999


def test_five_crashes_within_a_minute_are_the_end() -> None:
    backoff = Backoff()
    pauses = [backoff.pause_after_crash(at, 0.0) for at in range(MAX_CRASHES)]
    assert pauses[-1] is None
    assert None not in pauses[:-1]


def test_five_crashes_in_more_than_a_minute_are_not() -> None:
    backoff = Backoff()
    step = WITHIN_S / (MAX_CRASHES - 1)
    assert all(backoff.pause_after_crash(n * step, 0.0) for n in range(MAX_CRASHES * 2))


def test_a_crash_is_forgiven_in_time() -> None:
    backoff = Backoff()
    assert backoff.pause_after_crash(0.0, 0.0) == 1
    assert backoff.pause_after_crash(FORGIVEN_AFTER_S, 0.0) == 1


def test_requests_try_a_failing_model_less_and_less() -> None:
    assert [pause_after(n) for n in (1, 2, 3, 6, 100)] == [2, 4, 8, 60, 60]
