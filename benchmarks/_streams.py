"""Clients that read streams: at a pace, with the delay of each chunk; to the end; or slowly."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from typing import cast

from benchmarks._requests import request, stream_of

CHUNK_BYTES = 265
"""An event of llama-server with one token."""

CLOSING_CHUNK = b"\r\n0\r\n\r\n"

_WRITTEN_AT = re.compile(rb'"t":([0-9]{16}),')
_LONGEST_MATCH_BYTES = 22


class PacedReader(asyncio.Protocol):
    """Reads one stream and notes how old each chunk was when it came, in ms."""

    def __init__(self, content: bytes) -> None:
        self.delays_ms: list[float] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._content = content
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        cast(asyncio.Transport, transport).write(self._content)

    def data_received(self, data: bytes) -> None:
        """Some chunks, the last of them perhaps not whole."""
        now_ns = time.perf_counter_ns()
        data = self._rest + data
        read = 0
        for found in _WRITTEN_AT.finditer(data):
            self.delays_ms.append((now_ns - int(found[1])) / 1e6)
            read = found.end()
        self._rest = data[max(read, len(data) - _LONGEST_MATCH_BYTES) :]
        if data.endswith(CLOSING_CHUNK) and not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Before the end of the stream, a failure."""
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionResetError("the stream broke off"))


async def delays_ms(port: int, streams: int, per_s: int, duration_s: int) -> list[float]:
    """How late the chunks of so many streams come; each gives so many per second.

    They begin one after the other within a second, so that their chunks are spread evenly, and what
    comes in that second is left out.
    """
    loop = asyncio.get_running_loop()
    content = request(stream_of((duration_s + 1) * per_s, CHUNK_BYTES, per_s))
    began_s = loop.time()
    readers: list[PacedReader] = []
    for number in range(streams):
        await asyncio.sleep(max(0.0, began_s + number / streams - loop.time()))
        _, reader = await loop.create_connection(lambda: PacedReader(content), "127.0.0.1", port)
        readers.append(reader)
    await asyncio.gather(*(reader.ended for reader in readers))
    for reader in readers:
        assert len(reader.delays_ms) == (duration_s + 1) * per_s, len(reader.delays_ms)
    return [delay for reader in readers for delay in reader.delays_ms[per_s:]]


async def read_to_the_end(port: int, chunks: int, size_bytes: int) -> int:
    """Read one stream as fast as it comes; how many bytes it had."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(request(stream_of(chunks, size_bytes)))
    read_bytes, end = 0, b""
    while not end.endswith(CLOSING_CHUNK):
        data = await reader.read(1 << 18)
        assert data, "the stream broke off"
        read_bytes += len(data)
        end = (end + data)[-len(CLOSING_CHUNK) :]
    writer.close()
    return read_bytes


class SlowReader:
    """A client that takes what it is told to take, and has next to no buffer of its own."""

    def __init__(self, port: int, chunks: int, size_bytes: int) -> None:
        self._sock = socket.socket()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._sock.connect(("127.0.0.1", port))
        self._sock.sendall(request(stream_of(chunks, size_bytes)))

    def take(self, size_bytes: int) -> None:
        """Read so much."""
        while size_bytes:
            data = self._sock.recv(size_bytes)
            assert data, "the stream broke off"
            size_bytes -= len(data)

    def close(self) -> None:
        """Leave."""
        self._sock.close()
