"""How much longer is `models:load` than the bare engine needs from its start to /health 200?

Reference: the same engine program with the same arguments, started by hand and polled every
millisecond, in the same run.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import socketio

from benchmarks._report import heading, median
from tests.support.ports import free_ports
from tests.support.stack import Stack, running_stack

ROUNDS = 20
MODEL = "babble-demo"
BOUND_MS = 60.0


def bare_start_s(model: Path, program: list[str]) -> float:
    """Start the engine by hand; seconds until it is healthy."""
    (port,) = free_ports(1)
    command = [*program, "--model", str(model), "--host", "127.0.0.1", "--port", str(port)]
    started = time.perf_counter()
    engine = subprocess.Popen(
        [*command, "--threads", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not healthy(port):
            time.sleep(0.001)
        return time.perf_counter() - started
    finally:
        engine.kill()
        engine.wait()


def healthy(port: int) -> bool:
    """Whether /health answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def loaded_s(client: socketio.SimpleClient) -> float:
    """Load and unload; seconds until the load was acknowledged."""
    started = time.perf_counter()
    reply = client.call("models:load", {"id": MODEL}, timeout=60)
    took = time.perf_counter() - started
    if not reply["success"]:
        raise RuntimeError(reply["error"]["message"])
    client.call("models:unload", {"id": MODEL}, timeout=60)
    return took


def measure(stack: Stack) -> None:
    """Both by turns."""
    server = os.environ.get("TEST_LLAMA_SERVER", "")
    program = [server] if server else [sys.executable, "-m", "workers.runner.embedded"]
    model = stack.home / "models" / f"{MODEL}.gguf"
    bare, ours = [], []
    with socketio.SimpleClient() as client:
        client.connect(stack.gateway_url, namespace="/llamaproxws", transports=["websocket"])
        loaded_s(client)
        for _ in range(ROUNDS):
            bare.append(bare_start_s(model, program))
            ours.append(loaded_s(client))
    added_ms = (median(ours) - median(bare)) * 1000
    print(
        f"  load: ours {median(ours) * 1000:.0f} ms, bare engine {median(bare) * 1000:.0f} ms, "
        f"ratio {median(ours) / median(bare):.2f}, added {added_ms:.0f} ms "
        f"({added_ms / BOUND_MS:.2f} of the {BOUND_MS:.0f} ms allowed)"
    )


def main() -> None:
    """Measure on a stack of our own."""
    heading("Load: what do we add to the engine's own start?", "xllamacpp", "python-socketio")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stack(Path(directory), {}) as stack,
    ):
        measure(stack)


if __name__ == "__main__":
    main()
