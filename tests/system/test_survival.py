"""Each process dies or stops under load: docs/failures.md says what happens, this proves it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from common.api.system import SystemStatus
from tests.support import shown
from tests.support.chats import ask, chats
from tests.support.failures_page import Promise, promise, promises, right_again_s
from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.ports import free_ports
from tests.support.stack import Stack, running_stack, supervisord
from tests.support.streams import Stream, all_ended, all_flow, streams
from tests.support.waiting import wait_for
from workers.runner.backoff import FIRST_PAUSE_S, JITTER

ENDLESS = ["one@endless=true,interval_ms=50", "two@endless=true,interval_ms=50"]
CHAT = "chat"
LOADED = {*ENDLESS, CHAT}
TWENTY = ENDLESS * 10
PROXIES = ["proxy-0", "proxy-1"]
SINGLE = ["metrics", "logs", "gateway", "controller", "backplane", "runner"]
SEEN_IN_THE_END_S = 30.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two models that stream for ever and one that answers are loaded; two proxies."""
    directory = tmp_path_factory.mktemp("survival")
    settings = {
        "LLAMA__SERVER_PATH": write_fake_llama_server(directory),
        "LLAMA__DRAIN_TIMEOUT_SECONDS": 1,
        "RUNNER__STOP_GRACE_SECONDS": 1,
        "PROXY__PROCESSES": len(PROXIES),
    }
    with running_stack(directory, settings) as running:
        models = running.home / "models"
        for name in LOADED:
            shutil.copy(models / "babble-demo.gguf", models / f"{name}.gguf")
        for name in LOADED:
            wait_for(partial(loads, running, name))
        yield running


def loads(stack: Stack, model_id: str) -> bool:
    return stack.cli("load", model_id).returncode == 0


def of(promises_by: str, hits: list[str]) -> list[Promise]:
    """The rows of the page for these, by a signal."""
    return [row for row in promises() if row.by == promises_by and row.hit in hits]


def program(hit: str) -> str:
    """What the page's first column is called by supervisord."""
    return {"runner": "runner-cpu"}.get(hit, hit)


def state(told: SystemStatus, name: str) -> str:
    found = shown.by_program(told).get(name)
    return "unknown" if found is None else found.status


def pid_of(stack: Stack, name: str) -> int:
    return shown.by_program(shown.status(stack.gateway_url))[name].pid


def all_right(told: SystemStatus, name: str) -> bool:
    return state(told, name) == "running" and shown.loaded(told) == LOADED


def kill(pid: int) -> float:
    """Kill -9, as from outside; gives when."""
    os.kill(pid, signal.SIGKILL)
    return time.monotonic()


def watch_successor(stack: Stack, name: str, victim: int, killed_at: float, row: Promise) -> None:
    """Returns once the successor is there and all is right; fails where that took too long."""
    assert row.shown_s is not None
    assert row.right_again_s is not None
    last_shown_at = killed_at

    def successor() -> bool:
        nonlocal last_shown_at
        asked_at = time.monotonic()
        told = shown.status(stack.gateway_url)
        process = shown.by_program(told).get(name)
        if process is None:
            return False
        if process.pid == victim and process.status == "running":
            last_shown_at = asked_at
        return process.pid != victim and all_right(told, name)

    wait_for(successor, SEEN_IN_THE_END_S)
    assert time.monotonic() - killed_at < row.right_again_s
    assert last_shown_at - killed_at < row.shown_s


