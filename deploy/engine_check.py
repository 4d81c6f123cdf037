"""Whether there is an engine that can run: the user's llama-server, or the embedded one.

Both are started for a moment, in a child each: a missing library or an unfitting processor shows
only then, and must not take the asking process along.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from common.home import Home
from common.settings import Settings

_PATIENCE_S = 20.0

_EMBEDDED = "import xllamacpp, importlib.metadata as m; print(m.version('xllamacpp'))"


@dataclass(frozen=True)
class EngineReport:
    """An engine by what it is called (`what`), and its version, or why it does not run."""

    what: str
    version: str | None = None
    problem: str | None = None
    advice: str = ""


def check_engine(home: Home, settings: Settings) -> EngineReport:
    """The engine that runners would use; each is tried in the order in which they look for it."""
    configured = settings.llama.server_path
    if configured:
        return _check_server(home.resolve(configured), "llama.serverPath")
    if found := shutil.which("llama-server"):
        return _check_server(Path(found), "llama-server on PATH")
    return _check_embedded()


def _check_server(path: Path, origin: str) -> EngineReport:
    what = f"{path} ({origin})"
    advice = (
        "install llama.cpp's llama-server and set llama.serverPath to it; empty uses the embedded"
        " engine"
    )
    if not path.is_file():
        return EngineReport(what, problem="there is no such file", advice=advice)
    if not os.access(path, os.X_OK):
        return EngineReport(what, problem="it is not executable", advice=f"chmod +x {path}")
    code, output = asyncio.run(_try([str(path), "--version"]))
    lines = output.strip().splitlines()
    if code == 0:
        version = next((line for line in lines if "version" in line), "version unknown")
        return EngineReport(what, version=version.strip())
    return EngineReport(what, problem=_ending(code, lines), advice=advice)


def _check_embedded() -> EngineReport:
    what = "the embedded engine (xllamacpp)"
    code, output = asyncio.run(_try([sys.executable, "-c", _EMBEDDED]))
    lines = output.strip().splitlines()
    if code == 0:
        return EngineReport(what, version=lines[-1] if lines else "version unknown")
    advice = "install llama-server and set llama.serverPath to it"
    if "libgomp.so.1" in output:
        advice = "install libgomp: apt install libgomp1 (Debian, Ubuntu), dnf install libgomp"
    return EngineReport(what, problem=_ending(code, lines), advice=advice)


def _ending(code: int | None, lines: list[str]) -> str:
    last = lines[-1] if lines else "it printed nothing"
    if code is None:
        return f"it did not answer in {_PATIENCE_S:.0f} s"
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}: {last}"
    return f"it ended with code {code}: {last}"


async def _try(command: list[str]) -> tuple[int | None, str]:
    """Run a command; its exit code (None: no end in time) and what it printed."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        # Not a program at all, or one for another machine; 126 is what a shell says then.
        return 126, f"cannot be run: {error.strerror}"
    try:
        async with asyncio.timeout(_PATIENCE_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None, ""
    return process.returncode, output.decode(errors="replace")
