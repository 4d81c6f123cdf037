from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.demo_model import write_demo_model
from tests.support.children import ENV, printed, python, running
from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.loops import on_both_loops
from workers.runner.child import Child
from workers.runner.diagnosis import diagnose
from workers.runner.engine import Engine, arguments, environment, find_engine
from workers.runner.listening import free_port
from workers.runner.readiness import EngineEnded, PortTaken, ReadyTimeout, wait_until_ready

HOST = "127.0.0.1"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output.log"


@asynccontextmanager
async def started(
    engine: Engine, output: Path, model: Path, port: int | None = None
) -> AsyncIterator[tuple[Child, int]]:
    """An engine that is on its way, and its port."""
    port = port or free_port(HOST)
    argv = arguments(
        engine,
        model_path=str(model),
        host=HOST,
        port=port,
        alias="m",
        flags={"threads": "1"},
    )
    env = environment(os.environ, api_key="key", tag="test", device_uuids=(), extra={})
    async with running(argv, output, env=env) as child:
        yield child, port


def fake(directory: Path, **behaviour: Any) -> Engine:
    return Engine("llama-server", (str(write_fake_llama_server(directory, **behaviour)),))


@on_both_loops
async def test_a_real_engine_becomes_ready(tmp_path: Path, output: Path) -> None:
    model = tmp_path / "demo.gguf"
    write_demo_model(model)
    async with started(find_engine("", None), output, model) as (child, port):
        await wait_until_ready(child, HOST, port, "key", timeout_s=60)
        assert "listening on" in await printed(output, "listening on")
        await child.stop(grace_s=20)
        # 0, or the signal's own doing where it comes before the engine has set its handler.
        assert child.exit_code in (0, -signal.SIGTERM)


@on_both_loops
async def test_an_engine_that_still_loads_is_not_ready(tmp_path: Path, output: Path) -> None:
    async with started(fake(tmp_path, load_s=0.3), output, tmp_path / "m.gguf") as (child, port):
        await wait_until_ready(child, HOST, port, "key", timeout_s=60)
        assert "model loaded" in await printed(output, "model loaded")


async def test_an_engine_that_ends_while_loading(tmp_path: Path, output: Path) -> None:
    engine = fake(tmp_path, load_s=0.1, crash_at_load="error: invalid argument: --x", exit_code=3)
    async with started(engine, output, tmp_path / "m.gguf") as (child, port):
        with pytest.raises(EngineEnded) as caught:
            await wait_until_ready(child, HOST, port, "key", timeout_s=60)
    assert caught.value.exit_code == 3
    lines = (await printed(output, "--x")).splitlines()
    assert diagnose(caught.value.exit_code, lines).reason == "bad_argument"


async def test_an_engine_that_has_ended_before(output: Path) -> None:
    async with running(python("raise SystemExit(4)"), output) as child:
        await child.wait()
        with pytest.raises(EngineEnded) as caught:
            await wait_until_ready(child, HOST, free_port(HOST), "key", timeout_s=60)
    assert caught.value.exit_code == 4


async def test_an_engine_that_takes_too_long(tmp_path: Path, output: Path) -> None:
    async with started(fake(tmp_path, load_s=600), output, tmp_path / "m.gguf") as (child, port):
        with pytest.raises(ReadyTimeout) as caught:
            await wait_until_ready(child, HOST, port, "key", timeout_s=0.2)
        assert caught.value.timeout_s == 0.2
        assert not child.ended


async def test_waiting_can_be_cancelled(tmp_path: Path, output: Path) -> None:
    async with started(fake(tmp_path, load_s=600), output, tmp_path / "m.gguf") as (child, port):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await wait_until_ready(child, HOST, port, "key", timeout_s=60)
        assert not child.ended


async def test_another_server_on_the_port_is_not_mistaken_for_the_engine(
    tmp_path: Path, output: Path
) -> None:
    async with started(fake(tmp_path), tmp_path / "other.log", tmp_path / "m.gguf") as (
        other,
        port,
    ):
        await wait_until_ready(other, HOST, port, "key", timeout_s=60)
        async with running(python("import time; time.sleep(600)"), output) as child:
            with pytest.raises(PortTaken) as caught:
                await wait_until_ready(child, HOST, port, "key", timeout_s=60)
    assert (caught.value.host, caught.value.port) == (HOST, port)


async def test_an_engine_that_finds_its_port_taken_says_so(tmp_path: Path, output: Path) -> None:
    model = tmp_path / "demo.gguf"
    write_demo_model(model)
    # It accepts and never answers, so what is heard is the engine's end.
    silent = await asyncio.start_server(lambda _reader, _writer: None, HOST, 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent, started(find_engine("", None), output, model, port) as (child, _):
        with pytest.raises(EngineEnded) as caught:
            await wait_until_ready(child, HOST, port, "key", timeout_s=60)
    lines = (await printed(output, "exiting")).splitlines()
    assert diagnose(caught.value.exit_code, lines).reason == "port_taken"


ODD_SERVER = """
    import socket, sys, time
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    hung = []
    answers = [
        b"", b"\\0" * 4096, b"SSH-2.0-x\\r\\n", b"HTTP/1.1 503 Service Unavailable\\r\\n\\r\\n",
        b"HTTP/1.1 2000 x\\r\\n", b"HTTP/1.1 200", None, b"HTTP/1.1 404 Not Found\\r\\n\\r\\n",
    ]
    for answer in answers:
        connection, _ = server.accept()
        if answer is None:
            hung.append(connection)
            continue
        connection.recv(4096)
        connection.sendall(answer)
        connection.close()
        print("odd", flush=True)
    print("up", flush=True)
    while True:
        connection, _ = server.accept()
        connection.recv(4096)
        for piece in (b"HTTP/1.1 2", b"00 OK\\r\\n\\r\\n"):
            connection.sendall(piece)
            time.sleep(0.01)
        connection.close()
"""


@on_both_loops
async def test_odd_answers_and_silence_are_not_readiness(output: Path) -> None:
    port = free_port(HOST)
    async with running(python(ODD_SERVER, port), output, env=ENV) as child:
        await wait_until_ready(child, HOST, port, "key", timeout_s=60)
        assert "up" in await printed(output)
