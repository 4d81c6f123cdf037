from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.lock import LockHeld, hold, owner

HOLDER = """
import sys
from pathlib import Path
from common.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "process.lock"


def test_a_lock_names_its_owner_while_it_is_held(path: Path) -> None:
    assert owner(path) is None
    with hold(path):
        assert owner(path) == os.getpid()
        assert path.stat().st_mode & 0o777 == 0o600
    assert owner(path) is None
    with hold(path):
        assert owner(path) == os.getpid()


def test_a_second_owner_is_told_of_the_first(path: Path) -> None:
    with hold(path), pytest.raises(LockHeld) as caught, hold(path, 0.1):
        pass
    assert caught.value.pid == os.getpid()
    assert str(path) in str(caught.value)


def test_a_wait_can_be_given_up(path: Path) -> None:
    with hold(path), pytest.raises(LockHeld), hold(path, 3600, lambda: True):
        pass


def test_a_lock_ends_with_its_process_and_a_waiting_one_gets_it(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        assert owner(path) == first.pid
        looks = 0

        def look() -> bool:
            """Kill the first while the second is waiting."""
            nonlocal looks
            looks += 1
            if looks == 3:
                first.kill()
            return False

        with hold(path, 20, look):
            assert owner(path) == os.getpid()
        assert looks >= 3


def test_a_child_does_not_inherit_a_lock(path: Path) -> None:
    with hold(path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with hold(path, 0.1):
            assert child.poll() is None
    finally:
        child.communicate(b"\n")
