"""A thin HTTP/1.1 client for one engine, with a pool of kept-alive connections.

It does what a proxy needs and no more: no redirects, no cookies, no decompression, no time limit on
an answer (a long prompt is silent for minutes). What is read is bounded, see `connection`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from types import TracebackType
from typing import Self

from gateway.light_tasks import in_a_task
from gateway.proxy.connection import READ_BYTES, Connection
from gateway.proxy.errors import UpstreamClosed, UpstreamUnreachable
from gateway.proxy.headers import own_fields, request_head
from gateway.proxy.known_answer import KnownAnswer
from gateway.proxy.response_parser import ResponseHead

CONNECT_TIMEOUT_S = 5.0

IDLE_S = 4.0
"""How long an unused connection is kept: llama-server itself closes after 5 s (cpp-httplib's
`Keep-Alive: timeout=5`), and each kept connection occupies one of its threads."""

MAX_IDLE = 32
"""How many unused connections are kept."""


class UpstreamResponse:
    """An engine's answer: its `head` is there, the body comes by `take_whole` or `read_chunk`.

    Close it in any case (it is a context manager). A body that was not read to its end closes the
    connection, which makes the engine stop at once.
    """

    __slots__ = ("_connection", "_release", "head")

    def __init__(
        self, connection: Connection, head: ResponseHead, release: Callable[[Connection], None]
    ) -> None:
        self.head = head
        self._release = release
        self._connection: Connection | None = connection

    @property
    def length(self) -> int | None:
        """The length of the whole body, where the head has said it."""
        return None if self._connection is None else self._connection.length

    @property
    def at_end(self) -> bool:
        """Whether nothing more can come: the next `read_chunk` would be empty."""
        return self._connection is None or self._connection.at_end

    @property
    def buffered_bytes(self) -> int:
        """Body bytes that have come and were not read yet."""
        return 0 if self._connection is None else self._connection.buffered_bytes

    def take_whole(self) -> bytes | None:
        """The whole body, where all of it has come; None where it is to be read chunk by chunk."""
        return None if self._connection is None else self._connection.take_whole()

    async def read_chunk(self) -> bytes:
        """What has come of the body, coalesced; empty at its end. Raises `UpstreamBroken`."""
        if self._connection is None:
            raise RuntimeError("the response is closed")
        return await self._connection.read_chunk()

    def close(self) -> None:
        """Give the connection back, or close it if the answer is not over. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._release(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Upstream:
    """One engine at `host`, `port`, spoken to with its own `api_key`."""

    def __init__(
        self,
        host: str,
        port: int,
        api_key: str,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self.host = host
        self.port = port
        self.api_key = api_key
        self._connect_timeout_s = connect_timeout_s
        self._idle_s = idle_s
        self._own_fields = own_fields(host, port, api_key)
        self._read_buffer = memoryview(bytearray(READ_BYTES))
        self._known = KnownAnswer()
        self._idle: list[Connection] = []
        self._idle_timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def request(
        self, method: str, target: str, fields: bytes, body: bytes
    ) -> UpstreamResponse:
        """Send a request and return as soon as the answer's head has come.

        `target` is path and query, `fields` come from `headers.caller_fields`. Raises
        `UpstreamBroken`, and `InvalidRequest` for a target that is no HTTP.

        A kept connection that the engine closed meanwhile shows it only when it is used: then, and
        only if not one byte came back, the request is sent once more on a fresh one.
        """
        head = request_head(method, target, fields, self._own_fields, len(body))
        kept = self._take_idle()
        connection = kept or await self._connect()
        while True:
            connection.send(head, body, to_head=method == "HEAD")
            try:
                answer = await connection.read_head()
            except UpstreamClosed:
                if connection is not kept or connection.answered:
                    raise
                connection = await self._connect()
            except BaseException:
                connection.abort()
                raise
            else:
                return UpstreamResponse(connection, answer, self._release)

    def close(self) -> None:
        """Keep no connection any more; answers under way may be read to their end."""
        self._closed = True
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    async def _connect(self) -> Connection:
        await in_a_task()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await loop.create_connection(self._new, self.host, self.port)
        except TimeoutError as error:
            raise UpstreamUnreachable(
                f"no connection within {self._connect_timeout_s:g} s"
            ) from error
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else "no usable address"
            raise UpstreamUnreachable(f"no connection ({reason})") from error
        return connection

    def _new(self) -> Connection:
        return Connection(self._read_buffer, self._known, self._lost)

    def _take_idle(self) -> Connection | None:
        """The connection used last: the others may then grow old and be closed."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        return None

    def _release(self, connection: Connection) -> None:
        if not connection.finish():
            return
        if self._closed or len(self._idle) >= MAX_IDLE:
            connection.abort()
            return
        connection.idle_since_s = connection.loop.time()
        self._idle.append(connection)
        if self._idle_timer is None:
            self._idle_timer = connection.loop.call_later(self._idle_s, self._close_old)

    def _close_old(self) -> None:
        """Close what has been idle for long, and come back when the next one will have been."""
        loop = asyncio.get_running_loop()
        # A timer may fire a clock tick early.
        threshold_s = loop.time() - self._idle_s + 0.01
        while self._idle and self._idle[0].idle_since_s <= threshold_s:
            self._idle.pop(0).abort()
        self._idle_timer = (
            loop.call_at(self._idle[0].idle_since_s + self._idle_s, self._close_old)
            if self._idle
            else None
        )

    def _lost(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
