"""Both entrances of a gateway, for tests of who is let in: over TCP, and by the socket in home."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from common.dispatch import Dispatcher
from gateway.app import GatewayApp
from gateway.auth import Access
from gateway.local import LocalEntrance, listening_locally
from gateway.origins import Guard
from gateway.pages import Pages
from gateway.serving import serve
from gateway.sockets import Sockets


@dataclass(frozen=True)
class RunningGateway:
    """Where it answers: to everybody, and to those who own home."""

    address: tuple[str, int]
    own_socket: Path
    sockets: Sockets


def no_pages() -> Pages:
    """Those of a dashboard that was never built."""
    return Pages(("127.0.0.1", 8080), Path("/nowhere"))


@asynccontextmanager
async def gateway_serving(
    access: Access, dispatcher: Dispatcher, guard: Guard | None = None, pages: Pages | None = None
) -> AsyncIterator[RunningGateway]:
    """Serves both entrances until the end of the body."""
    listener = socket.create_server(("127.0.0.1", 0))
    address: tuple[str, int] = listener.getsockname()
    guard = guard or Guard(address, address[1])
    sockets = Sockets(dispatcher, guard, access)
    app = GatewayApp(sockets, guard, pages or no_pages())
    stopping = asyncio.Event()
    # Not tmp_path: a socket's path ends at 107 bytes.
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        own = Path(directory, "gateway.sock")
        with listening_locally(own) as own_listener:
            async with asyncio.TaskGroup() as tasks:
                beside = [
                    tasks.create_task(sockets.expel()),
                    tasks.create_task(sockets.outgoing.run()),
                ]
                for entrance, sock in ((app, listener), (LocalEntrance(app), own_listener)):
                    tasks.create_task(
                        serve(entrance, sock, stopping, drain_s=lambda: 1.0, websockets=True)
                    )
                try:
                    yield RunningGateway(address, own, sockets)
                finally:
                    for task in beside:
                        task.cancel()
                    await sockets.server.shutdown()
                    stopping.set()
