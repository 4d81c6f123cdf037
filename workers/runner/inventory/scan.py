"""The models of this host: what is below modelsDir, and whether it can be loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.api.inventory import ModelFile
from workers.runner.inventory.file_facts import FileFacts
from workers.runner.inventory.header_cache import HeaderCache
from workers.runner.inventory.model_files import FoundFile, ModelGroup, group_models
from workers.runner.inventory.verdict import LookedAt, judge
from workers.runner.inventory.walk import walk_models

SETTLE_S = 2.0
"""A file that changed less than this ago is taken to be still on its way."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at modelsDir.

    `models` maps ids to models; `directories` are those that were listed (see `ModelTree`).
    `settled` is false while a file is being written, so that another look is due soon although
    nothing may change any more.
    """

    models: dict[str, ModelFile]
    directories: frozenset[tuple[str, int]]
    settled: bool


def scan(models_dir: Path, cache: HeaderCache) -> dict[str, ModelFile]:
    """All models below `models_dir`, by id; a bad file is listed with its reason, never raised.

    Blocks: call it in a thread.
    """
    return look(models_dir, cache).models


def look(
    models_dir: Path,
    cache: HeaderCache,
    *,
    settle_s: float = SETTLE_S,
    stopped: Callable[[], bool] = lambda: False,
) -> Look:
    """Like `scan`, for those who look again: `stopped` is asked between files and ends it early."""
    root = str(models_dir.absolute())
    models: dict[str, ModelFile] = {}
    settled = True
    tree = walk_models(models_dir)
    for group in group_models(tree.files):
        if stopped():
            break
        try:
            files = [_look_at(root, file, cache, settle_s) for file in group.files]
        except FileNotFoundError:
            settled = False  # gone since the directory was listed
            continue
        models[group.id] = _model_file(root, group, files)
        settled = settled and not any(file.growing for file in files)
    cache.save({_absolute(root, file.path) for file in tree.files})
    return Look(models, frozenset(tree.directories), settled)


def _absolute(root: str, relative: str) -> str:
    return f"{root.rstrip('/')}/{relative}"


def _look_at(root: str, file: FoundFile, cache: HeaderCache, settle_s: float) -> LookedAt:
    path = _absolute(root, file.path)
    try:
        facts = cache.facts(path, file)
    except FileNotFoundError:
        raise
    except OSError as error:
        facts = FileFacts(error=f"The file cannot be read: {error.strerror}.")
    return LookedAt(
        name=Path(path).name,
        size_bytes=file.size_bytes,
        facts=facts,
        changing=_changed_lately(path, file, cache, settle_s),
    )


def _changed_lately(path: str, file: FoundFile, cache: HeaderCache, settle_s: float) -> bool:
    """By its modification time, or by our own clock where it was seen to change.

    The one works at the first look, the other on a file server whose clock is not ours.
    """
    since_change_s = cache.seconds_since_change(path)
    if since_change_s is not None and since_change_s < settle_s:
        return True
    return 0 <= time.time() - file.mtime_ns / 1e9 < settle_s


def _model_file(root: str, group: ModelGroup, files: list[LookedAt]) -> ModelFile:
    state, reason = judge(group, files)
    paths = tuple(_absolute(root, file.path) for file in group.files)
    first = files[0].facts
    return ModelFile(
        id=group.id,
        name=files[0].name,
        path=paths[0],
        paths=paths,
        size=sum(file.size_bytes for file in files),
        mtime_ns=max(file.mtime_ns for file in group.files),
        state=state,
        reason=reason,
        mmproj=None if group.mmproj is None else _absolute(root, group.mmproj),
        architecture=first.architecture,
        file_type=first.file_type,
        context_length=first.context_length,
        block_count=first.block_count,
        kv_elements_per_token=first.kv_elements_per_token,
        parameter_count=sum(file.facts.parameter_count for file in files) or None,
    )
