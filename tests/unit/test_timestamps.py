from __future__ import annotations

import contextlib
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import timestamps
from common.errors import InvalidRequest

FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LATEST_S = 2**33 - 1  # in the year 2242; a float of later times does not hold microseconds
MILLISECONDS = st.integers(0, LATEST_S * 1000)


@pytest.mark.parametrize(
    ("unix_s", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_705_314_600, "2024-01-15T10:30:00.000Z"),
        (1_705_314_600.123, "2024-01-15T10:30:00.123Z"),
        (1_705_314_600.9999, "2024-01-15T10:30:00.999Z"),
        (1_709_208_000, "2024-02-29T12:00:00.000Z"),
    ],
)
def test_times_are_shown_in_utc_with_milliseconds(unix_s: float, text: str) -> None:
    assert timestamps.iso(unix_s) == text


@given(st.floats(0, LATEST_S))
def test_a_shown_time_is_read_as_the_millisecond_it_lies_in(unix_s: float) -> None:
    text = timestamps.iso(unix_s)
    assert FORM.fullmatch(text)
    read = timestamps.parse(text, "since")
    assert -1e-5 < unix_s - read < 0.001 + 1e-5
    assert timestamps.iso(read) == text


@given(MILLISECONDS, MILLISECONDS)
def test_shown_times_sort_like_the_times(one_ms: int, other_ms: int) -> None:
    one, other = timestamps.iso(one_ms / 1000), timestamps.iso(other_ms / 1000)
    assert (one < other) == (one_ms < other_ms)


def test_now_is_now() -> None:
    before = time.time()
    now = timestamps.parse(timestamps.now(), "now")
    assert before - 0.001 <= now <= time.time()


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-15T10:30:00.000Z",
        "2024-01-15T10:30:00Z",
        "2024-01-15T10:30:00",
        "2024-01-15 10:30",
        "2024-01-15T11:30:00+01:00",
        "2024-01-14T22:30:00-12:00",
    ],
)
def test_other_forms_of_the_same_time_are_read(text: str) -> None:
    assert timestamps.parse(text, "since") == 1_705_314_600


@pytest.mark.parametrize("text", ["", "yesterday", "1705314600", "2024-13-01", "\ud800", "é" * 500])
def test_what_is_no_time_is_refused_with_its_field_and_an_example(text: str) -> None:
    with pytest.raises(InvalidRequest, match="since") as caught:
        timestamps.parse(text, "since")
    assert "2024-01-15T10:30:00.000Z" in caught.value.message
    assert len(caught.value.message) < 400


@given(st.text() | st.text("0123456789-:TZ.+W "))
def test_any_text_is_a_time_or_an_invalid_request(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(timestamps.parse(text, "since"), float)
