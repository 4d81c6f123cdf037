"""The client of engines against a real server that misbehaves on demand."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.proxy.connection import HIGH_WATER_BYTES, READ_BYTES
from gateway.proxy.errors import (
    UpstreamBroken,
    UpstreamClosed,
    UpstreamMalformed,
    UpstreamUnreachable,
)
from gateway.proxy.headers import caller_fields
from gateway.proxy.upstream import MAX_IDLE, Upstream, UpstreamResponse
from tests.support.loops import on_both_loops
from tests.support.upstream_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    End,
    Exchange,
    ScriptedUpstream,
    answer,
    answering,
    chunk,
    in_turn,
    scripted_upstream,
    whole,
)
from tests.support.waiting import until

KEY = "engine-key"
STREAM = STREAM_HEAD + chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n") + LAST_CHUNK
STREAMED = b"data: 1\n\ndata: 2\n\n"


def client_of(server: ScriptedUpstream, *, idle_s: float = 60.0) -> Upstream:
    return Upstream(server.host, server.port, KEY, idle_s=idle_s)


async def post(upstream: Upstream, body: bytes = b"{}") -> UpstreamResponse:
    return await upstream.request("POST", "/v1/completions", b"", body)


async def body_of(response: UpstreamResponse) -> bytes:
    parts = []
    while part := await response.read_chunk():
        parts.append(part)
    assert response.at_end
    return b"".join(parts)


async def posted(upstream: Upstream) -> bytes:
    with await post(upstream) as response:
        return await body_of(response)


@on_both_loops
async def test_a_request_and_its_answer() -> None:
    async with scripted_upstream(answering(whole(b"hello", status=418))) as server:
        upstream = client_of(server)
        headers = [(b"authorization", b"Bearer callers"), (b"x-api-key", b"callers"), (b"a", b"b")]
        with await upstream.request(
            "POST", "/v1/x?y=z", caller_fields(headers), b"body"
        ) as response:
            assert response.head.status == 418
            assert response.head.headers == [(b"content-type", b"application/json")]
            assert response.length == 5
            assert await body_of(response) == b"hello"
            assert await response.read_chunk() == b""
        upstream.close()
        (request,) = server.requests
        assert (request.method, request.target, request.body) == ("POST", "/v1/x?y=z", b"body")
        assert request.header(b"authorization") == b"Bearer engine-key"
        assert request.header(b"host") == f"127.0.0.1:{server.port}".encode()
        assert request.header(b"a") == b"b"
        assert request.header(b"x-api-key") is None


@on_both_loops
async def test_a_connection_is_used_again() -> None:
    async with scripted_upstream(in_turn([answer(STREAM), answer(whole(b"2"))])) as server:
        upstream = client_of(server)
        assert await posted(upstream) == STREAMED
        assert await posted(upstream) == b"2"
        assert server.accepted == 1
        upstream.close()
        await until(lambda: server.open_connections == 0)


@pytest.mark.parametrize("end", ["close", "reset"])
@on_both_loops
async def test_a_stale_connection_is_replaced_unseen(end: End) -> None:
    script = in_turn([answer(whole(b"1")), answer(then=end), answer(whole(b"3"))])
    async with scripted_upstream(script) as server:
        upstream = client_of(server)
        assert await posted(upstream) == b"1"
        assert await posted(upstream) == b"3"
        assert (server.accepted, len(server.requests)) == (2, 3)
        upstream.close()


@on_both_loops
async def test_a_fresh_connection_that_is_closed_is_not_tried_again() -> None:
    async with scripted_upstream(answering(then="close")) as server:
        with pytest.raises(UpstreamClosed, match="without an answer"):
            await post(client_of(server))
        assert len(server.requests) == 1


@on_both_loops
async def test_a_request_is_not_sent_again_once_a_byte_has_come_back() -> None:
    script = in_turn([answer(whole(b"1")), answer(b"H", then="close")])
    async with scripted_upstream(script) as server:
        upstream = client_of(server)
        await posted(upstream)
        with pytest.raises(UpstreamClosed, match="within the head"):
            await post(upstream)
        assert len(server.requests) == 2


@on_both_loops
async def test_every_split_of_an_answer_reads_the_same() -> None:
    answers = [answer(STREAM[:split], STREAM[split:]) for split in range(1, len(STREAM))]
    async with scripted_upstream(in_turn(answers)) as server:
        upstream = client_of(server)
        for _ in answers:
            assert await posted(upstream) == STREAMED
        assert server.accepted == 1
        upstream.close()


@pytest.mark.parametrize("end", ["close", "reset"])
@on_both_loops
async def test_every_cut_of_an_answer_is_an_error(end: End) -> None:
    cuts = [answer(STREAM[:cut], then=end) for cut in range(len(STREAM))]
    async with scripted_upstream(in_turn(cuts)) as server:
        upstream = client_of(server)
        for cut in range(len(STREAM)):
            with pytest.raises(UpstreamClosed):
                await posted(upstream)
            assert len(server.requests) == cut + 1
        upstream.close()


@on_both_loops
async def test_what_came_before_a_cut_is_handed_out_first() -> None:
    cut = STREAM_HEAD + chunk(b"data: 1\n\n")
    async with scripted_upstream(answering(cut, then="reset")) as server:
        with await post(client_of(server)) as response:
            assert await response.read_chunk() == b"data: 1\n\n"
            with pytest.raises(UpstreamClosed):
                await response.read_chunk()


@pytest.mark.parametrize(
    "garbage",
    [b"garbage\r\n\r\n", b"\x16\x03\x01\x00\x00", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"],
)
@on_both_loops
async def test_garbage_is_an_error_and_ends_the_connection(garbage: bytes) -> None:
    async with scripted_upstream(answering(garbage, then="hang")) as server:
        with pytest.raises(UpstreamMalformed):
            await post(client_of(server))
        await until(lambda: server.open_connections == 0)


@on_both_loops
async def test_a_body_until_the_end_of_the_connection() -> None:
    async with scripted_upstream(
        answering(b"HTTP/1.1 200 OK\r\n\r\n", b"all ", b"of it", then="close")
    ) as server:
        assert await posted(client_of(server)) == b"all of it"


@on_both_loops
async def test_interim_answers_are_skipped() -> None:
    interim = b"HTTP/1.1 102 Processing\r\n\r\n"
    async with scripted_upstream(answering(interim, interim, whole(b"1"))) as server:
        upstream = client_of(server)
        assert await posted(upstream) == b"1"
        upstream.close()


@pytest.mark.parametrize(
    "last",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1",
        whole(b"1") + whole(b"2"),
        whole(b"1") + b"surplus",
    ],
    ids=["announced", "second answer", "surplus"],
)
@on_both_loops
async def test_a_connection_that_cannot_be_trusted_is_not_used_again(last: bytes) -> None:
    async with scripted_upstream(answering(last)) as server:
        upstream = client_of(server)
        assert await posted(upstream) == b"1"
        assert await posted(upstream) == b"1"
        assert server.accepted == 2


@on_both_loops
async def test_an_answer_that_nobody_asked_for_answers_nobody() -> None:
    asked = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(whole(b"right"))
        if exchange.connection_number == 1:
            await asked.wait()
            await exchange.send(whole(b"wrong"))

    async with scripted_upstream(script) as server:
        upstream = client_of(server)
        assert await posted(upstream) == b"right"
        asked.set()
        await until(lambda: server.open_connections == 0)
        assert await posted(upstream) == b"right"
        upstream.close()


@on_both_loops
async def test_closing_an_unfinished_answer_reaches_the_engine() -> None:
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + chunk(b"data: 1\n\n"))
        await exchange.left()
        left.set()

    async with scripted_upstream(script) as server:
        response = await post(client_of(server))
        assert await response.read_chunk() == b"data: 1\n\n"
        response.close()
        response.close()
        async with asyncio.timeout(5):
            await left.wait()
        with pytest.raises(RuntimeError, match="closed"):
            await response.read_chunk()


@on_both_loops
async def test_a_whole_answer_that_nobody_read_leaves_its_connection_usable() -> None:
    body = bytes(HIGH_WATER_BYTES + 10)
    async with scripted_upstream(in_turn([answer(whole(body)), answer(whole(b"2"))])) as server:
        upstream = client_of(server)
        with await post(upstream) as response:
            await until(lambda: response.buffered_bytes == len(body))
        assert await posted(upstream) == b"2"
        assert server.accepted == 1
        upstream.close()


@on_both_loops
async def test_cancelling_a_request_reaches_the_engine() -> None:
    async with scripted_upstream(answering(then="hang")) as server:
        request = asyncio.create_task(post(client_of(server)))
        await until(lambda: server.requests)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await until(lambda: server.open_connections == 0)


@on_both_loops
async def test_an_unused_connection_is_closed_after_a_while() -> None:
    async with scripted_upstream(answering(whole(b"1"))) as server:
        upstream = client_of(server, idle_s=0.1)
        first, second = await asyncio.gather(post(upstream), post(upstream))
        assert (await body_of(first), await body_of(second)) == (b"1", b"1")
        loop = asyncio.get_running_loop()
        released_s = loop.time()
        first.close()
        # So much later that it is not yet old when the first one is.
        await until(lambda: loop.time() > released_s + 0.05)
        second.close()
        await until(lambda: server.open_connections <= 1)
        await until(lambda: server.open_connections == 0)
        assert await posted(upstream) == b"1"
        await until(lambda: server.open_connections == 0)


@on_both_loops
async def test_unused_connections_are_bounded() -> None:
    everyone_here = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await everyone_here.wait()
        await exchange.send(whole(b"1"))

    async with scripted_upstream(script) as server:
        upstream = client_of(server)
        requests = [asyncio.create_task(posted(upstream)) for _ in range(MAX_IDLE + 8)]
        await until(lambda: len(server.requests) == len(requests))
        everyone_here.set()
        assert await asyncio.gather(*requests) == [b"1"] * len(requests)
        await until(lambda: server.open_connections == MAX_IDLE)
        upstream.close()
        await until(lambda: server.open_connections == 0)


@on_both_loops
async def test_after_close_an_answer_under_way_can_be_read_to_its_end() -> None:
    closed = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD)
        await closed.wait()
        await exchange.send(chunk(b"data: 1\n\n") + LAST_CHUNK)

    async with scripted_upstream(script) as server:
        upstream = client_of(server)
        with await post(upstream) as response:
            upstream.close()
            closed.set()
            assert await body_of(response) == b"data: 1\n\n"
        await until(lambda: server.open_connections == 0)


@on_both_loops
async def test_an_answer_before_the_request_was_read_is_an_answer() -> None:
    too_large = whole(b"too large", status=413)
    async with scripted_upstream(answering(too_large, then="hang"), reads_bodies=False) as server:
        upstream = client_of(server)
        with await post(upstream, bytes(50_000_000)) as response:
            assert (response.head.status, await body_of(response)) == (413, b"too large")
        # The rest of that request must not be read as the next one.
        await until(lambda: server.open_connections == 0)


@on_both_loops
async def test_an_engine_that_is_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host, port = unused.getsockname()
        with pytest.raises(UpstreamUnreachable, match="refused"):
            await post(Upstream(host, port, KEY))


@on_both_loops
async def test_an_engine_that_does_not_accept() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # The kernel itself completes one connection; further ones wait for an accept.
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(full.getsockname())
        host, port = full.getsockname()
        upstream = Upstream(host, port, KEY, connect_timeout_s=0.05)
        with pytest.raises(UpstreamUnreachable, match="within"):
            await post(upstream)
        for connection in waiting:
            connection.close()


@on_both_loops
async def test_an_engine_waits_for_a_slow_reader() -> None:
    size_bytes = 20_000_000
    piece = bytes(50_000)

    async def script(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size_bytes)
        for _ in range(size_bytes // len(piece)):
            await exchange.send(piece)

    async with scripted_upstream(script) as server:
        upstream = client_of(server)
        with await post(upstream) as response:
            await until(lambda: response.buffered_bytes >= HIGH_WATER_BYTES)
            await stalled(server)
            assert response.buffered_bytes <= HIGH_WATER_BYTES + READ_BYTES
            assert server.sent_bytes < size_bytes
            received_bytes = 0
            while part := await response.read_chunk():
                received_bytes += len(part)
                assert response.buffered_bytes <= HIGH_WATER_BYTES + READ_BYTES
            assert received_bytes == size_bytes
        assert await posted_length(upstream) == size_bytes
        assert server.accepted == 1
        upstream.close()


async def posted_length(upstream: Upstream) -> int:
    return len(await posted(upstream))


async def stalled(server: ScriptedUpstream) -> None:
    """Until the server has not been able to send for a while, or has sent everything."""
    before, unchanged = -1, 0

    def unchanged_for_long() -> bool:
        nonlocal before, unchanged
        unchanged = unchanged + 1 if server.sent_bytes == before else 0
        before = server.sent_bytes
        return unchanged >= 20

    await until(unchanged_for_long)


@on_both_loops
async def test_many_engines_failing_at_once_harm_nobody_else() -> None:
    async with (
        scripted_upstream(answering(STREAM[:80], then="reset")) as failing,
        scripted_upstream(answering(*(STREAM[i : i + 9] for i in range(0, 200, 9)))) as working,
    ):
        broken, fine = client_of(failing), client_of(working)
        results = await asyncio.gather(
            *(posted(upstream) for _ in range(20) for upstream in (broken, fine)),
            return_exceptions=True,
        )
        assert all(isinstance(result, UpstreamBroken) for result in results[::2])
        assert results[1::2] == [STREAMED] * 20
        fine.close()
