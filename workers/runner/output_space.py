"""Gives the space of an engine's output back to the file system while the engine writes on.

Best is a hole: offsets stay what they are. Where the file system refuses holes (NFS before 4.2,
9p and others) the file is emptied instead, once everything in it is stored elsewhere; the engine,
which appends, goes on at its beginning. Numbers of lines count on: what was cut off is added to
them, and kept in the run-file.

Emptying takes two steps that nothing makes one: a runner may be killed after the file was emptied
and before that was written down. So the intent is written first, and the file's size tells a
successor what became of it. What remains: a line that is written in the instant between the last
look at the size and the emptying is lost; and should the successor come so late that the file has
grown to its old size again, it takes the file for the old one, and what it holds for stored.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

CUT_BYTES = 64 * 1024 * 1024
"""A file that cannot have holes is emptied from this size on."""

_FALLOC_KEEP_SIZE = 0x01  # linux/falloc.h
_FALLOC_PUNCH_HOLE = 0x02

PunchHole = Callable[[Path, int], bool]
"""(file, end): turn the blocks before `end` into a hole; False where that is not possible."""

NoteStart = Callable[[int, int | None], None]
"""(start, next start): write down how many bytes were cut off before the file's beginning, and how
many it will be once an emptying that begins now is done; null: none is under way."""


def punch_hole(path: Path, end: int) -> bool:
    """Turn a file's blocks before `end` into a hole; False where that is not possible."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    with path.open("rb+") as file:
        mode = _FALLOC_KEEP_SIZE | _FALLOC_PUNCH_HOLE
        return bool(libc.fallocate(file.fileno(), mode, 0, end) == 0)


def empty(path: Path, size_bytes: int) -> bool:
    """Empty a file that has just this size; False where it has grown."""
    with path.open("rb+") as file:
        if os.fstat(file.fileno()).st_size != size_bytes:
            return False
        os.ftruncate(file.fileno(), 0)
        return True


def start_of(start: int, next_start: int | None, size_bytes: int) -> int:
    """How many bytes were cut off before a file of this size, by what was written down. Pure."""
    if next_start is None or size_bytes >= next_start - start:
        return start
    return next_start
