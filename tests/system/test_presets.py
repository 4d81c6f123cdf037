"""Presets on the whole stack: what is saved is what the engine is started with."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from common.api import models, presets
from common.api.models import LoadModel, ModelInfo, ModelInfoRequest, UnloadModel
from common.api.presets import (
    ApplyPreset,
    DeletePreset,
    ListPresets,
    ReadPreset,
    ResolvePreset,
    SavePreset,
)
from common.api.system import STATUS as SYSTEM_STATUS
from common.api.system import GetStatus
from common.errors import ModelLoadFailed, PresetNotFound, PresetSaveFailed
from deploy.client import Client
from tests.support.stack import Stack
from tests.support.waiting import wait_for

DEMO = "babble-demo"
LOAD_S = 60.0
ANSWER_S = 30.0
SHIPPED = ("default", "long-context", "low-memory")


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with Client(stack.gateway_url) as connected:
        yield connected
        connected.call(presets.APPLY, ApplyPreset(filename="default"), ANSWER_S)
        connected.call(models.UNLOAD, UnloadModel(id=DEMO), LOAD_S)


def load(client: Client, preset: str | None = None) -> ModelInfo:
    client.call(models.UNLOAD, UnloadModel(id=DEMO), LOAD_S)
    client.call(models.LOAD, LoadModel(id=DEMO, preset=preset), LOAD_S)
    return client.call(models.INFO, ModelInfoRequest(id=DEMO), ANSWER_S)


def save(client: Client, filename: str, config: dict[str, Any]) -> None:
    client.call(presets.SAVE, SavePreset(filename=filename, config=config), ANSWER_S)


def flags_of_engine(stack: Stack) -> dict[str, list[str]]:
    """Flag → its values, in the order of the only engine's command line."""
    (engine,) = stack.engines()
    found: dict[str, list[str]] = {}
    argv = engine.cmdline()
    for place, word in enumerate(argv):
        if word.startswith("-") and not word[1:2].isdigit():
            value = argv[place + 1] if place + 1 < len(argv) else ""
            found.setdefault(word, []).append("" if value.startswith("--") else value)
    return found


