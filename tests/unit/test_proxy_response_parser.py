from __future__ import annotations

import contextlib
import itertools
import re
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.proxy.errors import UpstreamBroken, UpstreamClosed, UpstreamMalformed
from gateway.proxy.response_parser import MAX_HEAD_BYTES, MAX_INTERIM_ANSWERS, ResponseParser


@dataclass(frozen=True)
class Read:
    """What came of an answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    reusable: bool


def read(*pieces: bytes, closed: bool = False) -> Read:
    parser = ResponseParser()
    body = b""
    for piece in pieces:
        parser.feed(piece)
        body += parser.take(1 << 30)
    if closed:
        parser.end()
    assert parser.complete
    assert parser.head is not None
    return Read(parser.head.status, parser.head.headers, body, parser.reusable)


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + LENGTH


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED, INTERIM])
def test_every_split_reads_the_same(answer: bytes) -> None:
    for first in range(len(answer) + 1):
        for second in range(first, len(answer) + 1, 7):
            result = read(answer[:first], answer[first:second], answer[second:])
            assert (result.status, result.body, result.reusable) == (200, b"hello", True)
            assert (b"content-type", b"a/b") in result.headers
            assert b"content-length" not in dict(result.headers)


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED, INTERIM])
def test_every_cut_is_noticed(answer: bytes) -> None:
    for end in range(len(answer)):
        parser = ResponseParser()
        parser.feed(answer[:end])
        assert not parser.complete
        with pytest.raises(UpstreamClosed):
            parser.end()
        assert not parser.reusable


def test_a_closed_connection_says_where_it_was_cut() -> None:
    silent = ResponseParser()
    with pytest.raises(UpstreamClosed, match="without an answer"):
        silent.end()
    assert not silent.started
    within_head = ResponseParser()
    within_head.feed(b"HTTP/1.1 2")
    with pytest.raises(UpstreamClosed, match="within the head"):
        within_head.end()
    within_body = ResponseParser()
    within_body.feed(LENGTH[:-1])
    with pytest.raises(UpstreamClosed, match="within the body"):
        within_body.end()


def test_without_length_the_body_lasts_until_the_connection_ends() -> None:
    result = read(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo", closed=True)
    assert (result.body, result.reusable) == (b"hello", False)


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_body_end_with_their_head(status: int) -> None:
    result = read(b"HTTP/1.1 %d X\r\n\r\n" % status)
    assert (result.status, result.body) == (status, b"")


def test_the_engine_may_end_the_connection_after_the_answer() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
    assert not read(closing).reusable
    assert not read(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx").reusable


@pytest.mark.parametrize("surplus", [b"x", LENGTH, LENGTH[:9]])
def test_bytes_behind_the_answer_are_not_read_and_end_the_connection(surplus: bytes) -> None:
    for pieces in ([LENGTH + surplus], [LENGTH, surplus]):
        result = read(*pieces)
        assert (result.body, result.reusable) == (b"hello", False)


def test_a_trailer_does_not_become_a_header_of_the_next_answer() -> None:
    assert read(CHUNKED).headers == [
        (b"content-type", b"a/b"),
        (b"transfer-encoding", b"chunked"),
    ]


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"garbage\r\n\r\n", "Expected HTTP"),
        (b"\x00\x01\x02", "Expected HTTP"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "version 2.0"),
        (b"HTTP/0.9 200 OK\r\n\r\n", "version 0.9"),
        (b"HTTP/1.1 000 X\r\n\r\n", "status 0"),
        (b"HTTP/1.1 600 X\r\n\r\n", "status 600"),
        (b"HTTP/1.1 20x X\r\n\r\n", "status code"),
        (b"HTTP/1.1 101 X\r\nUpgrade: y\r\nConnection: upgrade\r\n\r\n", "status 101"),
        (b"HTTP/1.1 200 OK\n\n", "CR"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "whitespace"),
        (b"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", "header value"),
        (b"HTTP/1.1 200 OK\r\n: b\r\n\r\n", "header token"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "Content-Length"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "Transfer-Encoding",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer encoding"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "transfer encoding"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", "chunk"),
    ],
)
def test_what_is_not_http_is_refused(answer: bytes, complaint: str) -> None:
    with pytest.raises(UpstreamMalformed, match=re.escape(complaint)):
        read(answer, closed=True)


LINE = b"x" * 1000


@pytest.mark.parametrize(
    "endless",
    [
        [b"HTTP/1.1 200 ", LINE],
        [b"HTTP/1.1 200 OK\r\nA: ", LINE],
        [b"HTTP/1.1 200 OK\r\n", b"A: " + LINE + b"\r\n"],
        [CHUNKED[:-2], b"A: " + LINE + b"\r\n"],
        [CHUNKED[:-2] + b"A: ", LINE],
        [CHUNKED[:-5] + b"1;", LINE],
    ],
    ids=["status", "header", "headers", "trailers", "trailer", "chunk extension"],
)
def test_lines_and_heads_are_bounded(endless: list[bytes]) -> None:
    begin, more = endless
    with pytest.raises(UpstreamMalformed, match=str(MAX_HEAD_BYTES)):
        read(begin, *[more] * (MAX_HEAD_BYTES // len(LINE) + 2))


def test_interim_answers_are_bounded() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert read(interim * MAX_INTERIM_ANSWERS + LENGTH).status == 200
    with pytest.raises(UpstreamMalformed, match="interim"):
        read(interim * (MAX_INTERIM_ANSWERS + 1) + LENGTH)


def test_a_body_is_taken_in_pieces() -> None:
    parser = ResponseParser()
    parser.feed(LENGTH)
    assert parser.buffered_bytes == 5
    assert [parser.take(2), parser.take(2), parser.take(2), parser.take(2)] == [
        b"he",
        b"ll",
        b"o",
        b"",
    ]


@given(st.lists(st.binary(max_size=60), max_size=8))
@example([b"HTTP/1.1 200 OK\r\n\r\n", b"\x00"])
def test_any_bytes_are_read_or_refused(pieces: list[bytes]) -> None:
    parser = ResponseParser()
    with contextlib.suppress(UpstreamBroken):
        for piece in pieces:
            parser.feed(piece)
        parser.end()
    if parser.head is not None:
        assert 200 <= parser.head.status <= 599


@given(
    parts=st.lists(st.binary(min_size=1, max_size=50), max_size=6),
    cuts=st.lists(st.integers(min_value=0, max_value=600), max_size=10),
    edit=st.none() | st.tuples(st.integers(min_value=0, max_value=600), st.binary(max_size=3)),
)
def test_a_chunked_body_is_the_sum_of_its_chunks_however_it_arrives(
    parts: list[bytes], cuts: list[int], edit: tuple[int, bytes] | None
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer += b"".join(b"%X\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    if edit is not None:
        position, inserted = edit
        answer = answer[:position] + inserted + answer[position + 1 :]
    borders = [0, *sorted(cuts), len(answer)]
    pieces = [answer[start:end] for start, end in itertools.pairwise(borders)]
    try:
        result = read(*pieces, closed=True)
    except UpstreamBroken:
        assert edit is not None
    else:
        assert edit is not None or result.body == b"".join(parts)
        for name, value in result.headers:
            assert not re.search(rb"[\x00\r\n]", name + value)
