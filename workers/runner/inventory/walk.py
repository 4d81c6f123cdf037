"""Finds the model files below modelsDir."""

from __future__ import annotations

import logging
import os
import re
import stat
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from workers.runner.inventory.model_files import SUFFIX, FoundFile

logger = logging.getLogger(__name__)

_DEPTH_LIMIT = 32
_INT64_MAX = 2**63 - 1  # what msgpack carries; a file system may hold times beyond
# Control characters, line separators, and what os.fsdecode makes of bytes that are not UTF-8.
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(slots=True)
class ModelTree:
    """What is below modelsDir.

    `files` are in no particular order. `directories` are the real ones that were listed, by path
    and inode: another directory in the same place is another one.
    """

    files: list[FoundFile] = field(default_factory=list)
    directories: set[tuple[str, int]] = field(default_factory=set)


def walk_models(models_dir: Path) -> ModelTree:
    """Every regular `.gguf` file below `models_dir`.

    Symbolic links are followed while they stay below `models_dir`; a directory that is linked to
    from within itself is entered once. Names that begin with a dot are not looked at, as nobody
    expects to be shown them. What cannot be read or named in a message is left out with a warning.
    A directory that is not there has no files.
    """
    root = os.path.realpath(models_dir)
    tree = ModelTree()
    _walk(tree, root, "", (root,))
    return tree


def _walk(tree: ModelTree, directory: str, prefix: str, way: tuple[str, ...]) -> None:
    """`prefix` is what ids in `directory` begin with; `way` the real directories down to it."""
    try:
        with os.scandir(directory) as listing:
            entries = list(listing)
        tree.directories.add((directory, Path(directory).stat().st_ino))
    except OSError as error:
        _warn_once(directory, error.strerror or str(error))
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _UNUSABLE.search(entry.name):
            _warn_once(repr(entry.path), "its name is not printable UTF-8")
            continue
        try:
            _enter(tree, entry, prefix + entry.name, way)
        except FileNotFoundError:
            continue  # gone since the directory was listed, or a link to nothing
        except OSError as error:
            _warn_once(entry.path, error.strerror or str(error))


def _enter(tree: ModelTree, entry: os.DirEntry[str], path: str, way: tuple[str, ...]) -> None:
    status = entry.stat()
    target = entry.path
    if entry.is_symlink():
        root = way[0]
        target = os.path.realpath(target)
        if not target.startswith(root.rstrip(os.sep) + os.sep):
            _warn_once(entry.path, f"it links to {target}, which is not below {root}")
            return
    if stat.S_ISDIR(status.st_mode):
        if target not in way and len(way) < _DEPTH_LIMIT:
            _walk(tree, target, path + "/", (*way, target))
    elif stat.S_ISREG(status.st_mode) and path.endswith(SUFFIX):
        mtime_ns = min(max(status.st_mtime_ns, 0), _INT64_MAX)
        tree.files.append(FoundFile(path, status.st_size, mtime_ns))


@lru_cache(maxsize=4096)
def _warn_once(path: str, reason: str) -> None:
    """Warns of a file once in the life of the process: it is found again at every scan."""
    logger.warning("not listed as a model: %s: %s", path, reason)
