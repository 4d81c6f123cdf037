"""Which web pages may talk to our ports: checks of the Host and Origin headers.

The browsers of those who can reach a port also run pages from everywhere else, and such a page can
send requests to it, to 127.0.0.1 for example. Two checks keep it out:

- Host: a page that points its own name at our address (DNS rebinding) is "same origin" for the
  browser, which then sends no foreign Origin. Its requests still name the page's host.
- Origin: browsers send it with every POST and every cross-origin fetch, and a page cannot forge it.

Programs that are no browsers send no Origin and pass.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from common.hosts import is_loopback
from common.settings import Settings

_MAX_HOST_CHARACTERS = 260
_DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\[\]:/@?#\s]+)(?::(?P<port>[0-9]{1,5}))?")


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int


@dataclass(frozen=True)
class Guard:
    """What one port demands of browsers.

    `bound` is its address. `page_port` is the port whose pages may use it under the name that they
    were asked for themselves: the gateway's; 0 stands for no such port. `origins` are allowed, too.
    `hosts` are names by which this port is called besides its own.
    """

    bound: tuple[str, int]
    page_port: int = 0
    origins: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def of_gateway(cls, settings: Settings) -> Guard:
        """The Socket.IO API's."""
        server = settings.server
        return cls(
            (server.host, server.port),
            server.port,
            own_origins(server.host, server.port).union(server.allowed_origins),
            frozenset(server.allowed_hosts),
        )

    @classmethod
    def of_proxy(cls, settings: Settings) -> Guard:
        """The OpenAI-compatible API's: for pages that the gateway delivers."""
        server, llama = settings.server, settings.llama
        return cls(
            (llama.host, llama.port),
            server.port,
            own_origins(server.host, server.port).union(llama.allowed_origins),
            frozenset(llama.allowed_hosts),
        )

    def admits_host(self, host_header: str | None) -> bool:
        """Whether a request that names this host may be answered."""
        return host_allowed(host_header, self.bound, self.hosts)

    def admits_origin(self, origin: str | None, host_header: str | None) -> bool:
        """Whether a page from `origin` may use us, in a request to `host_header`."""
        return origin_allowed(origin, allowed=self.origins) or self._is_ours(origin, host_header)

    def _is_ours(self, origin: str | None, host_header: str | None) -> bool:
        """Whether the page comes from the gateway's port of the host that is asked.

        Where the gateway itself is asked, its port is the asked one: people forward ports.
        """
        page = _parse(origin) if origin is not None else None
        asked = _authority(host_header) if host_header is not None else None
        if page is None or asked is None or page.host != asked[0] or not self.page_port:
            return False
        if self.page_port == self.bound[1]:
            return page.port == (asked[1] or _DEFAULT_PORTS.get(page.scheme))
        return page.port == self.page_port


def host_allowed(
    host_header: str | None, bound: tuple[str, int], hosts: Collection[str] = ()
) -> bool:
    """Whether a request that names `host_header` may be answered by a socket bound to `bound`.

    While bound to loopback only loopback names and `hosts` pass, with any port: people forward
    ports. Bound elsewhere every name passes, since which names lead here is not known, unless
    `hosts` says so: then these, the bound address and loopback names. A missing header passes:
    browsers always send it.
    """
    public = not _names_loopback(_bracketed(bound[0]))
    if host_header is None or (public and not hosts):
        return True
    if len(host_header) > _MAX_HOST_CHARACTERS:
        return False
    if _names_loopback(host_header):
        return True
    named = _authority(host_header)
    own = {*hosts, _bracketed(bound[0])} if public else hosts
    return named is not None and any(named[0] == _bare(name) for name in own)


def origin_allowed(origin: str | None, *, allowed: Collection[str]) -> bool:
    """Whether a page from `origin` may use us: no Origin passes, else it must be in `allowed`.

    Scheme, host and port must be equal; the case of the host and a default port do not matter.
    `null` (sandboxed frames, local files) is refused, since anyone can have it.
    """
    if origin is None:
        return True
    parsed = _parse(origin)
    return parsed is not None and any(parsed == _parse(entry) for entry in allowed)


def own_origins(host: str, port: int) -> frozenset[str]:
    """The origins of pages that a server bound to `host`, `port` itself delivers."""
    if is_loopback(host):
        names = {"localhost", "127.0.0.1", "[::1]", _bracketed(host)}
    else:
        names = {_bracketed(host)}
    return frozenset(f"http://{name}:{port}" for name in names)


@functools.lru_cache(maxsize=256)
def _names_loopback(authority: str) -> bool:
    """Cached, since every request asks and nearly all ask the same."""
    parsed = _authority(authority)
    return parsed is not None and is_loopback(parsed[0])


@functools.lru_cache(maxsize=256)
def _parse(origin: str) -> _Origin | None:
    scheme, separator, rest = origin.partition("://")
    authority = _authority(rest)
    if not separator or authority is None:
        return None
    scheme = scheme.lower()
    host, port = authority
    if port is None:
        port = _DEFAULT_PORTS.get(scheme)
    return None if port is None else _Origin(scheme, host, port)


def _authority(text: str) -> tuple[str, int | None] | None:
    """`host[:port]` → lower-case host without brackets, and port; None where it is neither."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    return _bare(match["host"]), int(match["port"]) if match["port"] else None


def _bare(host: str) -> str:
    return host.lower().removeprefix("[").removesuffix("]")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
