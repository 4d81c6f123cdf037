"""An engine that answers exactly the bytes a test tells it to: whole, in pieces, wrong, or not.

A test writes what happens on one connection after one request as a coroutine over an `Exchange`;
`answering` makes the usual ones.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Request:
    """What the proxy sent."""

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The one header of this name (lower case); None where there is none."""
        values = [value for given, value in self.headers if given == name]
        assert len(values) <= 1, f"{name!r} was sent {len(values)} times"
        return values[0] if values else None


@dataclass
class Exchange:
    """One request on one connection, and the means to answer it."""

    request: Request
    connection_number: int
    server: ScriptedUpstream
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send, and let the other side read it before more is sent."""
        self.writer.write(data)
        self.server.sent_bytes += len(data)
        await self.writer.drain()
        for _ in range(3):
            await asyncio.sleep(0)

    def close(self) -> None:
        """End the connection in order (FIN)."""
        self.writer.close()

    def reset(self) -> None:
        """Break the connection off (RST)."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def left(self) -> None:
        """Until the proxy has closed the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(1024):
                pass


Script: TypeAlias = Callable[[Exchange], Awaitable[None]]


@dataclass
class ScriptedUpstream:
    """A server; `requests` are all it has read, `accepted` counts connections.

    With `reads_bodies` off it answers as soon as it has read a request's head.
    """

    script: Script
    host: str = ""
    port: int = 0
    reads_bodies: bool = True
    requests: list[Request] = field(default_factory=list)
    accepted: int = 0
    open_connections: int = 0
    sent_bytes: int = 0
    failures: list[BaseException] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A new connection."""
        self.accepted += 1
        self.open_connections += 1
        task = asyncio.create_task(self._serve(reader, writer, self.accepted))
        self._tasks.add(task)
        task.add_done_callback(self._over)

    async def stop(self) -> None:
        """End what is still under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert not self.failures, self.failures

    def _over(self, task: asyncio.Task[None]) -> None:
        self.open_connections -= 1
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self.failures.append(failure)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        try:
            while not writer.is_closing():
                request = await _read_request(reader, with_body=self.reads_bodies)
                self.requests.append(request)
                await self.script(Exchange(request, number, self, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the proxy closed the connection, as it may at any time
        finally:
            writer.transport.abort()


@asynccontextmanager
async def scripted_upstream(
    script: Script, *, send_buffer_bytes: int | None = None, reads_bodies: bool = True
) -> AsyncIterator[ScriptedUpstream]:
    """Runs a server that answers every request by `script`."""
    # asyncio switches Nagle's algorithm off only where the protocol is given.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if send_buffer_bytes is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    listener.bind(("127.0.0.1", 0))
    host, port = listener.getsockname()
    upstream = ScriptedUpstream(script, host, port, reads_bodies)
    server = await asyncio.start_server(upstream.accept, sock=listener)
    try:
        yield upstream
    finally:
        server.close()
        await upstream.stop()


End: TypeAlias = Literal["keep", "close", "reset", "hang"]


def answering(*pieces: bytes, then: End = "keep") -> Script:
    """Sends these pieces one by one, then keeps the connection, ends it, or says no more."""
    return in_turn([ScriptedAnswer(pieces, then)])


@dataclass(frozen=True)
class ScriptedAnswer:
    """Pieces to be sent one by one, and what follows."""

    pieces: Sequence[bytes]
    then: End = "keep"

    async def play(self, exchange: Exchange) -> None:
        """Send it."""
        for piece in self.pieces:
            await exchange.send(piece)
        match self.then:
            case "close":
                exchange.close()
            case "reset":
                exchange.reset()
            case "hang":
                await exchange.left()
            case "keep":
                pass


def in_turn(answers: Iterable[ScriptedAnswer]) -> Script:
    """The first request gets the first answer, and so on; the last is for all that follow."""
    remaining = list(answers)

    async def script(exchange: Exchange) -> None:
        answer = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        await answer.play(exchange)

    return script


def answer(*pieces: bytes, then: End = "keep") -> ScriptedAnswer:
    """One entry for `in_turn`."""
    return ScriptedAnswer(pieces, then)


def whole(body: bytes, content_type: bytes = b"application/json", status: int = 200) -> bytes:
    """A complete answer of known length."""
    return (
        b"HTTP/1.1 %d Status\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
        % (status, content_type, len(body))
    ) + body


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _read_request(reader: asyncio.StreamReader, *, with_body: bool) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    request_line, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, version = request_line.decode("ascii").split(" ")
    assert version == "HTTP/1.1"
    headers = []
    for line in lines:
        name, _, value = line.partition(b": ")
        headers.append((name.lower(), value))
    request = Request(method, target, headers, b"")
    length = int(request.header(b"content-length") or b"0")
    if not with_body:
        return request
    return Request(method, target, headers, await reader.readexactly(length))
