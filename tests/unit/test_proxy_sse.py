from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.sse import MAX_HELD_BYTES, EventFence


def test_whole_events_pass_at_once_and_unchanged() -> None:
    fence = EventFence()
    assert fence.feed(b"data: 1\n\n") == b"data: 1\n\n"
    assert fence.feed(b": ping\n\ndata: 2\n\n") == b": ping\n\ndata: 2\n\n"
    assert fence.rest() == b""


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_an_unfinished_event_waits_for_its_rest(end: bytes) -> None:
    fence = EventFence()
    assert fence.feed(b"data: 1" + end + b"data: 2") == b"data: 1" + end
    for byte in end[:-1]:
        assert fence.feed(bytes([byte])) == b""
    assert fence.feed(end[-1:]) == b"data: 2" + end


def test_a_stream_that_ends_as_it_should_loses_nothing() -> None:
    fence = EventFence()
    assert fence.feed(b"data: 1\n\ndata: [DONE]\n") == b"data: 1\n\n"
    assert fence.rest() == b"data: [DONE]\n"


def test_a_cut_leaves_the_unfinished_event_out() -> None:
    fence = EventFence()
    assert fence.feed(b'data: 1\n\ndata: {"half') == b"data: 1\n\n"
    assert fence.cut() == b""
    assert fence.rest() == b""


def test_a_long_event_is_passed_on_and_ended_where_it_is_cut() -> None:
    fence = EventFence()
    long = b"data: " + b"x" * MAX_HELD_BYTES
    assert fence.feed(long) == long
    assert fence.feed(b"more") == b"more"
    assert fence.cut() == b"\n\n"


def test_after_a_long_event_the_next_is_held_again() -> None:
    fence = EventFence()
    long = b"data: " + b"x" * MAX_HELD_BYTES
    fence.feed(long)
    assert fence.feed(b"y\n\ndata: 2") == b"y\n\n"
    assert fence.cut() == b""


@given(st.lists(st.text(alphabet="ab\n\r", max_size=6).map(str.encode), max_size=20), st.booleans())
def test_what_passes_is_the_stream_or_whole_events_of_it(pieces: list[bytes], cut: bool) -> None:
    fence = EventFence()
    sent = b"".join(fence.feed(piece) for piece in pieces)
    stream = b"".join(pieces)
    assert stream.startswith(sent)
    if cut:
        assert fence.cut() == b""
        assert not sent or sent.endswith((b"\n\n", b"\n\r\n", b"\r\r"))
    else:
        assert sent + fence.rest() == stream