@contextmanager
def disk_full_for(pid: int) -> Iterator[None]:
    """No file of a process grows: each write fails, as on a full disk."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def pid_of(client: Client, name: str) -> int:
    status = client.call(SYSTEM_STATUS, GetStatus(), ANSWER_S)
    return next(process.pid for process in status.processes if process.name == name)


def test_the_shipped_presets_load_the_demo_model(stack: Stack, client: Client) -> None:
    listed = client.call(presets.LIST, ListPresets(), ANSWER_S).presets
    assert tuple(row.filename for row in listed) == SHIPPED
    for row in listed:
        assert row.name
        assert row.description
        info = load(client, row.filename)
        assert info.preset == row.filename
        flags = flags_of_engine(stack)
        assert flags["--ctx-size"] == [row.models["*"]["ctx-size"]]
        assert flags["--threads"] == ["1"]  # `llama.flags` of this stack, below the preset
    assert load(client).preset == "default"


def test_what_a_preset_says_is_what_the_engine_gets(stack: Stack, client: Client) -> None:
    config = {
        "*": {"c": "512", "LLAMA_ARG_THREADS": "2", "temp": "0.1"},
        "babble*": {"temp": "0.2", "no-jinja": "true"},
        DEMO: {"ctx-size": "1024"},
        "another": {"seed": "9"},
    }
    save(client, "mine", config)
    assert load(client, "mine").preset == "mine"
    flags = flags_of_engine(stack)
    assert flags["--ctx-size"] == ["1024"]
    assert flags["--threads"] == ["2"]
    assert flags["--temp"] == ["0.2"]
    assert "--no-jinja" in flags
    assert flags.keys().isdisjoint({"-c", "-t", "--seed", "--jinja"})

    resolved = client.call(presets.RESOLVE, ResolvePreset(filename="mine", id=DEMO), ANSWER_S)
    shown = {name: (row.value, row.source) for name, row in resolved.parameters.items()}
    assert shown["ctx-size"] == ("1024", "model")
    assert shown["temp"] == ("0.2", "group")
    assert shown["threads"] == ("2", "[*]")
    assert shown["jinja"] == ("false", "group")
    assert shown["top-k"][1] == "default"
    client.call(presets.DELETE, DeletePreset(filename="mine"), ANSWER_S)


def test_a_model_that_is_loaded_on_demand_uses_the_applied_preset(
    stack: Stack, client: Client
) -> None:
    save(client, "applied", {"*": {"ctx-size": "768"}})
    applied = client.call(presets.APPLY, ApplyPreset(filename="applied", models=(DEMO,)), ANSWER_S)
    assert applied.applied_to == (DEMO,)
    body = {"model": DEMO, "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}]}
    url = f"{stack.proxy_url}/v1/chat/completions"
    head = ["-H", "content-type: application/json"]
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "60", *head, "-d", json.dumps(body), url],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "choices" in json.loads(done.stdout)
    assert flags_of_engine(stack)["--ctx-size"] == ["768"]
    client.call(presets.DELETE, DeletePreset(filename="applied"), ANSWER_S)
    assert load(client).preset == "default"


def test_a_killed_controller_forgets_no_preset(stack: Stack, client: Client) -> None:
    load(client, "low-memory")
    engines = {engine.pid for engine in stack.engines()}
    before = pid_of(client, "controller")
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: pid_of(client, "controller") != before)
    info = client.call(models.LOAD, LoadModel(id=DEMO, preset="low-memory"), LOAD_S)
    assert info.status == "loaded"
    assert {engine.pid for engine in stack.engines()} == engines
    info_after = client.call(models.INFO, ModelInfoRequest(id=DEMO), ANSWER_S)
    assert info_after.preset == "low-memory"


def test_a_full_disk_refuses_the_save_and_keeps_the_old_file(stack: Stack, client: Client) -> None:
    save(client, "kept", {"*": {"temp": "0.1"}})
    path = stack.home / "presets" / "kept.ini"
    before = path.read_bytes()
    with disk_full_for(pid_of(client, "controller")), pytest.raises(PresetSaveFailed) as caught:
        save(client, "kept", {"*": {"temp": "0.2"}})
    assert str(path) in caught.value.message
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in path.parent.iterdir()) == [
        *("default.ini", "kept.ini", "long-context.ini", "low-memory.ini")
    ]
    save(client, "kept", {"*": {"temp": "0.2"}})
    assert b"0.2" in path.read_bytes()
    client.call(presets.DELETE, DeletePreset(filename="kept"), ANSWER_S)


def test_holes_are_refused_in_files_and_in_requests(stack: Stack, client: Client) -> None:
    refused = {
        "port": "1",
        "api-key": "x",
        "log-file": "/var/x",
        "rpc": "192.0.2.1:1",
        "slot-save-path": "/var",
        "lora": "/etc/passwd",
        "chat-template-file": "../../../etc/passwd",
    }
    for key, value in refused.items():
        with pytest.raises(PresetSaveFailed, match=key):
            save(client, "holes", {"*": {key: value}})
    path = stack.home / "presets" / "holes.ini"
    for key, value in refused.items():
        path.write_text(f"[*]\n{key} = {value}\n")
        client.call(presets.READ, ReadPreset(filename="holes"), ANSWER_S)
        with pytest.raises(ModelLoadFailed, match=key):
            load(client, "holes")
    path.unlink()
    for filename in ("../config", "%2e%2e/config", "/etc/passwd", "a\0b", ".config"):
        with pytest.raises(PresetNotFound):
            client.call(presets.READ, ReadPreset(filename=filename), ANSWER_S)
        with pytest.raises(PresetSaveFailed):
            save(client, filename, {"*": {"temp": "0.1"}})
    assert not (stack.home / "config.ini").exists()


@pytest.mark.usefixtures("client")
def test_the_command_line_names_presets(stack: Stack) -> None:
    shown = stack.cli("presets")
    assert "long-context" in shown.stdout
    listed = json.loads(stack.cli("presets", "--json").stdout)["presets"]
    assert [row["filename"] for row in listed] == list(SHIPPED)
    stack.cli("unload", DEMO)
    loaded = stack.cli("load", DEMO, "--preset", "low-memory")
    assert loaded.returncode == 0, loaded.stderr
    assert flags_of_engine(stack)["--ctx-size"] == ["2048"]
    unknown = stack.cli("load", DEMO, "--preset", "nope")
    assert unknown.returncode == 1
    assert "PRESET_NOT_FOUND" in unknown.stderr
