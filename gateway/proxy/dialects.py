"""In whose words a caller is told of an error: each API has a shape for it, and for its streams.

A stream that has begun cannot change its status any more. What its protocol has instead is an event
that the caller's library raises as an error; the stream ends with it, and without `[DONE]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.proxy.errors import ErrorAnswer


@dataclass(frozen=True, slots=True)
class Dialect:
    """One API's way to say an error: as a whole answer, and as the last event of a stream.

    `passed_on` frames an engine's own error answer, which is in that shape already, as an event.
    """

    body: Callable[[ErrorAnswer], bytes]
    event: Callable[[ErrorAnswer], bytes]
    passed_on: Callable[[bytes], bytes]


def _data(content: bytes) -> bytes:
    return b"data: " + content + b"\n\n"


def _named_error(content: bytes) -> bytes:
    return b"event: error\n" + _data(content)


def _openai_body(answer: ErrorAnswer) -> bytes:
    fields: dict[str, Any] = {
        "message": answer.message,
        "type": answer.kind,
        "param": answer.param,
        "code": answer.code,
    }
    if answer.details is not None:
        fields["details"] = answer.details
    return msgspec.json.encode({"error": fields})


def _openai_event(answer: ErrorAnswer) -> bytes:
    return _data(_openai_body(answer))


def _responses_event(answer: ErrorAnswer) -> bytes:
    # The event `error` of the Responses API. Its number only has to be there.
    fields = {
        "type": "error",
        "code": answer.code,
        "message": answer.message,
        "param": answer.param,
        "sequence_number": 0,
    }
    return _named_error(msgspec.json.encode(fields))


# Anthropic's error types by HTTP status, from its API reference; each SDK class hangs on one.
_ANTHROPIC_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def _anthropic_body(answer: ErrorAnswer) -> bytes:
    fallback = "invalid_request_error" if answer.status < 500 else "api_error"
    fields = {
        "type": _ANTHROPIC_TYPES.get(answer.status, fallback),
        "message": answer.message,
    }
    return msgspec.json.encode({"type": "error", "error": fields})


def _anthropic_event(answer: ErrorAnswer) -> bytes:
    return _named_error(_anthropic_body(answer))


OPENAI = Dialect(_openai_body, _openai_event, _data)
"""`{"error": {"message", "type", "param", "code"}}`; llama.cpp's own endpoints use it too."""

RESPONSES = Dialect(_openai_body, _responses_event, _named_error)
"""OpenAI's Responses API, whose events have names."""

ANTHROPIC = Dialect(_anthropic_body, _anthropic_event, _named_error)
"""`{"type": "error", "error": {"type", "message"}}`."""
