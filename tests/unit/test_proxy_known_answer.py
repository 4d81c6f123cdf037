"""Answers of an engine that are recognised: they must read as the parser reads them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.proxy.errors import UpstreamBroken
from gateway.proxy.known_answer import KnownAnswer, WholeAnswer
from gateway.proxy.response_parser import ResponseParser

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: %d\r\n\r\n%b"
BARE = b"HTTP/1.1 %d OK\r\ncontent-length: %d\r\n\r\n%b"
ANSWERS = [
    LENGTH % (5, b"hello"),
    LENGTH % (2, b"ok"),
    LENGTH % (0, b""),
    LENGTH % (7, b"too") + b"",
    (LENGTH % (2, b"ok")).replace(b"200", b"500"),
    (LENGTH % (2, b"ok")).replace(b"a/b", b"c/d"),
    (LENGTH % (2, b"ok")).replace(b"HTTP/1.1", b"HTTP/1.0"),
    (LENGTH % (2, b"ok")).replace(b"a/b", b"a/b\r\nConnection: close"),
    BARE % (200, 2, b"ok"),
    BARE % (204, 0, b""),
    BARE % (304, 2, b"ok"),
    BARE % (200, 2, b"okay"),
    *(
        b"HTTP/1.1 %d Wait\r\ncontent-length: 44\r\n\r\n" % status + BARE % (200, 4, b"body")
        for status in (100, 102, 103)
    ),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
]


def parsed(data: bytes) -> ResponseParser | None:
    parser = ResponseParser()
    try:
        parser.feed(data)
    except UpstreamBroken:
        return None
    return parser


@given(st.lists(st.sampled_from(ANSWERS), max_size=6))
@example([LENGTH % (5, b"hello"), LENGTH % (12, b"hello, world")])
@example([ANSWERS[12], ANSWERS[12]])
@example([ANSWERS[13], ANSWERS[13]])
@example([ANSWERS[9], ANSWERS[10]])
def test_what_is_recalled_is_what_would_be_parsed(answers: list[bytes]) -> None:
    known = KnownAnswer()
    for data in answers:
        recalled, read = known.recall(data), parsed(data)
        if recalled is not None:
            assert read is not None
            assert read.head is not None
            assert (recalled.head.status, recalled.head.headers) == (
                read.head.status,
                read.head.headers,
            )
            assert (recalled.length, recalled.complete, recalled.reusable) == (
                read.length,
                read.complete,
                read.reusable,
            )
            assert recalled.take(1 << 20) == read.take(1 << 20)
        elif read is not None:
            known.learn(data, read)


def recalled_after(first: bytes, second: bytes) -> WholeAnswer:
    known, read = KnownAnswer(), parsed(first)
    assert read is not None
    known.learn(first, read)
    recalled = known.recall(second)
    assert recalled is not None
    return recalled


def test_another_length_is_another_answer_with_the_same_head() -> None:
    answer = recalled_after(LENGTH % (5, b"hello"), LENGTH % (12, b"hello, world"))
    assert (answer.length, answer.buffered_bytes) == (12, 12)
    assert [answer.take(5), answer.take(5), answer.take(5), answer.take(5)] == [
        b"hello",
        b", wor",
        b"ld",
        b"",
    ]


@pytest.mark.parametrize("then", [b"", b"x", None])
def test_what_follows_an_answer_ends_its_connection(then: bytes | None) -> None:
    answer = recalled_after(LENGTH % (2, b"ok"), LENGTH % (2, b"ok"))
    if then is None:
        answer.end()
    else:
        answer.feed(then)
    assert answer.reusable is (then == b"")
    assert answer.take(5) == b"ok"
