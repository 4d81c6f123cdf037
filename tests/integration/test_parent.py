"""A process whose parent dies is told at once, and is gone soon, whatever it does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from common import environment
from common.parent import Parent
from tests.support.waiting import wait_for

# Starts the child that is its argument, and waits to be killed.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]])
child.wait()
"""

# Tells of the end of its parent, and then hangs.
CHILD = """
import os, sys, time
from pathlib import Path
from common.parent import Parent
here = Path(sys.argv[1])
def gone():
    (here / "gone").touch()
Parent(os.environ).watch(gone, float(sys.argv[2]))
(here / "pid.new").write_text(str(os.getpid()))
(here / "pid.new").rename(here / "pid")
while True:
    time.sleep(3600)
"""


def start(directory: Path, grace_s: float, env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD, str(directory), str(grace_s)],
        env={**os.environ, **env},
        start_new_session=True,
    )


def child_of(directory: Path) -> psutil.Process:
    wait_for(lambda: (directory / "pid").exists())
    return psutil.Process(int((directory / "pid").read_text()))


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_child_ends_soon_after_its_parent(tmp_path: Path) -> None:
    parent = start(tmp_path, 0.1, {})
    child = child_of(tmp_path)
    assert not (tmp_path / "gone").exists()
    parent.kill()
    parent.wait()
    wait_for(lambda: ended(child), 5)
    assert (tmp_path / "gone").exists()


def test_a_child_has_its_grace(tmp_path: Path) -> None:
    parent = start(tmp_path, 3600, {})
    child = child_of(tmp_path)
    try:
        parent.kill()
        parent.wait()
        wait_for((tmp_path / "gone").exists, 5)
        assert not ended(child)
    finally:
        child.kill()


def test_a_parent_that_died_before_anybody_looked_is_known_by_its_name(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with start(tmp_path, 0.1, {environment.SUPERVISOR: str(gone.pid)}) as parent:
        wait_for(lambda: parent.poll() is not None, 10)
    assert (tmp_path / "gone").exists()


@pytest.mark.parametrize("named", [{}, {environment.SUPERVISOR: str(os.getppid())}])
def test_a_living_parent_is_not_gone(named: dict[str, str]) -> None:
    assert not Parent(named).gone
    assert Parent({environment.SUPERVISOR: str(os.getpid())}).gone
