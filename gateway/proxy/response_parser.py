"""What an engine answers, byte by byte: head, body, and where it ends. No sockets here.

llhttp (by httptools) reads strictly: bare line feeds, folded headers, two lengths, a length beside
chunks, bad chunk sizes are errors. What it leaves to its user is here: limits, versions, informal
(1xx) answers, bodies that end with the connection, and bytes that nobody asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httptools

from gateway.proxy.errors import UpstreamClosed, UpstreamMalformed
from gateway.proxy.headers import Header

MAX_HEAD_BYTES = 64 * 1024
"""Bound on all headers and trailers of one answer, and on any single line of it."""

_BODILESS = (204, 304)

MAX_INTERIM_ANSWERS = 8
"""How many 1xx answers may come before the real one."""


@dataclass(slots=True, eq=False)
class ResponseHead:
    """Status and headers as the engine sent them, but for the length; names in lower case.

    Answers whose heads are the same but for the length have the same one: `kept` is for what was
    made of it.
    """

    status: int
    headers: list[Header]
    kept: Any = None


class ResponseParser:
    """One answer. `head` is None until it has been read; `complete` once the body has ended.

    `bodiless`: it has none, whatever its head says, for it is the answer to HEAD. `reusable` says
    whether the connection may carry another request afterwards.
    """

    def __init__(self, *, bodiless: bool = False) -> None:
        self._bodiless = bodiless
        self.head: ResponseHead | None = None
        self.length: int | None = None
        self.complete = False
        self.reusable = False
        self.started = False
        self._http: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._body: bytes | bytearray = b""
        self._headers: list[Header] = []
        self._encodings: list[bytes] = []
        self._header_bytes = 0
        self._interim_answers = 0
        self._until_close = False
        # Bytes since the parser last told of anything: bounds lines that never end.
        self._silent_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        """Body bytes that were read and not yet taken."""
        return len(self._body)

    @property
    def all_buffered(self) -> bool:
        """Whether all of an answer is here that has a body of known length, of which nothing was
        taken, and after which the connection can be used again; and no interim answer before it.
        """
        has_body = self.head is not None and self.head.status not in _BODILESS
        plain = has_body and self.reusable and not self._interim_answers
        return plain and self.length == len(self._body)

    def feed(self, data: bytes | memoryview) -> None:
        """Read on. Raises `UpstreamMalformed` for what is not HTTP."""
        if self._http is None:
            self.reusable = self.reusable and not len(data)
            return
        self.started = True
        self._silent_bytes += len(data)
        try:
            self._http.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.reusable = False
            if not self.complete:
                raise _malformed(error) from None
        if self.complete:
            # The parser holds our methods: without this the two wait for the garbage collector.
            self._http = None
        elif self._silent_bytes > MAX_HEAD_BYTES:
            raise UpstreamMalformed(f"a line of more than {MAX_HEAD_BYTES} bytes")

    def end(self) -> None:
        """The engine closed the connection. Raises `UpstreamClosed` if the answer was not over."""
        self._http = None
        self.reusable = False
        if self._until_close:
            self.complete = True
        if self.complete:
            return
        if not self.started:
            raise UpstreamClosed("the connection was closed without an answer")
        part = "the head" if self.head is None else "the body"
        raise UpstreamClosed(f"the connection was closed within {part} of the answer")

    def take(self, limit_bytes: int) -> bytes:
        """At most so many bytes of the body; empty where none are buffered."""
        if len(self._body) <= limit_bytes:
            taken, self._body = bytes(self._body), b""
        else:
            taken, self._body = bytes(self._body[:limit_bytes]), self._body[limit_bytes:]
        return taken

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Another answer begins: the first, one after an interim one, or one too many."""
        self._silent_bytes = 0
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which is hop-by-hop for us."""
        self._silent_bytes = 0
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEAD_BYTES:
            raise UpstreamMalformed(f"headers of more than {MAX_HEAD_BYTES} bytes")
        if self.head is None:
            name = name.lower()
            if name == b"transfer-encoding":
                self._encodings.append(value.lower())
            elif name == b"content-length":
                self.length = int(value)
                return
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole: judge it."""
        self._silent_bytes = 0
        http = self._http
        if http is None or self.complete:
            return
        if http.get_http_version() not in ("1.1", "1.0"):
            raise UpstreamMalformed(f"HTTP version {http.get_http_version()}")
        status = http.get_status_code()
        if status == 101 or not 100 <= status <= 599:
            raise UpstreamMalformed(f"status {status}")
        if status < 200:
            return
        if self._encodings and self._encodings != [b"chunked"]:
            raise UpstreamMalformed("a transfer encoding other than chunked")
        bounded = self._encodings or self.length is not None or status in _BODILESS
        self._until_close = not bounded
        self.head = ResponseHead(status, self._headers)
        if self._bodiless:
            self.complete = True
            self.reusable = http.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """A piece of the body, without its chunk framing."""
        self._silent_bytes = 0
        if self.complete:
            self.reusable = False
        elif self._body:
            self._body += data
        else:
            self._body = bytearray(data)

    def on_message_complete(self) -> None:
        """An answer is over; the body's length says so."""
        self._silent_bytes = 0
        if self.head is None:
            self._headers, self._encodings, self.length = [], [], None
            self._interim_answers += 1
            if self._interim_answers > MAX_INTERIM_ANSWERS:
                raise UpstreamMalformed(f"more than {MAX_INTERIM_ANSWERS} interim answers")
        elif self._http is not None and not self.complete:
            self.complete = True
            self.reusable = self._http.should_keep_alive()


def _malformed(error: Exception) -> UpstreamMalformed:
    """What one of our callbacks raised inside the parser, else what the parser itself says."""
    if isinstance(error.__context__, UpstreamMalformed):
        return error.__context__
    if isinstance(error, httptools.HttpParserUpgrade):
        return UpstreamMalformed("an upgrade that nobody asked for")
    return UpstreamMalformed(str(error))
