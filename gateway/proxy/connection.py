"""One HTTP/1.1 connection to an engine, carrying one request at a time.

asyncio calls in, `ResponseParser` reads, and whoever waits for the answer is woken. The engine
feels a slow client: with `HIGH_WATER_BYTES` unread the socket is not read any more.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import cast

from gateway.light_tasks import LightTask, waiting
from gateway.proxy.errors import UpstreamBroken, UpstreamClosed
from gateway.proxy.known_answer import KnownAnswer, WholeAnswer
from gateway.proxy.response_parser import ResponseHead, ResponseParser

READ_BYTES = 32 * 1024
"""Size of one read; asyncio's own buffers would take up to 256 KiB at once."""

HIGH_WATER_BYTES = 32 * 1024
LOW_WATER_BYTES = 8 * 1024

CHUNK_BYTES = 32 * 1024
"""Largest piece of a body handed on. Held per stream at most: HIGH_WATER_BYTES + READ_BYTES here,
one piece in hand, 64 KiB and one piece in the server's transport, and 52 KiB of the stream's ends
and its unfinished event (`usage`, `sse`): 244 KiB. More here made no stream faster."""

COPIED_BYTES = 16 * 1024
"""A request's body of at most so much is copied behind its head: one buffer is sent faster."""

# An engine on another host may become silent for ever when the link is cut. A long prompt is
# silent, too, but its host still answers the kernel's probes: gone after 5 + 3 x 2 s.
_NOTICE_A_CUT = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000),
)


class Connection(asyncio.BufferedProtocol):
    """A connection; made by the loop, then `send`, `read_head`, `read_chunk` until `at_end`.

    `read_buffer` is where the socket is read into; connections of one loop may share it, since each
    read is parsed before the next begins; those to one engine share what is `known` of its answers.
    `on_lost` is called once, when the socket is gone.
    """

    def __init__(
        self, read_buffer: memoryview, known: KnownAnswer, on_lost: Callable[[Connection], None]
    ) -> None:
        self._read_buffer = read_buffer
        self._known = known
        self._on_lost = on_lost
        self.loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._asked = self._to_head = False
        self._answer: ResponseParser | WholeAnswer | None = None
        self._broken: UpstreamBroken | None = None
        self._reader: asyncio.Future[None] | LightTask | None = None
        self._paused = False
        self.idle_since_s = 0.0

    # What the pool and the response call.

    @property
    def open(self) -> bool:
        """Whether the socket can still be written to, as far as is known."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def answered(self) -> bool:
        """Whether at least one byte of the answer has come."""
        return self._answer is not None

    @property
    def at_end(self) -> bool:
        """Whether the whole answer has come and been read."""
        answer = self._answer
        return answer is not None and answer.complete and not answer.buffered_bytes

    @property
    def buffered_bytes(self) -> int:
        """Body bytes held here for a reader."""
        return 0 if self._answer is None else self._answer.buffered_bytes

    @property
    def length(self) -> int | None:
        """The length of the answer's body, where its head has said it."""
        return None if self._answer is None else self._answer.length

    def send(self, head: bytes, body: bytes, *, to_head: bool = False) -> None:
        """Begin a request. The answer to a HEAD request has no body, whatever its head says."""
        self._asked, self._answer = True, None
        self._to_head = to_head
        if self._transport is None:
            return
        if len(body) <= COPIED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    async def read_head(self) -> ResponseHead:
        """Status and headers, as soon as they have come. Raises `UpstreamBroken`."""
        while (answer := self._answer) is None or answer.head is None:
            await self._more()
        return answer.head

    def take_whole(self) -> bytes | None:
        """The whole body, where it has all come and none of it was read; else `read_chunk`."""
        answer = self._answer
        if answer is None or not answer.complete:
            return None
        body_bytes = answer.buffered_bytes
        if body_bytes != answer.length or body_bytes > CHUNK_BYTES:
            return None
        return answer.take(CHUNK_BYTES)

    async def read_chunk(self) -> bytes:
        """What has come of the body, at least one byte; empty at its end. Raises `UpstreamBroken`.

        What came before a failure is handed out before the failure is raised.
        """
        answer = self._answer
        if answer is None:
            raise RuntimeError("the head of the answer was not read")
        while not answer.buffered_bytes:
            if answer.complete:
                return b""
            await self._more()
        chunk = answer.take(CHUNK_BYTES)
        if self._paused and answer.buffered_bytes <= LOW_WATER_BYTES:
            self._resume()
        return chunk

    def finish(self) -> bool:
        """End the exchange. Whether the connection may carry another; if not, it is closed."""
        answer, self._answer, self._asked = self._answer, None, False
        transport = self._transport
        if (
            answer is not None
            and answer.complete
            and answer.reusable
            and transport is not None
            and not transport.is_closing()
            # An answer that came before the whole request was sent: the rest would follow.
            and transport.get_write_buffer_size() == 0
        ):
            if self._paused:
                self._resume()
            return True
        self.abort()
        return False

    def abort(self) -> None:
        """Close at once, whatever is under way: the engine's slot is free a moment later."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected."""
        # uvloop's transports are not derived from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        for level, option, value in _NOTICE_A_CUT:
            self._transport.get_extra_info("socket").setsockopt(level, option, value)

    def get_buffer(self, _size_hint: int) -> memoryview:
        """Where the next read goes."""
        return self._read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So much was read."""
        data = self._read_buffer[:nbytes]
        try:
            if self._answer is None:
                self._begin(bytes(data))
            else:
                self._answer.feed(data)
        except UpstreamBroken as error:
            self._fail(error)
        if not self._paused and self.buffered_bytes >= HIGH_WATER_BYTES:
            self._pause()
        self._wake()

    def eof_received(self) -> None:
        """The engine sends no more; asyncio closes the transport next."""
        if self._asked:
            try:
                (self._answer or ResponseParser()).end()
            except UpstreamBroken as error:
                self._fail(error)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone, by either side."""
        if self._asked and not (self._answer is not None and self._answer.complete):
            self._fail(UpstreamClosed(f"the connection was reset: {exc or 'closed'}"))
        self._wake()
        self._on_lost(self)

    def _begin(self, data: bytes) -> None:
        """The first bytes of an answer have come."""
        if not self._asked:
            # Nobody did: whatever this is must not become the answer to the next request.
            self.abort()
            return
        self._answer = self._known.recall(data)
        if self._answer is None:
            parser = self._answer = ResponseParser(bodiless=self._to_head)
            parser.feed(data)
            self._known.learn(data, parser)

    def _more(self) -> Awaitable[None]:
        """Done when something has changed. Raises what broke the connection."""
        if self._broken is not None:
            raise self._broken
        light = waiting(self)
        if light is not None:
            self._reader, wait = light
            return wait
        self._reader = self.loop.create_future()
        return self._reader

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if isinstance(reader, LightTask):
            reader.has(self)
        elif reader is not None and not reader.done():
            reader.set_result(None)

    def _fail(self, error: UpstreamBroken) -> None:
        """Keep the first failure: later ones follow from it."""
        if self._broken is None:
            self._broken = error
        self.abort()

    def _pause(self) -> None:
        if self.open and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True

    def _resume(self) -> None:
        self._paused = False
        if self.open and self._transport is not None:
            self._transport.resume_reading()
