"""A client of the proxy that shows everything: h11 reads strictly, and knows a cut from an end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import h11
import msgspec


@dataclass(frozen=True)
class Answer:
    """A whole answer; header names in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class Caller:
    """One connection to the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    async def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        *,
        host: str = "localhost",
    ) -> None:
        """Send a request; `headers` besides Host and Content-Length. A body is JSON by default."""
        if body and not any(name.lower() == "content-type" for name, _ in headers):
            headers = [*headers, ("Content-Type", "application/json")]
        head = [("Host", host), ("Content-Length", str(len(body))), *headers]
        data = self._http.send(h11.Request(method=method, target=target, headers=head)) or b""
        data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        self._writer.write(data)
        await self._writer.drain()

    async def head(self) -> h11.Response:
        """Status and headers, leaving the body to `next_data`."""
        event = await self._next()
        assert isinstance(event, h11.Response), event
        return event

    async def next_data(self) -> bytes:
        """The next piece of the body; empty at its end; `h11.RemoteProtocolError` if it is cut."""
        event = await self._next()
        if isinstance(event, h11.EndOfMessage):
            return b""
        assert isinstance(event, h11.Data), event
        return bytes(event.data)

    async def rest(self) -> bytes:
        """The rest of the body."""
        parts = []
        while part := await self.next_data():
            parts.append(part)
        return b"".join(parts)

    async def answer(self) -> Answer:
        """The whole answer; afterwards another request may be sent."""
        head = await self.head()
        body = await self.rest()
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return Answer(head.status_code, dict(head.headers), body)

    async def request(
        self, method: str, target: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()
    ) -> Answer:
        """`send`, then `answer`."""
        await self.send(method, target, body, headers)
        return await self.answer()

    def leave(self) -> None:
        """Go away without a word."""
        self._writer.transport.abort()

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                assert not isinstance(event, type), event
                return event
            self._http.receive_data(await self._reader.read(65536))


@asynccontextmanager
async def calling(
    address: tuple[str, int], *, receive_buffer_bytes: int | None = None
) -> AsyncIterator[Caller]:
    """A connection to the proxy, closed at the end."""
    connection = socket.socket()
    connection.setblocking(False)
    if receive_buffer_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    await asyncio.get_running_loop().sock_connect(connection, address)
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


async def fetch(
    address: tuple[str, int],
    method: str,
    target: str,
    body: bytes = b"",
    headers: Sequence[tuple[str, str]] = (),
    *,
    host: str = "localhost",
) -> Answer:
    """One request on a connection of its own."""
    async with calling(address) as caller:
        await caller.send(method, target, body, headers, host=host)
        return await caller.answer()
