"""The dashboard: what its build has left in `dashboard/dist`, read once and kept in memory.

Pages have their addresses behind the hash (`/#/models`), so that there are files only, each under
its own path. Files below `assets/` carry a digest of their content in their name and may be kept
for good; all others are asked for anew each time, which costs a 304.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from common.settings import Settings

DIST = Path(__file__).parent / "dashboard" / "dist"

NOT_BUILT = (
    "The dashboard is not built: run `make run`, or install llama-async-proxy from its wheel.\n"
)

_IMMUTABLE = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_COMPRESSED_FROM_BYTES = 512

_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}

# Not python's own table alone: that follows what the machine has in /etc/mime.types.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# Where it is no plain name, the page gets no source by it: the header's grammar knows no brackets
# of IPv6, and a name from outside may hold nothing that ends a source.
_PLAIN_AUTHORITY = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound


@dataclass(frozen=True)
class Asset:
    """One file. `compressed` is empty where that would not pay."""

    body: bytes
    compressed: bytes
    media_type: str
    etag: str
    cache: str

    @classmethod
    def read(cls, path: Path, *, named_by_content: bool) -> Asset:
        """The file at `path`."""
        body = path.read_bytes()
        guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        media_type = _TYPES.get(path.suffix, guessed)
        compressed = gzip.compress(body, 9, mtime=0) if len(body) >= _COMPRESSED_FROM_BYTES else b""
        return cls(
            body,
            compressed if len(compressed) < len(body) else b"",
            media_type,
            f'"{hashlib.sha256(body).hexdigest()[:32]}"',
            _IMMUTABLE if named_by_content else _ASK_AGAIN,
        )


class Pages:
    """Answers for `/` and every file of the build; they are for everybody, and hold no secret."""

    def __init__(self, proxy: tuple[str, int], dist: Path = DIST) -> None:
        self._proxy = proxy
        self._assets = _read_all(dist)

    @classmethod
    def of(cls, settings: Settings) -> Pages:
        """Those of the installed dashboard, which may use this configuration's proxy."""
        return cls((settings.llama.host, settings.llama.port))

    def routes(self) -> list[Route]:
        """One per file, so that another path is none of ours."""
        return [Route(path, self._serve) for path in ("/", *self._assets)]

    async def _serve(self, request: Request) -> Response:
        path = request.url.path
        asset = self._assets.get("/index.html" if path == "/" else path)
        if asset is None:
            return PlainTextResponse(NOT_BUILT, status_code=404, headers=_SECURITY)
        headers = {
            **_SECURITY,
            "Content-Security-Policy": policy(request.headers.get("host"), self._proxy),
            "Cache-Control": asset.cache,
            "ETag": asset.etag,
            "Vary": "Accept-Encoding",
        }
        if _knows(request.headers.get("if-none-match"), asset.etag):
            return Response(status_code=304, headers=headers)
        body = asset.body
        if asset.compressed and _takes_gzip(request.headers.get("accept-encoding")):
            headers["Content-Encoding"] = "gzip"
            body = asset.compressed
        return Response(body, media_type=asset.media_type, headers=headers)


def policy(host_header: str | None, proxy: tuple[str, int]) -> str:
    """The Content-Security-Policy of a page that was asked for under this name.

    It connects to us, and to the proxy: under the page's own name, and under the address that the
    proxy listens on. An `http:` source admits `https:`, too.
    """
    connect = ["'self'"]
    asked = _PLAIN_AUTHORITY.fullmatch(host_header or "")
    host, port = proxy
    names = []
    if asked is not None:
        # Old browsers do not take 'self' for websockets.
        connect += [f"ws://{asked[0]}", f"wss://{asked[0]}"]
        names.append(asked["name"])
    if host not in _EVERYWHERE and _PLAIN_AUTHORITY.fullmatch(host):
        names.append(host)
    connect += [f"http://{name}:{port}" for name in dict.fromkeys(names)]
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src " + " ".join(connect),
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "object-src 'none'",
        )
    )


def _read_all(dist: Path) -> dict[str, Asset]:
    if not (dist / "index.html").is_file():
        return {}
    found = {}
    for path in sorted(dist.rglob("*")):
        inside = path.relative_to(dist)
        # A dot begins what the build keeps for itself.
        if path.is_file() and not inside.name.startswith("."):
            named_by_content = inside.parts[0] == "assets"
            found[f"/{inside.as_posix()}"] = Asset.read(path, named_by_content=named_by_content)
    return found


def _knows(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    given = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return "*" in given or etag in given


def _takes_gzip(accept_encoding: str | None) -> bool:
    for part in (accept_encoding or "").split(","):
        coding, _, quality = part.partition(";")
        if coding.strip().lower() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
