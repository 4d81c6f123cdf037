"""A home for tests, with `up` on stand-ins in it, and nothing left of either afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common import environment
from common.api import system
from common.home import Home
from common.settings_source import load
from deploy.addresses import gateway_url
from deploy.client import Client
from deploy.processes import engine_processes, kill, stack_processes
from tests.support.ports import free_ports
from tests.support.stack import command_line_of
from tests.support.waiting import wait_for

PROGRAMS = ("backplane", "runner-0", "gateway")
CHECKOUT = Path(__file__).parents[2]


class StandInStack:
    """One home. `up` may be called again and again; every process gets the tests' own files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = Home(root)
        self.server_port, self.llama_port = free_ports(2)
        self.write_config(
            f"[server]\nport = {self.server_port}\n[llama]\nport = {self.llama_port}\n"
        )
        self._started: list[subprocess.Popen[str]] = []
        self._number = 0

    def write_config(self, text: str) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.home.config_file.write_text(text)

    def up(self, *programs: str) -> subprocess.Popen[str]:
        """Start `up` with these programs and do not wait."""
        words = [sys.executable, "-m", "tests.support.stand_in_up", str(self.root)]
        self._number = len(self._started)
        with self._file("out").open("w") as out, self._file("err").open("w") as err:
            process = subprocess.Popen(
                [*words, *(programs or PROGRAMS)],
                cwd=CHECKOUT,
                env=plain_environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
            )
        self._started.append(process)
        return process

    def announced(self) -> str:
        """What the latest `up` has printed, once it has said where things are."""
        latest = self._started[-1]
        try:
            wait_for(lambda: self.output() or latest.poll() is not None)
        except AssertionError:
            pytest.fail(f"up announced nothing, and said: {self.errors()}")
        assert self.output(), f"up ended with {latest.returncode}: {self.errors()}"
        return self.output()

    def output(self) -> str:
        return self._file("out").read_text()

    def errors(self) -> str:
        return self._file("err").read_text()

    def _file(self, kind: str) -> Path:
        return self.root / f"up-{self._number}.{kind}"

    def status(self) -> system.SystemStatus:
        settings = load(self.root, None, {})
        with Client(gateway_url(settings)) as client:
            return client.call(system.STATUS, system.GetStatus(), 10)

    def pid(self, program: str) -> int:
        return next(p.pid for p in self.status().processes if p.name == program)

    def supervisord_pid(self) -> int:
        return int(self.home.supervisord_pid_file.read_text())

    def alive(self) -> list[str]:
        """Command lines of all that runs for this home."""
        found = [*stack_processes(self.root), *engine_processes(self.root)]
        return [" ".join(line) for process in found if (line := command_line_of(process))]

    def clean(self) -> None:
        """Kill what this object started, and what that started."""
        for process in self._started:
            process.kill()
            process.wait()
        kill(stack_processes(self.root))
        kill(engine_processes(self.root))


@contextmanager
def stand_in_stack() -> Iterator[StandInStack]:
    """A home of its own, in a directory whose name is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="up-") as directory:
        stack = StandInStack(Path(directory))
        try:
            yield stack
        finally:
            stack.clean()


def plain_environment() -> dict[str, str]:
    """The environment without settings of whoever runs the tests."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(environment.PREFIX)
    }
