from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidRequest
from gateway.proxy.headers import caller_fields, end_to_end, own_fields, request_head

OWN = own_fields("127.0.0.1", 9000, "engine-key")


def lines(head: bytes) -> list[bytes]:
    assert head.endswith(b"\r\n\r\n")
    return head.removesuffix(b"\r\n\r\n").split(b"\r\n")


def test_the_head_is_built_from_parts() -> None:
    head = request_head(
        "POST", "/v1/chat/completions", caller_fields([(b"accept", b"*/*")]), OWN, 12
    )
    assert lines(head) == [
        b"POST /v1/chat/completions HTTP/1.1",
        b"host: 127.0.0.1:9000",
        b"authorization: Bearer engine-key",
        b"content-length: 12",
        b"accept: */*",
    ]


def test_a_get_without_body_announces_none() -> None:
    head = request_head("GET", "/health", b"", OWN, 0)
    assert b"content-length" not in head
    assert b"content-length: 0\r\n" in request_head("POST", "/x", b"", OWN, 0)


def test_an_ipv6_engine_is_named_in_brackets() -> None:
    assert own_fields("::1", 9000, "k").startswith(b"host: [::1]:9000\r\n")


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"x-api-key",
        b"api-key",
        b"cookie",
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"keep-alive",
        b"te",
        b"upgrade",
        b"proxy-authorization",
        b"expect",
    ],
)
def test_headers_that_are_not_for_engines_stay_here(name: bytes) -> None:
    head = caller_fields([(name, b"callers"), (b"x-kept", b"1")])
    assert b"callers" not in head
    assert b"x-kept: 1\r\n" in head


def test_what_connection_names_is_dropped_too() -> None:
    headers = [(b"connection", b"close, X-Secret"), (b"x-secret", b"1"), (b"x-kept", b"2")]
    assert list(end_to_end(headers)) == [(b"x-kept", b"2")]


@pytest.mark.parametrize(
    "target", ["", "v1", "/a b", "/a\r\nX: y", "/ü", "http://elsewhere/", "/a\x00"]
)
def test_a_target_that_is_no_path_is_refused(target: str) -> None:
    with pytest.raises(InvalidRequest, match="not a path"):
        request_head("GET", target, b"", OWN, 0)


@pytest.mark.parametrize(
    "header",
    [
        (b"x y", b"1"),
        (b"", b"1"),
        (b"x:", b"1"),
        (b"x", b"1\r\ny: 2"),
        (b"x", b"\x00"),
        (b"x", b"\n"),
    ],
)
def test_a_header_that_could_end_its_line_is_refused(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(InvalidRequest, match="forbids"):
        caller_fields([header])


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=5))
def test_no_header_makes_a_line_of_its_own(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        head = request_head("POST", "/x", caller_fields(headers), OWN, 3)
    except InvalidRequest:
        return
    assert head.count(b"\n") == head.count(b"\r") == head.count(b"\r\n")
    assert len(lines(head)) <= 4 + len(headers)
