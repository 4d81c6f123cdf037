"""One HTTP connection: what is written when, and what a client may not do."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.http_exchange import EXCHANGE, HIGH_WATER_BYTES
from gateway.http_protocol import (
    BODY_SILENCE_S,
    HEAD_S,
    KEEP_ALIVE_S,
    MAX_HEAD_BYTES,
    MAX_PIPELINED,
)
from tests.support.http_connection import HttpConnection, answering, body, settle, start

GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
LENGTH_2 = start((b"content-length", b"2"))


class Waiting:
    """An application that begins its answer and ends it when the test says so."""

    def __init__(self, *, begins: bool = True) -> None:
        self.go_on = asyncio.Event()
        self.received: list[Message] = []
        self.scopes: list[Scope] = []
        self._begins = begins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if self._begins:
            await send(start())
            await send(body(b"begun", more=True))
        while True:
            message = await receive()
            self.received.append(message)
            if not message.get("more_body"):
                break
        await self.go_on.wait()
        if not self._begins:
            await send(start())
        await send(body(b"ended"))


async def test_head_and_first_part_are_one_write() -> None:
    messages = (LENGTH_2, body(b"a", more=True), body(b"b"))
    connection = HttpConnection(answering(*messages))
    await connection.send(GET)
    assert connection.transport.writes == [HEAD + b"content-length: 2\r\n\r\na", b"b"]
    assert not connection.transport.is_closing()


async def test_an_empty_part_takes_the_head_along() -> None:
    app = Waiting(begins=False)
    connection = HttpConnection(answering(start(), body(more=True), body(b"x")))
    await connection.send(GET)
    chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    assert connection.transport.writes == [chunked, b"1\r\nx\r\n0\r\n\r\n"]
    assert not app.received


async def test_to_head_there_is_no_body() -> None:
    connection = HttpConnection(answering(LENGTH_2, body(b"ab")))
    assert (
        await connection.send(GET.replace(b"GET", b"HEAD")) == HEAD + b"content-length: 2\r\n\r\n"
    )


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_announces_none(status: int) -> None:
    connection = HttpConnection(answering(start(status=status), body()))
    written = await connection.send(GET)
    assert written.endswith(b"\r\n\r\n")
    assert b"chunked" not in written


async def test_a_client_of_http_1_0_gets_no_chunks_but_the_end_of_the_connection() -> None:
    connection = HttpConnection(answering(start(), body(b"a", more=True), body(b"b")))
    written = await connection.send(b"GET /a HTTP/1.0\r\n\r\n")
    assert written == HEAD + b"connection: close\r\n\r\nab"
    assert connection.transport.is_closing()


@pytest.mark.parametrize("content", [b"a", b"abc"])
async def test_an_answer_of_another_length_than_announced_is_cut(content: bytes) -> None:
    connection = HttpConnection(answering(LENGTH_2, body(content)))
    assert await connection.send(GET) == HEAD + b"content-length: 2\r\n\r\n"
    assert connection.transport.is_closing()


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\n", b"a\r", b"a\x00"])
async def test_a_header_cannot_end_its_line(value: bytes) -> None:
    for header in ((b"x", value), (value, b"x")):
        connection = HttpConnection(answering(start(header), body()))
        assert (await connection.send(GET)).startswith(b"HTTP/1.1 500 ")
        assert connection.transport.is_closing()


async def test_a_client_that_asks_is_told_to_go_on_once_its_body_is_wanted() -> None:
    connection = HttpConnection(answering(LENGTH_2, body(b"ab")))
    asking = POST.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n")
    assert await connection.send(asking) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await connection.send(b"body")).startswith(HEAD)
    refusing = HttpConnection(_at_once)
    assert b"100" not in await refusing.send(asking)


async def _at_once(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send(LENGTH_2)
    await send(body(b"ab"))


async def test_a_body_is_received_in_parts_and_then_that_the_client_left() -> None:
    app = Waiting(begins=False)
    connection = HttpConnection(app)
    await connection.send(POST, b"bo", b"dy")
    assert [message["body"] for message in app.received] == [b"bo", b"dy"]
    receive = connection.protocol.cycle
    assert receive is not None
    left = asyncio.create_task(receive.receive())
    await settle()
    assert not left.done()
    await connection.lose()
    assert await left == {"type": "http.disconnect"}
    app.go_on.set()
    await settle()
    assert not connection.state.tasks


async def test_a_body_that_nobody_takes_is_not_read_on() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await taken.wait()
        await answering(LENGTH_2, body(b"ab"))(_scope, receive, send)

    taken = asyncio.Event()
    connection = HttpConnection(app)
    size = HIGH_WATER_BYTES + 1
    await connection.send(POST.replace(b": 4", b": %d" % size), b"x" * (size - 1))
    assert connection.transport.is_reading()
    await connection.send(b"x")
    assert not connection.transport.is_reading()
    taken.set()
    await settle()
    assert connection.transport.is_reading()
    assert connection.transport.writes


async def test_whoever_watches_is_told_when_the_client_leaves() -> None:
    app = Waiting()
    connection = HttpConnection(app)
    await connection.send(GET)
    told: list[bool] = []
    exchange = app.scopes[0][EXCHANGE]
    exchange.watch(lambda: told.append(True))
    await connection.lose()
    assert told == [True]
    exchange.watch(lambda: told.append(True))
    assert told == [True, True]
    app.go_on.set()


async def test_trailers_do_not_become_headers() -> None:
    app = Waiting(begins=False)
    connection = HttpConnection(app)
    connection.protocol.data_received(CHUNKED + b"1\r\nx\r\n0\r\nauthorization: Bearer x\r\n\r\n")
    await settle()
    assert [name for name, _ in app.scopes[0]["headers"]] == [b"host", b"transfer-encoding"]
    app.go_on.set()


@pytest.mark.parametrize(
    "flood",
    [
        b"GET /" + b"a" * MAX_HEAD_BYTES,
        b"GET / HTTP/1.1\r\nx: " + b"a" * MAX_HEAD_BYTES,
        b"GET / HTTP/1.1\r\n" + b"a" * MAX_HEAD_BYTES,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEAD_BYTES // 6 + 1),
        b"GET / HTTP/1.1\r\n" + b"aaaa: bbbb\r\n" * (MAX_HEAD_BYTES // 8 + 1) + b"\r\n",
        CHUNKED + b"1;" + b"a" * 3 * MAX_HEAD_BYTES,
        CHUNKED + b"0\r\n" + b"aaaa: bbbb\r\n" * (MAX_HEAD_BYTES // 4),
    ],
    ids=["target", "value", "name", "many", "many, whole", "chunk extension", "trailers"],
)
@pytest.mark.parametrize("size", [1_000, 100_000])
async def test_a_head_has_a_bound(flood: bytes, size: int) -> None:
    connection = HttpConnection(Waiting(begins=False))
    for offset in range(0, len(flood), size):
        connection.protocol.data_received(flood[offset : offset + size])
    await settle()
    assert b"".join(connection.transport.writes).startswith(b"HTTP/1.1 431 ")
    assert connection.transport.is_closing()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(scope["path"].encode()))

    connection = HttpConnection(app)
    written = await connection.send(b"".join(GET.replace(b"/a", b"/%d" % i) for i in range(5)))
    assert [written.find(b"\r\n/%d\r\n" % i) for i in range(5)] == sorted(
        written.find(b"\r\n/%d\r\n" % i) for i in range(5)
    )
    assert written.count(b"HTTP/1.1 200") == 5
    assert connection.transport.is_reading()


async def test_too_many_pipelined_requests_end_the_connection_after_the_first() -> None:
    app = Waiting()
    connection = HttpConnection(app)
    await connection.send(GET * (MAX_PIPELINED + 2))
    assert not connection.transport.is_closing()
    app.go_on.set()
    await settle()
    written = b"".join(connection.transport.writes)
    assert written.count(b"HTTP/1.1") == 1
    assert written.endswith(b"ended\r\n0\r\n\r\n")
    assert connection.transport.is_closing()


async def test_garbage_behind_a_request_is_not_answered_within_its_answer() -> None:
    app = Waiting()
    connection = HttpConnection(app)
    assert b"HTTP/1.1" not in (await connection.send(GET, b"\x00garbage"))[len(HEAD) :]
    app.go_on.set()
    await settle()
    written = b"".join(connection.transport.writes)
    assert written.count(b"HTTP/1.1") == 1
    assert written.endswith(b"ended\r\n0\r\n\r\n")
    assert connection.transport.is_closing()


async def test_a_body_that_is_no_http_is_refused_and_the_application_told() -> None:
    app = Waiting(begins=False)
    connection = HttpConnection(app)
    written = await connection.send(CHUNKED, b"zz\r\n")
    assert written.startswith(b"HTTP/1.1 400 ")
    assert connection.transport.is_closing()
    assert app.received == [{"type": "http.disconnect"}]
    app.go_on.set()


OFFER = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n\r\n"


async def test_who_offers_http_2_with_a_body_is_answered_in_http_1_1() -> None:
    app = Waiting(begins=False)
    connection = HttpConnection(app)
    request = POST.removesuffix(b"\r\n") + OFFER + b"body"
    app.go_on.set()
    written = await connection.send(request + request, request[:90], request[90:])
    assert written.count(b"HTTP/1.1 200 OK") == 3
    assert [message["body"] for message in app.received] == [b"body"] * 3
    names = [name for name, _ in app.scopes[0]["headers"]]
    assert names == [b"host", b"content-length", b"connection", b"http2-settings"]
    assert not connection.transport.is_closing()


async def test_many_offers_on_one_connection_have_a_bound() -> None:
    app = Waiting(begins=False)
    connection = HttpConnection(app)
    await connection.send((GET.removesuffix(b"\r\n") + OFFER) * 2000)
    app.go_on.set()
    await settle()
    assert b"".join(connection.transport.writes).count(b"HTTP/1.1 200") == 1
    assert connection.transport.is_closing()


@pytest.mark.parametrize("target", [b"elsewhere:443", b"/"])
async def test_nobody_is_connected_elsewhere(target: bytes) -> None:
    connection = HttpConnection(Waiting())
    written = await connection.send(b"CONNECT " + target + b" HTTP/1.1\r\nhost: x\r\n\r\n")
    assert written.startswith(b"HTTP/1.1 400 ")
    assert connection.transport.is_closing()


async def test_a_client_of_http_0_9_gets_no_chunks() -> None:
    connection = HttpConnection(answering(start(), body(b"a")))
    assert b"chunked" not in await connection.send(b"GET /a\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "patience_s", "answer"),
    [
        (b"", HEAD_S, b""),
        (b"GET / HTTP", HEAD_S, b"HTTP/1.1 408 "),
        (POST + b"bo", BODY_SILENCE_S, b"HTTP/1.1 408 "),
        (CHUNKED + b"1\r\nx", BODY_SILENCE_S, b"HTTP/1.1 408 "),
    ],
)
async def test_slow_clients_are_not_waited_for(
    sent: bytes, patience_s: float, answer: bytes
) -> None:
    app = Waiting(begins=False)
    connection = HttpConnection(app)
    if sent:
        await connection.send(sent)
    connection.look_in(patience_s - 1)
    assert not connection.transport.is_closing()
    connection.look_in(patience_s + 1)
    assert connection.transport.is_closing()
    assert b"".join(connection.transport.writes).startswith(answer)
    app.go_on.set()


async def test_an_answered_connection_is_kept_for_a_while() -> None:
    connection = HttpConnection(answering(LENGTH_2, body(b"ab")))
    await connection.send(GET)
    connection.look_in(KEEP_ALIVE_S - 1)
    assert not connection.transport.is_closing()
    connection.look_in(KEEP_ALIVE_S + 1)
    assert connection.transport.is_closing()


async def test_a_slow_answer_is_waited_for() -> None:
    app = Waiting()
    connection = HttpConnection(app)
    await connection.send(GET)
    connection.look_in(1e6)
    assert not connection.transport.is_closing()
    app.go_on.set()


async def test_an_application_that_ends_early_cuts_its_answer() -> None:
    connection = HttpConnection(answering(start(), body(b"a", more=True)))
    await connection.send(GET)
    assert connection.transport.is_closing()
    silent = HttpConnection(answering())
    assert (await silent.send(GET)).startswith(b"HTTP/1.1 500 ")


async def test_a_server_that_stops_lets_answers_end() -> None:
    app = Waiting()
    connection = HttpConnection(app)
    await connection.send(GET)
    connection.protocol.shutdown()
    assert not connection.transport.is_closing()
    app.go_on.set()
    await settle()
    assert connection.transport.is_closing()
    idle = HttpConnection(app)
    idle.protocol.shutdown()
    assert idle.transport.is_closing()
