"""Whatever is killed, engines stay; whatever is told to stop, nothing stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.support import shown
from tests.support.failures_page import promise, right_again_s
from tests.support.shared_memory import shared_memory
from tests.support.stack import (
    Stack,
    belonging_to,
    command_line_of,
    started_again,
    supervisord,
)
from tests.support.streaming_stack import (
    ENDLESS,
    PROGRAMS,
    engine_pids,
    kill_all,
    kill_all_but_engines,
    kill_up,
    program,
    programs,
    right,
    streaming_stack,
    write_models,
)
from tests.support.streams import all_ended, all_flow, streams
from tests.support.waiting import wait_for

SEEN_IN_THE_END_S = 30.0
DOWN_S = 15.0


@pytest.fixture
def stack(short_path: Path) -> Iterator[Stack]:
    """Two models are loaded, which stream for ever."""
    write_models(short_path)
    with streaming_stack(short_path) as running:
        yield running


def right_within(stack: Stack, bound_s: float, since: float) -> None:
    """All is right so soon after `since`, of the monotonic clock."""
    wait_for(lambda: right(stack), SEEN_IN_THE_END_S)
    assert time.monotonic() - since < bound_s


def supervisorctl(stack: Stack, *words: str) -> str:
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "supervisor.supervisorctl"),
            *("-c", str(stack.home / "supervisord.conf"), *words),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def shown_pid(stack: Stack, name: str) -> int:
    return shown.by_program(shown.status(stack.gateway_url))[name].pid


def stream_both(stack: Stack) -> None:
    with streams(stack.proxy_port, ENDLESS):
        pass


def test_supervisord_is_killed_again_and_again(stack: Stack) -> None:
    engines = engine_pids(stack)
    bound_s = right_again_s("supervisord", "kill -9")
    baseline: list[tuple[int, int, int]] = []
    in_shared_memory = shared_memory()
    with ExitStack() as running:
        for _ in range(3):
            cut = running.enter_context(streams(stack.proxy_port, ENDLESS * 10))
            before = {p.pid for p in programs(stack)}
            killed_at = time.monotonic()
            supervisord(stack).kill()

            def renewed(before: set[int] = before) -> bool:
                pids = {p.pid for p in programs(stack)}
                return len(pids) == len(PROGRAMS) and not pids & before and right(stack)

            wait_for(renewed, SEEN_IN_THE_END_S)
            assert time.monotonic() - killed_at < bound_s
            all_ended(cut)
            assert engine_pids(stack) == engines
            stream_both(stack)
            baseline.append(
                (
                    psutil.Process(stack.up.pid).num_fds(),
                    supervisord(stack).num_fds(),
                    len(list((stack.home / "run").iterdir())),
                )
            )
    assert baseline[2] == baseline[0]
    wait_for(lambda: shared_memory() <= in_shared_memory)


def test_a_killed_up_takes_all_but_engines_along(stack: Stack) -> None:
    engines = engine_pids(stack)
    with streams(stack.proxy_port, ENDLESS * 10) as cut:
        kill_up(stack)
        wait_for(lambda: {p.pid for p in stack.processes()} == engines, 5)
        all_ended(cut)
        began_at = time.monotonic()
        with started_again(stack) as again:
            right_within(again, right_again_s("up", "kill -9"), began_at)
            assert engine_pids(again) == engines
            stream_both(again)
    assert belonging_to(stack.home) == []


def test_an_up_right_after_a_killed_one_adopts_its_engines(stack: Stack) -> None:
    engines = engine_pids(stack)
    # It has no time to hand over: as one that hangs.
    program(stack, "runner-cpu").suspend()
    kill_up(stack)
    began_at = time.monotonic()
    with started_again(stack) as again:
        right_within(again, right_again_s("up", "kill -9"), began_at)
        assert len(programs(again)) == len(PROGRAMS)
        assert engine_pids(again) == engines
        stream_both(again)


def test_all_is_killed_but_engines(stack: Stack) -> None:
    engines = engine_pids(stack)
    with streams(stack.proxy_port, ENDLESS * 10):
        kill_all_but_engines(stack)
    assert engine_pids(stack) == engines
    began_at = time.monotonic()
    with started_again(stack) as again:
        right_within(again, right_again_s("everything at once", "kill -9"), began_at)
        assert engine_pids(again) == engines
        stream_both(again)


def test_all_is_killed_and_engines_too(stack: Stack) -> None:
    engines = engine_pids(stack)
    kill_all(stack.processes())
    began_at = time.monotonic()
    with started_again(stack) as again:
        right_within(again, right_again_s("everything at once", "kill -9"), began_at)
        assert not engine_pids(again) & engines
        assert len(engine_pids(again)) == len(ENDLESS)
        stream_both(again)


def test_an_engine_that_no_runner_would_adopt_is_ended(stack: Stack) -> None:
    engines = engine_pids(stack)
    kill_all_but_engines(stack)
    with started_again(stack, {"HOST__NAME": "renamed"}) as again:
        assert not engine_pids(again) & engines


def test_a_stop_of_the_runner_stops_its_engines(stack: Stack) -> None:
    supervisorctl(stack, "stop", "runner-cpu")
    assert stack.engines() == []
    assert list((stack.home / "engines").iterdir()) == []
    supervisorctl(stack, "start", "runner-cpu")
    wait_for(lambda: shown.running(shown.status(stack.gateway_url)) == PROGRAMS)


def test_usr1_to_the_runner_keeps_its_engines(stack: Stack) -> None:
    engines, runner = engine_pids(stack), program(stack, "runner-cpu").pid
    with streams(stack.proxy_port, ENDLESS * 5) as running:
        supervisorctl(stack, "signal", "USR1", "runner-cpu")
        wait_for(lambda: not psutil.pid_exists(runner))
        wait_for(lambda: right(stack))
        assert engine_pids(stack) == engines
        assert [stream.end for stream in running if stream.end is not None] == []


def test_the_only_proxy_takes_its_streams_along_and_comes_back(stack: Stack) -> None:
    engines = engine_pids(stack)
    with streams(stack.proxy_port, ENDLESS * 10) as cut:
        victim, killed_at = program(stack, "proxy"), time.monotonic()
        victim.kill()
        all_ended(cut)
        wait_for(lambda: shown_pid(stack, "proxy") != victim.pid, SEEN_IN_THE_END_S)
        right_within(stack, right_again_s("the only proxy", "kill -9"), killed_at)
    assert engine_pids(stack) == engines
    stream_both(stack)


def test_the_only_proxy_stands_still_and_goes_on(stack: Stack) -> None:
    row = promise("the only proxy", "SIGSTOP")
    assert row.shown_s is not None
    proxy = program(stack, "proxy")
    with streams(stack.proxy_port, ENDLESS * 10) as running:
        stopped_at = time.monotonic()
        proxy.suspend()
        try:
            wait_for(lambda: not right(stack), SEEN_IN_THE_END_S)
            assert time.monotonic() - stopped_at < row.shown_s
        finally:
            proxy.resume()
        right_within(stack, right_again_s(row.hit, row.by), time.monotonic())
        all_flow(running)


def test_a_second_up_of_a_home_leaves_the_first_alone(stack: Stack) -> None:
    before = {p.pid for p in stack.processes()}
    second = stack.cli("up")
    assert second.returncode == 1
    assert f"(pid {stack.up.pid})" in second.stderr
    assert {p.pid for p in stack.processes()} == before
    assert right(stack)


def test_a_second_home_on_the_same_ports_leaves_the_first_alone(
    stack: Stack, tmp_path: Path
) -> None:
    before = {p.pid for p in stack.processes()}
    other = tmp_path / "other"
    second = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "up", "--home", str(other)],
        env={**os.environ, **stack.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f"taken by the llama-proxy stack of home {stack.home}" in second.stderr
    assert belonging_to(other) == []
    assert {p.pid for p in stack.processes()} == before


def test_a_second_process_of_a_name_waits_and_gives_up(stack: Stack) -> None:
    first = program(stack, "metrics")
    second = subprocess.run(
        command_line_of(first),
        cwd=first.cwd(),
        env={**os.environ, **stack.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f"another metrics of home {stack.home} is running (pid {first.pid})" in second.stderr
    assert first.is_running()
    assert shown.running(shown.status(stack.gateway_url)) == PROGRAMS


def test_a_clean_stop_forgets_what_was_loaded(stack: Stack) -> None:
    stack.up.send_signal(signal.SIGTERM)
    assert stack.up.wait(DOWN_S) == 0
    assert belonging_to(stack.home) == []
    with started_again(stack) as again:
        status = json.loads(again.cli("status", "--json").stdout)
        assert {row["status"] for row in status["models"]} == {"unloaded"}
