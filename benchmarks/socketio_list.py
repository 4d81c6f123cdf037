"""How much slower is `models:list` than a bare python-socketio handler with the same bytes?

Reference: an AsyncServer with one handler that returns the same reply, under the same uvicorn
settings. The client is the same, too, and both are asked by turns.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import socketio
import uvloop

from benchmarks._report import heading, median, ratio
from gateway.serving import listen, serve
from tests.support.ports import free_ports
from tests.support.stack import running_stack
from tests.support.waiting import wait_for

ROUNDS = 7
CALLS = 500


def serve_bare(port: int, reply: Any) -> None:
    """The reference's server, until it is ended."""
    server = socketio.AsyncServer(async_mode="asgi", namespaces=["/llamaproxws"])

    async def answer(_sid: str, _payload: Any) -> Any:
        return reply

    server.on("models:list", answer, namespace="/llamaproxws")
    sock = listen("127.0.0.1", port)
    uvloop.run(_serve_for_ever(socketio.ASGIApp(server), sock))


async def _serve_for_ever(app: Any, sock: socket.socket) -> None:
    await serve(app, sock, asyncio.Event(), drain_s=lambda: 1, websockets=True)


def timed(client: socketio.SimpleClient) -> float:
    """Seconds per call."""
    started = time.perf_counter()
    for _ in range(CALLS):
        client.call("models:list", {})
    return (time.perf_counter() - started) / CALLS


def connected(port: int) -> socketio.SimpleClient:
    """A client by websocket."""
    client = socketio.SimpleClient()
    url = f"http://127.0.0.1:{port}"
    client.connect(url, namespace="/llamaproxws", transports=["websocket"])
    return client


def measure(ours: socketio.SimpleClient, bare_port: int) -> None:
    """Both by turns."""
    reply = json.dumps(ours.call("models:list", {}))
    server = subprocess.Popen([sys.executable, "-m", __spec__.name, str(bare_port), reply])
    try:
        wait_for(lambda: _accepts(bare_port), 20)
        bare = connected(bare_port)
        assert bare.call("models:list", {}) == json.loads(reply)
        ours_s, bare_s = [], []
        for _ in range(ROUNDS):
            ours_s.append(timed(ours))
            bare_s.append(timed(bare))
        ratio("models:list", median(ours_s) * 1e6, median(bare_s) * 1e6, "µs", "at most 2")
        bare.disconnect()
    finally:
        server.kill()
        server.wait()


def _accepts(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    """Measure, or be the reference's server."""
    if len(sys.argv) == 3:
        serve_bare(int(sys.argv[1]), json.loads(sys.argv[2]))
        return
    heading("Socket.IO: what does models:list cost?", "python-socketio", "uvicorn", "uvloop")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stack(Path(directory), {}) as stack,
    ):
        ours = connected(stack.gateway_port)
        measure(ours, *free_ports(1))
        ours.disconnect()


if __name__ == "__main__":
    main()
