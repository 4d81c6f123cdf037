"""The ways to one engine that are compared: straight, by nginx, by us, and by llama-swap."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks._llama_swap import llama_swap_command
from benchmarks._nginx import nginx_command
from benchmarks._proxy_under_test import MODEL
from benchmarks._report import median
from tests.support.ports import free_ports
from tests.support.waiting import wait_for


@dataclass(frozen=True)
class Entrance:
    """A port that leads to the engine, and the process that listens there."""

    name: str
    port: int
    process: psutil.Process


@dataclass(frozen=True)
class Entrances:
    """All that were started; `llama_swap` is None where it was not given."""

    direct: Entrance
    nginx: Entrance
    ours: Entrance
    llama_swap: Entrance | None

    def all(self) -> list[Entrance]:
        """Those that are there, the direct way first."""
        present = (self.direct, self.nginx, self.ours, self.llama_swap)
        return [entrance for entrance in present if entrance is not None]


def by_turns(
    ways: Entrances, rounds: int, measure: Callable[[Entrance], float]
) -> dict[str, float]:
    """The median of some rounds, by the name of the entrance; each round measures them all."""
    figures: dict[str, list[float]] = {entrance.name: [] for entrance in ways.all()}
    for _ in range(rounds):
        for entrance in ways.all():
            figures[entrance.name].append(measure(entrance))
    return {name: median(values) for name, values in figures.items()}


@contextmanager
def entrances() -> Iterator[Entrances]:
    """Start them all, each a process of its own, for the body."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as path,
        contextlib.ExitStack() as started,
    ):
        directory = Path(path)
        directory.chmod(0o755)  # nginx's worker gives up root
        engine_port, nginx_port, our_port, swap_port = free_ports(4)

        def start(name: str, port: int, command: list[str]) -> Entrance:
            return started.enter_context(_listening(name, port, command))

        def program(module: str, *ports: int) -> list[str]:
            return [sys.executable, "-m", f"benchmarks.{module}", *map(str, ports)]

        swap_command = llama_swap_command(directory, swap_port, engine_port, MODEL)
        if swap_command is None:
            print("  llama-swap was not measured: LLAMA_SWAP names no program")
        yield Entrances(
            start("direct", engine_port, program("_instant_engine", engine_port)),
            start("nginx", nginx_port, nginx_command(directory, nginx_port, engine_port)),
            start("ours", our_port, program("_proxy_under_test", our_port, engine_port)),
            None if swap_command is None else start("llama-swap", swap_port, swap_command),
        )


@contextmanager
def _listening(name: str, port: int, command: list[str]) -> Iterator[Entrance]:
    with subprocess.Popen(command) as process:
        try:
            wait_for(lambda: _accepts(port) or process.poll() is not None)
            assert process.poll() is None, f"{name} ended with {process.returncode}"
            yield Entrance(name, port, psutil.Process(process.pid))
        finally:
            process.terminate()


def _accepts(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
