"""The configuration of a running stack is changed: live, and by new processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.api import config, system
from common.api.config import ConfigChanges, GetConfig
from common.api.system import RestartProcess
from common.errors import ConfigInvalid, InvalidRequest
from deploy.client import ANSWER_S, Client
from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.ports import free_ports
from tests.support.stack import Stack, start_up, stop, wait_until_up
from tests.support.streams import all_flow, streams
from tests.support.waiting import wait_for

ENDLESS = "one@endless=true,interval_ms=20"


@contextmanager
def configured_stack(directory: Path) -> Iterator[Stack]:
    """A stack that has its settings from its file: variables could not be changed."""
    home = directory / "home"
    (home / "models").mkdir(parents=True)
    gateway_port, proxy_port = free_ports(2)
    (home / "config.toml").write_text(
        f"""\
# a note that stays
[server]
port = {gateway_port}

[llama]
port = {proxy_port}
serverPath = "{write_fake_llama_server(directory)}"
drainTimeoutSeconds = 1

[runner]
stopGraceSeconds = 1
"""
    )
    up = start_up(home, {})
    stack = Stack(home, gateway_port, proxy_port, up, {})
    try:
        wait_until_up(stack)
        yield stack
    finally:
        stop(stack)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with configured_stack(tmp_path_factory.mktemp("config")) as running:
        demo = running.home / "models" / "babble-demo.gguf"
        shutil.copy(demo, demo.with_name(f"{ENDLESS}.gguf"))
        wait_for(lambda: running.cli("load", ENDLESS).returncode == 0)
        yield running


def port_of(stack: Stack) -> int:
    """Where the gateway is configured to be."""
    return int(tomllib.loads((stack.home / "config.toml").read_text())["server"]["port"])


def ask(stack: Stack, command: Any, request: Any) -> Any:
    with Client(f"http://127.0.0.1:{port_of(stack)}") as client:
        return client.call(command, request, ANSWER_S)


def update(stack: Stack, **sections: Any) -> Any:
    return ask(stack, config.UPDATE, ConfigChanges(**sections))


def processes(stack: Stack) -> dict[str, dict[str, Any]]:
    """By kind; empty while nothing answers."""
    told = stack.cli("status", "--json")
    if told.returncode:
        return {}
    return {process["kind"]: process for process in json.loads(told.stdout)["processes"]}


def ids(stack: Stack) -> set[str]:
    told: subprocess.CompletedProcess[str] = stack.cli("models", "--json")
    return {row["id"] for row in json.loads(told.stdout)["models"]} if told.stdout else set()


def log_of(stack: Stack, name: str) -> str:
    return (stack.home / "logs" / f"{name}.log").read_text()


def restart(stack: Stack, kind: str) -> dict[str, Any]:
    """Start the process of a kind anew; returns what is said of its successor."""
    before = processes(stack)[kind]
    assert (
        ask(stack, system.RESTART, RestartProcess(process=before["name"])).process
        == (before["name"])
    )

    def successor() -> dict[str, Any] | None:
        now = processes(stack).get(kind, {})
        return now if now.get("pid") != before["pid"] and now.get("status") == "running" else None

    found = wait_for(successor, 30)
    assert found is not None
    wait_for(lambda: not psutil.pid_exists(before["pid"]))
    return found


def test_live_values_change_at_once_and_no_loaded_model_is_touched(
    stack: Stack, tmp_path: Path
) -> None:
    (engine,) = stack.engines()
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(stack.home / "models" / "babble-demo.gguf", other / "elsewhere.gguf")
    with streams(stack.proxy_port, [ENDLESS]) as running:
        reply = update(
            stack,
            llama={"maxModels": 1, "modelsDir": str(other), "maxBodyBytes": 2048},
            logging={"level": "debug"},
            metrics={"intervalSeconds": 0.2},
        )
        assert (reply.updated, reply.restart) == (True, ())
        wait_for(lambda: "elsewhere" in ids(stack))
        with streams(stack.proxy_port, [ENDLESS]):
            assert "the client left" not in log_of(stack, "proxy")
        wait_for(lambda: "the client left" in log_of(stack, "proxy"))  # told at level debug only
        shown = ask(stack, config.GET, GetConfig())
        assert (shown.llama["maxModels"], shown.logging["level"]) == (1, "debug")
        all_flow(running)
        update(stack, llama={"modelsDir": None, "maxModels": None}, logging={"level": None})
        wait_for(lambda: "babble-demo" in ids(stack))
        assert "elsewhere" not in ids(stack)
        all_flow(running)
    assert [one.pid for one in stack.engines()] == [engine.pid]
    text = (stack.home / "config.toml").read_text()
    assert text.startswith("# a note that stays")
    assert "maxModels" not in text


def test_the_command_line_shows_and_changes_it(stack: Stack) -> None:
    assert stack.cli("config", "get", "llama.maxModels").stdout == "4\n"
    assert json.loads(stack.cli("config").stdout)["llama"]["drainTimeoutSeconds"] == 1
    would = stack.cli("config", "validate", "llama.maxModels", "3").stdout
    assert would == "llama.maxModels: 4 would become 3\n"
    assert "is changed" in stack.cli("config", "set", "llama.maxModels", "3").stdout
    assert stack.cli("config", "get", "llama.maxModels").stdout == "3\n"
    assert "is that already" in stack.cli("config", "set", "llama.maxModels", "3").stdout
    assert "is changed" in stack.cli("config", "set", "llama.maxModels", "default").stdout
    wrong = stack.cli("config", "set", "llama.maxModels", "0")
    assert wrong.returncode == 1
    assert "from 1 to 1000" in wrong.stderr
    assert "did you mean llama.maxModels?" in stack.cli("config", "get", "maxmodels").stderr


def test_a_wrong_value_is_refused_with_its_path(stack: Stack) -> None:
    before = (stack.home / "config.toml").read_text()
    with pytest.raises(ConfigInvalid, match=r"llama\.maxModels: given 0; allowed is"):
        update(stack, llama={"maxModels": 0})
    assert (stack.home / "config.toml").read_text() == before


def test_a_new_port_holds_once_the_gateway_is_started_anew(stack: Stack) -> None:
    (free,) = free_ports(1)
    old, gateway = port_of(stack), processes(stack)["gateway"]
    with streams(stack.proxy_port, [ENDLESS]) as running:
        reply = update(stack, server={"port": free})
        assert reply.restart_required
        assert gateway["name"] in reply.restart
        with Client(f"http://127.0.0.1:{old}") as client:
            # Its own end: the answer comes first.
            client.call(system.RESTART, RestartProcess(process="gateway"), ANSWER_S)
        wait_for(
            lambda: processes(stack).get("gateway", {}).get("pid") not in (None, gateway["pid"])
        )
        assert ask(stack, config.GET, GetConfig()).server["port"] == free
        all_flow(running)


def test_a_runner_is_started_anew_and_its_engine_goes_on(stack: Stack) -> None:
    (engine,) = stack.engines()
    with streams(stack.proxy_port, [ENDLESS]) as running:
        restart(stack, "runner")
        all_flow(running)
    assert [one.pid for one in stack.engines()] == [engine.pid]


@pytest.mark.parametrize("kind", ["metrics", "controller", "logs", "backplane"])
def test_any_other_process_is_started_anew_without_harm(stack: Stack, kind: str) -> None:
    (engine,) = stack.engines()
    with streams(stack.proxy_port, [ENDLESS]) as running:
        restart(stack, kind)
        all_flow(running)
    assert [one.pid for one in stack.engines()] == [engine.pid]
    assert "loaded" in stack.cli("models").stdout


def test_who_is_not_there_cannot_be_started_anew(stack: Stack) -> None:
    with pytest.raises(InvalidRequest, match=r"no process 'nobody'; there are backplane, contr"):
        ask(stack, system.RESTART, RestartProcess(process="nobody"))
    with pytest.raises(InvalidRequest, match="end it and start it again"):
        ask(stack, system.RESTART, RestartProcess(process="up"))


def test_a_process_that_cannot_end_is_killed(stack: Stack) -> None:
    before = processes(stack)["logs"]
    os.kill(before["pid"], 19)  # SIGSTOP
    wait_for(lambda: processes(stack)["logs"]["status"] == "hung")
    restart(stack, "logs")
