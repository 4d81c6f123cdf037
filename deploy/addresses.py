"""Where the two entrances of a stack are, as URLs."""

from __future__ import annotations

import ipaddress

from common.settings import Settings


def gateway_url(settings: Settings) -> str:
    """Where the Socket.IO API is."""
    return _url(settings.server.host, settings.server.port)


def proxy_url(settings: Settings) -> str:
    """Where the OpenAI-compatible API is; its paths begin with /v1."""
    return _url(settings.llama.host, settings.llama.port)


def _url(host: str, port: int) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        # It stands for all addresses of this machine; it is none to call.
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"
