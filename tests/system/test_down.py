"""Whatever was hit a moment ago, `down` leaves nothing: docs/failures.md promises it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from common.api import models
from common.errors import DeadlineExceeded
from common.home import Home
from deploy.client import Client
from deploy.ports import Port, check_free
from tests.support.shared_memory import shared_memory
from tests.support.stack import (
    Stack,
    belonging_to,
    command_line_of,
    running_stack,
    start_up,
    supervisord,
)
from tests.support.streaming_stack import (
    ENDLESS,
    PROGRAMS,
    SLOW,
    kill_all_but_engines,
    kill_up,
    of_stack,
    program,
    streaming_stack,
    suspend_all,
    write_models,
)
from tests.support.streams import streams
from tests.support.waiting import wait_for

DOWN_S = 15.0
LATEST_S = 2.0
HITS = (*sorted(PROGRAMS), "supervisord", "up", "engine")
SEED = int(os.environ.get("DOWN_SEED", "1"))
"""Another seed is other moments."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("down")
    write_models(directory)
    return directory


@pytest.fixture
def stack(home: Path) -> Iterator[Stack]:
    with streaming_stack(home) as running:
        yield running


def runtime_files(stack: Stack) -> set[str]:
    """What serves those that run. An engine's last words stay for the next start to deliver."""
    home = Home(stack.home)
    spoken = {output.stem for output in home.engine_outputs()}
    run_files = {path.name.partition(".")[0] for path in home.run_files()}
    return {path.name for path in home.run.iterdir()} | spoken ^ run_files


def down_leaves_nothing(stack: Stack, in_shared_memory: set[str]) -> None:
    began = time.monotonic()
    down = stack.cli("down")
    took_s = time.monotonic() - began
    assert down.returncode == 0, down.stderr
    assert "stopped" in down.stdout
    assert [command_line_of(p) for p in of_stack(stack)] == []
    assert took_s < DOWN_S
    assert runtime_files(stack) == set()
    for number in (stack.gateway_port, stack.proxy_port):
        check_free(Port("127.0.0.1", number, "server.port"))
    wait_for(lambda: shared_memory() <= in_shared_memory)  # others of this machine use it, too
    assert not (stack.home / "desired.json").exists()
    assert "nothing is running" in stack.cli("down").stdout


def victim(stack: Stack, hit: str) -> psutil.Process:
    if hit == "engine":
        return stack.engines()[0]
    if hit == "up":
        return psutil.Process(stack.up.pid)
    return supervisord(stack) if hit == "supervisord" else program(stack, hit)


@pytest.mark.parametrize(
    ("killed", "stopped"), list(zip(HITS, (*HITS[5:], *HITS[:5]), strict=True))
)
def test_down_at_any_moment_after_two_hits(stack: Stack, killed: str, stopped: str) -> None:
    """Each is killed once and stopped once, two of them at a time."""
    in_shared_memory = shared_memory()
    with streams(stack.proxy_port, ENDLESS * 3):
        chosen = random.Random(f"{SEED} {killed} {stopped}").uniform(0, LATEST_S)
        moment = time.monotonic() + chosen
        victims = victim(stack, killed), victim(stack, stopped)
        for process, number in zip(victims, (signal.SIGKILL, signal.SIGSTOP), strict=True):
            process.send_signal(number)
        if killed == "up":
            stack.up.wait()
        wait_for(lambda: time.monotonic() >= moment)
        down_leaves_nothing(stack, in_shared_memory)


def nothing_first(_: Stack) -> None:
    """Just like that."""


def suspend_runner_and_kill_up(stack: Stack) -> None:
    program(stack, "runner-cpu").suspend()
    kill_up(stack)


def kill_up_while_all_is_suspended(stack: Stack) -> None:
    suspend_all(stack)
    kill_up(stack)


def load_slowly(stack: Stack) -> None:
    """Leave in the middle of a load, for which nobody waits any more."""
    with Client(stack.gateway_url) as client, suppress(DeadlineExceeded):
        client.call(models.LOAD, models.LoadModel(id=SLOW), 0.5)
    wait_for(lambda: len(stack.engines()) == len(ENDLESS) + 1)


@pytest.mark.parametrize(
    "first",
    [
        nothing_first,
        load_slowly,
        suspend_runner_and_kill_up,
        kill_all_but_engines,
        suspend_all,
        kill_up_while_all_is_suspended,
    ],
)
def test_down_after_several_things_at_once(stack: Stack, first: Callable[[Stack], None]) -> None:
    in_shared_memory = shared_memory()
    with streams(stack.proxy_port, ENDLESS * 3):
        first(stack)
        down_leaves_nothing(stack, in_shared_memory)


@pytest.mark.parametrize("alive", [1, 2, 4, 8])
def test_down_while_up_still_starts(short_path: Path, alive: int) -> None:
    with running_stack(short_path, {}) as stack:
        kill_all_but_engines(stack)
        up = start_up(stack.home, stack.environment)
        wait_for(lambda: len(stack.processes()) >= alive)
        # The first may come before there is anything to stop.
        wait_for(lambda: "nothing" not in stack.cli("down").stdout)
        assert up.wait(DOWN_S) in (0, -signal.SIGTERM)
        assert belonging_to(stack.home) == []
