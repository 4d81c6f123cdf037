"""Token counts from the ends of answers, however these are cut into chunks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.usage import HEAD_BYTES, TAIL_BYTES, TokenUsage, UsageReader

TIMINGS = {
    "cache_n": 3,
    "prompt_n": 7,
    "prompt_ms": 12.5,
    "predicted_n": 50,
    "predicted_ms": 1000.0,
    "predicted_per_second": 50.0,
}
OPENAI_USAGE = {
    "completion_tokens": 50,
    "prompt_tokens": 10,
    "total_tokens": 60,
    "prompt_tokens_details": {"cached_tokens": 3},
}
WHOLE = TokenUsage(prompt=10, cached=3, completion=50, per_second=50.0)


def data(value: object) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def read(*chunks: bytes) -> TokenUsage:
    reader = UsageReader()
    for chunk in chunks:
        reader.feed(chunk)
    return reader.usage()


def test_the_last_event_of_a_chat_stream_has_timings() -> None:
    pieces = [data({"choices": [{"delta": {"content": "word "}}]})] * 50
    assert read(*pieces, data({"choices": [], "timings": TIMINGS}), b"data: [DONE]\n\n") == WHOLE


def test_a_whole_answer_has_usage() -> None:
    answer = {"choices": [{"message": {"content": "word " * 50}}], "usage": OPENAI_USAGE}
    assert read(json.dumps(answer).encode()) == WHOLE._replace(per_second=None)


def test_the_responses_api_says_it_within_its_last_event() -> None:
    usage = {"input_tokens": 10, "output_tokens": 50, "input_tokens_details": {"cached_tokens": 3}}
    events = data({"type": "response.completed", "response": {"usage": usage, "tools": []}})
    assert read(b"event: response.completed\n", events) == WHOLE._replace(per_second=None)


def test_anthropics_prompt_is_told_first_and_its_answer_last() -> None:
    start = {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 0}
    chunks = [
        data({"type": "message_start", "message": {"id": "m", "usage": start}}),
        *[data({"type": "content_block_delta", "delta": {"text": "x" * 500}})] * 100,
        data({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 50}}),
    ]
    assert read(*chunks) == WHOLE._replace(per_second=None)


def test_what_the_model_wrote_is_not_taken_for_a_count() -> None:
    said = 'it says "usage":{"prompt_tokens":999} and "timings":{"predicted_n":999}'
    answer = {"choices": [{"message": {"content": said}}]}
    assert read(json.dumps(answer).encode()) == TokenUsage()


def test_null_usage_of_earlier_events_is_passed_over() -> None:
    assert read(data({"usage": OPENAI_USAGE}), data({"usage": None})).completion == 50


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_chunks_of_any_size(size: int) -> None:
    stream = data({"delta": "y" * 300}) * 200 + data({"usage": OPENAI_USAGE, "timings": TIMINGS})
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert read(*chunks) == WHOLE


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_are_no_counts_and_no_error(chunks: list[bytes]) -> None:
    usage = read(*chunks)
    assert all(count is None or count >= 0 for count in usage)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_odd_values_where_counts_should_be(value: object) -> None:
    read(
        data({"usage": value}), data({"timings": value}), data({"usage": {"prompt_tokens": value}})
    )


def test_timings_that_say_less_than_usage_are_completed_by_it() -> None:
    timings = {"predicted_per_second": 50.0}
    assert read(data({"usage": OPENAI_USAGE, "timings": timings})) == WHOLE


@pytest.mark.parametrize("count", [10**30, 2**63, -1, 1.5, True, "7"])
def test_a_count_that_cannot_be_one_is_none(count: object) -> None:
    assert read(data({"usage": {"prompt_tokens": count}})) == TokenUsage()


@pytest.mark.parametrize("speed", [b"1e999", b"-1", b"true", b"NaN", b"9" * 400])
def test_a_speed_that_cannot_be_one_is_none(speed: bytes) -> None:
    assert read(b'{"timings":{"predicted_per_second":' + speed + b"}}") == TokenUsage()


def test_what_is_kept_is_bounded() -> None:
    reader = UsageReader()
    for _ in range(1000):
        reader.feed(b"z" * 65536)
        reader.feed(b"z")
    kept = sum(len(part) for part in reader._tail) + len(reader._head)
    assert kept <= HEAD_BYTES + 2 * TAIL_BYTES


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ({"predicted_per_second": -1}, WHOLE._replace(per_second=None)),
        ({"predicted_per_second": "fast"}, WHOLE._replace(per_second=None)),
        ({"predicted_n": 50.5}, WHOLE._replace(completion=None)),
        ({"more": {"of": {"it": 1}}}, WHOLE),
    ],
)
def test_one_odd_value_does_not_spoil_the_others(odd: dict[str, object], told: TokenUsage) -> None:
    earlier = data({"timings": TIMINGS | {"predicted_n": 1, "prompt_n": 1}})
    assert read(earlier, data({"timings": TIMINGS | odd})) == told


def test_nothing_is_too_deep() -> None:
    for key in (b"timings", b"usage"):
        assert read(b'{"%b": {"x": %b' % (key, b"[" * 16_000 + b"}")) == TokenUsage()
