"""Figures of inference per second, made of requests."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from common import timestamps
from common.api.metrics import InferenceHistory
from common.api.requests import RequestInFlight
from tests.support.request_records import made, under_way
from workers.logs.inference_hour import InferenceHour

T = 1_705_314_600


def add(hour: InferenceHour, began_s: float, took_s: float, **other: Any) -> None:
    told = {"queue_ms": 0.0, "load_ms": 0.0, "first_token_ms": None, "completion_tokens": None}
    record = structs.replace(
        made(0),
        started_at=timestamps.iso(began_s),
        duration_ms=took_s * 1000,
        **(told | {"end": "done"} | other),
    )
    hour.add(record, began_s + took_s)


def last(
    hour: InferenceHour, seconds: int, now_s: float, *more: RequestInFlight
) -> InferenceHistory:
    return hour.last(seconds, now_s, more)


def test_without_requests_there_are_zeros_and_no_means() -> None:
    told = last(InferenceHour(), 3, T + 0.7)
    assert told.times_ms == [(T - 3) * 1000, (T - 2) * 1000, (T - 1) * 1000]
    assert told.in_flight == told.waiting == told.tokens_out == [0.0] * 3
    assert told.finished == [0] * 3
    assert told.first_token_ms == told.latency_ms == [None] * 3


def test_a_request_counts_by_the_time_that_it_was_there() -> None:
    hour = InferenceHour()
    add(hour, T + 0.5, 2.75, queue_ms=1_000.0)
    add(hour, T + 1.0, 0.25)
    told = last(hour, 5, T + 5)
    assert told.in_flight == [0.5, 1.25, 1.0, 0.25, 0.0]
    assert told.waiting == [0.5, 0.5, 0.0, 0.0, 0.0]
    assert told.finished == [0, 1, 0, 1, 0]


def test_means_are_of_what_ended_in_that_second_with_an_answer() -> None:
    hour = InferenceHour()
    add(hour, T, 1.5, first_token_ms=200.0)
    add(hour, T + 1, 0.5, first_token_ms=100.0)
    add(hour, T + 1, 0.1, end="refused")
    told = last(hour, 2, T + 2)
    assert told.finished == [0, 3]
    assert told.first_token_ms == [None, 150.0]
    assert told.latency_ms == [None, 1000.0]


def test_tokens_count_while_the_answer_flowed() -> None:
    hour = InferenceHour()
    add(hour, T, 3.0, first_token_ms=1_000.0, completion_tokens=100)
    assert last(hour, 4, T + 4).tokens_out == [0.0, 50.0, 50.0, 0.0]


def test_an_answer_in_one_piece_loses_no_token() -> None:
    hour = InferenceHour()
    add(hour, T + 0.2, 0.3, first_token_ms=300.0, completion_tokens=7)
    assert sum(last(hour, 2, T + 2).tokens_out) == pytest.approx(7, abs=0.01)


def test_what_is_under_way_is_there_until_now() -> None:
    told = last(
        InferenceHour(),
        3,
        T + 3.2,
        under_way(T + 0.5, queue_ms=500.0),
        under_way(T + 2.0, state="waiting"),
    )
    assert told.in_flight == [0.5, 1.0, 2.0]
    assert told.waiting == [0.5, 0.0, 1.0]


def test_a_request_from_before_the_window_is_in_flight_in_it() -> None:
    hour = InferenceHour()
    add(hour, T, 100.0)
    assert last(hour, 3, T + 50).in_flight == [1.0] * 3
    assert last(hour, 3, T + 102).in_flight == [1.0, 0.0, 0.0]


def test_an_hour_is_kept_and_long_requests_go_on_when_their_beginning_is_forgotten() -> None:
    hour = InferenceHour()
    add(hour, T, 5_000.0)
    for second in range(0, 9_000, 10):
        add(hour, T + second, 0.5)
    assert len(hour._seconds) <= 4_300
    told = last(hour, 3_600, T + 9_000)
    assert sum(told.finished) == 360
    assert sum(told.in_flight) == pytest.approx(180)


def test_a_record_that_comes_late_by_more_than_an_hour_changes_nothing() -> None:
    hour = InferenceHour()
    add(hour, T + 9_000, 1.0)
    before = last(hour, 3_600, T + 9_002)
    late = structs.replace(made(0), started_at=timestamps.iso(T))
    hour.add(late, T + 9_001)
    assert last(hour, 3_600, T + 9_002) == before


def test_nothing_is_told_of_the_time_before_anything_was_known() -> None:
    hour = InferenceHour(known_from_s=T + 10)
    assert last(hour, 60, T + 10.5).times_ms == []
    assert last(hour, 60, T + 12.5).times_ms == [(T + 10) * 1000, (T + 11) * 1000]
    add(hour, T + 8.5, 0.25)
    assert last(hour, 60, T + 12.5).finished == [1, 0, 0, 0]
