"""Files of the controller that are whole after any crash, or as they were before.

All of this blocks, and raises OSError where the disk refuses; the old file is as it was then.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

UNFINISHED = ".new"
"""How the names of files end that are not whole yet; they begin with a dot."""

PRIVATE = 0o600


def replace(path: Path, data: bytes, *, new_mode: int = PRIVATE) -> None:
    """Replace a file, whose mode and owner stay as far as we may set them, or make it.

    `new_mode` is that of a file that is made, less what umask(2) says. On return the disk has it.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}{UNFINISHED}")
    try:
        _write_down(fresh, data, path, new_mode)
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    keep_names(path.parent)


def keep_names(directory: Path) -> None:
    """Have new names survive a power cut, too: fsync(2) wants the directory itself."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_down(fresh: Path, data: bytes, old: Path, new_mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(fresh, flags, new_mode), "wb") as file:
        _take_after(old, file.fileno())
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _take_after(old: Path, descriptor: int) -> None:
    try:
        found = old.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):  # a link's own mode is no file's
        return
    with suppress(PermissionError):  # only root may give a file away
        os.fchown(descriptor, found.st_uid, found.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
