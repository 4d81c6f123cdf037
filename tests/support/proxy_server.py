"""The proxy's real application on a real port, over a routing table that a test fills."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import uvicorn

from common.errors import ModelNotFound, ProxyError
from gateway.auth import Access
from gateway.http_protocol import HttpProtocol
from gateway.origins import Guard
from gateway.proxy.app import ProxyApp
from gateway.proxy.body_filters import BodyFilter
from gateway.proxy.in_flight import EngineAddress, InFlight, Lease
from gateway.proxy.metering import Metering
from gateway.proxy.patience import COMMENT_EVERY_S
from gateway.proxy.routing import ModelEntry, ModelListener, Outlook
from gateway.proxy.upstreams import Upstreams
from gateway.proxy.waiting_room import WaitingRoom
from tests.support.access import access_with
from tests.support.waiting import until

ORIGIN = "http://127.0.0.1:3000"
KEY = "the-key-of-the-engine"


@dataclass
class TableRouter:
    """Routes by a table; `failure` is raised instead, `loading` is waited for."""

    engines: dict[str, EngineAddress] = field(default_factory=dict)
    failure: Exception | None = None
    loading: asyncio.Event | None = None
    in_flight: InFlight = field(default_factory=InFlight)
    room: WaitingRoom = field(default_factory=WaitingRoom)
    suspects: list[str] = field(default_factory=list)
    listeners: list[ModelListener] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    filters: dict[str, BodyFilter] = field(default_factory=dict)
    full: Exception | None = None
    """Raised instead of a lease at once."""

    def add(self, model_id: str, host: str, port: int) -> EngineAddress:
        """A model that is served at this address."""
        address = EngineAddress(f"instance of {model_id}", host, port, KEY)
        self.engines[model_id] = address
        return address

    def models(self) -> Sequence[ModelEntry]:
        """See `Router`."""
        return [ModelEntry(model_id, 1_700_000_000, "loaded") for model_id in self.engines]

    def suspect(self, instance_id: str) -> None:
        """See `Router`."""
        self.suspects.append(instance_id)

    def knows(self, model_id: str) -> bool:
        """See `Router`."""
        return self.resolve(model_id) in self.engines

    def resolve(self, name: str) -> str:
        """See `Router`."""
        return self.aliases.get(name, name)

    def body_filter(self, model_id: str) -> BodyFilter:
        """See `Router`."""
        return self.filters.get(model_id, BodyFilter())

    def on_change(self, listener: ModelListener) -> None:
        """See `Router`; a test calls them."""
        self.listeners.append(listener)

    async def begin_load(self, model_id: str) -> None:
        """See `Router`."""
        self.asked.append(("load", model_id))

    async def begin_unload(self, model_id: str) -> None:
        """See `Router`."""
        self.asked.append(("unload", model_id))

    def lease(self, model_id: str) -> Lease | None:
        """See `Router`."""
        if model_id not in self.engines:
            raise ModelNotFound(f"no model {model_id}")
        if self.full is not None:
            raise self.full
        if self.failure is not None or self.loading is not None:
            return None
        return self.in_flight.lease(self.engines[model_id])

    @contextmanager
    def queue(self, model_id: str) -> Iterator[TablePlace]:
        """See `Router`."""
        with self.room.enter(model_id) as ticket:
            yield TablePlace(self, model_id, ticket)

    @property
    def waiting(self) -> int:
        """How many requests wait for a model."""
        return sum(self.room.counts().values())


@dataclass
class TablePlace:
    """A request that waits for the test."""

    router: TableRouter
    model_id: str
    ticket: object
    loading_since_s: float | None = None

    async def lease(self) -> Lease:
        """See `Place`."""
        router = self.router
        if router.loading is not None:
            await router.loading.wait()
        if router.failure is not None:
            raise router.failure
        lease = router.in_flight.lease(router.engines[self.model_id])
        if lease is None:
            raise ProxyError("the test drained this instance")
        return lease

    def outlook(self) -> Outlook:
        """See `Place`."""
        position = self.router.room.position(self.model_id, self.ticket)
        return Outlook(position, "loading", 0.25)


@asynccontextmanager
async def proxying(
    router: TableRouter,
    *,
    max_body_bytes: int = 64 << 20,
    send_buffer_bytes: int | None = None,
    comment_every_s: float = COMMENT_EVERY_S,
    access: Access | None = None,
    metering: Metering | None = None,
) -> AsyncIterator[tuple[str, int]]:
    """Serves the proxy by uvicorn, to everybody where no `access` is given; gives its address."""
    # asyncio switches Nagle's algorithm off only where the protocol is given.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    if send_buffer_bytes is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    listener.bind(("127.0.0.1", 0))
    bound: tuple[str, int] = listener.getsockname()
    upstreams = Upstreams()
    app = ProxyApp(
        router,
        upstreams,
        guard=Guard(bound, origins=frozenset({ORIGIN})),
        access=access or access_with(),
        max_body_bytes=max_body_bytes,
        comment_every_s=comment_every_s,
        metering=metering,
    )
    config = uvicorn.Config(
        app, http=HttpProtocol, ws="none", lifespan="off", log_config=None, proxy_headers=False
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # Not `serve` and `shutdown`: they take the test's signals, and wait in tenths of seconds.
    await server.startup(sockets=[listener])
    try:
        yield bound
    finally:
        for listening in server.servers:
            listening.close()
        state = server.server_state
        for connection in list(state.connections):
            connection.shutdown()
        await until(lambda: not state.connections and not state.tasks)
        upstreams.close()
