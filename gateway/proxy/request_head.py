"""What the proxy reads from a caller's request head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs

from starlette.types import Scope

from gateway.proxy.errors import refusal
from gateway.proxy.headers import Header


@dataclass(slots=True)
class RequestHead:
    """The parts of a request head that decide something here, Content-Length apart.

    `path` is decoded; `raw_path`, `query` and both of them together, the `target`, are as they
    came, percent-encoded.
    """

    method: str
    path: str
    raw_path: str
    query: str
    target: str
    headers: list[Header]
    host: str | None = None
    origin: str | None = None
    content_encoding: str | None = None
    content_type: bytes = b""
    media_type: str | None = None

    @classmethod
    def from_scope(cls, scope: Scope) -> Self:
        """Raises `Refused` where a header that must be single is given twice."""
        raw_path = scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        head = cls(
            scope["method"],
            scope["path"],
            raw_path,
            query,
            with_query(raw_path, query),
            [header for header in scope["headers"] if header[0] != b"content-length"],
        )
        for name, value in head.headers:
            if name == b"host":
                if head.host is not None:
                    raise _twice("Host")
                head.host = value.decode("latin-1")
            elif name == b"origin":
                if head.origin is not None:
                    raise _twice("Origin")
                head.origin = value.decode("latin-1")
            elif name == b"content-encoding":
                head.content_encoding = value.decode("latin-1").lower()
            elif name == b"content-type":
                if head.media_type is not None:
                    raise _twice("Content-Type")
                head.content_type = value
                head.media_type = value.decode("latin-1").partition(";")[0].strip().lower()
        return head


def with_query(raw_path: str, query: str) -> str:
    """The target of a request."""
    return f"{raw_path}?{query}" if query else raw_path


def announced_bytes(scope: Scope) -> int | None:
    """The length of a request's body; None for a chunked one, and for none."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), None)


def query_value(query: str, name: str) -> str | None:
    """The value of a parameter of a query. Raises `Refused` where it is given twice."""
    values = parse_qs(query, keep_blank_values=True, max_num_fields=100).get(name, [])
    if len(values) > 1:
        raise refusal(400, f"The query names {name} twice; name it once.", "invalid_request")
    return values[0] if values else None


def _twice(name: str) -> Exception:
    return refusal(400, f"The header {name} is given twice; send it once.", "invalid_request")
