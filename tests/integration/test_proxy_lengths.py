"""Engines whose Content-Length is wrong: nobody takes a part for the whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import pytest

from gateway.proxy.connection import CHUNK_BYTES, HIGH_WATER_BYTES
from tests.support.http_caller import Answer, fetch
from tests.support.loops import on_both_loops
from tests.support.proxy_server import TableRouter, proxying
from tests.support.upstream_server import Exchange, Script, scripted_upstream, whole

CHAT = "/v1/chat/completions"
BODY = b'{"model": "tiny"}'
NEXT = b'{"next": true}'
SIZES = [1, 2, 100, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * HIGH_WATER_BYTES, 1 << 20]


def announcing(length: int, content: bytes, kind: bytes = b"application/json") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, length)
    return head + content


def first_then_right(*pieces: bytes, closes: bool = False) -> Script:
    """The first request gets these pieces, every other one an answer that is as it should be."""
    wrong = [pieces]

    async def script(exchange: Exchange) -> None:
        if not wrong:
            await exchange.send(whole(NEXT))
            return
        for piece in wrong.pop():
            await exchange.send(piece)
        if closes:
            exchange.close()

    return script


@asynccontextmanager
async def proxied(script: Script) -> AsyncIterator[tuple[str, int]]:
    router = TableRouter()
    async with scripted_upstream(script) as engine, proxying(router) as address:
        router.add("tiny", engine.host, engine.port)
        yield address
    assert all(use.in_flight == 0 for use in router.in_flight.uses())


async def post(address: tuple[str, int]) -> Answer:
    return await fetch(address, "POST", CHAT, BODY, [("Content-Type", "application/json")])


@on_both_loops
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "afterwards"])
async def test_what_is_beyond_the_announced_length_reaches_nobody(
    size: int, *, apart: bool
) -> None:
    for announced in {0, size // 2, size - 1}:
        content = b"a" * announced
        surplus = whole(b'{"forged": true}').ljust(size - announced, b"z")
        pieces = (announcing(announced, content), surplus)
        script = first_then_right(*(pieces if apart else [b"".join(pieces)]))
        async with proxied(script) as address:
            first = await post(address)
            assert (first.status, first.body) == (200, content)
            for _ in range(3):
                assert (await post(address)).body == NEXT


@on_both_loops
@pytest.mark.parametrize("size", [0, *SIZES])
async def test_what_is_shorter_than_announced_is_cut(size: int) -> None:
    for announced in {size + 1, 2 * size + 1, size + (1 << 40)}:
        script = first_then_right(announcing(announced, b"a" * size), closes=True)
        async with proxied(script) as address:
            with pytest.raises(h11.RemoteProtocolError):
                await post(address)
            assert (await post(address)).body == NEXT


@on_both_loops
@pytest.mark.parametrize("size", [1, 100, 3 * HIGH_WATER_BYTES])
async def test_a_stream_that_is_shorter_than_announced_ends_with_an_error(size: int) -> None:
    events = b"data: " + b"a" * size + b"\n\n"
    kind = b"text/event-stream"
    script = first_then_right(announcing(len(events) + 1, events, kind), closes=True)
    async with proxied(script) as address:
        answered = await post(address)
        assert answered.body.startswith(events)
        assert b'"code":"engine_failed"' in answered.body[len(events) :]
        assert (await post(address)).body == NEXT


@pytest.mark.parametrize(
    "length",
    [
        b"-1",
        b"+5",
        b"0x5",
        b"5, 5",
        b"5 5",
        b"",
        b"5;",
        b"\xb2",
        b"9" * 30,
        b"5\r\nContent-Length: 6",
    ],
)
async def test_a_length_that_is_none_is_a_502(length: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %b\r\n\r\nhello"
    async with proxied(first_then_right(head % length)) as address:
        async with asyncio.timeout(5):
            answered = await post(address)
        assert answered.status == 502
        assert (await post(address)).body == NEXT
