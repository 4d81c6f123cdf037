"""Passes an engine's answer on to the caller, byte for byte and as it comes."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from gateway.http_exchange import ready_head
from gateway.proxy.dialects import Dialect
from gateway.proxy.errors import UpstreamBroken, answer_for
from gateway.proxy.headers import Header, end_to_end
from gateway.proxy.responder import UNBUFFERED, Responder
from gateway.proxy.response_parser import ResponseHead
from gateway.proxy.sse import EventFence
from gateway.proxy.trace import Trace
from gateway.proxy.upstream import UpstreamResponse

logger = logging.getLogger(__name__)

# An allow-list: an engine's CORS headers, its server name and its cookies are none of the caller's
# business.
_PASSED_ON = frozenset(
    (
        b"cache-control",
        b"content-encoding",
        b"content-type",
        b"etag",
        b"last-modified",
        b"retry-after",
    )
)

_BODILESS = frozenset((204, 304))

MAX_ERROR_BYTES = 64 * 1024
"""How much of an engine's error answer goes into the stream that has begun already."""


class _Passed:
    """What callers get of a head, `common` headers among them."""

    __slots__ = ("common", "headers", "is_event_stream", "ready")

    def __init__(self, head: ResponseHead, common: tuple[Header, ...]) -> None:
        self.common = common
        headers = end_to_end(head.headers)
        self.is_event_stream = _is_event_stream(headers)
        self.headers = [header for header in headers if header[0] in _PASSED_ON]
        self.ready = (
            None
            if self.is_event_stream or head.status in _BODILESS
            else ready_head(head.status, (*self.headers, *common))
        )

    @classmethod
    def of(cls, head: ResponseHead, common: tuple[Header, ...]) -> _Passed:
        """Made once of a head that comes again and again."""
        passed: _Passed | None = head.kept
        if passed is None or passed.common != common:
            passed = head.kept = cls(head, common)
        return passed


@dataclass(slots=True)
class Relay:
    """One answer on its way from an instance to a caller; `trace` sees it pass."""

    responder: Responder
    dialect: Dialect
    trace: Trace
    instance_id: str

    def at_once(self, response: UpstreamResponse) -> bool:
        """Pass on an answer that is all here. False where it is not one, and nothing was done."""
        if not self.responder.idle:
            return False
        ready = _Passed.of(response.head, self.responder.common).ready
        whole = None if ready is None else response.take_whole()
        if ready is None or whole is None:
            return False
        self.trace.saw(whole)
        self.responder.answer(response.head.status, ready, whole)
        self.trace.end = "done"
        return True

    async def run(self, response: UpstreamResponse) -> None:
        """Pass on status, the harmless headers and the body. Every failure is dealt with here.

        A stream that breaks off ends with an error event. Any other body cannot say that it is not
        whole, so its connection is cut, which every HTTP client reports.
        """
        if self.responder.streaming:
            await self._into_stream(response)
            return
        passed = _Passed.of(response.head, self.responder.common)
        if passed.is_event_stream:
            # An error event may have to be added, so no length can be promised.
            await self._start(response, [*passed.headers, UNBUFFERED])
            await self._events(response)
            return
        headers = passed.headers
        if response.length is not None and response.head.status not in _BODILESS:
            # It makes the server check our own arithmetic.
            headers = [*headers, (b"content-length", b"%d" % response.length)]
        await self._start(response, headers)
        more = True
        try:
            while more:
                chunk = await response.read_chunk()
                self.trace.saw(chunk)
                more = not response.at_end
                await self.responder.body(chunk, more=more)
        except UpstreamBroken as error:
            # Returning with the body unfinished makes the server close the caller's connection.
            self._cut(error)
            return
        self.trace.end = "done"

    async def _start(self, response: UpstreamResponse, headers: list[Header]) -> None:
        """Status and headers: with the first part of the body where it is there, else at once."""
        await self.responder.start(response.head.status, headers)
        if not response.buffered_bytes and not response.at_end:
            await self.responder.head_out()

    async def _events(self, response: UpstreamResponse) -> None:
        fence = self.responder.fence = EventFence()
        try:
            while chunk := await response.read_chunk():
                self.trace.saw(chunk)
                if whole_events := fence.feed(chunk):
                    await self.responder.body(whole_events, more=True)
            last = fence.rest()
        except UpstreamBroken as error:
            self._cut(error)
            await self.responder.error(answer_for(error), self.dialect)
            return
        self.trace.end = "done"
        await self.responder.body(last, more=False)

    async def _into_stream(self, response: UpstreamResponse) -> None:
        """The caller has its 200 already: what is no stream of events becomes the last event."""
        if response.head.status == 200 and _is_event_stream(response.head.headers):
            await self._events(response)
            return
        content = b""
        try:
            while (chunk := await response.read_chunk()) and len(content) < MAX_ERROR_BYTES:
                self.trace.saw(chunk)
                content += chunk
        except UpstreamBroken as error:
            self._cut(error)
            last = self.dialect.event(answer_for(error))
        else:
            self.trace.end = "done"
            line = b" ".join(content[:MAX_ERROR_BYTES].splitlines())
            last = self.dialect.passed_on(line)
        await self.responder.body(last, more=False)

    def _cut(self, error: UpstreamBroken) -> None:
        self.trace.end = "cut"
        logger.warning("instance %s: answer cut short: %s", self.instance_id, error)


def _is_event_stream(headers: list[Header]) -> bool:
    for name, value in headers:
        if name == b"content-type":
            return value.lower().startswith(b"text/event-stream")
    return False
