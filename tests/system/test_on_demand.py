"""Models that come when they are asked for and go when they are not, on our fake llama-server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest

from common.api import models
from common.api.models import LoadModel, ModelInfoRequest
from common.errors import InvalidRequest
from common.home import Home
from common.settings import Settings
from deploy.client import local_client
from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_for

SLOW = "slow@load_s=60"
SLOW_TOO = "slow-too@load_s=60"
ENDLESS = "endless@endless=true,interval_ms=20"
BRIEF = "brief"
PLAIN = "plain"
ALIAS = "gpt-4"
SLOTS = 1
LIMIT = 4 * SLOTS

ALL = (SLOW, SLOW_TOO, ENDLESS, BRIEF, PLAIN)
MODELS = {
    BRIEF: {"ttlSeconds": 1.5},
    PLAIN: {"aliases": [ALIAS], "setParams": {"max_tokens": 2}},
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("on-demand")
    settings = {
        "LLAMA__SERVER_PATH": write_fake_llama_server(directory),
        "LLAMA__MAX_MODELS": 8,
        "LLAMA__DRAIN_TIMEOUT_SECONDS": 1,
        "LLAMA__FLAGS": json.dumps({"parallel": str(SLOTS)}),
        "MODELS": json.dumps(MODELS),
        "RUNNER__STOP_GRACE_SECONDS": 0.5,
    }
    with running_stack(directory, settings) as running:
        files = running.home / "models"
        for name in ALL:
            shutil.copy(files / "babble-demo.gguf", files / f"{name}.gguf")
        wait_for(lambda: set(ALL) <= rows(running).keys())
        yield running


def rows(stack: Stack) -> dict[str, Any]:
    with asked(stack, "GET", "/v1/models") as answer:
        return {row["id"]: row for row in json.load(answer)["data"]}


def status_of(stack: Stack, model_id: str) -> str:
    return str(rows(stack)[model_id]["status"]["value"])


@contextmanager
def connected(stack: Stack) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", stack.proxy_port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def send(connection: HTTPConnection, model: str, *, stream: bool = False) -> None:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)


@contextmanager
def asked(stack: Stack, method: str, path: str) -> Iterator[HTTPResponse]:
    with connected(stack) as connection:
        connection.request(method, path)
        yield connection.getresponse()


@contextmanager
def chat(stack: Stack, model: str, *, stream: bool = False) -> Iterator[HTTPResponse]:
    with connected(stack) as connection:
        send(connection, model, stream=stream)
        yield connection.getresponse()


def served(stack: Stack, model: str) -> bool:
    with chat(stack, model, stream=True) as answer:
        return answer.status == 200


def test_an_alias_is_a_name_like_the_id(stack: Stack) -> None:
    assert rows(stack)[PLAIN]["aliases"] == [ALIAS]
    with chat(stack, ALIAS) as answer:
        assert answer.status == 200
        assert json.load(answer)["usage"]["completion_tokens"] <= 2  # as set for the model
    assert stack.cli("unload", ALIAS).returncode == 0
    assert status_of(stack, PLAIN) == "unloaded"
    assert stack.cli("load", ALIAS, "--ttl", "0", "--runner", "runner-cpu").returncode == 0
    assert status_of(stack, PLAIN) == "loaded"
    assert stack.cli("unload", PLAIN).returncode == 0
    with chat(stack, "gpt-5") as answer:
        assert answer.status == 404
        assert f"`{ALIAS}`" in json.load(answer)["error"]["message"]


def test_a_model_that_nobody_uses_is_unloaded(stack: Stack) -> None:
    with chat(stack, BRIEF) as answer:
        assert answer.status == 200
        answer.read()
    assert status_of(stack, BRIEF) == "loaded"
    wait_for(lambda: status_of(stack, BRIEF) == "unloaded")
    wait_for(lambda: stack.engines() == [])  # to this list a model that is leaving is unloaded


def test_a_load_says_how_long_the_model_stays_and_on_which_runner(stack: Stack) -> None:
    with local_client(Home(stack.home), Settings()) as client:
        wrong = LoadModel(id=PLAIN, runner="runner-9")
        with pytest.raises(InvalidRequest, match="runner-cpu@"):
            client.call(models.LOAD, wrong, 30)
        right = LoadModel(id=ALIAS, ttl_seconds=2.5, runner="runner-cpu")
        assert client.call(models.LOAD, right, 30).id == PLAIN

        def expires_at() -> object:
            return client.call(models.INFO, ModelInfoRequest(id=ALIAS), 30).expires_at or None

        wait_for(expires_at)
        wait_for(lambda: status_of(stack, PLAIN) == "unloaded")
        wait_for(lambda: expires_at() is None)


def test_a_load_ends_when_its_last_client_has_left(stack: Stack) -> None:
    with connected(stack) as first, connected(stack) as second:
        send(first, SLOW)
        send(second, SLOW, stream=True)
        (engine,) = wait_for(stack.engines)
        first.close()
        # Not the list of all: a program that is just being started has no environment for a moment.
        assert engine.is_running()
    wait_for(lambda: stack.engines() == [])
    wait_for(lambda: status_of(stack, SLOW) == "unloaded")


def test_a_load_that_was_asked_for_goes_on_without_clients(stack: Stack) -> None:
    with connected(stack) as connection:
        send(connection, SLOW)
        wait_for(stack.engines)
        with connected(stack) as other:
            other.request(
                "POST",
                "/models/load",
                json.dumps({"model": SLOW}),
                {"Content-Type": "application/json"},
            )
            assert other.getresponse().status == 200
    # Another one that nobody asked for comes later and goes, while this one stays.
    with connected(stack) as connection:
        send(connection, SLOW_TOO)
        wait_for(lambda: len(stack.engines()) == 2)
    wait_for(lambda: len(stack.engines()) == 1)
    assert status_of(stack, SLOW) == "loading"
    assert stack.cli("unload", SLOW).returncode == 0
    assert stack.engines() == []


def test_one_request_too_many_is_told_to_come_back(stack: Stack) -> None:
    with ExitStack() as streams:
        for _ in range(LIMIT):
            answer = streams.enter_context(chat(stack, ENDLESS, stream=True))
            assert answer.status == 200
            assert answer.readline().startswith(b"data: ")
        wait_for(lambda: not served(stack, ENDLESS))  # its engine has told its slots
        with chat(stack, ENDLESS) as refused:
            assert refused.status == 429
            assert int(refused.getheader("Retry-After", "0")) > 0
            error = json.load(refused)["error"]
            assert error["code"] == "too_many_requests"
            assert error["details"] == {"inFlight": LIMIT, "limit": LIMIT}
        with chat(stack, PLAIN) as other:
            assert other.status == 200
    wait_for(lambda: served(stack, ENDLESS))
    assert stack.cli("unload", ENDLESS).returncode == 0
    assert stack.cli("unload", PLAIN).returncode == 0
