"""One HTTP connection whose client sends the same head again: the application must not notice."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from gateway.http_exchange import EXCHANGE, Exchange, ready_head
from gateway.known_head import KnownHead
from tests.support.http_connection import HttpConnection, body, settle, start

POST = b"POST /a%%20b?c=d HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\nx: y\r\n\r\n%b"
GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
LENGTH_2 = start((b"content-length", b"2"))

REQUESTS = [
    POST % (0, b""),
    POST % (2, b"ab"),
    POST % (4, b"\r\n\r\n"),
    POST % (11, b"hello world"),
    (POST % (2, b"ab")).replace(b"POST", b"PUT"),
    (POST % (2, b"ab")).replace(b"x: y", b"x: z"),
    (POST % (2, b"ab")).replace(b"x: y", b"expect: 100-continue"),
    (POST % (2, b"ab")).replace(b"x: y", b"connection: close"),
    (POST % (2, b"ab")).replace(b"content-length: 2", b"Content-Length:   2 "),
    (POST % (2, b"ab")).replace(b"content-length: 2", b"content-length: 02"),
    (POST % (2, b"ab")).replace(b"x: y", b"connection: upgrade\r\nupgrade: h2c"),
    (POST % (2, b"ab")).replace(b"HTTP/1.1", b"HTTP/1.0"),
    GET,
    GET.replace(b"GET", b"HEAD"),
    b"\r\n" + GET,
    b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
    b"2\r\nab\r\n0\r\n\r\n",
    POST % (4, b"ab"),
    b"GET /a HTTP/1.1\nhost: x\n\n",
    b"garbage\r\n\r\n",
]


class Told:
    """An application that tells what it was asked, and is asked again and again."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = b""
        more = True
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
        exchange: Exchange = scope.pop(EXCHANGE)
        self.told.append((dict(scope), content, exchange.keep_alive))
        scope["mine"] = "an application may write here"
        await send(LENGTH_2)
        await send(body(b"ok"))


async def talk(parts: list[bytes]) -> tuple[list[Any], list[bytes], bool]:
    app = Told()
    connection = HttpConnection(app)
    for part in parts:
        if not connection.transport.is_closing():
            await connection.send(part)
    return app.told, connection.transport.writes, connection.transport.is_closing()


@given(
    requests=st.lists(st.sampled_from(REQUESTS), max_size=6),
    cut=st.none() | st.integers(min_value=0, max_value=300),
    together=st.booleans(),
)
@example(requests=[POST % (2, b"ab")] * 4, cut=None, together=False)
@example(requests=[POST % (2, b"ab"), POST % (3, b"abc"), GET, GET, GET], cut=None, together=False)
@example(requests=[POST % (2, b"ab")] * 3, cut=200, together=False)
def test_it_makes_no_difference(requests: list[bytes], cut: int | None, together: bool) -> None:
    parts = [b"".join(requests)] if together else requests
    if cut is not None:
        sent = b"".join(requests)
        parts = [sent[:cut], sent[cut:]] if together else [*requests, sent[:cut], sent[cut:]]
    parts = [part for part in parts if part]
    known = asyncio.run(talk(parts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KnownHead, "learn", classmethod(lambda *_: None))
        parsed = asyncio.run(talk(parts))
    assert known == parsed


async def test_what_is_kept_for_a_head_answers_in_place_of_the_application() -> None:
    again: list[bytes | None] = []

    async def answer_again(exchange: Exchange) -> None:
        again.append(exchange.take_whole())
        exchange.start(200, [(b"content-length", b"2")])
        exchange.write(b"ok", more=False)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope[EXCHANGE]
        asked.append((await receive())["body"])
        if exchange.known is not None:
            exchange.known.kept = answer_again
        await send(LENGTH_2)
        await send(body(b"ok"))

    asked: list[bytes] = []
    connection = HttpConnection(app)
    for content in (b"1", b"2", b"33", b"", b"4"):
        assert await connection.send(POST % (len(content), content))
    assert (asked, again) == ([b"1", b"2"], [b"33", b"", b"4"])
    # Another head is another matter, and so is this one behind it.
    await connection.send(GET)
    await connection.send(POST % (1, b"5"))
    assert asked[2:] == [b"", b"5"]
    assert connection.transport.writes == [connection.transport.writes[0]] * 7


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("begun", [False, True])
async def test_one_that_fails_is_answered_or_cut(light: bool, begun: bool) -> None:
    async def fail(exchange: Exchange) -> None:
        if begun:
            exchange.start(200, [(b"content-length", b"2")])
            exchange.write(b"o", more=True)
        raise ValueError("a defect")

    class App(Told):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            exchange: Exchange = scope[EXCHANGE]
            if exchange.known is not None:
                exchange.known.kept = fail
            await super().__call__(scope, receive, send)

    app = App()
    app.light = light  # type: ignore[attr-defined]
    connection = HttpConnection(app)
    for _ in range(2):
        await connection.send(GET)
    written = await connection.send(GET)
    assert written.startswith(b"HTTP/1.1 200" if begun else b"HTTP/1.1 500")
    assert connection.transport.is_closing()
    await settle()
    assert not connection.state.tasks


async def test_a_whole_answer_is_one_write_and_closes_where_it_has_to() -> None:
    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        exchange: Exchange = scope[EXCHANGE]
        exchange.answer(ready_head(200, [(b"a", b"b")]), b"ok")

    connection = HttpConnection(app)
    connection.state.default_headers = [(b"date", b"today")]
    head = b"HTTP/1.1 200 OK\r\na: b\r\ndate: today\r\ncontent-length: 2\r\n"
    assert await connection.send(GET) == head + b"\r\nok"
    assert await connection.send(GET.replace(b"GET", b"HEAD")) == head + b"\r\n"
    assert not connection.transport.is_closing()
    written = await connection.send(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
    assert written == head + b"connection: close\r\n\r\nok"
    assert connection.transport.is_closing()


@pytest.mark.parametrize("header", [(b"a", b"b\r\nc: d"), (b"a\n", b"b"), (b"a", b"\x00")])
def test_a_ready_head_holds_no_other_lines(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(RuntimeError, match="forbids"):
        ready_head(200, [header])


async def test_what_an_application_writes_into_its_scope_is_gone_with_the_request() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.append(len(scope["headers"]))
        scope["headers"].append((b"mine", b"1"))
        await Told()(scope, receive, send)

    told: list[int] = []
    connection = HttpConnection(app)
    for _ in range(4):
        await connection.send(GET)
    assert told == [1] * 4


async def test_stray_line_ends_do_not_add_up() -> None:
    connection = HttpConnection(Told())
    for _ in range(40):
        await connection.send(GET)
        connection.protocol.data_received(GET)
        connection.protocol.data_received(b"\r\n" * 1_000)
        await settle()
    assert not connection.transport.is_closing()


@pytest.mark.parametrize("requests", [1, 4])
async def test_a_lost_connection_leaves_nothing_to_the_collector(requests: int) -> None:
    connection = HttpConnection(Told())
    for _ in range(requests):
        await connection.send(POST % (2, b"ab"))
    await connection.lose()
    gone = weakref.ref(connection.protocol)
    gc.disable()
    try:
        del connection
        await settle()
        assert gone() is None
    finally:
        gc.enable()
