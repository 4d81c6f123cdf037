from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.demo_model import write_demo_model
from tests.support import tiny_gguf
from tests.support.children import printed, running
from tests.support.waiting import until
from workers.runner.child import Child
from workers.runner.diagnosis import diagnose
from workers.runner.engine import arguments, environment, find_engine
from workers.runner.listening import free_port
from workers.runner.readiness import wait_until_ready

HOST = "127.0.0.1"
KEY = "secret"
EMBEDDED = find_engine("", search_path=None)
ENVIRONMENT = environment(os.environ, api_key=KEY, tag="test", device_uuids=(), extra={})


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output.log"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "demo.gguf"
    write_demo_model(path)
    return path


def command(model: Path, port: int, flags: dict[str, str]) -> list[str]:
    return arguments(
        EMBEDDED,
        model_path=str(model),
        host=HOST,
        port=port,
        alias="the-alias",
        flags={"threads": "1", **flags},
    )


@asynccontextmanager
async def serving(model: Path, output: Path, **flags: str) -> AsyncIterator[tuple[Child, str]]:
    """A ready engine with these flags (_ for -), and its address."""
    port = free_port(HOST)
    argv = command(model, port, {name.replace("_", "-"): text for name, text in flags.items()})
    async with running(argv, output, env=ENVIRONMENT) as child:
        await wait_until_ready(child, HOST, port, KEY, timeout_s=60)
        yield child, f"http://{HOST}:{port}"


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal (man 5 proc). llama.cpp's threads may answer
    requests before the interpreter that has started them gets to set its own.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = re.findall(r"^SigCgt:\s+([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(mask, 16) >> (number - 1) & 1)


async def ends(model: Path, output: Path, *extra: str) -> tuple[int | None, str]:
    """Exit code and output of an engine that does not come up."""
    argv = [*command(model, free_port(HOST), {}), *extra]
    async with running(argv, output, env=ENVIRONMENT) as child, asyncio.timeout(60):
        code = await child.wait()
    return code, await asyncio.to_thread(output.read_text)


async def call(url: str, body: dict[str, Any] | None = None, key: str = KEY) -> tuple[int, Any]:
    """Status and JSON (or text) of a GET, or of a POST where there is a body."""

    def send() -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers)  # noqa: S310 - our own engine
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    status, text = await asyncio.to_thread(send)
    return status, json.loads(text) if text.startswith(("{", "[")) else text


async def test_it_serves_like_llama_server(model: Path, output: Path) -> None:
    async with serving(model, output, ctx_size="1024", parallel="2") as (child, url):
        status, models = await call(f"{url}/v1/models")
        assert (status, models["data"][0]["id"]) == (200, "the-alias")

        chat = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
        status, answer = await call(f"{url}/v1/chat/completions", chat)
        assert (status, answer["object"]) == (200, "chat.completion")
        assert answer["choices"][0]["message"]["content"]

        status, slots = await call(f"{url}/slots")
        assert (status, [slot["n_ctx"] for slot in slots]) == (200, [512, 512])
        status, metrics = await call(f"{url}/metrics")
        assert status == 200
        assert "llamacpp:tokens_predicted_total" in metrics

        assert (await call(f"{url}/v1/models", key="wrong"))[0] == 401
        assert (await call(f"{url}/health", key="wrong"))[0] == 200
        await child.stop(grace_s=20)
    assert child.exit_code == 0


async def test_its_defaults_are_llama_servers(model: Path, output: Path) -> None:
    async with serving(model, output) as (_, url):
        _, slots = await call(f"{url}/slots")
        # Four slots that share one cache: each may take the whole context.
        assert [slot["n_ctx"] for slot in slots] == [4096] * 4


async def test_it_embeds(tmp_path: Path, output: Path) -> None:
    model = tiny_gguf.write_bert(tmp_path / "bert.gguf")
    async with serving(model, output, embeddings="true", pooling="mean") as (_, url):
        status, answer = await call(f"{url}/v1/embeddings", {"input": ["one", "two"]})
    assert status == 200
    assert [len(entry["embedding"]) for entry in answer["data"]] == [64, 64]


