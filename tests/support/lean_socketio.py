"""A lean Socket.IO client: one websocket, frames by hand, no library between.

For tests of clients that do not read, and for benchmarks, whose load must cost less than what they
measure. It knows just what it needs: text frames (RFC 6455), Engine.IO 4 and Socket.IO 5 over
websocket only.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any, cast

NAMESPACE = "/llamaproxws"

_UPGRADE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_OPEN, _PING, _PONG = b"0", b"2", b"3"
_CONNECTED = b"40" + NAMESPACE.encode()
_EVENT = b"42" + NAMESPACE.encode() + b","
_ACK = b"43" + NAMESPACE.encode() + b","
_NO_MASK = bytes(4)
_CLOSE_OPCODE = 0x8

Listener = Callable[[bytes], None]


class LeanClient(asyncio.Protocol):
    """One client. `on_event` and `on_ack` get the JSON of an event or an acknowledgement."""

    def __init__(self, on_event: Listener | None = None) -> None:
        self._on_event = on_event
        self._on_ack: Listener | None = None
        self._buffer = bytearray()
        self._upgraded = False
        self._transport: asyncio.Transport | None = None
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the websocket."""
        self._transport = cast(asyncio.Transport, transport)
        port = transport.get_extra_info("peername")[1]
        self._transport.write(_UPGRADE.format(port=port).encode())

    def connection_lost(self, _exc: Exception | None) -> None:
        """The server has ended it, or we have."""
        for future in (self.joined, self.lost):
            if not future.done():
                future.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take whole frames out of what has come."""
        buffer = self._buffer
        buffer += data
        if not self._upgraded:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._upgraded = True
            del buffer[: end + 4]
        while len(buffer) >= 2:
            start, size = 2, buffer[1]
            if size >= 126:
                start = 4 if size == 126 else 10
                size = int.from_bytes(buffer[2:start], "big")
            if len(buffer) < start or len(buffer) < start + size:
                return
            is_close = buffer[0] & 0x0F == _CLOSE_OPCODE
            message = bytes(buffer[start : start + size])
            del buffer[: start + size]
            if is_close:
                self.close()
                return
            self._take(message)

    def request(self, name: str, payload: Any, on_ack: Listener) -> None:
        """Send a request; one at a time."""
        self._on_ack = on_ack
        self.send(f"42{NAMESPACE},1{json.dumps([name, payload])}".encode())

    async def call(self, name: str, payload: Any) -> Any:
        """Send a request and return its data."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.request(name, payload, answer.set_result)
        (reply,) = json.loads(await answer)
        if not reply["success"]:
            raise RuntimeError(f"{name}: {reply['error']}")
        return reply

    def send(self, message: bytes) -> None:
        """Send a text frame. Its mask is zero: the payload stays as it is."""
        size = len(message)
        head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
        if self._transport is not None:
            self._transport.write(head + _NO_MASK + message)

    def stop_reading(self) -> None:
        """From now on take nothing off the socket."""
        if self._transport is not None:
            self._transport.pause_reading()

    def read_again(self) -> None:
        """Take what has come meanwhile."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, message: bytes) -> None:
        if message.startswith(_EVENT):
            if self._on_event is not None:
                self._on_event(message[len(_EVENT) :])
        elif message.startswith(_ACK):
            if self._on_ack is not None:
                self._on_ack(message[len(_ACK) + 1 :])
        elif message == _PING:
            self.send(_PONG)
        elif message.startswith(_CONNECTED):
            if not self.joined.done():
                self.joined.set_result(None)
        elif message.startswith(_OPEN):
            self.send(_CONNECTED + b",")


async def connect(
    port: int, on_event: Listener | None = None, *, buffer_bytes: int = 0
) -> LeanClient:
    """A client that has joined our namespace; `buffer_bytes` is what the kernel keeps for it."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    if buffer_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    _, client = await loop.create_connection(lambda: LeanClient(on_event), sock=sock)
    await client.joined
    if client.lost.done():
        raise RuntimeError(f"port {port} did not let us in")
    return client
