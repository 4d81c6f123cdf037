"""Notices when the model files of this host change.

The kernel tells of changes in each directory that was looked at. Not all of them: it knows nothing
of what other hosts do to a network share, or of a disk that is mounted, and the number of
directories it watches is limited. So there is also a look every `rescan_s`, and sooner while a file
is being written.

Directories are watched one by one because watchfiles, told to watch recursively, would follow
symbolic links out of modelsDir and through whatever is there.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import watchfiles

from common.api.inventory import ModelFile
from workers.runner.inventory.header_cache import HeaderCache
from workers.runner.inventory.model_files import SUFFIX
from workers.runner.inventory.scan import SETTLE_S, look

logger = logging.getLogger(__name__)

RESCAN_S = 60.0
_TICK_S = 1.0
_QUIET_MS = 100
"""Changes are reported when none came for so long, or at the latest after `_TOGETHER_MS`."""
_TOGETHER_MS = 1000

Directories = frozenset[tuple[str, int]]


async def watch(
    models_dir: Path,
    cache: HeaderCache,
    *,
    rescan_s: float = RESCAN_S,
    settle_s: float = SETTLE_S,
) -> AsyncGenerator[dict[str, ModelFile], None]:
    """All models below `models_dir` by id: at once, and again whenever that has changed.

    `models_dir` may come, go and come back. The iterator never ends by itself; close it with
    `aclose` (or cancel the task), which ends its thread. `cache` is used in that thread only.
    """
    stop = threading.Event()
    looks = _looks(models_dir, cache, stop, rescan_s, settle_s)
    loop = asyncio.get_running_loop()
    # A thread of its own: it waits for ever, and the default executor has few to spare.
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inventory")
    try:
        while (models := await loop.run_in_executor(thread, next, looks, None)) is not None:
            yield models
    finally:
        stop.set()
        await loop.run_in_executor(thread, looks.close)
        thread.shutdown()


def _looks(
    models_dir: Path, cache: HeaderCache, stop: threading.Event, rescan_s: float, settle_s: float
) -> Generator[dict[str, ModelFile], None, None]:
    """Blocks until there is something new to yield, until `stop`."""
    models: dict[str, ModelFile] | None = None
    directories: Directories = frozenset()
    due_at = 0.0
    while not stop.is_set():
        with closing(_ticks(directories, stop)) as ticks:
            for changed in ticks:
                if not changed and time.monotonic() < due_at:
                    continue
                seen = look(models_dir, cache, settle_s=settle_s, stopped=stop.is_set)
                if stop.is_set():
                    return
                calm = seen.settled and seen.directories
                due_at = time.monotonic() + (rescan_s if calm else settle_s)
                if seen.models != models:
                    models = seen.models
                    yield models
                if seen.directories != directories:
                    directories = seen.directories
                    break


def _ticks(directories: Directories, stop: threading.Event) -> Generator[bool, None, None]:
    """True when there may be something new in `directories`, False every second, until `stop`."""
    if directories:
        try:
            changes = watchfiles.watch(
                *(path for path, _ in directories),
                watch_filter=_matters,
                debounce=_TOGETHER_MS,
                step=_QUIET_MS,
                rust_timeout=round(_TICK_S * 1000),
                yield_on_timeout=True,
                stop_event=stop,
                recursive=False,
                ignore_permission_denied=True,
            )
            for count, some in enumerate(changes):
                # The first tick counts, for what happened between the look and the watch.
                yield count == 0 or bool(some)
        except (OSError, RuntimeError) as error:
            logger.warning("changes of model files are noticed by rescans only: %s", error)
        else:
            return
    yield True
    while not stop.wait(_TICK_S):
        yield False


def _matters(change: watchfiles.Change, path: str) -> bool:
    """Whether a change calls for a look: not when just some other file is written to."""
    return change is not watchfiles.Change.modified or path.endswith(SUFFIX)
