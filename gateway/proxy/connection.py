"""One HTTP/1.1 connection to an engine, carrying one request at a time.

asyncio calls in, `ResponseParser` reads, and whoever waits for the answer is woken. The engine
feels a slow client: with `HIGH_WATER_BYTES` unread the socket is not read any more.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from gateway.proxy.errors import UpstreamBroken, UpstreamClosed
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
    read is parsed before the next begins. `on_lost` is called once, when the socket is gone.
    """

    def __init__(self, read_buffer: memoryview, on_lost: Callable[[Connection], None]) -> None:
        self._read_buffer = read_buffer
        self._on_lost = on_lost
        self.loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: ResponseParser | None = None
        self._broken: UpstreamBroken | None = None
        self._reader: asyncio.Future[None] | None = None
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
        return self._parser is not None and self._parser.started

    @property
    def at_end(self) -> bool:
        """Whether the whole answer has come and been read."""
        parser = self._parser
        return parser is not None and parser.complete and not parser.buffered_bytes

    @property
    def buffered_bytes(self) -> int:
        """Body bytes held here for a reader."""
        return 0 if self._parser is None else self._parser.buffered_bytes

    def send(self, head: bytes, body: bytes) -> None:
        """Begin a request."""
        self._parser = ResponseParser()
        if self._transport is None:
            return
        if len(body) <= COPIED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    async def read_head(self) -> ResponseHead:
        """Status and headers, as soon as they have come. Raises `UpstreamBroken`."""
        parser = self._current()
        while parser.head is None:
            await self._more()
        return parser.head

    async def read_chunk(self) -> bytes:
        """What has come of the body, at least one byte; empty at its end. Raises `UpstreamBroken`.

        What came before a failure is handed out before the failure is raised.
        """
        parser = self._current()
        while not parser.buffered_bytes:
            if parser.complete:
                return b""
            await self._more()
        chunk = parser.take(CHUNK_BYTES)
        if self._paused and parser.buffered_bytes <= LOW_WATER_BYTES:
            self._resume()
        return chunk

    def finish(self) -> bool:
        """End the exchange. Whether the connection may carry another; if not, it is closed."""
        parser, self._parser = self._parser, None
        transport = self._transport
        if (
            parser is not None
            and parser.complete
            and parser.reusable
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
        parser = self._parser
        if parser is None:
            # Nobody asked: whatever this is must not become the answer to the next request.
            self.abort()
            return
        try:
            parser.feed(self._read_buffer[:nbytes])
        except UpstreamBroken as error:
            self._fail(error)
        if not self._paused and parser.buffered_bytes >= HIGH_WATER_BYTES:
            self._pause()
        self._wake()

    def eof_received(self) -> None:
        """The engine sends no more; asyncio closes the transport next."""
        parser = self._parser
        if parser is not None:
            try:
                parser.end()
            except UpstreamBroken as error:
                self._fail(error)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone, by either side."""
        parser = self._parser
        if parser is not None and not parser.complete:
            self._fail(UpstreamClosed(f"the connection was reset: {exc or 'closed'}"))
        self._wake()
        self._on_lost(self)

    def _current(self) -> ResponseParser:
        if self._parser is None:
            raise RuntimeError("no request is under way on this connection")
        return self._parser

    async def _more(self) -> None:
        """Until something has changed; raises what broke the connection."""
        if self._broken is not None:
            raise self._broken
        self._reader = self.loop.create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

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