@contextmanager
def stopped(pid: int) -> Iterator[float]:
    """A process is stopped and goes on at the end; gives when it was stopped."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield time.monotonic()
    finally:
        os.kill(pid, signal.SIGCONT)


def test_every_row_of_the_page_is_tested() -> None:
    hits = {(row.hit, row.by) for row in promises()}
    here = {(hit, by) for hit in SINGLE for by in ("kill -9", "SIGSTOP")}
    here |= {("one of two proxies", "kill -9"), ("one of two proxies", "SIGSTOP")}
    here |= {("engine", "kill -9"), ("supervisord", "SIGSTOP"), ("up", "SIGSTOP")}
    elsewhere = {("the only proxy", "kill -9"), ("the only proxy", "SIGSTOP")}
    elsewhere |= {(hit, "kill -9") for hit in ("supervisord", "up", "everything at once")}
    assert hits == here | elsewhere
    assert {row.cut for row in promises() if row.hit in SINGLE} == {"none"}


@pytest.mark.parametrize("row", of("kill -9", SINGLE), ids=str)
def test_a_killed_process_is_back_and_no_stream_is_cut(stack: Stack, row: Promise) -> None:
    engines = {engine.pid for engine in stack.engines()}
    with streams(stack.proxy_port, TWENTY) as running, chats(stack.proxy_url, CHAT) as asked:
        name = program(row.hit)
        victim = pid_of(stack, name)
        watch_successor(stack, name, victim, kill(victim), row)
        all_flow(running)
        asked.go_on()
    assert {engine.pid for engine in stack.engines()} == engines
    assert loads(stack, CHAT)


@pytest.mark.parametrize("row", of("SIGSTOP", [hit for hit in SINGLE if hit != "gateway"]), ids=str)
def test_a_stopped_process_is_seen_and_right_again(stack: Stack, row: Promise) -> None:
    name = program(row.hit)
    with streams(stack.proxy_port, TWENTY) as running, chats(stack.proxy_url, CHAT) as asked:
        stop_and_watch(stack.gateway_url, pid_of(stack, name), name, row)
        all_flow(running)
        asked.go_on()
    assert loads(stack, CHAT)


def stop_and_watch(gateway_url: str, pid: int, name: str, row: Promise) -> None:
    """Stop a process until it is shown as hung; then it is to be right again."""
    assert row.shown_s is not None
    assert row.right_again_s is not None
    with stopped(pid) as stopped_at:
        wait_for(lambda: state(shown.status(gateway_url), name) == "hung", SEEN_IN_THE_END_S)
        assert time.monotonic() - stopped_at < row.shown_s
    goes_on_at = time.monotonic()
    wait_for(lambda: all_right(shown.status(gateway_url), name), SEEN_IN_THE_END_S)
    assert time.monotonic() - goes_on_at < row.right_again_s
    assert shown.by_program(shown.status(gateway_url))[name].pid == pid


def test_a_stopped_gateway_is_seen_by_another(stack: Stack) -> None:
    row = promise("gateway", "SIGSTOP")
    with (
        another_gateway(stack) as url,
        streams(stack.proxy_port, TWENTY) as running,
        chats(stack.proxy_url, CHAT) as asked,
    ):
        stop_and_watch(url, pid_of(stack, "gateway"), "gateway", row)
        all_flow(running)
        asked.go_on()
    assert loads(stack, CHAT)


@contextmanager
def another_gateway(stack: Stack) -> Iterator[str]:
    """A second gateway of the stack, on a port of its own; gives its address."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "--home", str(stack.home), "--name", "gateway-1"],
        env={**os.environ, **stack.environment, "LLAMA_PROXY_SERVER__PORT": str(port)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: all_right(shown.status(url), "gateway"))
        yield url
    finally:
        process.terminate()
        process.wait(10)


def of_proxy(running: list[Stream], pid: int) -> list[Stream]:
    """The streams whose connections a proxy holds."""
    clients = {
        connection.raddr.port
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.raddr
    }
    return [stream for stream in running if stream.local_port in clients]


def test_one_of_two_killed_proxies_ends_its_own_streams_only(stack: Stack) -> None:
    row = promise("one of two proxies", "kill -9")
    name, other = PROXIES
    engines = {engine.pid for engine in stack.engines()}
    with streams(stack.proxy_port, TWENTY) as running:
        victim = pid_of(stack, name)
        cut, flowing = of_proxy(running, victim), of_proxy(running, pid_of(stack, other))
        assert len(cut) + len(flowing) == len(running)
        killed_at = kill(victim)
        wait_for(lambda: not listens(victim))
        with chats(stack.proxy_url, CHAT) as asked:  # no second attempts: the kernel is told
            watch_successor(stack, name, victim, killed_at, row)
            asked.go_on()
        all_ended(cut)
        all_flow(flowing)
    assert {engine.pid for engine in stack.engines()} == engines


