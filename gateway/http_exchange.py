"""One HTTP request and its answer, as an ASGI application sees them: what uvicorn calls a cycle.

uvicorn's own makes an event per request, copies each part of a body twice and writes an answer's
head by itself. On loopback a write is the most expensive thing that happens to a small request.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from starlette.types import Message, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.known_head import KnownHead
from gateway.light_tasks import LightTask

if TYPE_CHECKING:
    from gateway.http_protocol import HttpProtocol

logger = logging.getLogger("uvicorn.error")

EXCHANGE = "llama_proxy.exchange"
"""The key of a scope under which applications of ours find the exchange itself."""

HIGH_WATER_BYTES = 64 * 1024
"""A request's body is read no further while so much of it was not received."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_DISCONNECT: Message = {"type": "http.disconnect"}

_NOT_IN_A_HEAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

Headers = Iterable[tuple[bytes, bytes]]


class Exchange:
    """A request of `connection`, and the answer to it.

    `keep_alive` says whether another request may follow, `gone` whether the client has left.
    `known` is there where the connection has had this very head before: an application may keep a
    function in it, which is then called with the exchange in place of the application.
    `task` is what the application runs in. With a `body` nothing more of the request will come.
    """

    # What most of them never change is left to the class.
    gone = False
    started = False
    complete = False
    task: asyncio.Task[None] | LightTask | None = None
    _told_all = False
    _parts_bytes = 0
    _news: asyncio.Event | None = None
    _on_gone: Callable[[], None] | None = None
    _head = b""
    _chunked = False
    _left_bytes: int | None = None

    def __init__(
        self,
        connection: HttpProtocol,
        method: str,
        version: str,
        *,
        keep_alive: bool,
        expects_continue: bool = False,
        known: KnownHead | None = None,
        body: bytes | None = None,
    ) -> None:
        self._connection = connection
        self._to_head = method == "HEAD"
        self._may_chunk = version == "1.1"
        self.known = known
        self.keep_alive = keep_alive
        self._expects_continue = expects_continue
        self._parts: list[bytes] = [body] if body else []
        self._more_body = body is None

    # What the connection tells.

    def add_body(self, part: bytes) -> bool:
        """A part of the request's body has come. Whether more may be read now."""
        self._parts.append(part)
        self._parts_bytes += len(part)
        self._tell()
        return self._parts_bytes <= HIGH_WATER_BYTES

    def end_body(self) -> None:
        """The request's body is whole."""
        self._more_body = False
        self._tell()

    @property
    def body_ended(self) -> bool:
        """Whether the request's body is whole."""
        return not self._more_body

    def lose_client(self) -> None:
        """The connection is gone."""
        if self.complete or self.gone:
            return
        self.gone = True
        self._tell()
        if self._on_gone is not None:
            self._on_gone()

    # What the application does.

    def watch(self, on_gone: Callable[[], None] | None) -> None:
        """Call `on_gone` once the client leaves before its answer is complete, or now if it has."""
        self._on_gone = on_gone
        if on_gone is not None and self.gone:
            on_gone()

    def take_whole(self) -> bytes | None:
        """The request's whole body, where it is here and was not asked for; else `receive` it."""
        if self._more_body or self._told_all:
            return None
        self._told_all = True
        return self._taken()

    async def run(self, scope: Scope | None) -> None:
        """Have the application answer; what it leaves undone closes the connection.

        Without a scope it is the function that was kept for this head that answers.
        """
        try:
            if scope is not None:
                await self._connection.app(scope, self.receive, self.send)
            elif self.known is not None:
                await self.known.kept(self)
        except BaseException:
            logger.exception("Exception in ASGI application\n")
        else:
            if not self.complete and not self.gone:
                logger.error("ASGI callable returned without completing its answer.")
        self.task = None  # which holds this very coroutine
        if not self.complete and not self.gone:
            await self._end_badly()

    async def receive(self) -> Message:
        """The next part of the body, and once that is over, that the client has gone."""
        if self._expects_continue and not self.started and not self.gone:
            self._expects_continue = False
            self._connection.transport.write(_CONTINUE)
        while not self.complete and not self.gone:
            if self._parts or not (self._more_body or self._told_all):
                self._told_all = not self._more_body
                return {
                    "type": "http.request",
                    "body": self._taken(),
                    "more_body": self._more_body,
                }
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()
        return _DISCONNECT

    def _taken(self) -> bytes:
        parts, self._parts = self._parts, []
        self._parts_bytes = 0
        if self._connection.flow.read_paused:
            self._connection.flow.resume_reading()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def send(self, message: Message) -> None:
        """The head of the answer, then parts of its body, as ASGI has it; see the methods below."""
        await self.writable()
        if message["type"] == "http.response.start" and not self.started:
            self.start(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body" and self.started:
            self.write(message.get("body", b""), more=message.get("more_body", False))
        elif not self.gone:
            raise RuntimeError(f"{message['type']!r} cannot be sent at this point of an answer")

    @property
    def congested(self) -> bool:
        """Whether the client is slow: wait until `writable` before the next write."""
        return self._connection.flow.write_paused and not self.gone

    async def writable(self) -> None:
        """Return once the client takes more."""
        if self.congested:
            await self._connection.flow.drain()

    def start(self, status: int, headers: Headers) -> None:
        """Begin the answer. Its head leaves with the first part of the body, an empty one if need
        be. Raises RuntimeError for headers that are none.
        """
        if self.gone:
            return
        if self.started:
            raise RuntimeError("an answer begins once")
        lines = [STATUS_LINE[status]]
        length: bytes | None = None
        closes = chunked = False
        for name, value in (*self._connection.server_state.default_headers, *headers):
            lowered = name.lower()
            if lowered == b"content-length":
                length = value
            elif lowered == b"transfer-encoding":
                chunked = value.lower() == b"chunked"
            elif lowered == b"connection":
                closes = b"close" in value.lower()
            lines.append(b"%b: %b\r\n" % (lowered, value))
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
        if self._to_head or status in (204, 304):
            self._left_bytes = 0
        elif length is not None and not chunked:
            self._left_bytes = int(length)
        elif self._may_chunk and not chunked:
            chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        self._chunked = chunked and self._left_bytes is None
        self._head = _checked(b"".join(lines), len(lines))
        self.started = True

    def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the answer's body, the last one unless there is `more`.

        Raises RuntimeError where the answer does not have the length that was announced.
        """
        if self.gone:
            return
        if self.complete or not self.started:
            raise RuntimeError("a part of a body cannot be sent at this point of an answer")
        if self._to_head:
            body = b""
        elif self._chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        elif self._left_bytes is not None:
            self._left_bytes -= len(body)
            if self._left_bytes < 0:
                raise RuntimeError("an answer is longer than its Content-Length")
        if not more and self._left_bytes:
            raise RuntimeError("an answer is shorter than its Content-Length")
        if self._head:
            body = self._head + body
            self._head = b""
        if body:
            self._connection.transport.write(body)
        if not more:
            self._complete()

    def answer(self, head: bytes, body: bytes) -> None:
        """Send a whole answer; `head` comes from `ready_head`."""
        if self.gone:
            return
        if self.started:
            raise RuntimeError("an answer begins once")
        self.started = True
        end = b"" if self.keep_alive else b"connection: close\r\n"
        self._connection.transport.write(
            b"%b%bcontent-length: %d\r\n%b\r\n%b"
            % (
                head,
                _lines(tuple(self._connection.server_state.default_headers)),
                len(body),
                end,
                b"" if self._to_head else body,
            )
        )
        self._complete()

    def _complete(self) -> None:
        self.complete = True
        if self._news is not None:
            self._news.set()
        if not self.keep_alive:
            self._connection.transport.close()
        self._connection.on_response_complete()

    async def _end_badly(self) -> None:
        if self.started:
            self._close()
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        await self.writable()
        self.start(500, headers)
        self.write(b"Internal Server Error", more=False)

    def _close(self) -> None:
        """The answer stays as it is: who reads it sees that it is not whole."""
        if self._head:
            self._connection.transport.write(self._head)
        self._connection.transport.close()

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()


@functools.lru_cache(maxsize=1)
def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def ready_head(status: int, headers: Headers) -> bytes:
    """The head of any number of whole answers, but for their length.

    Raises RuntimeError for headers that are none.
    """
    lines = [STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in headers)]
    return _checked(b"".join(lines), len(lines))


def _checked(head: bytes, lines: int) -> bytes:
    """The head of an answer, none of whose headers ends its line or holds a control character."""
    if head.count(b"\n") != lines or head.count(b"\r") != lines or _NOT_IN_A_HEAD.search(head):
        raise RuntimeError("a header of an answer holds what HTTP forbids")
    return head
