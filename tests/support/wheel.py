"""Our wheel, built as a user's pip builds it, and an empty environment to install it into."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.support.repository import ROOT


def build_wheel(directory: Path) -> Path:
    """Build the wheel into `directory`; its path."""
    build = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", directory],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stderr
    (built,) = directory.glob("*.whl")
    return built


def install(wheel: Path, directory: Path) -> Path:
    """A new environment that holds the wheel; its `bin`. Dependencies are this environment's own.

    A path file brings them in; the one of our editable installation is not followed from there, so
    that what runs is what the wheel holds.
    """
    venv.create(directory, symlinks=True)
    python = directory / "bin" / "python"
    command = [sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-deps", "--quiet"]
    subprocess.run([*command, "--python", python, wheel], check=True)
    (site,) = directory.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return directory / "bin"
