"""From a request's trace to its record."""

from __future__ import annotations

import pytest

from common import timestamps
from common.api.requests import State
from common.bus import wire
from gateway.proxy.records import MAX_MODEL_CHARACTERS, in_flight, record
from gateway.proxy.trace import Trace

ANSWER = (
    b'{"usage":{"prompt_tokens":30,"completion_tokens":12},"timings":{"cache_n":10,"prompt_n":20,'
    b'"predicted_n":12,"predicted_per_second":119.5}}'
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def traced(clock: Clock) -> Trace:
    trace = Trace("/v1/chat/completions", "alice", clock)
    trace.arrived_at_s = 1_705_314_600.25
    trace.model_id = "team/tiny"
    trace.bytes_in = 77
    return trace


def test_a_record_has_all_that_a_request_took() -> None:
    clock = Clock()
    trace = traced(clock)
    clock.now_s += 1
    trace.queued_at_s = clock.now_s
    clock.now_s += 2
    trace.loading_since_s = clock.now_s
    clock.now_s += 4
    trace.asked_at_s = clock.now_s
    clock.now_s += 0.5
    trace.saw(ANSWER)
    clock.now_s += 0.25
    trace.end = "done"
    told = record(trace, "proxy@host/1-a", "proxy@host", 200)
    assert (told.id, told.proxy, told.status, told.end) == (
        "proxy@host/1-a",
        "proxy@host",
        200,
        "done",
    )
    assert (told.model, told.endpoint, told.caller) == (
        "team/tiny",
        "/v1/chat/completions",
        "alice",
    )
    assert told.started_at == timestamps.iso(1_705_314_600.25)
    assert (told.queue_ms, told.load_ms) == (2000.0, 4000.0)
    assert (told.first_token_ms, told.duration_ms) == (7500.0, 7750.0)
    assert (told.bytes_in, told.bytes_out) == (77, len(ANSWER))
    assert (told.prompt_tokens, told.cached_tokens, told.completion_tokens) == (30, 10, 12)
    assert told.tokens_per_second == 119.5


def test_what_is_not_known_is_null() -> None:
    told = record(traced(Clock()), "id", "proxy", 503)
    assert (told.prompt_tokens, told.cached_tokens, told.completion_tokens) == (None, None, None)
    assert (told.tokens_per_second, told.first_token_ms) == (None, None)
    assert (told.queue_ms, told.load_ms, told.duration_ms) == (0, 0, 0)


def test_under_way_times_go_on() -> None:
    clock = Clock()
    trace = traced(clock)
    trace.queued_at_s = clock.now_s
    for seconds in (1, 2):
        clock.now_s = 100.0 + seconds
        told = in_flight(trace, "id", "proxy", 0)
        assert (told.queue_ms, told.duration_ms) == (seconds * 1000, seconds * 1000)


def test_the_state_says_how_far_it_has_come() -> None:
    clock = Clock()
    trace = Trace("/v1/completions", "alice", clock)
    states: list[State] = [trace.state]
    trace.model_id = "tiny"
    states.append(trace.state)
    trace.asked_at_s = clock.now_s
    states.append(trace.state)
    trace.saw(b"x")
    states.append(trace.state)
    assert states == ["arriving", "waiting", "asked", "answering"]


@pytest.mark.parametrize("name", ["x" * 1_000_000, "\ud800", "é" * 5000])
def test_no_made_up_name_is_too_much_for_a_record(name: str) -> None:
    trace = traced(Clock())
    trace.model_id = name
    for told in (record(trace, "i", "p", 404), in_flight(trace, "i", "p", 0)):
        assert len(told.model) <= MAX_MODEL_CHARACTERS + 1
        wire.encode(told)
