"""The gateway's Socket.IO side on a real port, with commands that a test registers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common.dispatch import Dispatcher
from gateway.app import GatewayApp
from gateway.origins import Guard
from gateway.outgoing import give_up_stuck
from gateway.serving import listen, serve
from gateway.sockets import Sockets
from tests.support.access import access_with
from tests.support.guarded_gateway import no_pages


@asynccontextmanager
async def serving_sockets(dispatcher: Dispatcher) -> AsyncIterator[tuple[Sockets, int]]:
    """Sockets that everybody may use, and their port."""
    sock = listen("127.0.0.1", 0)
    give_up_stuck(sock)
    port = sock.getsockname()[1]
    guard = Guard(("127.0.0.1", port))
    sockets = Sockets(dispatcher, guard, access_with())
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        disconnecting = tasks.create_task(sockets.outgoing.run())
        app = GatewayApp(sockets, guard, no_pages())
        tasks.create_task(serve(app, sock, stopping, drain_s=lambda: 1.0, websockets=True))
        try:
            yield sockets, port
        finally:
            disconnecting.cancel()
            await sockets.server.shutdown()
            stopping.set()
