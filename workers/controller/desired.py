"""Which models shall be loaded, kept on disk: after a crash or a reboot they are loaded again."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from common.api.models import Model
from workers.controller import durable

logger = logging.getLogger(__name__)


class Wanted(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a model is to be loaded: the runner where it was, null where that does not matter, the
    preset, null for the one it would get anyway, and the `ttlSeconds` of its load, if it had one.
    """

    runner: str | None = None
    preset: str | None = None
    ttl_s: float | None = None


Wishes = dict[str, Wanted]
"""By model id."""


class Desired:
    """What is loaded or about to be, derived from the records, and what was when we last ended.

    A clean stop forgets it all, so that the next start loads only what is set to be preloaded.
    """

    def __init__(self, path: Path, preload: Iterable[str]) -> None:
        self._path = path
        self._current: Wishes = {}
        self.pending: Wishes = {**dict.fromkeys(preload, Wanted()), **_read(path)}
        """What is still to be restored."""
        self._changed = asyncio.Event()
        self._file = threading.Lock()
        self._forgotten = False

    def tell(self, record: Model) -> None:
        """A record has changed."""
        loaded = record.status in ("loading", "loaded")
        wanted = Wanted(record.runner, record.preset, record.ttl_seconds) if loaded else None
        if wanted == self._current.get(record.id):
            return
        if wanted is not None:
            self._current[record.id] = wanted
        else:
            del self._current[record.id]
        self._changed.set()

    def settle(self, model_id: str) -> None:
        """A model has been restored, or somebody has decided about it meanwhile."""
        if model_id in self.pending:
            del self.pending[model_id]
            self._changed.set()

    async def run(self) -> None:
        """Write down what changes, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await asyncio.to_thread(self._save, {**self.pending, **self._current})

    async def forget(self) -> None:
        """This is a clean stop."""
        await asyncio.to_thread(self._remove)

    def _save(self, wishes: Wishes) -> None:
        with self._file:
            if not self._forgotten:
                durable.replace(self._path, msgspec.json.encode(wishes))

    def _remove(self) -> None:
        with self._file:  # a save that was under way when its task was cancelled comes first
            self._forgotten = True
            self._path.unlink(missing_ok=True)


def _read(path: Path) -> Wishes:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Wanted | str | None])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        logger.warning("%s cannot be read, nothing is restored: %s", path, error)
        return {}
    # Version 0.1.0 wrote down the runner alone.
    return {
        model_id: wanted if isinstance(wanted, Wanted) else Wanted(runner=wanted)
        for model_id, wanted in found.items()
    }
