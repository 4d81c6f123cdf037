"""Who may call from a browser, and what browsers are told about it."""

from __future__ import annotations

from gateway.origins import Guard
from gateway.proxy.errors import refusal
from gateway.proxy.headers import Header
from gateway.proxy.request_head import RequestHead

# Answers differ by Origin, so no cache may give one page's answer to another.
_VARY: Header = (b"vary", b"origin")
_OF_A_PROGRAM = (_VARY,)

# "*" stands for all headers but Authorization (Fetch standard, CORS-preflight fetch).
_PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-headers", b"authorization, *"),
    (b"access-control-max-age", b"600"),
)

_MAX_SHOWN_CHARACTERS = 200


def admit(head: RequestHead, guard: Guard) -> tuple[Header, ...]:
    """The CORS headers for every answer to this request. Raises `Refused` (403).

    They never allow credentials: a page that is let in shows a token, or needs none.
    """
    if not guard.admits_host(head.host):
        raise refusal(
            403,
            f"This proxy does not answer under the name {_shown(head.host)}, but as"
            f" http://localhost:{guard.bound[1]} on its own machine, and under the names in"
            " llama.allowedHosts.",
            "host_not_allowed",
        )
    if not guard.admits_origin(head.origin, head.host):
        raise refusal(
            403,
            f"Pages from {_shown(head.origin)} may not use this proxy: their origin is not in"
            " llama.allowedOrigins.",
            "origin_not_allowed",
            headers=(_VARY,),
        )
    if head.origin is None:
        return _OF_A_PROGRAM
    return (_VARY, (b"access-control-allow-origin", head.origin.encode("latin-1")))


def preflight_headers(methods: tuple[str, ...]) -> list[Header]:
    """What an admitted preflight is answered for a path that takes `methods`."""
    return [*_PREFLIGHT, (b"access-control-allow-methods", ", ".join(methods).encode("ascii"))]


def _shown(header: str | None) -> str:
    return repr((header or "")[:_MAX_SHOWN_CHARACTERS])
