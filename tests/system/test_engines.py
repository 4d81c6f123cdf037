"""What a real engine cannot be told to do, on a stack with our fake llama-server."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.node import run_script
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_for

SLOW = "slow@load_s=60"
DIES_AT_LOAD = 'dies@crash_at_load="boom: no such quantization",exit_code=3'
DIES_MID_STREAM = "cut@crash_after_chunks=3,chunks=50"
STUBBORN = "stubborn@ignore_term=true"
FLOOD = "flood@log_lines_per_s=5000"
MUTE = "mute@hang_after_ready=true"
PLAIN = "plain"
JSON = "Content-Type: application/json"
ALL = (SLOW, DIES_AT_LOAD, DIES_MID_STREAM, STUBBORN, FLOOD, MUTE, PLAIN)


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("fakes")
    settings = {
        "LLAMA__SERVER_PATH": write_fake_llama_server(directory),
        "LLAMA__MAX_MODELS": 8,
        "LLAMA__DRAIN_TIMEOUT_SECONDS": 1,
        "RUNNER__STOP_GRACE_SECONDS": 0.5,
    }
    with running_stack(directory, settings) as stack:
        models = stack.home / "models"
        for name in ALL:
            shutil.copy(models / "babble-demo.gguf", models / f"{name}.gguf")
        wait_for(lambda: set(ALL) <= {row["id"] for row in models_of(stack)})
        yield stack


def models_of(stack: Stack) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(stack.cli("models", "--json").stdout)["models"]
    return rows


def status_of(stack: Stack, model_id: str) -> str:
    return next(str(row["status"]) for row in models_of(stack) if row["id"] == model_id)


def stream(stack: Stack, model_id: str) -> subprocess.CompletedProcess[str]:
    body = {"model": model_id, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    url = f"{stack.proxy_url}/v1/chat/completions"
    return subprocess.run(
        ["curl", "-sS", "--no-buffer", "--max-time", "60", "-H", JSON, "-d", json.dumps(body), url],
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_unload_cancels_a_load_that_takes_a_minute(fakes: Stack) -> None:
    told = run_script("cancel.mjs", fakes.gateway_url, SLOW, timeout_s=30)
    assert told["unload"]["success"] is True
    for cancelled in told["cancelled"]:
        assert cancelled["error"]["code"] == "MODEL_LOAD_FAILED"
        assert cancelled["error"]["details"]["reason"] == "cancelled"
    assert fakes.engines() == []


def test_two_clients_load_one_model_with_one_engine(fakes: Stack) -> None:
    told = run_script("load_together.mjs", fakes.gateway_url, PLAIN, timeout_s=60)
    assert [load["success"] for load in told["loads"]] == [True, True]
    assert told["loads"][0]["data"] == told["loads"][1]["data"]
    assert told["unload"]["success"] is True
    starts = (fakes.home / "logs" / "runner-cpu.log").read_text().count("plain: engine")
    assert starts == 1
    assert fakes.engines() == []


def test_an_engine_that_dies_at_load_is_quoted(fakes: Stack) -> None:
    told = fakes.cli("load", DIES_AT_LOAD)
    assert told.returncode == 1
    assert "MODEL_LOAD_FAILED" in told.stderr
    assert "boom: no such quantization" in told.stderr
    row = next(row for row in models_of(fakes) if row["id"] == DIES_AT_LOAD)
    assert row["status"] == "error"
    assert "exit code 3" in row["reason"]


def test_an_engine_that_dies_mid_stream_ends_it_with_an_error_event(fakes: Stack) -> None:
    done = stream(fakes, DIES_MID_STREAM)
    assert done.returncode == 0, done.stderr
    events = [event for event in done.stdout.split("\n\n") if event]
    assert len(events) > 1
    error = json.loads(events[-1].removeprefix("data: "))["error"]
    assert error["message"]
    assert "[DONE]" not in done.stdout
    # It was running well before: it is started again without being asked.
    wait_for(lambda: status_of(fakes, DIES_MID_STREAM) == "loaded")
    assert fakes.cli("unload", DIES_MID_STREAM).returncode == 0


def test_an_engine_that_ignores_term_is_killed(fakes: Stack) -> None:
    assert fakes.cli("load", STUBBORN).returncode == 0
    assert len(fakes.engines()) == 1
    assert fakes.cli("unload", STUBBORN).returncode == 0
    assert fakes.engines() == []


def test_an_engine_that_floods_its_log_delays_nobody(fakes: Stack) -> None:
    assert fakes.cli("load", FLOOD).returncode == 0
    assert fakes.cli("load", PLAIN).returncode == 0
    done = stream(fakes, PLAIN)
    assert done.stdout.rstrip().endswith("data: [DONE]")
    assert fakes.cli("unload", FLOOD).returncode == 0
    assert fakes.cli("unload", PLAIN).returncode == 0


def test_an_engine_that_answers_no_more_is_started_again(fakes: Stack) -> None:
    assert fakes.cli("load", MUTE).returncode == 0
    (hung,) = fakes.engines()
    wait_for(lambda: {engine.pid for engine in fakes.engines()} - {hung.pid}, timeout_s=30)
    assert not hung.is_running()
    wait_for(lambda: status_of(fakes, MUTE) == "loaded")
    assert fakes.cli("unload", MUTE).returncode == 0


def test_a_missing_engine_is_named_with_what_to_do(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere" / "llama-server"
    with running_stack(tmp_path, {"LLAMA__SERVER_PATH": missing}) as stack:
        told = stack.cli("load", "babble-demo")
        assert told.returncode == 1
        assert "MODEL_LOAD_FAILED" in told.stderr
        assert str(missing) in told.stderr
        doctor = stack.cli("doctor")
        assert doctor.returncode == 1
        assert str(missing) in doctor.stdout + doctor.stderr
