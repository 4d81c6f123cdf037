"""The whole product, started as a user starts it: `llama-proxy up` with real supervisord."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from common.processes import environments
from tests.support.ports import free_ports
from tests.support.waiting import wait_for

START_S = 60.0
STOP_S = 30.0


@dataclass(frozen=True)
class Stack:
    """A stack that is up."""

    home: Path
    gateway_port: int
    proxy_port: int
    up: subprocess.Popen[bytes]
    environment: Mapping[str, str]

    @property
    def gateway_url(self) -> str:
        """Where Socket.IO answers."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def proxy_url(self) -> str:
        """Where the OpenAI-compatible API answers."""
        return f"http://127.0.0.1:{self.proxy_port}"

    def said(self) -> str:
        """What `up` has printed so far."""
        return (self.home.parent / "up.out").read_text()

    def cli(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a CLI command on this stack."""
        return run_cli(
            *arguments, home=self.home, environment=self.environment, timeout_s=timeout_s
        )

    def processes(self) -> list[psutil.Process]:
        """Everything alive that belongs to this home: `up`, supervisord, ours, engines."""
        return belonging_to(self.home)

    def engines(self) -> list[psutil.Process]:
        """The engines of this home that are alive."""
        tag = f"{self.home}:"
        return [
            process
            for process in self.processes()
            if environment_of(process).get("LLAMA_PROXY_ENGINE", "").startswith(tag)
        ]


def run_cli(
    *arguments: str, home: Path, environment: Mapping[str, str], timeout_s: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """`llama-proxy <arguments>` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments, "--home", str(home)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout_s,
        check=False,
    )


@contextmanager
def running_stack(directory: Path, settings: Mapping[str, object]) -> Iterator[Stack]:
    """A stack with its home in `directory`, set up by environment variables.

    `settings` are `LLAMA__MAX_MODELS: 1` and the like. At the end it is stopped as by Ctrl-C, and
    nothing of it may be alive.
    """
    home = directory / "home"
    gateway_port, proxy_port = free_ports(2)
    environment = {
        "LLAMA_PROXY_SERVER__PORT": str(gateway_port),
        "LLAMA_PROXY_LLAMA__PORT": str(proxy_port),
        "LLAMA_PROXY_LLAMA__FLAGS": json.dumps({"threads": "1"}),
        **engine_under_test(),
        **{f"LLAMA_PROXY_{key}": str(value) for key, value in settings.items()},
    }
    up = start_up(home, environment)
    stack = Stack(home, gateway_port, proxy_port, up, environment)
    try:
        wait_until_up(stack)
        yield stack
    finally:
        stop(stack)


@contextmanager
def started_again(stack: Stack, settings: Mapping[str, object] | None = None) -> Iterator[Stack]:
    """The same home once more, after its `up` has ended; with other settings, if need be."""
    changed = {f"LLAMA_PROXY_{key}": str(value) for key, value in (settings or {}).items()}
    environment = {**stack.environment, **changed}
    again = replace(stack, up=start_up(stack.home, environment), environment=environment)
    try:
        wait_until_up(again)
        yield again
    finally:
        stop(again)


def start_up(home: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """`llama-proxy up`, without waiting for anything; what it prints goes into `up.out`."""
    with (home.parent / "up.out").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "up", "--home", str(home)],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_until_up(stack: Stack) -> None:
    """Until `up` has said where things are."""
    wait_for(lambda: stack.up.poll() is not None or len(stack.said().splitlines()) >= 5, START_S)
    assert stack.up.poll() is None, stack.said()


def stop(stack: Stack) -> None:
    """End a stack as Ctrl-C does, and see that nothing is left."""
    if stack.up.poll() is None:
        stack.up.send_signal(signal.SIGINT)
    try:
        stack.up.wait(STOP_S)
    finally:
        left = stack.processes()
        told = [command_line_of(process) for process in left]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, 5)
    assert not left, told


def engine_under_test() -> dict[str, str]:
    """`TEST_LLAMA_SERVER=path` runs every system test on that engine instead of the embedded."""
    path = os.environ.get("TEST_LLAMA_SERVER", "")
    return {"LLAMA_PROXY_LLAMA__SERVER_PATH": path} if path else {}


def supervisord(stack: Stack) -> psutil.Process:
    """The supervisord of a stack."""
    return psutil.Process(int((stack.home / "run" / "supervisord.pid").read_text()))


def belonging_to(home: Path) -> list[psutil.Process]:
    """Processes whose environment or command line names this home."""
    return [
        process for process, variables in environments() if _names(process, variables, str(home))
    ]


def _names(process: psutil.Process, environment: Mapping[str, str], home: str) -> bool:
    return (
        home in command_line_of(process)
        or environment.get("LLAMA_PROXY_HOME") == home
        or environment.get("LLAMA_PROXY_ENGINE", "").startswith(home + ":")
        or environment.get("LLAMA_PROXY_STACK") == home
    )


def command_line_of(process: psutil.Process) -> list[str]:
    """A process's arguments; none where it is gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def environment_of(process: psutil.Process) -> dict[str, str]:
    """A process's environment; empty where it is gone or not ours."""
    try:
        return process.environ()
    except psutil.Error:
        return {}
