"""How many requests per second does the gateway answer, next to a bare python-socketio echo?

Reference: an AsyncServer with one handler that returns the same bytes, under the same uvicorn
settings. Clients, each with one request at a time, are a process of their own, the same for both;
ours and the reference are asked by turns.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import socketio
import uvloop

from benchmarks._report import heading, median, ratio
from gateway.serving import listen, serve
from tests.support.lean_socketio import NAMESPACE, LeanClient, connect
from tests.support.ports import free_ports
from tests.support.stack import running_stack
from tests.support.waiting import wait_for

MODEL = "babble-demo"
OWN_COPY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("models:list", {}),
    ("models:info", {"id": MODEL}),
    ("metrics:get", {}),
    ("config:get", {}),
    ("presets:list", {}),
)
CROSSING: tuple[tuple[str, dict[str, Any]], ...] = (
    ("logs:get", {"level": "info", "limit": 20}),
    ("presets:read", {"filename": "default"}),
)
# These end on the disk; they are reported, and nothing is promised of them.
WRITES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("presets:save", {"filename": "bench", "config": {"*": {"ctx-size": "4096"}}}),
    ("presets:apply", {"filename": "bench", "models": [MODEL]}),
    ("config:update", {"llama": {"maxModels": 4}}),
)
ROUNDS = 5
SECONDS = 1.5
CLIENTS = 50
ONE_CLIENT_BOUND_MS = 2.0


async def serve_bare(port: int, reply: Any) -> None:
    """The reference's server, until it is ended."""
    server = socketio.AsyncServer(async_mode="asgi", namespaces=[NAMESPACE])

    async def answer(_name: str, _sid: str, _payload: Any) -> Any:
        return reply

    server.on("*", answer, namespace=NAMESPACE)
    sock = listen("127.0.0.1", port)
    await serve(
        socketio.ASGIApp(server), sock, asyncio.Event(), drain_s=lambda: 1.0, websockets=True
    )


async def load(port: int, clients: int, name: str, payload: Any) -> None:
    """Print requests per second and the median of how long each took, in ms."""
    loop = asyncio.get_running_loop()
    took: list[float] = []
    connected = [await connect(port) for _ in range(clients)]
    until = time.perf_counter() + SECONDS
    finished = [loop.create_future() for _ in connected]

    def ask(client: LeanClient, done: asyncio.Future[None]) -> None:
        began = time.perf_counter()

        def answered(_reply: bytes) -> None:
            now = time.perf_counter()
            took.append(now - began)
            if now < until:
                ask(client, done)
            else:
                done.set_result(None)

        client.request(name, payload, answered)

    began = time.perf_counter()
    for client, done in zip(connected, finished, strict=True):
        ask(client, done)
    await asyncio.gather(*finished)
    print(json.dumps([len(took) / (time.perf_counter() - began), median(took) * 1000]))


def measured(port: int, clients: int, name: str, payload: Any) -> tuple[float, float]:
    """(requests per second, median ms) by a load process of its own."""
    command = [sys.executable, "-m", __spec__.name, "load", str(port), str(clients), name]
    printed = subprocess.run(
        [*command, json.dumps(payload)], check=True, capture_output=True, text=True
    ).stdout
    rate, median_ms = json.loads(printed)
    return rate, median_ms


@contextmanager
def bare_echo(reply: Any) -> Iterator[int]:
    """The port of a reference that answers with `reply`."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", __spec__.name, "bare", str(port), json.dumps(reply)]
    server = subprocess.Popen(command)
    try:
        wait_for(lambda: accepts(port), 20)
        yield port
    finally:
        server.kill()
        server.wait()


def accepts(port: int) -> bool:
    """Whether a client can join."""

    async def try_it() -> bool:
        try:
            (await connect(port)).close()
        except OSError:
            return False
        return True

    return asyncio.run(try_it())


async def ask_once(port: int, name: str, payload: Any) -> Any:
    """What the gateway answers, as plain data."""
    client = await connect(port)
    try:
        async with asyncio.timeout(10):
            return await client.call(name, payload)
    finally:
        client.close()


def compare(port: int, name: str, payload: Any, bound: str) -> None:
    """Rates with many clients, by turns, as one line."""
    with bare_echo(asyncio.run(ask_once(port, name, payload))) as bare:
        rounds = [
            (measured(port, CLIENTS, name, payload)[0], measured(bare, CLIENTS, name, payload)[0])
            for _ in range(ROUNDS)
        ]
    ours, reference = (median(rates) for rates in zip(*rounds, strict=True))
    ratio(f"{name}, {CLIENTS} clients", ours, reference, "requests/s", bound)


def main() -> None:
    """Measure, or be the reference's server, or the load."""
    if sys.argv[1:2] == ["bare"]:
        uvloop.run(serve_bare(int(sys.argv[2]), json.loads(sys.argv[3])))
        return
    if sys.argv[1:2] == ["load"]:
        port, clients, command, request = sys.argv[2:]
        uvloop.run(load(int(port), int(clients), command, json.loads(request)))
        return
    heading("API: what do requests cost?", "python-socketio", "uvicorn", "uvloop", "msgspec")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stack(Path(directory), {}) as stack,
    ):
        time.sleep(3)  # until the start's own work is over
        for name, payload in OWN_COPY:
            compare(stack.gateway_port, name, payload, "at least 0.5")
        for name, payload in CROSSING:
            compare(stack.gateway_port, name, payload, "at least 0.2")
            _, median_ms = measured(stack.gateway_port, 1, name, payload)
            ratio(f"{name}, one client", median_ms, ONE_CLIENT_BOUND_MS, "ms", "at most 1")
        for name, payload in WRITES:
            rate, median_ms = measured(stack.gateway_port, 1, name, payload)
            print(f"  {name}, one client: {rate:.4g} requests/s, {median_ms:.3g} ms")


if __name__ == "__main__":
    main()
