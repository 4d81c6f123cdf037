"""The files of this repository, as git sees them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", "gateway", "workers", "deploy")


def git_files(*options: str) -> list[Path]:
    """What `git ls-files` lists with these options, relative to the root.

    Skips the test where there is no checkout to ask, as in an unpacked source distribution.
    """
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout, or no git")
    listed = subprocess.run(
        ["git", "ls-files", "-z", *options], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [Path(name) for name in listed.stdout.split("\0") if name]


def repository_files() -> list[Path]:
    """Every file that is committed or would be: tracked, or new and not ignored."""
    listed = git_files("--cached", "--others", "--exclude-standard")
    return [path for path in listed if (ROOT / path).is_file()]
