"""What lies in shared memory, on the whole machine."""

from __future__ import annotations

from pathlib import Path

_DIRECTORY = Path("/dev/shm")  # noqa: S108 - looked at, not used


def shared_memory() -> set[str]:
    """The names in /dev/shm."""
    return {path.name for path in _DIRECTORY.iterdir()}
