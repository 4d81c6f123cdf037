"""Heads that come again: recognised where they are the same, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.known_head import MAX_BYTES, KnownHead

HEAD = b"POST /a HTTP/1.1\r\nhost: x\r\nContent-Length: %b\r\nauthorization: Bearer y\r\n\r\n"
LINES = 3
BARE = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"


def learnt(message: bytes, headers: int = LINES) -> KnownHead:
    known = KnownHead.learn(message, headers)
    assert known is not None
    return known


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 12_345, b"\r\n\r\n", HEAD % b"3"])
def test_only_the_length_of_the_body_may_differ(body: bytes) -> None:
    known = learnt(HEAD % b"4" + b"body")
    assert known.body_of(HEAD % b"%d" % len(body) + body) == body


@pytest.mark.parametrize(
    "message",
    [
        b"",
        HEAD % b"4",
        HEAD % b"4" + b"bod",
        HEAD % b"4" + b"body!",
        HEAD % b"04" + b"body",
        HEAD % b"+4" + b"body",
        HEAD % b" 4" + b"body",
        HEAD % b"4 " + b"body",
        HEAD % b"4\r\ncontent-length: 4" + b"body",
        HEAD % b"" + b"body",
        HEAD % b"-1" + b"body",
        HEAD.replace(b"/a", b"/b") % b"4" + b"body",
        HEAD.replace(b"Bearer y", b"Bearer z") % b"4" + b"body",
        HEAD.replace(b"POST", b"post") % b"4" + b"body",
        HEAD.replace(b"\r\nauth", b"\nauth") % b"4" + b"body",
        HEAD.replace(b"y\r\n", b"y\r\nx: y\r\n") % b"4" + b"body",
        b"\r\n" + HEAD % b"4" + b"body",
        BARE,
    ],
)
def test_anything_else_is_not_recognised(message: bytes) -> None:
    assert learnt(HEAD % b"4" + b"body").body_of(message) is None


def test_a_head_without_a_length_has_no_body() -> None:
    known = learnt(BARE, 1)
    assert known.body_of(BARE) == b""
    assert known.body_of(BARE + b"x") is None
    assert known.body_of(BARE + BARE) is None
    assert known.body_of(BARE[:-1]) is None


@pytest.mark.parametrize(
    ("message", "headers"),
    [
        (HEAD % b"4" + b"body", LINES + 1),
        (HEAD % b"4" + b"body", LINES - 1),
        (b"\r\n" + HEAD % b"4" + b"body", LINES),
        (HEAD % b"4" + b"bod", LINES),
        (HEAD % b"4" + b"body" + BARE, LINES),
        (HEAD.replace(b"\r\nauth", b"\nauth") % b"4" + b"body", LINES),
        (HEAD.replace(b"x\r\n", b"x\r\n y\r\n") % b"4" + b"body", LINES),
        (HEAD.replace(b"host: x", b"content-length: 4") % b"4" + b"body", LINES),
        (BARE[:-2], 1),
        (BARE.replace(b"x", b"x" * MAX_BYTES), 1),
        (b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 1),
        (b"", 0),
    ],
)
def test_what_does_not_look_like_what_was_read_is_not_learnt(message: bytes, headers: int) -> None:
    assert KnownHead.learn(message, headers) is None


@given(message=st.binary(max_size=200), cut=st.integers(min_value=0, max_value=90))
def test_no_bytes_are_taken_for_a_head_that_they_do_not_begin_with(
    message: bytes, cut: int
) -> None:
    known = learnt(HEAD % b"4" + b"body")
    given_bytes = (HEAD % b"7")[:cut] + message
    body = known.body_of(given_bytes)
    if body is not None:
        assert given_bytes == HEAD % b"%d" % len(body) + body
