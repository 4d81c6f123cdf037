"""One request that was let in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from common.caller import Caller
from gateway.http_exchange import Exchange
from gateway.proxy.endpoints import Endpoint
from gateway.proxy.headers import Header
from gateway.proxy.request_head import RequestHead


@dataclass(slots=True)
class Admitted:
    """A head that was let in, and what follows from it alone: the same for each request with it.

    `caller` is right as of the `access_epoch`. `common` are headers for every answer. `fields` are
    the header lines for an engine, None until the first request was found fit for one.
    """

    head: RequestHead
    endpoint: Endpoint
    common: tuple[Header, ...]
    caller: Caller
    access_epoch: int
    fields: bytes | None = None


class Request(NamedTuple):
    """A body under an `admitted` head. `announced_bytes` is its length where that was said and the
    body may still be on its way.
    """

    admitted: Admitted
    exchange: Exchange
    announced_bytes: int | None
    max_body_bytes: int