def listens(pid: int) -> bool:
    """Whether a process still has files open: a dead one has none, and so listens no more."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_one_of_two_stopped_proxies_makes_its_own_wait(stack: Stack) -> None:
    row = promise("one of two proxies", "SIGSTOP")
    name, other = PROXIES
    with streams(stack.proxy_port, TWENTY) as running, chats(stack.proxy_url, CHAT) as asked:
        victim = pid_of(stack, name)
        flowing = of_proxy(running, pid_of(stack, other))
        assert 0 < len(flowing) < len(running)
        stop_and_watch(stack.gateway_url, victim, name, row)
        all_flow(running)
        asked.go_on()


def test_a_stopped_supervisord_stops_nobody(stack: Stack) -> None:
    bound_s = right_again_s("supervisord", "SIGSTOP")
    with streams(stack.proxy_port, TWENTY) as running, chats(stack.proxy_url, CHAT) as asked:
        victim = pid_of(stack, "metrics")
        with stopped(supervisord(stack).pid):
            kill(victim)
            wait_for(lambda: state(shown.status(stack.gateway_url), "metrics") == "gone")
            assert loads(stack, CHAT)
            all_flow(running)
        goes_on_at = time.monotonic()
        wait_for(lambda: all_right(shown.status(stack.gateway_url), "metrics"), SEEN_IN_THE_END_S)
        assert time.monotonic() - goes_on_at < bound_s
        all_flow(running)
        asked.go_on()


def test_a_stopped_up_stops_nobody(stack: Stack) -> None:
    before = {process.pid for process in stack.processes()}
    with streams(stack.proxy_port, TWENTY) as running, chats(stack.proxy_url, CHAT) as asked:
        with stopped(stack.up.pid):
            assert loads(stack, CHAT)
            all_flow(running)
            asked.go_on()
            assert shown.loaded(shown.status(stack.gateway_url)) == LOADED
        all_flow(running)
        asked.go_on()
    assert {process.pid for process in stack.processes()} == before


def test_a_killed_engine_ends_its_own_streams_only_and_comes_back(stack: Stack) -> None:
    bound_s = right_again_s("engine", "kill -9")
    with streams(stack.proxy_port, TWENTY) as running, chats(stack.proxy_url, CHAT) as asked:
        victim = next(engine for engine in stack.engines() if ENDLESS[0] in engine.cmdline())
        killed_at = kill(victim.pid)
        cut = [stream for stream in running if stream.model_id == ENDLESS[0]]
        others = [stream for stream in running if stream.model_id == ENDLESS[1]]
        all_ended(cut)
        assert {stream.end for stream in cut} == {"ended"}
        assert all("error" in json.loads(stream.last_event) for stream in cut)
        all_flow(others)
        wait_for(lambda: shown.loaded(shown.status(stack.gateway_url)) == LOADED)
        assert time.monotonic() - killed_at < FIRST_PAUSE_S * (1 + JITTER) + bound_s
        all_flow(others)
        asked.go_on()
    with streams(stack.proxy_port, TWENTY):
        pass


def test_an_engine_that_dies_with_its_runner_is_loaded_again(stack: Stack) -> None:
    victim = next(engine for engine in stack.engines() if CHAT in engine.cmdline())
    kill(pid_of(stack, "runner-cpu"))
    victim.kill()

    def another() -> bool:
        engines = [engine for engine in stack.engines() if CHAT in engine.cmdline()]
        return len(engines) == 1 and engines[0].pid != victim.pid

    wait_for(another)
    wait_for(lambda: shown.loaded(shown.status(stack.gateway_url)) == LOADED)
    assert ask(stack.proxy_url, CHAT)
    assert len(stack.engines()) == len(LOADED)


def test_a_real_engine_is_adopted_and_its_log_goes_on(tmp_path: Path) -> None:
    with running_stack(tmp_path, {}) as stack:
        assert stack.cli("load", "babble-demo").returncode == 0
        (engine,) = stack.engines()
        kill(pid_of(stack, "runner-cpu"))
        wait_for(lambda: "is adopted" in (stack.home / "logs" / "runner-cpu.log").read_text())
        assert stack.cli("chat", "babble-demo", "hello").returncode == 0
        assert [one.pid for one in stack.engines()] == [engine.pid]
        # Whatever the engine has written is stored, every line once, in order.
        wait_for(lambda: stored(stack, "engine:babble-demo") == written(stack))
        assert stack.cli("unload", "babble-demo").returncode == 0
        assert stack.engines() == []


def stored(stack: Stack, source: str) -> list[str]:
    with closing(sqlite3.connect(stack.home / "logs" / "log.sqlite")) as database:
        rows = database.execute("SELECT message FROM entry WHERE source = ? ORDER BY id", [source])
        return [str(message) for (message,) in rows]


def written(stack: Stack) -> list[str]:
    (output,) = (stack.home / "engines").glob("*.log")
    return output.read_text().splitlines()
