"""What do 50 clients that read nothing cost the gateway, and those who do read?

Reference: the same requests in the same stack before the silent clients came, and the promised
bound for memory. Meanwhile everybody is told log lines: each request of the noisy client is
refused, which is logged. The silent ones have small buffers in the kernel, so that they are stuck
soon. Those who read, those who do not and the noise are processes of their own.
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
from statistics import quantiles

import uvloop

from benchmarks._report import heading, median, ratio
from benchmarks.idle_dashboards import gateway_of
from tests.support.lean_socketio import connect
from tests.support.stack import Stack, running_stack

CLIENTS = 50
READERS = 5
ROUNDS = 3
ROUND_S = 10.0
PAUSE_S = 0.02
NOISE_PER_S = 50
FILL_S = 15.0
RECEIVE_BUFFER_BYTES = 4096
BOUND_MIB = 8.0


async def be_silent(port: int) -> None:
    """Connect, ask for metrics often, and read nothing more until standard input ends."""
    clients = [await connect(port, buffer_bytes=RECEIVE_BUFFER_BYTES) for _ in range(CLIENTS)]
    for client in clients:
        await client.call("metrics:subscribe", {"intervalMs": 250})
        client.stop_reading()
    print("silent", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for client in clients:
        client.read_again()  # what the server has ended shows only to who reads
    await asyncio.sleep(2)
    print(sum(client.lost.done() for client in clients), flush=True)


async def make_noise(port: int) -> None:
    """Have a line logged and told many times a second, until standard input ends."""
    client = await connect(port)
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    print("noisy", flush=True)
    while not ended.done():
        client.request("models:info", {"id": "x" * 150}, lambda _: None)
        await asyncio.sleep(1 / NOISE_PER_S)


async def read(port: int) -> None:
    """Ask at a steady pace; print the 99th percentile of how long each answer took, in ms."""
    took_ms: list[float] = []
    until = time.perf_counter() + ROUND_S

    async def ask() -> None:
        client = await connect(port)
        while (began := time.perf_counter()) < until:
            await client.call("models:list", {})
            took_ms.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(PAUSE_S)
        client.close()

    await asyncio.gather(*(ask() for _ in range(READERS)))
    print(json.dumps(quantiles(took_ms, n=100)[98]))


def p99_ms(port: int) -> float:
    """Of those who read, the median of some rounds."""
    command = [sys.executable, "-m", __spec__.name, "read", str(port)]
    return median(
        [
            float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(ROUNDS)
        ]
    )


@contextmanager
def helper(kind: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """One of the other processes, once it has said that it is at work."""
    command = [sys.executable, "-m", __spec__.name, kind, str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.stdin.close()


def measure(stack: Stack) -> None:
    """Without and with the silent ones."""
    port, gateway = stack.gateway_port, gateway_of(stack)
    with helper("noise", port):
        before_ms = p99_ms(port)
        before = gateway.memory_info().rss
        with helper("silent", port) as silent:
            time.sleep(FILL_S)
            most = gateway.memory_info().rss
            with_ms = p99_ms(port)
            most = max(most, gateway.memory_info().rss)
            assert silent.stdin is not None
            silent.stdin.close()
            assert silent.stdout is not None
            print(f"  of {CLIENTS} silent clients {silent.stdout.readline().strip()} were cut off")
    ratio("memory they cost", (most - before) / 2**20, BOUND_MIB, "MiB", "at most 1")
    ratio("p99 of those who read", with_ms, before_ms, "ms", "about 1")


def main() -> None:
    """Measure, or be one of the other processes."""
    if len(sys.argv) == 3:
        work = {"silent": be_silent, "noise": make_noise, "read": read}[sys.argv[1]]
        uvloop.run(work(int(sys.argv[2])))
        return
    heading("Gateway: what do clients that read nothing cost?", "python-socketio", "uvicorn")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stack(Path(directory), {}) as stack,
    ):
        measure(stack)


if __name__ == "__main__":
    main()
