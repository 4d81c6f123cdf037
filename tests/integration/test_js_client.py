"""The JavaScript harness itself, against a Socket.IO server of a few lines."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import socketio
import uvicorn

from tests.support import node

NAMESPACES = ("/", "/llamaproxws")
ROWS = {"success": True, "data": {"models": [], "total": 0}}


def asgi_app() -> Callable[..., Any]:
    """Greets every client in both namespaces and answers `models:list`, in each form of the URL."""
    server = socketio.AsyncServer(async_mode="asgi", namespaces=NAMESPACES)

    async def greet(sid: str, _environ: dict[str, Any], _auth: object = None) -> None:
        for namespace in NAMESPACES:
            await server.emit("client:connected", {"clientId": sid}, namespace=namespace)

    async def list_models(_sid: str, _payload: object) -> object:
        return ROWS

    for namespace in NAMESPACES:
        server.on("connect", greet, namespace=namespace)
        server.on("models:list", list_models, namespace=namespace)
    inner = socketio.ASGIApp(server)

    async def app(scope: dict[str, Any], receive: object, send: object) -> None:
        if scope.get("path", "").startswith("/llamaproxws"):
            scope = {**scope, "path": "/socket.io/"}
        await inner(scope, receive, send)

    return app


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        asgi_app(), ws="websockets-sansio", lifespan="off", log_level="critical"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    # python-engineio leaves the last poll of a client that left open until a ping times out.
    server.should_exit = server.force_exit = True
    await serving


async def test_every_form_and_transport_shakes_hands(base_url: str) -> None:
    handshakes = await asyncio.to_thread(node.run_script, "handshake.mjs", base_url)

    combinations = {(each["form"], each["transport"]) for each in handshakes}
    assert len(combinations) == len(handshakes) == 3 * 3
    assert all(each["acknowledgement"] == ROWS for each in handshakes)
    assert all(each["greetings"] == 1 for each in handshakes)


async def test_a_script_that_cannot_connect_says_why(unused_port: int) -> None:
    with pytest.raises(node.ScriptFailed, match=r"(websocket|xhr poll) error"):
        await asyncio.to_thread(node.run_script, "handshake.mjs", f"http://127.0.0.1:{unused_port}")


async def test_a_script_is_ended_at_its_deadline(silent_url: str) -> None:
    with pytest.raises(node.ScriptFailed, match=r"did not end within 0\.5 s"):
        await asyncio.to_thread(node.run_script, "handshake.mjs", silent_url, timeout_s=0.5)


async def test_the_wheels_node_runs_where_none_is_installed(base_url: str, tmp_path: Path) -> None:
    assert node.find_node(search_path=str(tmp_path)) == node.WHEEL_NODE

    handshakes = await asyncio.to_thread(
        node.run_script, "handshake.mjs", base_url, node=node.WHEEL_NODE
    )
    assert len(handshakes) == 3 * 3


def test_a_node_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v16.20.2\n", encoding="utf-8")
    old.chmod(0o755)

    assert node.find_node(search_path=f"{tmp_path}{os.pathsep}/usr/bin") == node.WHEEL_NODE


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def silent_url() -> Iterator[str]:
    """Accepts connections (the kernel does) and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
