"""What reaches an engine through the proxy, and what comes back."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.http_caller import calling
from tests.support.loops import on_both_loops
from tests.support.proxied import (
    BODY,
    CHAT,
    EVENTS,
    MODEL,
    STREAM_BODY,
    error_of,
    last_event,
    proxied,
)
from tests.support.proxy_server import KEY
from tests.support.upstream_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    End,
    Exchange,
    answer,
    answering,
    chunk,
    in_turn,
    scripted_upstream,
    whole,
)
from tests.support.waiting import until


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings"])
@on_both_loops
async def test_body_and_answer_pass_unchanged(path: str) -> None:
    answer_body = b'{"choices": [],\n  "x": 1.50}'
    async with proxied(answering(whole(answer_body, b"application/json; charset=utf-8"))) as proxy:
        result = await proxy.post(BODY, path)
        assert (result.status, result.body) == (200, answer_body)
        assert result.headers[b"content-type"] == b"application/json; charset=utf-8"
        assert result.headers[b"content-length"] == str(len(answer_body)).encode()
        (request,) = proxy.engine.requests
        assert (request.method, request.target, request.body) == ("POST", path, BODY)


@on_both_loops
async def test_callers_credentials_stay_here_and_engines_headers_stay_there() -> None:
    reply = (
        b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nAccess-Control-Allow-Origin: *\r\n"
        b"Set-Cookie: a=b\r\nKeep-Alive: timeout=5, max=100\r\nContent-Type: application/json\r\n"
        b"Cache-Control: no-store\r\nContent-Length: 2\r\n\r\n{}"
    )
    async with proxied(answering(reply)) as proxy:
        result = await proxy.post(
            BODY,
            CHAT,
            ("Authorization", "Bearer callers"),
            ("X-Api-Key", "callers"),
            ("Cookie", "token=callers"),
            ("Connection", "x-private"),
            ("X-Private", "callers"),
            ("X-Request-Id", "17"),
        )
        (request,) = proxy.engine.requests
        assert request.header(b"authorization") == f"Bearer {KEY}".encode()
        assert request.header(b"x-request-id") == b"17"
        assert not any(b"callers" in value for _, value in request.headers)
        assert result.headers == {
            b"content-type": b"application/json",
            b"cache-control": b"no-store",
            b"content-length": b"2",
            b"vary": b"origin",
        }


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=utf-8", "multipart/form-data; boundary=x"],
)
@on_both_loops
async def test_json_reaches_the_engine_as_json(content_type: str) -> None:
    async with proxied(answering(whole(b"{}"))) as proxy:
        assert (await proxy.post(BODY, CHAT, ("Content-Type", content_type))).status == 200
        (request,) = proxy.engine.requests
        assert request.header(b"content-type") == b"application/json"


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "text/plain", "", "text/json", "application/jsonp"],
)
@on_both_loops
async def test_what_a_form_of_any_page_could_send_is_refused(content_type: str) -> None:
    async with proxied(answering(whole(b"{}"))) as proxy:
        refused = error_of(await proxy.post(BODY, CHAT, ("Content-Type", content_type)), 415)
        assert refused["code"] == "unsupported_content_type"
        assert "application/json" in (refused["message"] or "")
        assert not proxy.engine.requests


@on_both_loops
async def test_an_engines_own_error_passes_unchanged() -> None:
    body = b'{"error":{"code":400,"message":"too many tokens","type":"exceed_context_size_error"}}'
    async with proxied(answering(whole(body, status=400))) as proxy:
        result = await proxy.post()
        assert (result.status, result.body) == (400, body)


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (whole(b""), b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST_CHUNK, b""),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
    ],
    ids=["empty", "no chunks", "no content", "until close"],
)
@on_both_loops
async def test_unusual_bodies(reply: bytes, body: bytes) -> None:
    async with proxied(answering(reply, then="close")) as proxy:
        result = await proxy.post()
        assert result.body == body
        assert result.headers.get(b"content-length") in (None, b"%d" % len(body))


@on_both_loops
async def test_one_connection_carries_many_requests() -> None:
    replies = [answer(whole(b"%d" % number)) for number in range(5)]
    async with proxied(in_turn(replies)) as proxy, calling(proxy.address) as caller:
        for number in range(5):
            assert (await caller.request("POST", CHAT, BODY)).body == b"%d" % number
        assert (await caller.request("POST", CHAT, b"[]")).status == 400
        assert (await caller.request("POST", CHAT, BODY)).status == 200
        assert proxy.engine.accepted == 1


@on_both_loops
async def test_many_requests_at_once() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD)
        await exchange.send(chunk(exchange.request.body + b"\n\n") + LAST_CHUNK)

    async with proxied(script) as proxy:
        bodies = [b'{"model": "team/tiny", "n": %d}' % number for number in range(50)]
        results = await asyncio.gather(*(proxy.post(body) for body in bodies))
        assert [result.body for result in results] == [body + b"\n\n" for body in bodies]


@on_both_loops
async def test_an_engine_that_came_back_on_another_port() -> None:
    async with proxied(answering(whole(b"old"))) as proxy:
        assert (await proxy.post()).body == b"old"
        async with scripted_upstream(answering(whole(b"new"))) as successor:
            proxy.router.add(MODEL, successor.host, successor.port)
            assert (await proxy.post()).body == b"new"
            await until(lambda: proxy.engine.open_connections == 0)


@on_both_loops
async def test_each_event_arrives_before_the_next_is_sent() -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD)
        for event in EVENTS:
            await exchange.send(chunk(event))
            assert await received.get() == event
        await exchange.send(LAST_CHUNK)

    async with proxied(script) as proxy, calling(proxy.address) as caller:
        await caller.send("POST", CHAT, BODY)
        head = await caller.head()
        headers = dict(head.headers)
        assert headers[b"content-type"] == b"text/event-stream"
        assert headers[b"x-accel-buffering"] == b"no"
        for event in EVENTS:
            assert await caller.next_data() == event
            received.put_nowait(event)
        assert await caller.next_data() == b""


@on_both_loops
async def test_every_split_of_a_stream_arrives_the_same() -> None:
    stream = STREAM_HEAD + STREAM_BODY
    replies = [answer(stream[:split], stream[split:]) for split in range(1, len(stream))]
    async with proxied(in_turn(replies)) as proxy, calling(proxy.address) as caller:
        for _ in replies:
            assert (await caller.request("POST", CHAT, BODY)).body == b"".join(EVENTS)


@pytest.mark.parametrize("end", ["close", "reset"])
@on_both_loops
async def test_a_stream_cut_anywhere_ends_with_an_error_event(end: End) -> None:
    replies = [answer(STREAM_HEAD + STREAM_BODY[:cut], then=end) for cut in range(len(STREAM_BODY))]
    async with proxied(in_turn(replies)) as proxy, calling(proxy.address) as caller:
        for cut in range(len(STREAM_BODY)):
            result = await caller.request("POST", CHAT, BODY)
            assert result.status == 200
            error = last_event(result.body)
            assert (error["type"], error["code"]) == ("server_error", "engine_failed")
            # Before it: whole events of the engine's, in order, as far as they had come.
            before = result.body[: result.body.rindex(b"data: ")]
            complete = [b"".join(EVENTS[:count]) for count in range(len(EVENTS) + 1)]
            assert before in complete
            decoded = b"".join(chunk(event) for event in EVENTS)[:cut]
            assert all(event in before for event in EVENTS if chunk(event)[:-2] in decoded)


@on_both_loops
async def test_a_long_event_that_is_cut_is_ended_before_the_error_event() -> None:
    half = b"data: " + b"x" * 100_000
    async with proxied(answering(STREAM_HEAD, chunk(half), then="reset")) as proxy:
        result = await proxy.post()
        assert result.body.startswith(half + b"\n\n")
        assert last_event(result.body)["code"] == "engine_failed"
