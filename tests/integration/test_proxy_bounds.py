"""What the proxy holds for callers that read slowly or not at all."""

from __future__ import annotations

import asyncio
import gc

from gateway.http_protocol import HttpProtocol
from gateway.proxy.connection import HIGH_WATER_BYTES, Connection
from tests.support.http_caller import calling
from tests.support.loops import on_both_loops
from tests.support.proxy_server import TableRouter, proxying
from tests.support.upstream_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Exchange,
    chunk,
    scripted_upstream,
)
from tests.support.waiting import until

CHAT = "/v1/chat/completions"
BODY = b'{"model": "tiny", "stream": true}'
STREAM_BYTES = 20 << 20
HELD_BYTES = 256 << 10
"""What may be held for one stream."""


def held_bytes() -> int:
    """What all connections of this process hold, to engines unread and to callers unsent."""
    held = 0
    for thing in gc.get_objects():
        if isinstance(thing, Connection):
            held += thing.buffered_bytes
        elif isinstance(thing, HttpProtocol) and not thing.transport.is_closing():
            held += thing.transport.get_write_buffer_size()
    return held


async def watch(samples: list[int], every_s: float = 0.01) -> None:
    while True:
        samples.append(held_bytes())
        await asyncio.sleep(every_s)


@on_both_loops
async def test_what_is_held_for_a_slow_caller_is_bounded() -> None:
    event = b"data: " + b"x" * 255 + b"\n\n"
    part = chunk(event) * 100
    count = STREAM_BYTES // (100 * len(event))

    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD)
        for _ in range(count):
            await exchange.send(part)
        await exchange.send(LAST_CHUNK)

    router = TableRouter()
    async with (
        scripted_upstream(script, send_buffer_bytes=65536) as engine,
        proxying(router, send_buffer_bytes=65536) as address,
        calling(address, receive_buffer_bytes=65536) as caller,
    ):
        router.add("tiny", engine.host, engine.port)
        samples: list[int] = []
        watching = asyncio.create_task(watch(samples))
        await caller.send("POST", CHAT, BODY)
        await caller.head()
        # Both sides are full: nothing is read from the engine, nothing taken by the caller.
        await until(lambda: samples and samples[-1] >= HIGH_WATER_BYTES)
        received_bytes = 0
        while data := await caller.next_data():
            received_bytes += len(data)
        watching.cancel()
        await asyncio.wait([watching])
        assert received_bytes == count * 100 * len(event)
        assert HIGH_WATER_BYTES <= max(samples) <= HELD_BYTES
