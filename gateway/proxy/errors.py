"""Failures inside the proxy, and the answers that callers get for them.

ProxyError (common.errors)
├── Refused               we will not pass this request on; it carries its whole answer
├── QueueFull             too many wait for the model already
├── QueueTimeout          the model took too long to become ready
├── TooManyRequests       the model has as many requests as it may have
├── RequestCancelled      an operator has ended it
└── UpstreamBroken        an engine's connection failed; never the caller's fault
    ├── UpstreamUnreachable   no connection could be made
    ├── UpstreamClosed        the connection ended before the answer did
    └── UpstreamMalformed     what came was not HTTP

ClientGone stands apart: nobody is left to be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common import errors
from gateway.proxy.headers import Header

RETRY_AFTER_S = 5
"""What `Retry-After` says where waiting may help."""


class UpstreamBroken(errors.ProxyError):
    """The exchange with an engine failed; the message says how, without naming the engine."""

    code = "UPSTREAM_BROKEN"


class UpstreamUnreachable(UpstreamBroken):
    """No connection could be made: refused, no route, or too slow."""


class UpstreamClosed(UpstreamBroken):
    """The engine closed or reset the connection before its answer was over."""


class UpstreamMalformed(UpstreamBroken):
    """The engine sent something that is not an HTTP/1.1 answer, or one beyond our limits."""


class QueueFull(errors.ProxyError):
    """Too many requests wait for the model already."""

    code = "QUEUE_FULL"


class QueueTimeout(errors.ProxyError):
    """A request waited for its model for as long as it may."""

    code = "QUEUE_TIMEOUT"


class TooManyRequests(errors.ProxyError):
    """The model serves as many requests as it may at a time."""

    code = "TOO_MANY_REQUESTS"


class RequestCancelled(errors.ProxyError):
    """Somebody has ended the request while it was under way."""

    code = "REQUEST_CANCELLED"

    def __init__(self) -> None:
        super().__init__("An operator has cancelled this request.")


class ClientGone(Exception):
    """The caller closed its connection: there is nobody left to answer."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error, to be told in the caller's dialect (`gateway.proxy.dialects`).

    `kind` is OpenAI's `type`: `invalid_request_error` where the caller can mend it,
    `rate_limit_error` for too many, else `server_error`. `code` is for programs. `headers` are
    added to the answer's own. `details` are the message's facts as data.
    """

    status: int
    message: str
    kind: str
    code: str
    param: str | None = None
    headers: tuple[Header, ...] = ()
    details: Mapping[str, Any] | None = None


class Refused(errors.ProxyError):
    """A request that goes no further."""

    code = "INVALID_REQUEST"

    def __init__(self, answer: ErrorAnswer) -> None:
        super().__init__(answer.message)
        self.answer = answer


def refusal(
    status: int,
    message: str,
    code: str,
    *,
    param: str | None = None,
    headers: tuple[Header, ...] = (),
) -> Refused:
    """A request that its caller can mend."""
    return Refused(ErrorAnswer(status, message, "invalid_request_error", code, param, headers))


def engine_refused_us() -> Refused:
    """The engine did not accept the key it was started with: another program has its port."""
    return Refused(
        ErrorAnswer(
            502,
            "The model's engine did not accept the proxy's key. Unload the model, and load it"
            " again.",
            "server_error",
            "engine_failed",
        )
    )


# ProxyError class → status, OpenAI's type, code, and whether waiting may help. First match counts.
_ANSWERS: Mapping[type[errors.ProxyError], tuple[int, str, str, bool]] = {
    errors.InvalidRequest: (400, "invalid_request_error", "invalid_request", False),
    errors.PermissionDenied: (403, "invalid_request_error", "permission_denied", False),
    errors.ModelNotFound: (404, "invalid_request_error", "model_not_found", False),
    errors.ModelLoadFailed: (503, "server_error", "model_load_failed", False),
    errors.PresetNotFound: (503, "server_error", "preset_not_found", False),
    QueueFull: (503, "server_error", "queue_full", True),
    QueueTimeout: (503, "server_error", "queue_timeout", True),
    TooManyRequests: (429, "rate_limit_error", "too_many_requests", True),
    # The status is not one that SDKs take as a reason to send the request again.
    RequestCancelled: (499, "server_error", "request_cancelled", False),
    errors.Busy: (503, "server_error", "busy", True),
    errors.DeadlineExceeded: (503, "server_error", "deadline_exceeded", True),
    errors.Unavailable: (503, "server_error", "unavailable", True),
    UpstreamBroken: (502, "server_error", "engine_failed", False),
}


_WITH_DETAILS = (QueueFull, QueueTimeout, TooManyRequests)


def answer_for(error: errors.ProxyError) -> ErrorAnswer:
    """What a caller is told about an expected failure."""
    if isinstance(error, Refused):
        return error.answer
    if isinstance(error, UpstreamBroken):
        return _answer(error, f"The model's engine failed: {error.message}. Send it again.")
    return _answer(error, error.message)


def unexpected() -> ErrorAnswer:
    """What a caller is told about a failure that nobody expected; the log has the traceback."""
    return ErrorAnswer(
        500,
        "The proxy failed to handle this request; its log says why.",
        "server_error",
        "server_error",
    )


def _answer(error: errors.ProxyError, message: str) -> ErrorAnswer:
    for cls, (status, kind, code, waiting_helps) in _ANSWERS.items():
        if isinstance(error, cls):
            param = "model" if status == 404 else None
            headers = ((b"retry-after", b"%d" % RETRY_AFTER_S),) if waiting_helps else ()
            return ErrorAnswer(
                status,
                _with_reason(message, error.details),
                kind,
                code,
                param,
                headers,
                error.details if isinstance(error, _WITH_DETAILS) else None,
            )
    return ErrorAnswer(500, message, "server_error", "server_error")


def _with_reason(message: str, details: dict[str, Any] | None) -> str:
    """The message, and the classified reason where it does not say it already."""
    reason = (details or {}).get("reason")
    if not isinstance(reason, str) or not reason or reason in message:
        return message
    return f"{message} Reason: {reason}."
