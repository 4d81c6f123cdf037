"""How many tokens an answer took, read from its first and last bytes while it passes by.

The body is never kept. llama.cpp says what a request took in `timings` (its own, in the last event
of a stream) and in `usage` (OpenAI's and Anthropic's; the latter tells its input tokens in the
first event). Text that a model wrote cannot be taken for either: within a JSON string its quotes
are escaped.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

HEAD_BYTES = 4 * 1024
TAIL_BYTES = 16 * 1024

MAX_COUNT = 1 << 53
"""What is above this no engine has counted, and JavaScript cannot."""

_TIMINGS = b'"timings":'
_USAGE = b'"usage":'

_MAX_BRACES = 8
"""Neither object holds more than a few others."""


_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)] | None
_Speed = Annotated[float, msgspec.Meta(ge=0, le=MAX_COUNT)] | None


class _Timings(msgspec.Struct):
    """llama.cpp's."""

    prompt_n: _Count = None
    cache_n: _Count = None
    predicted_n: _Count = None
    predicted_per_second: _Speed = None


_timings_decoder = msgspec.json.Decoder(_Timings)
_usage_decoder = msgspec.json.Decoder(dict[str, Any])

T = TypeVar("T")


class TokenUsage(NamedTuple):
    """Tokens of one request; None where the answer does not say.

    `prompt` counts all tokens of the prompt, `cached` those of them that were there already.
    `per_second` is the speed of generation alone.
    """

    prompt: int | None = None
    cached: int | None = None
    completion: int | None = None
    per_second: float | None = None


class UsageReader:
    """Sees every chunk of one answer and keeps its ends."""

    def __init__(self) -> None:
        self._head = b""
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0

    def feed(self, chunk: bytes) -> None:
        """A part of the body goes by."""
        part = chunk[-TAIL_BYTES:]
        self._tail.append(part)
        self._tail_bytes += len(part)
        if len(self._tail) == 1:
            self._head = chunk[:HEAD_BYTES]
            return
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        while self._tail_bytes - len(self._tail[0]) >= TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft())

    def usage(self) -> TokenUsage:
        """What the answer said so far."""
        tail = b"".join(self._tail)
        timings = _timings(tail)
        cached, completion = timings.cache_n, timings.predicted_n
        # llama.cpp counts what it evaluated; what was in its cache comes on top.
        prompt = None if timings.prompt_n is None else timings.prompt_n + (cached or 0)
        if cached is None or completion is None or prompt is None:
            usage = _first_object(self._head, _USAGE) | (
                _last_object(tail, _USAGE, _usage_decoder) or {}
            )
            cached = _first(cached, _cached(usage))
            completion = _first(
                completion,
                _count(usage.get("completion_tokens")),
                _count(usage.get("output_tokens")),
            )
            prompt = _first(prompt, _prompt(usage))
        return TokenUsage(prompt, cached, completion, timings.predicted_per_second)


def _timings(tail: bytes) -> _Timings:
    """The last ones; of those with an odd value the others."""
    at = tail.rfind(_TIMINGS)
    if at >= 0:
        try:  # they hold no other object
            return _timings_decoder.decode(tail[at + len(_TIMINGS) : tail.find(b"}", at) + 1])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    odd = _last_object(tail, _TIMINGS, _usage_decoder) or {}
    return _Timings(
        _count(odd.get("prompt_n")),
        _count(odd.get("cache_n")),
        _count(odd.get("predicted_n")),
        _speed(odd.get("predicted_per_second")),
    )


def _speed(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value <= MAX_COUNT else None


def _cached(usage: dict[str, Any]) -> int | None:
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    return _first(
        _count(usage.get("cache_read_input_tokens")),
        _count(details.get("cached_tokens")) if isinstance(details, dict) else None,
    )


def _prompt(usage: dict[str, Any]) -> int | None:
    given = _first(_count(usage.get("prompt_tokens")), _count(usage.get("input_tokens")))
    if given is None:
        return None
    # Anthropic's `input_tokens` are those that were not read from the cache.
    return given + (_count(usage.get("cache_read_input_tokens")) or 0)


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MAX_COUNT else None


def _last_object(data: bytes, key: bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    """The last JSON object behind `key`; `null` and cut ones are passed over."""
    end = len(data)
    while (at := data.rfind(key, 0, end)) >= 0:
        found = _object(data, at + len(key), decoder)
        if found:
            return found
        end = at
    return None


def _first_object(data: bytes, key: bytes) -> dict[str, Any]:
    at = data.find(key)
    return (_object(data, at + len(key), _usage_decoder) if at >= 0 else None) or {}


def _object(data: bytes, start: int, decoder: msgspec.json.Decoder[T]) -> T | None:
    """The JSON object that begins at `start`: up to one of the next few closing braces."""
    while not data.startswith(b"{", start):
        if not data[start : start + 1].isspace():
            return None
        start += 1
    end = start
    for _ in range(_MAX_BRACES):
        end = data.find(b"}", end) + 1
        if not end:
            break
        try:
            return decoder.decode(data[start:end])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return None