async def test_it_reranks(tmp_path: Path, output: Path) -> None:
    model = tiny_gguf.write_bert(tmp_path / "rank.gguf", reranker=True)
    async with serving(model, output, reranking="true") as (_, url):
        body = {"query": "one", "documents": ["one", "two"]}
        status, answer = await call(f"{url}/v1/rerank", body)
    assert status == 200
    assert sorted(entry["index"] for entry in answer["results"]) == [0, 1]


async def test_term_ends_it_while_it_loads(tmp_path: Path, output: Path) -> None:
    # Nobody writes into this pipe, so the load stays in the call that opens the file, where no
    # Python runs: only the default disposition ends the process.
    endless = tmp_path / "pipe.gguf"
    os.mkfifo(endless)
    async with running(command(endless, free_port(HOST), {}), output, env=ENVIRONMENT) as child:
        await printed(output, "loading model")
        await child.stop(grace_s=20)
    assert child.exit_code == -signal.SIGTERM


async def test_term_ends_it_with_a_stream_open(model: Path, output: Path) -> None:
    endless = tiny_gguf.write_llama(model.with_name("endless.gguf"), ends=False)
    async with serving(endless, output, context_shift="true") as (child, url):
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps({"prompt": "one", "stream": True, "n_predict": -1}).encode()
        head = f"Host: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(f"POST /completion HTTP/1.1\r\n{head}".encode() + body)
        await reader.readuntil(b"data: ")
        await until(lambda: catches(child.pid, signal.SIGTERM))
        await child.stop(grace_s=20)
        assert child.exit_code == 0
        writer.transport.abort()


@pytest.mark.parametrize(
    ("extra", "reason", "said"),
    [
        (["--no-mmap"], "bad_argument", "error: invalid argument: --no-mmap"),
        (["--ctx-size"], "bad_argument", "expected value for argument"),
        (["--pooling", "x"], "bad_argument", "unknown value 'x'"),
        (["--chat-template", "{{ bad"], "bad_argument", "Parser Error"),
        (["--lora", "/nowhere.gguf"], "unreadable_file", "/nowhere.gguf"),
        (["--host", "192.0.2.1"], "port_taken", "couldn't bind HTTP server socket"),
    ],
)
async def test_bad_flags_end_it(
    model: Path, output: Path, extra: list[str], reason: str, said: str
) -> None:
    code, text = await ends(model, output, *extra)
    assert code == 1
    assert said in text
    assert diagnose(code, text.splitlines()).reason == reason


async def test_a_flag_that_makes_llama_cpp_abort(model: Path, output: Path) -> None:
    for _ in range(5):  # llama.cpp writes its log in a thread that an abort may cut short
        code, text = await ends(model, output, "-c", "1")
        assert code == -signal.SIGABRT
        diagnosis = diagnose(code, text.splitlines())
        assert diagnosis.reason == "aborted"
        if "failed to add token" in text:
            break
    assert "failed to add token" in diagnosis.sentence


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (tiny_gguf.write_truncated, "corrupt_file"),
        (tiny_gguf.write_garbage, "not_a_model"),
        (Path.touch, "not_a_model"),
        (lambda _: None, "unreadable_file"),
    ],
)
async def test_bad_files_end_it(tmp_path: Path, output: Path, write: Any, reason: str) -> None:
    model = tmp_path / "bad.gguf"
    write(model)
    code, text = await ends(model, output)
    assert code == 1
    lines = text.splitlines()
    assert diagnose(code, lines).reason == reason
    # llama.cpp's own log is complete before the last word, however busy the machine is.
    assert "exiting due to model loading error" in lines[-2]
    assert lines[-1].startswith("error: ")


async def test_help_needs_no_model(output: Path) -> None:
    async with running([*EMBEDDED.program, "--help"], output, env=ENVIRONMENT) as child:
        assert await child.wait() == 0
    assert (await printed(output, "--threads")).startswith("----- common params -----")


async def test_a_model_is_required(output: Path) -> None:
    async with running([*EMBEDDED.program, "-c", "512"], output, env=ENVIRONMENT) as child:
        assert await child.wait() == 1
    assert "error: --model is required" in await printed(output, "model")
