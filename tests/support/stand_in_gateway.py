"""A gateway that answers `system:status` and the model commands from made-up facts.

Every `<name>.present` in home's run directory is a running process. The id that a load asks for is
written to `asked` in home. Loading `slow` never ends,
loading `dying` ends this process, any other unknown id is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Any

import socketio
import uvicorn

from common import timestamps
from common.settings_source import load
from deploy.client import NAMESPACE
from tests.support.stand_in_program import show_presence, wait_for_orphanhood

KNOWN = "tiny"


def row(model_id: str, status: str) -> dict[str, Any]:
    return {
        "id": model_id,
        "name": f"{model_id}.gguf",
        "path": f"/models/{model_id}.gguf",
        "size": 4_580_140_000,
        "status": status,
        "parameters": None,
    }


def succeed(data: object) -> dict[str, Any]:
    return {"success": True, "data": data, "timestamp": timestamps.now()}


def refuse(code: str, message: str) -> dict[str, Any]:
    error = {"code": code, "message": message}
    return {"success": False, "error": error, "timestamp": timestamps.now()}


def present(run: Path, host: str) -> list[dict[str, Any]]:
    return [
        {
            "name": path.stem,
            "kind": "runner" if path.stem.startswith("runner") else path.stem,
            "host": host,
            "pid": int(path.read_text()),
            "status": "running",
            "startedAt": timestamps.now(),
        }
        for path in sorted(run.glob("*.present"))
    ]


def server(home: Path, host: str) -> socketio.AsyncServer:
    sio = socketio.AsyncServer(async_mode="asgi", namespaces=[NAMESPACE])

    async def status(_: str, __: object) -> dict[str, Any]:
        processes = await asyncio.to_thread(present, home / "run", host)
        return succeed({"processes": processes, "models": [row(KNOWN, "unloaded")]})

    async def models(_: str, __: object) -> dict[str, Any]:
        return succeed({"models": [row(KNOWN, "unloaded")], "total": 1})

    async def load_model(_: str, request: dict[str, str]) -> dict[str, Any]:
        wanted = request["id"]
        await asyncio.to_thread((home / "asked").write_text, wanted)
        if wanted == "slow":
            await asyncio.Event().wait()
        if wanted == "dying":
            os.kill(os.getpid(), signal.SIGKILL)
        if wanted != KNOWN:
            return refuse("MODEL_NOT_FOUND", f"there is no model '{wanted}'")
        for progress in (0.25, 0.5, 1.0):
            change = {**row(wanted, "loading"), "reason": None, "progress": progress}
            await sio.emit("models:status", change, namespace=NAMESPACE)
        return succeed(
            {
                "id": wanted,
                "status": "loaded",
                "memoryUsage": 6_448_742_400,
                "loadedAt": timestamps.now(),
            }
        )

    async def unload_model(_: str, request: dict[str, str]) -> dict[str, Any]:
        data = {"id": request["id"], "status": "unloaded", "unloadedAt": timestamps.now()}
        return succeed(data)

    for name, handler in (
        ("system:status", status),
        ("models:list", models),
        ("models:load", load_model),
        ("models:unload", unload_model),
    ):
        sio.on(name, handler, namespace=NAMESPACE)
    return sio


def end_as_an_orphan() -> None:
    wait_for_orphanhood()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--name", default="gateway")
    options = parser.parse_args()
    settings = load(options.home, options.config, os.environ)
    threading.Thread(target=end_as_an_orphan, daemon=True).start()
    show_presence(options.home, options.name)
    uvicorn.run(
        socketio.ASGIApp(server(options.home, settings.host.resolved_name())),
        host=settings.server.host,
        port=settings.server.port,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
