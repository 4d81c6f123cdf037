"""uvicorn inside a process of ours: our loop, our socket, our signals."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Callable, Collection, Iterator

import uvicorn
from starlette.types import ASGIApp

from gateway.http_protocol import HttpProtocol

BACKLOG = 2048

TICK_S = 1.0

LOOK_S = 1.0
"""How often connections are looked at for clients that keep us waiting."""

GARBAGE_THRESHOLD = 20_000
"""New objects between two looks for cycles. At Python's 700 the looks take a tenth of the time of a
small request, which leaves no cycles behind."""

# At debug its websocket library reports every frame that is sent; a report that is itself sent to
# a client, as a log line, would never come to an end.
logging.getLogger("uvicorn").setLevel(logging.WARNING)


class _Server(uvicorn.Server):
    """uvicorn would take the signals over and raise them again at its end, and look ten times a
    second whether it has come.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Take no more requests, and end once those under way are answered."""
        self.should_exit = True
        self._leaving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        """One tick a second, with which uvicorn sets the clock of its Date headers."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._leaving.wait()


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening TCP socket; a `shared` port may be listened on by several processes."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    sock.listen(BACKLOG)
    return sock


async def serve(
    app: ASGIApp,
    sock: socket.socket,
    stopping: asyncio.Event,
    *,
    drain_s: Callable[[], float],
    websockets: bool = False,
) -> None:
    """Serve until `stopping`; then take nothing new and give open requests `drain_s()` to end."""
    config = uvicorn.Config(
        app,
        loop="none",
        http=HttpProtocol,
        ws="websockets-sansio" if websockets else "none",
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # Engine.IO has pings of its own
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )
    server = _Server(config)
    _spare_the_collector()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve(sockets=[sock]), name="uvicorn")
        stop = tasks.create_task(stopping.wait(), name="stop")
        looking = tasks.create_task(look_at(server.server_state.connections), name="look")
        await asyncio.wait([serving, stop], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.is_set():
            raise RuntimeError("the HTTP server ended by itself")
        config.timeout_graceful_shutdown = max(1, round(drain_s()))
        server.leave()
        await serving
        looking.cancel()


async def look_at(connections: Collection[object], every_s: float = LOOK_S) -> None:
    """Close those whose clients keep us waiting for too long, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(every_s)
        for connection in list(connections):
            if isinstance(connection, HttpProtocol):  # and not a websocket
                connection.look(loop.time())


def _spare_the_collector() -> None:
    """What was imported and built until now stays, and need not be looked at again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
