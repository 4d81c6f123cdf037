"""How much do ids, deadlines, typed decoding and dispatch add to a request over the backplane?

Reference: an asyncio DEALER that echoes and one that asks, in a few lines of bare pyzmq, through
the same switch with the same bytes. Answerers are processes of their own, as in the real stack.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
import zmq
import zmq.asyncio

from benchmarks._report import heading, median, ratio
from common.api.base import Command, Role, Struct
from common.bus import wire
from common.bus.addresses import Addresses
from common.bus.bus import Bus, Identity
from workers.backplane.backplane import Backplane

ROUNDS = 7
CALLS = 1000
CONCURRENT = 32


class Say(Struct, frozen=True):
    """A payload of 100 bytes or so."""

    text: str


ECHO = Command("bench:echo", Say, Say, Role.VIEWER, "Echo.", internal=True)
PAYLOAD = Say(text="x" * 100)


async def echo(request: Say) -> Say:
    """Answer with what came."""
    return request


async def answer_ours(addresses: Addresses) -> None:
    """Our answerer, until it is ended."""
    bus = Bus(Identity.new("ours", "controller", "bench"), addresses)
    bus.serve(ECHO, echo)
    await bus.run()


async def answer_bare(addresses: Addresses) -> None:
    """The reference's answerer, until it is ended."""
    socket = bare_socket(addresses, b"bare")
    while True:
        await socket.send_multipart(await socket.recv_multipart())


def bare_socket(addresses: Addresses, name: bytes) -> zmq.asyncio.Socket:
    """A DEALER with a name."""
    socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
    socket.setsockopt(zmq.ROUTING_ID, name)
    socket.connect(addresses.requests)
    return socket


async def timed(call: Callable[[], Awaitable[object]], concurrent: int) -> float:
    """Seconds per call, with so many under way at a time."""

    async def worker() -> None:
        for _ in range(CALLS // concurrent):
            await call()

    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(concurrent):
            tasks.create_task(worker())
    return (time.perf_counter() - start) / (CALLS // concurrent * concurrent)


async def measure(addresses: Addresses) -> None:
    """Both by turns, so that both see the same machine."""
    bus = Bus(Identity.new("caller", "controller", "bench"), addresses)
    running = asyncio.create_task(bus.run())
    socket = bare_socket(addresses, b"bare-caller")
    body = wire.encode(wire.Request(ECHO.name, time.time() + 60, wire.raw(PAYLOAD)))

    async def ours() -> None:
        await bus.call("ours", ECHO, PAYLOAD, timeout_s=30)

    async def bare() -> None:
        await socket.send_multipart([b"bare", b"\x01R1", body])
        await socket.recv_multipart()

    await ours()
    await asyncio.sleep(1)  # until the bare answerer has connected, too
    await bare()
    ours_s, bare_s = [], []
    for _ in range(ROUNDS):
        ours_s.append(await timed(ours, 1))
        bare_s.append(await timed(bare, 1))
    ratio("round trip", median(ours_s) * 1e6, median(bare_s) * 1e6, "µs", "at most 2.5")
    at_once_s = [await timed(ours, CONCURRENT) for _ in range(ROUNDS)]
    print(f"  {CONCURRENT} at a time: {1 / median(at_once_s):,.0f} round trips per second")
    running.cancel()
    await asyncio.wait([running])
    bus.close()
    socket.close(linger=0)


def main() -> None:
    """Measure, or be one of the answerers."""
    if len(sys.argv) == 3:
        answer = {"ours": answer_ours, "bare": answer_bare}[sys.argv[1]]
        uvloop.run(answer(Addresses.in_directory(Path(sys.argv[2]))))
        return
    heading("Backplane: what does a request cost?", "pyzmq", "msgspec", "uvloop")
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        addresses = Addresses.in_directory(Path(directory))
        backplane = Backplane(addresses)
        backplane.start()
        answerers = [
            subprocess.Popen([sys.executable, "-m", __spec__.name, kind, directory])
            for kind in ("ours", "bare")
        ]
        try:
            uvloop.run(measure(addresses))
        finally:
            for answerer in answerers:
                answerer.kill()
                answerer.wait()
            backplane.stop()


if __name__ == "__main__":
    main()
