"""An engine that answers at once: what is left of a measured time is what stands before it.

The request's header `x-answer` says what is wanted: nothing for a small JSON answer, or
`<chunks> <bytes of each> <chunks per second>` for a stream of events, 0 per second for as fast as
they are taken. Each chunk is one event and one write, as llama-server does it, and begins with the
time at which it was written. A process of its own: `python -m benchmarks._instant_engine PORT`.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from typing import cast

import uvloop

BACKLOG = 2048

_ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"bench",'
    b'"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Yes."}}],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11},'
    b'"timings":{"cache_n":4,"prompt_n":5,"prompt_ms":1.5,"predicted_n":2,"predicted_ms":2.5,'
    b'"predicted_per_second":800.0}}'
)
_WHOLE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Keep-Alive: timeout=5, max=100\r\nContent-Length: %d\r\n\r\n%b" % (len(_ANSWER), _ANSWER)
)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_WANTED = re.compile(rb"\r\nx-answer: *([0-9]+) ([0-9]+) ([0-9]+)", re.IGNORECASE)


def event(size_bytes: int) -> bytes:
    """One event of this size, written now; no clock of ours has more than 16 digits of ns."""
    start = b'data: {"t":%016d,"c":"' % time.perf_counter_ns()
    return start + b"x" * (size_bytes - len(start) - 4) + b'"}\n\n'


class InstantEngine(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received: list[bytes] = []
        self._missing_bytes = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._stream: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is left to be answered."""
        del exc
        self._transport = None
        if self._stream is not None:
            self._stream.cancel()

    def pause_writing(self) -> None:
        """The reader is slow."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Nobody sends a second request before the answer to the first."""
        self._received.append(data)
        if self._missing_bytes:
            self._missing_bytes -= len(data)
        else:
            received = b"".join(self._received)
            end = received.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(received, 0, end)
            body_bytes = int(length[1]) if length is not None else 0
            self._missing_bytes = end + 4 + body_bytes - len(received)
        if not self._missing_bytes:
            head = self._received[0]
            self._received.clear()
            self._answer(_WANTED.search(head))

    def _answer(self, wanted: re.Match[bytes] | None) -> None:
        if self._transport is None:
            return
        if wanted is None:
            self._transport.write(_WHOLE)
            return
        chunks, size_bytes, per_s = (int(number) for number in wanted.groups())
        self._stream = self._loop.create_task(self._send(chunks, size_bytes, per_s))

    async def _send(self, chunks: int, size_bytes: int, per_s: int) -> None:
        began_s = self._loop.time()
        framing = b"%x\r\n" % size_bytes
        self._write(_STREAM_HEAD)
        for number in range(chunks):
            if not self._writable.is_set():
                await self._writable.wait()
            self._write(framing + event(size_bytes) + b"\r\n")
            # The loop sends what was written once nothing else is ready: one send for each chunk.
            due_s = began_s + (number + 1) / per_s - self._loop.time() if per_s else 0.0
            await asyncio.sleep(max(0.0, due_s))
        self._write(_LAST_CHUNK)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        InstantEngine, "127.0.0.1", port, backlog=BACKLOG
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
