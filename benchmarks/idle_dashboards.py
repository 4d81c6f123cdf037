"""What do a thousand connected dashboards cost the gateway that nobody touches?

Reference: the promise, 10 % of one core, with `metrics:update` every 10 s for each. What the same
gateway takes without clients is shown, too. The clients are a process of their own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import uvloop

from benchmarks._report import heading, ratio
from tests.support.lean_socketio import connect
from tests.support.stack import Stack, command_line_of, running_stack

CLIENTS = 1000
SETTLE_S = 15.0
WATCH_S = 30.0
BOUND_PERCENT = 10.0


async def be_clients(port: int) -> None:
    """Connect, say so, and count updates until standard input ends."""
    updates = 0

    def heard(event: bytes) -> None:
        nonlocal updates
        updates += event.startswith(b'["metrics:update"')

    clients = [await connect(port, heard) for _ in range(CLIENTS)]
    print("connected", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(updates if line.strip() == "count" else 0, flush=True)
    for client in clients:
        client.close()


def gateway_of(stack: Stack) -> psutil.Process:
    """The gateway's process."""
    return next(
        process
        for process in stack.processes()
        if command_line_of(process)[1:3] == ["-m", "gateway"]
    )


def use_percent(process: psutil.Process) -> float:
    """Of one core, over a while."""
    before = sum(process.cpu_times()[:2])
    time.sleep(WATCH_S)
    return float(sum(process.cpu_times()[:2]) - before) / WATCH_S * 100


def measure(stack: Stack) -> None:
    """Without clients, then with."""
    gateway = gateway_of(stack)
    time.sleep(3)
    alone_percent = use_percent(gateway)
    alone_bytes = gateway.memory_info().rss
    command = [sys.executable, "-m", __spec__.name, str(stack.gateway_port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as clients:
        assert clients.stdin is not None
        assert clients.stdout is not None
        assert clients.stdout.readline() == "connected\n"
        time.sleep(SETTLE_S)

        def updates() -> int:
            print("count", file=clients.stdin, flush=True)
            return int(clients.stdout.readline()) if clients.stdout else 0

        before = updates()
        percent = use_percent(gateway)
        per_client_s = WATCH_S * CLIENTS / (updates() - before)
        grown_mb = (gateway.memory_info().rss - alone_bytes) / 1e6
        clients.stdin.close()
    print(
        f"  each client got metrics every {per_client_s:.1f} s; without clients the gateway takes"
        f" {alone_percent:.1f} %; memory grew by {grown_mb:.0f} MB"
    )
    ratio(f"{CLIENTS} idle clients", percent, BOUND_PERCENT, "% of a core", "at most 1")


def main() -> None:
    """Measure, or be the clients."""
    if len(sys.argv) == 2:
        uvloop.run(be_clients(int(sys.argv[1])))
        return
    heading("Gateway: what do idle dashboards cost?", "python-socketio", "uvicorn", "uvloop")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stack(Path(directory), {}) as stack,
    ):
        measure(stack)


if __name__ == "__main__":
    main()
