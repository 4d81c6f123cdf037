"""One HTTP request and its answer, as an ASGI application sees them: what uvicorn calls a cycle.

uvicorn's own makes an event per request, copies each part of a body twice and writes an answer's
head by itself. On loopback a write is the most expensive thing that happens to a small request.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

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
    `kept` is for the application, and lasts as long as the connection.
    """

    __slots__ = (
        "_chunked",
        "_connection",
        "_expects_continue",
        "_head",
        "_left_bytes",
        "_may_chunk",
        "_more_body",
        "_news",
        "_on_gone",
        "_parts",
        "_parts_bytes",
        "_to_head",
        "_told_all",
        "complete",
        "gone",
        "keep_alive",
        "kept",
        "started",
    )

    def __init__(
        self,
        connection: HttpProtocol,
        method: str,
        version: str,
        *,
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        self._connection = connection
        self._to_head = method == "HEAD"
        self._may_chunk = version == "1.1"
        self.kept: dict[str, Any] = connection.kept
        self.keep_alive = keep_alive
        self.gone = False
        self.started = False
        self.complete = False
        self._expects_continue = expects_continue
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._more_body = True
        self._told_all = False
        self._news: asyncio.Event | None = None
        self._on_gone: Callable[[], None] | None = None
        self._head = b""
        self._chunked = False
        self._left_bytes: int | None = None

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

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Have the application answer; what it leaves undone closes the connection."""
        try:
            await app(scope, self.receive, self.send)
        except BaseException:
            logger.exception("Exception in ASGI application\n")
        else:
            if self.complete or self.gone:
                return
            logger.error("ASGI callable returned without completing its answer.")
        if not self.started:
            await self._answer_500()
        else:
            self._close()

    async def receive(self) -> Message:
        """The next part of the body, and once that is over, that the client has gone."""
        if self._expects_continue and not self.started and not self.gone:
            self._expects_continue = False
            self._connection.transport.write(_CONTINUE)
        while not self.complete and not self.gone:
            if self._parts or not (self._more_body or self._told_all):
                parts, self._parts = self._parts, []
                self._parts_bytes = 0
                self._told_all = not self._more_body
                self._connection.flow.resume_reading()
                body = parts[0] if len(parts) == 1 else b"".join(parts)
                return {"type": "http.request", "body": body, "more_body": self._more_body}
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()
        return _DISCONNECT

    async def send(self, message: Message) -> None:
        """The head of the answer, then parts of its body; waits while the client is slow.

        The head leaves with the first part, an empty one if need be.
        """
        flow = self._connection.flow
        if flow.write_paused and not self.gone:
            await flow.drain()
        if self.gone:
            return
        if not self.started:
            if message["type"] != "http.response.start":
                raise RuntimeError(f"an answer cannot begin with {message['type']!r}")
            self._start(message["status"], message.get("headers", ()))
        elif message["type"] != "http.response.body" or self.complete:
            raise RuntimeError(f"{message['type']!r} cannot be sent at this point of an answer")
        else:
            self._write(message.get("body", b""), more=message.get("more_body", False))

    def _start(self, status: int, headers: Headers) -> None:
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

    def _write(self, body: bytes, *, more: bool) -> None:
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

    def _complete(self) -> None:
        self.complete = True
        if self._news is not None:
            self._news.set()
        if not self.keep_alive:
            self._connection.transport.close()
        self._connection.on_response_complete()

    async def _answer_500(self) -> None:
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"Internal Server Error"})

    def _close(self) -> None:
        """The answer stays as it is: who reads it sees that it is not whole."""
        if self._head:
            self._connection.transport.write(self._head)
        self._connection.transport.close()

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()


def _checked(head: bytes, lines: int) -> bytes:
    """The head of an answer, none of whose headers ends its line or holds a control character."""
    if head.count(b"\n") != lines or head.count(b"\r") != lines or _NOT_IN_A_HEAD.search(head):
        raise RuntimeError("a header of an answer holds what HTTP forbids")
    return head
