"""One caller's answer, and the headers that every answer carries."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.http_exchange import Exchange
from gateway.proxy.dialects import Dialect
from gateway.proxy.errors import ErrorAnswer
from gateway.proxy.headers import Header
from gateway.proxy.sse import EventFence

_JSON: Header = (b"content-type", b"application/json")

_EVENTS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
)

UNBUFFERED: Header = (b"x-accel-buffering", b"no")
"""Asks nginx and those that follow it not to collect a stream before they pass it on."""


class Responder:
    """Sends one answer. `started` tells whether its head is out and can no longer be changed, and
    `status` which one that was, 0 before.

    `common` are headers for every answer to this request (those of CORS). A stream of events has a
    `fence`, which knows whether an event of it is unfinished.
    """

    __slots__ = ("_exchange", "common", "fence", "status")

    def __init__(self, exchange: Exchange) -> None:
        self.status = 0
        self.fence: EventFence | None = None
        self.common: tuple[Header, ...] = ()
        self._exchange = exchange

    @property
    def started(self) -> bool:
        """Whether the answer's head is out."""
        return self.status != 0

    @property
    def streaming(self) -> bool:
        """Whether it is a stream of events, to which one more can be added."""
        return self.fence is not None

    async def start(self, status: int, headers: Iterable[Header]) -> None:
        """Send status and headers, which leave together with the first part of the body."""
        self.status = status
        if self._exchange.congested:
            await self._exchange.writable()
        self._exchange.start(status, [*headers, *self.common])

    async def head_out(self) -> None:
        """Have the head leave now: the server keeps it for the first part of the body."""
        await self.body(b"", more=True)

    async def body(self, chunk: bytes, *, more: bool) -> None:
        """Send a part of the body; waits while the client is slow."""
        if self._exchange.congested:
            await self._exchange.writable()
        self._exchange.write(chunk, more=more)

    async def whole(self, status: int, headers: Iterable[Header], content: bytes) -> None:
        """Send a whole answer of known length."""
        await self.start(status, [*headers, (b"content-length", b"%d" % len(content))])
        await self.body(content, more=False)

    @property
    def idle(self) -> bool:
        """Whether nothing was sent yet, and the client takes what is sent."""
        return not self.status and not self._exchange.congested

    def answer(self, status: int, head: bytes, content: bytes) -> None:
        """Send a whole answer at once; `head` is from `ready_head` and has `common` in it."""
        self.status = status
        self._exchange.answer(head, content)

    async def empty(self, status: int, headers: Iterable[Header]) -> None:
        """Send an answer that has no body."""
        await self.start(status, headers)
        await self.body(b"", more=False)

    async def json(self, status: int, value: object) -> None:
        """Send a value as JSON."""
        await self.whole(status, [_JSON], msgspec.json.encode(value))

    async def start_events(self) -> None:
        """Begin a stream of events of our own, before its engine is known."""
        self.fence = EventFence()
        await self.start(200, [*_EVENTS, UNBUFFERED])

    async def error(self, answer: ErrorAnswer, dialect: Dialect) -> None:
        """Tell of an error: by its status, or in the stream that has begun."""
        if self.fence is not None:
            await self.body(self.fence.cut() + dialect.event(answer), more=False)
        else:
            await self.whole(answer.status, [_JSON, *answer.headers], dialect.body(answer))
