"""Which headers cross the proxy, and the head of a request to an engine.

Heads are rebuilt from parsed parts, never passed through as bytes: what an engine reads as one
request is exactly one request of one caller (no request smuggling, no header injection).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

from common.errors import InvalidRequest

Header: TypeAlias = tuple[bytes, bytes]
"""Name in lower case, and value."""

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Headers that belong to one connection (RFC 9110, section 7.6.1)."""

# Credentials of the caller are meant for us; a browser also sends its cookies for every port of a
# host. Host, length and Expect are those of our own connection to the engine.
_NOT_FOR_ENGINES = HOP_BY_HOP | {
    b"api-key",
    b"authorization",
    b"content-length",
    b"cookie",
    b"expect",
    b"host",
    b"origin",
    b"referer",
    b"x-api-key",
}

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"/[\x21-\x7e]*")


def end_to_end(headers: Iterable[Header], dropped: frozenset[bytes] = HOP_BY_HOP) -> list[Header]:
    """The headers without `dropped` and without those that `Connection` names."""
    headers = list(headers)
    named = [value for name, value in headers if name == b"connection"]
    if named:
        dropped = dropped.union(token.strip().lower() for token in b",".join(named).split(b","))
    return [header for header in headers if header[0] not in dropped]


def own_fields(host: str, port: int, api_key: str) -> bytes:
    """The header lines that are the same in every request to one engine."""
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = f"host: {authority}\r\nauthorization: Bearer {api_key}\r\n"
    return lines.encode("ascii")


def caller_fields(headers: Iterable[Header]) -> bytes:
    """The header lines that an engine gets of the caller's headers.

    Raises `InvalidRequest` for a name or value that could end its line.
    """
    lines = []
    for name, value in end_to_end(headers, _NOT_FOR_ENGINES):
        if _TOKEN.fullmatch(name) is None or _FIELD_VALUE.fullmatch(value) is None:
            raise InvalidRequest(f"The header {name[:80]!r} holds characters that HTTP forbids.")
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


def request_head(method: str, target: str, fields: bytes, own: bytes, body_bytes: int) -> bytes:
    """The head of one request, up to and with its blank line.

    `fields` comes from `caller_fields`, `own` from `own_fields`. Raises `InvalidRequest` for a
    target that could end its line.
    """
    if _TARGET.fullmatch(target) is None:
        raise InvalidRequest(f"The request target {target[:80]!r} is not a path.")
    length = b"content-length: %d\r\n" % body_bytes if body_bytes or method != "GET" else b""
    line = f"{method} {target} HTTP/1.1\r\n".encode("ascii")
    return b"%b%b%b%b\r\n" % (line, own, length, fields)
