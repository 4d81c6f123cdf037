"""Answers whose heads have come before, which is most of those that come in one piece."""

from __future__ import annotations

from gateway.known_head import KnownHead
from gateway.proxy.response_parser import ResponseHead, ResponseParser


class WholeAnswer:
    """An answer that came in one read. Its reader sees in it what it sees in a `ResponseParser`."""

    __slots__ = ("_body", "head", "length", "reusable")

    complete = True

    def __init__(self, head: ResponseHead, body: bytes) -> None:
        self.head = head
        self.length = len(body)
        self.reusable = True
        self._body = body

    @property
    def buffered_bytes(self) -> int:
        """Body bytes that were not yet taken."""
        return len(self._body)

    def take(self, limit_bytes: int) -> bytes:
        """At most so many bytes of the body; empty where none are left."""
        taken, self._body = self._body[:limit_bytes], self._body[limit_bytes:]
        return taken

    def feed(self, data: bytes | memoryview) -> None:
        """More than the answer has come."""
        if data:
            self.reusable = False

    def end(self) -> None:
        """The engine closed the connection."""
        self.reusable = False


class KnownAnswer:
    """Remembers the head of an engine's last whole answer."""

    __slots__ = ("_head",)

    def __init__(self) -> None:
        self._head: KnownHead | None = None

    def recall(self, data: bytes) -> WholeAnswer | None:
        """The answer, where this is a whole one with that head."""
        known = self._head
        body = None if known is None else known.body_of(data)
        return None if known is None or body is None else WholeAnswer(known.kept, body)

    def learn(self, data: bytes, read: ResponseParser) -> None:
        """Remember the head of an answer of which these bytes were the first that came."""
        head = read.head
        if head is None or not read.all_buffered:
            return
        self._head = KnownHead.learn(data, len(head.headers) + 1)  # and the length
        if self._head is not None:
            self._head.kept = head
