"""Locks on files of home, by which two processes of one name never run at once.

A lock of the kernel (flock) ends with its process, whatever ends that. The pid inside the file is
for people and for `down`, and means something only while the lock is held. The files stay: whoever
removed one could lock it while its successor locks a new one of the same name.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PAUSE_S = 0.02

# Another process tries the lock for an instant only, and a new owner needs one to write its pid.
_INSTANT_S = 0.5


class LockHeld(Exception):
    """Somebody else holds the lock; `pid` is None where they have not written it."""

    def __init__(self, path: Path, pid: int | None) -> None:
        super().__init__(f"{path} is locked by process {pid or 'unknown'}")
        self.path = path
        self.pid = pid


def never() -> bool:
    """For a wait that nothing but its deadline ends."""
    return False


@contextmanager
def hold(
    path: Path, patience_s: float = _INSTANT_S, give_up: Callable[[], bool] = never
) -> Iterator[None]:
    """Hold a lock for the body; blocks up to `patience_s`, or until `give_up` is true.

    Raises LockHeld.
    """
    # Not inheritable: an engine that is started meanwhile must not hold it as well.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + patience_s
        while not _try(descriptor):
            if time.monotonic() > deadline or give_up():
                raise LockHeld(path, _pid(path))
            time.sleep(_PAUSE_S)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def owner(path: Path) -> int | None:
    """The pid of the process that holds a lock; None where nobody does."""
    deadline = time.monotonic() + _INSTANT_S
    while time.monotonic() < deadline:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if _try(descriptor):
                return None
        finally:
            os.close(descriptor)
        if (pid := _pid(path)) is not None:
            return pid
        time.sleep(_PAUSE_S)
    return None


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(path: Path) -> int | None:
    text = path.read_text().strip()
    return int(text) if text.isdecimal() else None
