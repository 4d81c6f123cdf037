"""A Socket.IO client that shows everything, for what the stock client hides or never sends.

It speaks Engine.IO 4 and Socket.IO 5 over one websocket, packet by packet
(github.com/socketio/socket.io-protocol).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed

NAMESPACE = "/llamaproxws"
DEADLINE_S = 10.0


class Refused(Exception):
    """The server let us not in; `data` is what `connect_error` carries."""

    def __init__(self, message: str, data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class SocketIoCaller:
    """One namespace of one connection."""

    def __init__(self, websocket: ClientConnection, namespace: str) -> None:
        self._websocket = websocket
        self._prefix = "" if namespace == "/" else f"{namespace},"
        self._next_id = 0
        self.sid = ""
        self.events: list[tuple[str, Any]] = []

    async def send(self, packet: str | bytes) -> None:
        """Send a packet as it is."""
        await self._websocket.send(packet)

    async def receive(self) -> str:
        """The next packet that is no ping; raises `ConnectionClosed` where there is none."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                packet = await self._websocket.recv()
                assert isinstance(packet, str)
                if packet != "2":
                    return packet
                await self._websocket.send("3")

    async def join(self, auth: object = None) -> None:
        """Enter the namespace. Raises `Refused`."""
        opening = await self.receive()
        assert opening.startswith("0{"), opening
        await self.send(f"40{self._prefix}{json.dumps(auth) if auth is not None else ''}")
        answer = await self.receive()
        kind, body = answer[:2], json.loads(answer[2:].removeprefix(self._prefix))
        if kind == "44":
            raise Refused(body["message"], body.get("data"))
        assert kind == "40", answer
        self.sid = body["sid"]

    async def ask(self, event: str, *payload: object) -> Any:
        """Emit with an acknowledgement, and wait for it."""
        packet_id = await self.emit(event, *payload)
        return await self.acknowledgement(packet_id)

    async def emit(self, event: str, *payload: object) -> int:
        """Emit with an acknowledgement; gives its number."""
        self._next_id += 1
        await self.send(f"42{self._prefix}{self._next_id}{json.dumps([event, *payload])}")
        return self._next_id

    async def acknowledgement(self, packet_id: int) -> Any:
        """Wait for an acknowledgement; events before it are kept in `events`."""
        start = f"43{self._prefix}{packet_id}["
        while True:
            packet = await self.receive()
            if packet.startswith(start):
                return json.loads(packet[len(start) - 1 :])[0]
            if packet.startswith(f"42{self._prefix}"):
                name, payload = json.loads(packet[2 + len(self._prefix) :])
                self.events.append((name, payload))
            elif packet.startswith("41"):
                raise ConnectionError("the server has disconnected us")

    async def disconnected(self) -> None:
        """Return once the server has disconnected us."""
        while True:
            try:
                packet = await self.receive()
            except ConnectionClosed:
                return
            if packet.startswith("41"):
                return


@asynccontextmanager
async def socketio_caller(
    address: tuple[str, int] | Path,
    token: str | None = None,
    *,
    namespace: str = NAMESPACE,
    headers: Mapping[str, str] | None = None,
    join: bool = True,
) -> AsyncIterator[SocketIoCaller]:
    """A connection over TCP, or to a Unix socket. Raises `Refused`."""
    path = "/socket.io/?EIO=4&transport=websocket"
    opening = (
        unix_connect(str(address), f"ws://localhost{path}", compression=None)
        if isinstance(address, Path)
        else connect(
            f"ws://{address[0]}:{address[1]}{path}",
            additional_headers=headers,
            compression=None,
            max_size=None,
            proxy=None,
        )
    )
    async with opening as websocket:
        caller = SocketIoCaller(websocket, namespace)
        if join:
            await caller.join({"token": token} if token is not None else None)
        yield caller
