"""One `HttpProtocol` without a socket: a test is the client, and the application behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from gateway.http_protocol import HttpProtocol

App = Callable[[Scope, Receive, Send], Awaitable[None]]

OK: Message = {"type": "http.response.start", "status": 200, "headers": []}


class Written(asyncio.Transport):
    """Keeps what is written to it, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class HttpConnection:
    """A connection that was just made."""

    def __init__(self, app: App) -> None:
        config = uvicorn.Config(
            app, ws="none", lifespan="off", log_config=None, proxy_headers=False
        )
        config.load()
        self.transport = Written()
        self.state = ServerState()
        self.protocol = HttpProtocol(config, self.state, {}, asyncio.get_running_loop())
        self.protocol.connection_made(self.transport)

    async def send(self, *parts: bytes) -> bytes:
        """Send these, one after the other; what was written until nothing happened any more."""
        before = len(self.transport.writes)
        for part in parts:
            self.protocol.data_received(part)
            await settle()
        return b"".join(self.transport.writes[before:])

    async def lose(self) -> None:
        """The client goes."""
        self.transport.closed = True
        self.protocol.connection_lost(None)
        await settle()

    def look_in(self, seconds: float) -> None:
        """What the server does now and then, as if so much time had passed."""
        self.protocol.look(asyncio.get_running_loop().time() + seconds)


async def settle() -> None:
    """Until every task waits for something that only the test can do."""
    for _ in range(20):
        await asyncio.sleep(0)


def answering(*messages: Message) -> App:
    """Reads the whole body, then sends these."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        for message in messages:
            await send(message)

    return app


def body(content: bytes = b"", *, more: bool = False) -> Message:
    """A part of an answer."""
    return {"type": "http.response.body", "body": content, "more_body": more}


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    """The head of an answer."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}
