"""The presets directory: each file is whole or not there, whatever the disk does.

All of this blocks. No file is opened, and none is written, through a symbolic link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workers.controller import durable
from workers.controller.presets.names import SUFFIX, name_of_file

MAX_FILE_BYTES = 128 << 10
MAX_FILES = 128
"""Together 16 MiB, the most that every gateway has to copy; a snapshot carries up to 32 MiB."""

_FILE_MODE = 0o644
_DIRECTORY_MODE = 0o755

Stamp = tuple[int, int, int, int]
"""(inode, size, mtime, ctime): differs once somebody has written to the file."""


class StoreError(Exception):
    """A file was not written; the one that was there is as before. `reason` is a stable word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class StoredFile:
    """A file as it was last read. `problem` says why there is no text."""

    stamp: Stamp
    text: str = ""
    problem: str | None = None


class Store:
    """Reads and writes the preset files of one directory, which need not exist."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def look(self, known: Mapping[str, StoredFile]) -> dict[str, StoredFile]:
        """All files by preset name; those that are as they were are taken from `known`.

        Beyond `MAX_FILES` the rest, by name, is left out. Raises OSError where the directory is
        there and cannot be read.
        """
        try:
            found = {name: entry for entry in os.scandir(self._directory) if (name := _name(entry))}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        files: dict[str, StoredFile] = {}
        for name in sorted(found)[:MAX_FILES]:
            try:
                stamp = _stamp(found[name].stat(follow_symlinks=False))
                before = known.get(name)
                same = before is not None and before.stamp == stamp
                files[name] = before if before is not None and same else self._read(name, stamp)
            except FileNotFoundError:
                continue  # it went meanwhile
        return files

    def _read(self, name: str, stamp: Stamp) -> StoredFile:
        path = self._directory / f"{name}{SUFFIX}"
        try:
            # Not blocking: a fifo without a writer would be waited for.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                opened = os.fstat(descriptor)
                if not stat.S_ISREG(opened.st_mode):
                    return StoredFile(stamp, problem="it is no regular file")
                if opened.st_size > MAX_FILE_BYTES:
                    return StoredFile(stamp, problem=_too_big(opened.st_size))
                data = os.read(descriptor, MAX_FILE_BYTES)
            finally:
                os.close(descriptor)
            return StoredFile(_stamp(opened), data.decode("utf-8"))
        except FileNotFoundError:
            raise
        except UnicodeDecodeError as error:
            return StoredFile(stamp, problem=f"byte {error.start} is not UTF-8")
        except OSError as error:
            link = stat.S_ISLNK(os.lstat(path).st_mode)
            why = "it is a symbolic link, which is not followed" if link else error.strerror
            return StoredFile(stamp, problem=str(why))

    def write(self, name: str, text: str) -> None:
        """Replace a preset's file, or make it. Raises `StoreError`; the old file is there then."""
        data = text.encode("utf-8")
        if len(data) > MAX_FILE_BYTES:
            raise StoreError("too_big", _too_big(len(data)))
        path = self._directory / f"{name}{SUFFIX}"
        try:
            self._directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            self._refuse_unreplaceable(path)
            durable.replace(path, data, new_mode=_FILE_MODE)
        except OSError as error:
            raise _refused(error, f"{path} was not written") from error

    def _refuse_unreplaceable(self, path: Path) -> None:
        try:
            found = path.lstat()
        except FileNotFoundError:
            names = [entry for entry in os.scandir(self._directory) if _name(entry)]
            if len(names) >= MAX_FILES:
                raise StoreError(
                    "too_many", f"there are {len(names)} presets already; delete one first"
                ) from None
            return
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(
                "not_a_file", f"{path} is a symbolic link or no file at all, and is left alone"
            )

    def delete(self, name: str) -> None:
        """Remove a preset's file; a link goes itself, not what it points to."""
        path = self._directory / f"{name}{SUFFIX}"
        try:
            path.unlink(missing_ok=True)
            durable.keep_names(self._directory)
        except OSError as error:
            raise _refused(error, f"{path} was not deleted") from error

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, which no file has. Raises `StoreError`."""
        source, target = (self._directory / f"{each}{SUFFIX}" for each in (name, to))
        try:
            if target.is_symlink() or target.exists():
                raise StoreError("exists", f"there is a preset '{to}' already")
            source.rename(target)
            durable.keep_names(self._directory)
        except OSError as error:
            raise _refused(error, f"{source} was not renamed") from error

    def sweep(self) -> None:
        """Remove what a writer left unfinished that was killed."""
        with suppress(OSError):
            for entry in os.scandir(self._directory):
                if entry.name.startswith(".") and entry.name.endswith(durable.UNFINISHED):
                    Path(entry.path).unlink(missing_ok=True)


def _name(entry: os.DirEntry[str]) -> str | None:
    return name_of_file(entry.name)


def _stamp(found: os.stat_result) -> Stamp:
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _too_big(size_bytes: int) -> str:
    return f"it has {size_bytes} bytes; a preset may have {MAX_FILE_BYTES}"


def _refused(error: OSError, what: str) -> StoreError:
    return StoreError("disk", f"{what}: {error.strerror or error}")
