"""What the proxy reads from a caller's request head."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qs

from starlette.types import Scope

from common.caller import Caller
from gateway.proxy.errors import refusal
from gateway.proxy.headers import Header

_KEPT = "request fields"


@dataclass(slots=True)
class Fields:
    """What the headers of a request say, Content-Length apart, and what was made of them.

    A program sends the same ones with each request of a connection, so they are read, judged and
    written for its engine once, and kept for as long as they stay the same.

    `cors` is what `cors.admit` gave, `caller` who was let in as of the `access_epoch`, `lines` what
    an engine gets of them.
    """

    headers: list[Header]
    host: str | None = None
    origin: str | None = None
    content_encoding: str | None = None
    content_type: bytes = b""
    media_type: str | None = None
    cors: tuple[Header, ...] | None = None
    caller: Caller | None = None
    access_epoch: int = 0
    lines: bytes | None = None

    @classmethod
    def read(cls, headers: list[Header]) -> Self:
        """Raises `Refused` where a header that must be single is given twice."""
        fields = cls(headers)
        for name, value in headers:
            if name == b"host":
                if fields.host is not None:
                    raise _twice("Host")
                fields.host = value.decode("latin-1")
            elif name == b"origin":
                if fields.origin is not None:
                    raise _twice("Origin")
                fields.origin = value.decode("latin-1")
            elif name == b"content-encoding":
                fields.content_encoding = value.decode("latin-1").lower()
            elif name == b"content-type":
                if fields.media_type is not None:
                    raise _twice("Content-Type")
                fields.content_type = value
                fields.media_type = value.decode("latin-1").partition(";")[0].strip().lower()
        return fields


@dataclass(slots=True)
class RequestHead:
    """The parts of a request head that decide something here.

    `path` is decoded; `raw_path` and `query` are as they came, percent-encoded. `content_length` is
    None for a chunked body, and for none.
    """

    method: str
    path: str
    raw_path: str
    query: str
    fields: Fields
    content_length: int | None = None

    @classmethod
    def from_scope(cls, scope: Scope, kept: MutableMapping[str, Any]) -> Self:
        """Read it; `kept` lasts as long as the connection. Raises `Refused`, see `Fields`."""
        headers: list[Header] = []
        content_length = None
        for header in scope["headers"]:
            if header[0] == b"content-length":
                content_length = int(header[1])
            else:
                headers.append(header)
        fields: Fields | None = kept.get(_KEPT)
        if fields is None or fields.headers != headers:
            fields = kept[_KEPT] = Fields.read(headers)
        return cls(
            scope["method"],
            scope["path"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            fields,
            content_length,
        )


def query_value(query: str, name: str) -> str | None:
    """The value of a parameter of a query. Raises `Refused` where it is given twice."""
    values = parse_qs(query, keep_blank_values=True, max_num_fields=100).get(name, [])
    if len(values) > 1:
        raise refusal(400, f"The query names {name} twice; name it once.", "invalid_request")
    return values[0] if values else None


def _twice(name: str) -> Exception:
    return refusal(400, f"The header {name} is given twice; send it once.", "invalid_request")
