"""Remembers on disk what was read from each model file's header, so that none is read twice.

One msgpack file, written as a whole: a thousand models are about 200 kB, which one read and one
rename handle faster than a database opens. A cache that is lost or damaged is built anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path

import msgspec

from workers.runner.inventory.file_facts import FileFacts, facts_of
from workers.runner.inventory.gguf_bytes import GgufError
from workers.runner.inventory.gguf_constants import BLOCKS, FILE_TYPES
from workers.runner.inventory.gguf_header import read_header
from workers.runner.inventory.model_files import FoundFile

logger = logging.getLogger(__name__)

FORMAT = (2, len(BLOCKS), len(FILE_TYPES))
"""A cache of another format is ignored. The first number goes up when what is remembered changes;
the others do when a newer `gguf` package knows more types and can tell more of the same files."""
ENTRIES_LIMIT = 50_000


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    size_bytes: int
    mtime_ns: int
    facts: FileFacts


class _Stored(msgspec.Struct, frozen=True):
    format: tuple[int, ...]
    entries: dict[str, _Entry]


class HeaderCache:
    """The facts of files by path, size and modification time. For one thread at a time.

    `path` is where they are kept; without one, they last as long as the object.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._entries = {} if path is None else _load(path)
        self._changed_at: dict[str, float] = {}
        self._dirty = False

    def facts(self, path: str, file: FoundFile) -> FileFacts:
        """The facts of `file`, which is at `path`: remembered ones if it did not change since.

        Raises `OSError` where the file has to be read and cannot be.
        """
        known = self._entries.get(path)
        if known and (known.size_bytes, known.mtime_ns) == (file.size_bytes, file.mtime_ns):
            return known.facts
        facts = _read(Path(path))
        self._entries[path] = _Entry(file.size_bytes, file.mtime_ns, facts)
        self._dirty = True
        if known:
            self._changed_at[path] = time.monotonic()
        return facts

    def seconds_since_change(self, path: str) -> float | None:
        """How long ago the file was seen to have changed; None if that was never seen."""
        changed_at = self._changed_at.get(path)
        return None if changed_at is None else time.monotonic() - changed_at

    def save(self, present: set[str]) -> None:
        """Writes the cache if anything is new in it. `present` are the paths of all files found.

        Those that are gone are remembered as well, since an unmounted disk comes back, until there
        are too many. Failure to write is logged and costs no more than the time to read again.
        """
        if self._path is None or not self._dirty:
            return
        if len(self._entries) > ENTRIES_LIMIT:
            self._entries = {path: self._entries[path] for path in present & self._entries.keys()}
        self._changed_at = {path: at for path, at in self._changed_at.items() if path in present}
        try:
            _write(self._path, msgspec.msgpack.encode(_Stored(FORMAT, self._entries)))
        except OSError as error:
            logger.warning("cannot write %s: %s", self._path, error.strerror)
        else:
            self._dirty = False


def _read(path: Path) -> FileFacts:
    try:
        header = read_header(path)
    except GgufError as error:
        return FileFacts(error=str(error), cut_short=error.cut_short)
    return facts_of(header)


def _load(path: Path) -> dict[str, _Entry]:
    try:
        stored = msgspec.msgpack.decode(path.read_bytes(), type=_Stored)
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        logger.warning("%s cannot be used, headers are read again: %s", path, error)
        return {}
    return stored.entries if stored.format == FORMAT else {}


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.write_bytes(content)
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
