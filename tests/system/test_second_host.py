"""A second host, for real: a stack in one network namespace joins the stack in another."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.netns import Cable, Namespace, two_hosts, why_not
from tests.support.stack import START_S, STOP_S, belonging_to, engine_under_test
from tests.support.waiting import wait_for

BACKPLANE = "tcp://10.77.31.1:7300"
SHOWN_GONE_S = 4.0
RIGHT_AGAIN_S = 5.0
ANSWERED_S = 15.0
LOOK_S = 5.0
"""What a command line takes to look, on a busy machine."""

pytestmark = pytest.mark.skipif(bool(reason := why_not()), reason=reason)


@dataclass
class HostStack:
    """One host: its namespace, home, settings and, once started, its `up`."""

    namespace: Namespace
    home: Path
    environment: Mapping[str, str]
    up: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> list[str]:
        words = (sys.executable, "-m", "deploy.cli", *arguments, "--home", str(self.home))
        return self.namespace.inside(*words)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def said(self) -> str:
        return (self.home.parent / f"{self.home.name}.out").read_text()

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.home.parent / f"{self.home.name}.out").open("wb") as output:
            up = subprocess.Popen(
                self.command("up", *arguments),
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.up = up
        wait_for(lambda: up.poll() is not None or "Stop  " in self.said(), START_S)
        return up

    def stop(self) -> None:
        try:
            if self.up is not None:
                self.up.send_signal(signal.SIGINT)
                self.up.wait(STOP_S)
        finally:
            left = belonging_to(self.home)
            for process in left:
                process.kill()
            psutil.wait_procs(left, 5)
        assert not left, [process.cmdline() for process in left]

    def models(self) -> dict[str, str]:
        told = self.cli("models", "--json")
        rows = json.loads(told.stdout)["models"] if not told.returncode else []
        return {row["id"]: row["status"] for row in rows}

    def processes(self) -> dict[str, str]:
        told = self.cli("status", "--json")
        rows: list[dict[str, Any]] = json.loads(told.stdout)["processes"]
        return {f"{row['kind']} on {row['host']}": row["status"] for row in rows}


@contextmanager
def host(namespace: Namespace, home: Path, **settings: str) -> Iterator[HostStack]:
    environment = {
        "LLAMA_PROXY_LLAMA__FLAGS": json.dumps({"threads": "1"}),
        **engine_under_test(),
        **{f"LLAMA_PROXY_{key}": value for key, value in settings.items()},
    }
    home.mkdir()
    stack = HostStack(namespace, home, environment)
    try:
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def cable() -> Iterator[Cable]:
    with two_hosts() as cable:
        yield cable


@pytest.fixture(scope="module")
def hosts(
    cable: Cable, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[HostStack, HostStack]]:
    """(near, far): the main host and the one that joins it, each with a model of its own."""
    directory = tmp_path_factory.mktemp("hosts")
    with (
        host(
            cable.near, directory / "near", HOST__NAME="near", BACKPLANE__LISTEN=BACKPLANE
        ) as near,
        host(
            cable.far, directory / "far", HOST__NAME="far", RUNNER__ENGINE_HOST=cable.far.address
        ) as far,
    ):
        keys = {one.environment["LLAMA_PROXY_HOST__NAME"]: own_key(one) for one in (near, far)}
        assert near.cli("keys", "allow", "far", keys["far"]).returncode == 0
        assert far.cli("keys", "trust", keys["near"]).returncode == 0
        assert near.start().poll() is None, near.said()
        (far.home / "models").mkdir()
        demo = near.home / "models" / "babble-demo.gguf"
        for name in ("faraway", "babble-demo"):
            shutil.copy(demo, far.home / "models" / f"{name}.gguf")
        assert far.start("--join", BACKPLANE).poll() is None, far.said()
        wait_for(lambda: "faraway" in near.models(), START_S)
        yield near, far


def own_key(stack: HostStack) -> str:
    """The first line is this host's: `This host  NAME  KEY`."""
    return stack.cli("keys").stdout.splitlines()[0].split()[-1]


def engine_pids(stack: HostStack) -> set[int]:
    return {
        process.pid
        for process in belonging_to(stack.home)
        if process.environ().get("LLAMA_PROXY_ENGINE", "").startswith(f"{stack.home}:")
    }


def chat(stack: HostStack, model: str) -> subprocess.CompletedProcess[str]:
    return stack.cli("chat", model, "hello", "--max-tokens", "8")


def test_the_far_host_says_what_it_is(hosts: tuple[HostStack, HostStack]) -> None:
    near, far = hosts
    assert "not there" not in far.said()
    assert f"{BACKPLANE}, where this one is far" in far.said()
    assert near.processes()["metrics on far"] == "running"
    assert not any("gateway" in " ".join(p.cmdline()) for p in belonging_to(far.home))


