"""Which model files belong together, and what each model is called. Pure: names in, groups out.

- A `.gguf` file is a model, and its id is its path below modelsDir without `.gguf`.
- Shards, `NAME-00001-of-00003.gguf` as llama.cpp writes them, are one model called NAME, whether
  all are there or not. Where a single file or a set of fewer shards is called NAME already, the
  set is `NAME-00001-of-00003`.
- `mmproj` files are parts of the models beside them and no models themselves.

So an id depends on the name of the model's own files, and on no other file unless that is called
the same but for the shard suffix.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePosixPath

from workers.runner.inventory.projectors import is_projector, projector_of

SUFFIX = ".gguf"
MISSING_NAMED = 3
_SHARD = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file below modelsDir: `path` is relative to it."""

    path: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """One model: its id and its files, of which there is at least one.

    `files` are the shards that are there, in order, and `numbers` their numbers; `missing` names
    the first few of those that are not. `shard_count` is 1 for a file that is no shard. `mmproj` is
    the path of the model's projector.
    """

    id: str
    files: tuple[FoundFile, ...]
    numbers: tuple[int, ...] = (1,)
    shard_count: int = 1
    missing: tuple[str, ...] = ()
    mmproj: str | None = None


def group_models(files: Iterable[FoundFile]) -> list[ModelGroup]:
    """The models that `files` are, by id."""
    groups: list[ModelGroup] = []
    sets: dict[tuple[str, int], dict[int, FoundFile]] = defaultdict(dict)
    projectors: dict[PurePosixPath, list[str]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file.path)
        shard = _shard(file.path)
        if is_projector(file.path):
            projectors[path.parent].append(file.path)
        elif shard is None:
            groups.append(ModelGroup(id=_stem(file.path), files=(file,)))
        else:
            name, number, count = shard
            sets[name, count][number] = file
    groups += _sets(sets, {group.id for group in groups})
    return sorted(_with_projectors(groups, projectors), key=lambda group: group.id)


def _sets(
    sets: dict[tuple[str, int], dict[int, FoundFile]], taken: set[str]
) -> Iterator[ModelGroup]:
    # No set may be called what another one is called in full, so that no two ids are ever equal.
    taken = taken | {_shard_stem(name, 1, count) for name, count in sets}
    for name, count in sorted(sets):
        shards = sets[name, count]
        missing = (number for number in range(1, count + 1) if number not in shards)
        yield ModelGroup(
            id=_shard_stem(name, 1, count) if name in taken else name,
            files=tuple(shards[number] for number in sorted(shards)),
            numbers=tuple(sorted(shards)),
            shard_count=count,
            missing=tuple(
                PurePosixPath(_shard_stem(name, number, count) + SUFFIX).name
                for number in islice(missing, MISSING_NAMED)
            ),
        )
        taken.add(name)


def _with_projectors(
    groups: list[ModelGroup], projectors: dict[PurePosixPath, list[str]]
) -> Iterator[ModelGroup]:
    neighbours: dict[PurePosixPath, list[str]] = defaultdict(list)
    for group in groups:
        neighbours[PurePosixPath(group.id).parent].append(group.id)
    for group in groups:
        directory = PurePosixPath(group.id).parent
        beside = projectors.get(directory)
        if beside:
            mmproj = projector_of(group.id, beside, neighbours[directory])
            yield replace(group, mmproj=mmproj)
        else:
            yield group


def _stem(path: str) -> str:
    return path.removesuffix(SUFFIX)


def _shard(path: str) -> tuple[str, int, int] | None:
    """Name, number and count of a shard; None where the numbers make no sense."""
    match = _SHARD.fullmatch(_stem(path))
    if match is None:
        return None
    number, count = int(match["number"]), int(match["count"])
    return (match["name"], number, count) if 1 <= number <= count else None


def _shard_stem(name: str, number: int, count: int) -> str:
    return f"{name}-{number:05d}-of-{count:05d}"
