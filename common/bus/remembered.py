"""What requests were answered with, for callers that ask again after a lost answer."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

REMEMBER_S = 60.0
MAX_ANSWERS = 4096
MAX_BYTES = 16 * 1024 * 1024

Key = tuple[bytes, bytes]
"""Sender and request id."""


@dataclass(frozen=True)
class Answer:
    """The frames of an answer."""

    head: bytes
    body: bytes

    @property
    def size_bytes(self) -> int:
        """What is bounded; the objects around it add some hundred bytes."""
        return len(self.head) + len(self.body)


class Remembered:
    """The newest answers: for `REMEMBER_S` at most, and within `MAX_ANSWERS` and `MAX_BYTES`.

    The oldest go first. The newest stays whatever its size, since its caller is the likeliest to
    ask again: so up to `MAX_BYTES` or one whole message are held.
    """

    def __init__(self) -> None:
        self._answers: OrderedDict[Key, tuple[Answer, float]] = OrderedDict()
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """The bytes of all answers held."""
        return self._size_bytes

    def find(self, key: Key, now: float) -> Answer | None:
        """The answer to a request, if it is still known; `now` in seconds, monotonic."""
        self._forget(now)
        entry = self._answers.get(key)
        return entry[0] if entry else None

    def keep(self, key: Key, answer: Answer, now: float) -> None:
        """Remember an answer from `now` on."""
        replaced = self._answers.pop(key, None)
        if replaced:
            self._size_bytes -= replaced[0].size_bytes
        self._answers[key] = answer, now + REMEMBER_S
        self._size_bytes += answer.size_bytes
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._answers:
            key, (oldest, expires) = next(iter(self._answers.items()))
            too_many = len(self._answers) > MAX_ANSWERS or (
                self._size_bytes > MAX_BYTES and len(self._answers) > 1
            )
            if expires > now and not too_many:
                return
            del self._answers[key]
            self._size_bytes -= oldest.size_bytes
