"""Heads of HTTP messages that have come before: the same bytes mean the same.

A program sends the same head with each request of a connection, and an engine with each answer; of
all of it only the length of the body differs. To read a small message's head takes longer than all
else that is done with it, to see that it is known takes a microsecond. Nothing is parsed here: what
is recognised was read by the parser before, byte for byte but for the digits of the length.
"""

from __future__ import annotations

import re
from typing import Any, Self

MAX_BYTES = 8 * 1024
"""Longer heads are read again each time: a connection's memory is bounded."""

_MAX_DIGITS = 15
_END = b"\r\n\r\n"
_LENGTH = re.compile(
    rb"\r\ncontent-length:[ \t]*([0-9]{1,%d})(?=[ \t]*\r\n)" % _MAX_DIGITS, re.IGNORECASE
)


class KnownHead:
    """A head; `kept` is for what its reader made of it, which must not depend on the length."""

    __slots__ = ("_after", "_after_bytes", "_before", "_before_bytes", "kept")

    def __init__(self, before: bytes, after: bytes | None) -> None:
        self._before = before
        self._before_bytes = len(before)
        self._after = after
        self._after_bytes = 0 if after is None else len(after)
        self.kept: Any = None

    @classmethod
    def learn(cls, message: bytes, headers: int) -> Self | None:
        """The head of a message that the parser has just read as one whole message, to its last
        byte, with so many headers.

        None where its lines are not what they look like, or its length is not where it seems to be.
        """
        end = message.find(_END, 0, MAX_BYTES) + len(_END)
        line_ends = message.count(b"\r\n", 0, end), message.count(b"\n", 0, end)
        if end < len(_END) or line_ends != (headers + 2, headers + 2):
            return None
        lengths = list(_LENGTH.finditer(message, 0, end))
        if not lengths:
            known = cls(message[:end], None)
        else:
            start, stop = lengths[0].span(1)
            known = cls(message[:start], message[stop:end])
        return known if len(lengths) <= 1 and known.body_of(message) is not None else None

    def body_of(self, message: bytes) -> bytes | None:
        """The body of a whole message with this head; None where it is not one."""
        after, begin = self._after, self._before_bytes
        if after is None:
            return b"" if message == self._before else None
        end = message.find(b"\r", begin, begin + _MAX_DIGITS + 1)
        start = end + self._after_bytes
        if (
            end >= 0
            and message[begin:end] == b"%d" % (len(message) - start)
            and message.startswith(self._before)
            and message.startswith(after, end)
        ):
            return message[start:]
        return None