def test_a_model_of_the_far_host_is_loaded_and_streams_through_the_near_one(
    hosts: tuple[HostStack, HostStack],
) -> None:
    near, far = hosts
    loaded = near.cli("load", "faraway")
    assert loaded.returncode == 0, loaded.stderr
    assert (len(engine_pids(far)), len(engine_pids(near))) == (1, 0)
    answer = chat(near, "faraway")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip()


def test_a_cut_link_heals_by_itself(hosts: tuple[HostStack, HostStack], cable: Cable) -> None:
    near, far = hosts
    assert near.cli("load", "faraway").returncode == 0
    engines = engine_pids(far)
    cable.cut()
    cut_at = time.monotonic()
    try:
        wait_for(lambda: near.processes()["runner on far"] != "running", 30)
        assert time.monotonic() - cut_at < SHOWN_GONE_S + LOOK_S
        # Each process is missed by itself, a beat sooner or later than the other.
        wait_for(lambda: near.processes()["metrics on far"] != "running", SHOWN_GONE_S)
        asked_at = time.monotonic()
        refused = chat(near, "faraway")
        assert refused.returncode == 1
        assert refused.stderr.strip()
        assert time.monotonic() - asked_at < ANSWERED_S
        assert near.models()["faraway"] == "loaded"
        assert engine_pids(far) == engines
    finally:
        cable.mend()
    mended_at = time.monotonic()
    wait_for(
        lambda: (
            near.processes()["runner on far"] == "running"
            and near.processes()["metrics on far"] == "running"
        ),
        30,
    )
    assert time.monotonic() - mended_at < RIGHT_AGAIN_S + LOOK_S
    wait_for(lambda: chat(near, "faraway").returncode == 0, 10)
    assert engine_pids(far) == engines
    assert near.cli("unload", "faraway").returncode == 0
    assert engine_pids(far) == set()
    assert near.cli("load", "faraway").returncode == 0


def test_a_model_that_both_hosts_have_is_started_where_its_path_is(
    hosts: tuple[HostStack, HostStack],
) -> None:
    near, far = hosts
    assert near.cli("load", "babble-demo").returncode == 0
    assert near.cli("unload", "babble-demo").returncode == 0
    (near.home / "models" / "babble-demo.gguf").unlink()
    wait_for(lambda: near.cli("load", "babble-demo").returncode == 0, 20)
    assert "babble-demo" in " ".join(word for p in belonging_to(far.home) for word in p.cmdline())


@pytest.mark.parametrize(
    ("name", "allowed_as", "trusts_main", "told"),
    [
        ("far2", None, True, "turns this host away"),
        ("far2", "far2", False, "turns this host away"),
        ("far2", "far3", True, "knows this host by another name than far2"),
    ],
)
def test_why_a_host_cannot_join_is_told(
    hosts: tuple[HostStack, HostStack],
    cable: Cable,
    tmp_path: Path,
    name: str,
    allowed_as: str | None,
    trusts_main: bool,
    told: str,
) -> None:
    near, _ = hosts
    with host(
        cable.far, tmp_path / "new", HOST__NAME=name, RUNNER__ENGINE_HOST=cable.far.address
    ) as new:
        new_key = own_key(new)
        assert new.cli("keys", "trust", own_key(near) if trusts_main else new_key).returncode == 0
        if allowed_as:
            assert near.cli("keys", "allow", allowed_as, new_key).returncode == 0
        try:
            new.start("--join", BACKPLANE)
            assert told in new.said()
        finally:
            if allowed_as:
                assert near.cli("keys", "forget", allowed_as).returncode == 0
    assert not any(process.endswith(name) for process in near.processes())


def test_the_far_stack_ends_with_down_and_comes_back(hosts: tuple[HostStack, HostStack]) -> None:
    near, far = hosts
    done = far.cli("down")
    assert done.returncode == 0, done.stderr
    assert far.up is not None
    far.up.wait(STOP_S)
    assert belonging_to(far.home) == []
    wait_for(lambda: near.processes()["runner on far"] != "running", 10)
    far.start("--join", BACKPLANE)
    assert "not there" not in far.said()


def test_a_host_that_is_forgotten_is_cut_off(hosts: tuple[HostStack, HostStack]) -> None:
    near, far = hosts
    key = own_key(far)
    assert near.processes()["runner on far"] == "running"
    assert near.cli("keys", "forget", "far").returncode == 0
    wait_for(lambda: near.processes()["runner on far"] != "running", 15)
    assert near.cli("keys", "allow", "far", key).returncode == 0
    wait_for(lambda: near.processes()["runner on far"] == "running", 15)
