"""Callers that leave, or read slowly."""

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
    proxied,
)
from tests.support.proxy_server import TableRouter, proxying
from tests.support.upstream_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Exchange,
    answering,
    chunk,
    scripted_upstream,
    whole,
)
from tests.support.waiting import until


@pytest.mark.parametrize("sent", [[], [STREAM_HEAD], [STREAM_HEAD, chunk(EVENTS[0])]])
@on_both_loops
async def test_a_caller_that_leaves_frees_the_engine(sent: list[bytes]) -> None:
    playing = asyncio.Event()
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        for piece in sent:
            await exchange.send(piece)
        playing.set()
        await exchange.left()
        left.set()

    async with proxied(script) as proxy, calling(proxy.address) as caller:
        await caller.send("POST", CHAT, BODY)
        if sent:
            await caller.head()
        async with asyncio.timeout(5):
            await playing.wait()
        assert proxy.in_flight() == 1
        caller.leave()
        async with asyncio.timeout(5):
            await left.wait()
        await until(lambda: proxy.in_flight() == 0)


@on_both_loops
async def test_a_caller_that_leaves_while_the_model_loads_leaves_the_queue() -> None:
    async with proxied(answering(whole(b"{}"))) as proxy:
        proxy.router.loading = asyncio.Event()
        async with calling(proxy.address) as leaving, calling(proxy.address) as staying:
            await leaving.send("POST", CHAT, BODY)
            await staying.send("POST", CHAT, BODY)
            await until(lambda: proxy.router.waiting == 2)
            leaving.leave()
            await until(lambda: proxy.router.waiting == 1)
            proxy.router.loading.set()
            assert (await staying.answer()).status == 200
        assert len(proxy.engine.requests) == 1


@on_both_loops
async def test_a_caller_that_leaves_within_its_body_leaves_nothing() -> None:
    async with proxied(answering(whole(b"{}"))) as proxy:
        _, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n")
        writer.write(b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.transport.abort()
        assert (await proxy.post()).status == 200
        assert len(proxy.engine.requests) == 1


@on_both_loops
async def test_a_slow_caller_slows_the_engine_and_loses_nothing() -> None:
    event = b"data: " + b"x" * 50_000 + b"\n\n"
    count = 800

    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD)
        for _ in range(count):
            await exchange.send(chunk(event))
        await exchange.send(LAST_CHUNK)

    router = TableRouter()
    async with (
        scripted_upstream(script, send_buffer_bytes=65536) as engine,
        proxying(router, send_buffer_bytes=65536) as address,
        calling(address, receive_buffer_bytes=65536) as caller,
    ):
        router.add(MODEL, engine.host, engine.port)
        await caller.send("POST", CHAT, BODY)
        before, unchanged = -1, 0

        def stalled() -> bool:
            nonlocal before, unchanged
            unchanged = unchanged + 1 if engine.sent_bytes == before > 0 else 0
            before = engine.sent_bytes
            return unchanged >= 20

        await until(stalled)
        # The kernel's buffers take megabytes of the 40; what the proxy holds is tested by itself.
        assert engine.sent_bytes < 12_000_000
        await caller.head()
        received_bytes = 0
        while part := await caller.next_data():
            received_bytes += len(part)
        assert received_bytes == count * len(event)
