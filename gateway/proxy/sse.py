"""Where the events of a server-sent event stream end.

A reader acts on an event at its blank line and not before. So an unfinished event at the end of a
read may wait for its rest at no cost, and if the rest never comes, it can be left out: what the
client sees is whole events and then the error, not half a JSON text.
"""

from __future__ import annotations

MAX_HELD_BYTES = 16 * 1024
"""Longer unfinished events are passed on as they come: the memory of a stream is bounded."""

_EVENT_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")


class EventFence:
    """Lets whole events through and holds an unfinished one back."""

    def __init__(self) -> None:
        self._held = b""
        self._within_event = False

    def feed(self, chunk: bytes) -> bytes:
        """What may be sent on now; possibly empty."""
        data = self._held + chunk if self._held else chunk
        end = len(data) if data.endswith(b"\n\n") else _end_of_last_event(data)
        if len(data) - end > MAX_HELD_BYTES or (self._within_event and not end):
            self._within_event = True
            self._held = b""
            return data
        self._within_event = False
        self._held = data[end:]
        return data[:end]

    def rest(self) -> bytes:
        """What is still held, for a stream that ended as it should."""
        held, self._held = self._held, b""
        return held

    def cut(self) -> bytes:
        """What must be sent before another event, for a stream that broke off; drops what is held.

        Empty, or the blank line that ends an event of which a part was already passed on.
        """
        self._held = b""
        return b"\n\n" if self._within_event else b""


def _end_of_last_event(data: bytes) -> int:
    """The offset just behind the last blank line; 0 where there is none."""
    return max(
        position + len(end) if (position := data.rfind(end)) >= 0 else 0 for end in _EVENT_ENDS
    )
