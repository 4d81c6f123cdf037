"""The proxy as it serves, in front of one engine that is always ready.

The application, the HTTP server, tokens and metering are the real ones; the table of models is one
row, and records of requests are packed as for `logs`, and then dropped. A process of its own:
`python -m benchmarks._proxy_under_test PORT ENGINE_PORT`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager

import uvloop

from common.api.base import Role
from common.bus import wire
from common.delivery import Outbox
from gateway.origins import Guard
from gateway.proxy.activity import Activity
from gateway.proxy.app import ProxyApp
from gateway.proxy.body_filters import BodyFilter
from gateway.proxy.heap import keep_freed_memory
from gateway.proxy.in_flight import EngineAddress, InFlight, Lease
from gateway.proxy.metering import GATHER_S, RECORDS, Metering, RecordOutbox
from gateway.proxy.routing import ModelEntry, ModelListener, Place
from gateway.proxy.upstreams import Upstreams
from gateway.serving import listen, serve
from tests.support.access import SECRETS, access_with, everyone

MODEL = "bench"
TOKEN = SECRETS[Role.INFERENCE]

_NO_FILTER = BodyFilter()


class OneModel:
    """A `Router` that knows one model, which is loaded."""

    def __init__(self, engine_port: int) -> None:
        self._address = EngineAddress("instance-1", "127.0.0.1", engine_port, "engine-key")
        self._in_flight = InFlight()

    def models(self) -> Sequence[ModelEntry]:
        """See `Router`, here and below."""
        return [ModelEntry(MODEL, 1_700_000_000, "loaded")]

    def knows(self, name: str) -> bool:
        """The one."""
        return name == MODEL

    def resolve(self, name: str) -> str:
        """It has no alias."""
        return name

    def body_filter(self, model_id: str) -> BodyFilter:
        """Nothing is changed."""
        del model_id
        return _NO_FILTER

    def lease(self, model_id: str) -> Lease | None:
        """At once."""
        del model_id
        return self._in_flight.lease(self._address)

    def queue(self, model_id: str) -> AbstractContextManager[Place]:
        """Nobody waits: the model is always ready."""
        raise RuntimeError(model_id)

    def suspect(self, instance_id: str) -> None:
        """The engine failed, and with it the measurement."""
        raise RuntimeError(instance_id)

    async def begin_load(self, model_id: str) -> None:
        """It is loaded."""

    async def begin_unload(self, model_id: str) -> None:
        """It stays."""

    def on_change(self, listener: ModelListener) -> None:
        """Nothing changes."""


async def _take(outbox: RecordOutbox) -> None:
    """What the delivery to `logs` costs this process, but for the socket."""
    while True:
        await asyncio.sleep(GATHER_S)
        while (batch := outbox.batch()) is not None:
            wire.raw(batch)
            outbox.acknowledge(batch.records[-1].sequence, batch.dropped)


async def _serve(port: int, engine_port: int) -> None:
    keep_freed_memory()
    upstreams = Upstreams()
    outbox = Outbox(RECORDS, "proxy", 1, lambda: None)
    app = ProxyApp(
        OneModel(engine_port),
        upstreams,
        guard=Guard(("127.0.0.1", port)),
        access=access_with(*everyone()),
        metering=Metering("proxy", 1, Activity(), outbox),
    )
    sock = listen("127.0.0.1", port, shared=True)
    taking = asyncio.create_task(_take(outbox))
    try:
        await serve(app, sock, asyncio.Event(), drain_s=lambda: 1)
    finally:
        taking.cancel()
        upstreams.close()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
