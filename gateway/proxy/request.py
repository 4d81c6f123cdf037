"""One request that was let in."""

from __future__ import annotations

from typing import NamedTuple

from starlette.types import Receive

from gateway.http_exchange import Exchange
from gateway.proxy.endpoints import Endpoint
from gateway.proxy.request_head import RequestHead


class Request(NamedTuple):
    """What is asked for (`endpoint`, `head`); `receive` gives its body."""

    endpoint: Endpoint
    head: RequestHead
    exchange: Exchange
    receive: Receive
    max_body_bytes: int
