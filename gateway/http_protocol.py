"""uvicorn's HTTP protocol with exchanges of our own, and bounds on what a client may send.

uvicorn bounds neither a head nor the requests that wait on one connection, and sets a timer for
each request. Here all connections are looked at once a second (`serving`).
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections import deque
from typing import Any, cast

import httptools
from starlette.types import Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.http_exchange import EXCHANGE, Exchange
from gateway.known_head import KnownHead
from gateway.light_tasks import LightTask, rounds_of

MAX_HEAD_BYTES = 64 * 1024
"""Bound on the target and all headers of one request, and on the trailers behind its body."""

MAX_PIPELINED = 32
"""Requests that may wait on one connection for the answers to those before."""

KEEP_ALIVE_S = 5.0
"""How long a connection may be without a request."""

HEAD_S = 15.0
"""How long the head of a request may take from its first byte."""

BODY_SILENCE_S = 30.0
"""How long nothing may come of a body that is waited for."""


class HttpProtocol(HttpToolsProtocol):
    """One connection. An application that wants its head out early sends an empty part of the body.
    One that has a true attribute `light` runs in a `LightTask`.

    It is uvicorn's where connections begin, end, or become websockets.
    """

    cycle: Exchange | None  # type: ignore[assignment]
    """Whose request is being read, or was read last."""
    pipeline: deque[tuple[Exchange, Scope]]  # type: ignore[assignment]
    """Those that wait for `_answering` to be over, oldest first."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._rounds = rounds_of(self.loop) if getattr(self.app, "light", False) else None
        self._known: KnownHead | None = None
        self._known_scope: Scope = {}
        self._answering: Exchange | None = None
        self._in_head = False
        self._in_body = False
        self._unparsed_bytes = 0
        self._refused = False
        self._since_s = self.loop.time()
        self._url = b""
        self._target: tuple[str, bytes, bytes] = ("", b"", b"")

    # What the loop tells.

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone, by either side."""
        del exc
        self.connections.discard(self)
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.lose_client()
        self.flow.resume_writing()
        # They know this connection: without this they would wait for the garbage collector.
        self.parser = self.scope = None  # type: ignore[assignment]
        self.cycle = self._answering = self._known = None

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._in_head or self._in_body or self._answering is not None or self._refused:
            self._parse(data)
            return
        known = self._known
        body = None if known is None else known.body_of(data)
        if known is None or body is None:
            self._parse(data)
            self._learn(data)
        else:
            self._recognise(known, body)

    def _parse(self, data: bytes) -> None:
        self._unparsed_bytes += len(data)
        while data and not self._refused:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserError:
                self._refuse_garbage()
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
                # Programs that would rather speak HTTP/2 offer it with every request (RFC 7540,
                # 3.2), and are answered as if they had not. The parser stops at such a head.
                self.parser = httptools.HttpRequestParser(self)
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self._refuse_head()

    def _learn(self, data: bytes) -> None:
        """If this was one whole request, the next one like it need not be parsed."""
        exchange = self._answering
        self._known = (
            KnownHead.learn(data, len(self.headers))
            if exchange is not None
            and exchange.keep_alive
            and exchange.body_ended
            and not self.pipeline
            and not self.expect_100_continue
            else None
        )
        self._known_scope = {}
        if self._known is not None:
            # Without the exchange, which knows this connection; and not the one that the
            # application has got, which it may write into.
            self._known_scope = dict(cast(Scope, self.scope)) | {"headers": [*self.headers]}
            del self._known_scope[EXCHANGE]

    def _recognise(self, known: KnownHead, body: bytes) -> None:
        self._unparsed_bytes = 0
        scope = self._known_scope
        exchange = self.cycle = Exchange(
            self, scope["method"], scope["http_version"], keep_alive=True, known=known, body=body
        )
        self._begin(exchange, None if known.kept is not None else self._scope_again(exchange, body))

    def _scope_again(self, exchange: Exchange, body: bytes) -> Scope:
        length = b"%d" % len(body)
        return {
            **self._known_scope,
            "state": self.app_state.copy(),
            "headers": [
                (name, length if name == b"content-length" else value)
                for name, value in self._known_scope["headers"]
            ],
            EXCHANGE: exchange,
        }

    # What the parser tells.

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        if self._answering is None:
            self._since_s = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what comes behind the body is a trailer, and none of ours is expected there."""
        if not self._in_head:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole: have it answered, now or after those before it."""
        self._in_head = False
        if self._unparsed_bytes > MAX_HEAD_BYTES and _size_bytes(self.headers) > MAX_HEAD_BYTES:
            self._refuse_head()
        self._unparsed_bytes = 0
        parser, scope = self.parser, cast(Scope, self.scope)
        method = scope["method"] = parser.get_method().decode("ascii")
        version = scope["http_version"] = parser.get_http_version()
        if method == "CONNECT":
            self._refuse_garbage()
        if self._refused or parser.should_upgrade():
            return
        if self.url != self._url:
            self._target = _target_of(self.url)
            self._url = self.url
        scope["path"], scope["raw_path"], scope["query_string"] = self._target
        exchange = self.cycle = scope[EXCHANGE] = Exchange(
            self,
            method,
            version,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            expects_continue=self.expect_100_continue,
        )
        self._in_body = True
        if self._answering is None:
            self._begin(exchange, scope)
            return
        self.flow.pause_reading()
        self.pipeline.append((exchange, scope))
        if len(self.pipeline) > MAX_PIPELINED:
            self._refuse(400, "Too many requests on one connection.")

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._unparsed_bytes = 0
        exchange = self.cycle
        if self._in_body and exchange is not None and not exchange.complete:
            self._since_s = self.loop.time()
            if not exchange.add_body(body):
                self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """The body is whole."""
        self._unparsed_bytes = 0
        if self._in_body and self.cycle is not None:
            self._in_body = False
            self.cycle.end_body()

    # What exchanges tell.

    def _begin(self, exchange: Exchange, scope: Scope | None) -> None:
        self._answering = exchange
        answering = exchange.run(scope)
        if self._rounds is not None:
            light = exchange.task = LightTask(answering, self._rounds, self.tasks.discard)
            # uvicorn does nothing with them but cancel them.
            self.tasks.add(light)  # type: ignore[arg-type]
        else:
            task = exchange.task = self.loop.create_task(answering)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def on_response_complete(self) -> None:
        """An answer is out: the next request's turn."""
        self._answering = None
        if self.transport.is_closing():
            return
        self._since_s = self.loop.time()
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self._begin(*self.pipeline.popleft())

    # What the server tells.

    def shutdown(self) -> None:
        """Take no further request."""
        if self._answering is None:
            self.transport.close()
        else:
            last = self.pipeline[-1][0] if self.pipeline else self._answering
            last.keep_alive = False

    def look(self, now_s: float) -> None:
        """Close the connection where its client has kept us waiting for too long."""
        waited_s = now_s - self._since_s
        exchange = self._answering
        if exchange is not None:
            # With reading paused it is the client that waits for us.
            missing = not exchange.body_ended and not self.flow.read_paused
            if missing and waited_s > BODY_SILENCE_S:
                self._refuse(408, "The body of the request did not come in time.")
        elif self._in_head:
            if waited_s > HEAD_S:
                self._refuse(408, "The head of the request did not come in time.")
        elif waited_s > self._idle_s():
            self.transport.close()

    def _idle_s(self) -> float:
        """How long nothing may be under way: an answered body may still be on its way to us."""
        if self._in_body:
            return BODY_SILENCE_S
        return HEAD_S if self.cycle is None else KEEP_ALIVE_S

    def _head_without_upgrade(self) -> bytes:
        lines = [b"%b %b HTTP/1.1\r\n" % (self.scope["method"].encode(), self.url)]
        for name, value in self.headers:
            if name == b"connection":
                value = _without_upgrade(value)
            if name != b"upgrade":
                lines.append(b"%b: %b\r\n" % (name, value))
        return b"".join(lines) + b"\r\n"

    def _refuse_garbage(self) -> None:
        self._refuse(400, "Invalid HTTP request received.")

    def _refuse_head(self) -> None:
        self._refuse(431, f"A request's head may have {MAX_HEAD_BYTES} bytes.")

    def _refuse(self, status: int, message: str) -> None:
        """Read no more; say why where nothing else is being answered, and close."""
        if self._refused:
            return
        self._refused = True
        self.logger.warning(message)
        self.pipeline.clear()
        exchange = self._answering
        if exchange is not None and exchange.body_ended:
            # Its answer ends as it should; another head in the midst of it would be read as part.
            exchange.keep_alive = False
            return
        if exchange is None or not exchange.started:
            self.transport.write(_whole_answer(status, message))
        self.transport.close()
        if exchange is not None:
            exchange.lose_client()


def _target_of(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, path as it came, and query."""
    parsed = httptools.parse_url(url)
    raw_path = parsed.path
    path = raw_path.decode("ascii")
    if "%" in path:
        path = urllib.parse.unquote(path)
    return path, raw_path, parsed.query or b""


def _without_upgrade(connection: bytes) -> bytes:
    tokens = (token.strip() for token in connection.split(b","))
    return b", ".join(token for token in tokens if token.lower() != b"upgrade")


def _size_bytes(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


def _whole_answer(status: int, message: str) -> bytes:
    content = message.encode("ascii")
    return b"%bcontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n%b%b" % (
        STATUS_LINE[status],
        len(content),
        b"connection: close\r\n\r\n",
        content,
    )
