"""All presets as they are on disk, and the table that tells gateways of them.

The disk is the truth: before each answer, and once a second, what has changed there is read. One
change of ours runs after the other, so that of two saves the last one wins whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec

from msgspec import UNSET

from common.api import presets
from common.api.presets import Preset
from common.bus.bus import Bus
from common.errors import PresetNotFound, PresetSaveFailed
from workers.controller.presets import applied as applied_file
from workers.controller.presets.applied import Applied
from workers.controller.presets.ini import Document, IniError
from workers.controller.presets.names import BadName, preset_name
from workers.controller.presets.store import Store, StoredFile, StoreError

logger = logging.getLogger(__name__)

P = ParamSpec("P")

LOOK_S = 1.0
NAME_NOTE = "name"
DESCRIPTION_NOTE = "description"


@dataclass(frozen=True)
class Entry:
    """One preset's file and what it says; `problem` says why it cannot be used."""

    file: StoredFile
    document: Document
    problem: str | None


class Collection:
    """The presets of one directory. `known` is how they were when somebody last looked."""

    def __init__(self, bus: Bus, directory: Path, applied_path: Path) -> None:
        self._table = bus.table(presets.PRESET)
        self._store = Store(directory)
        self._applied_path = applied_path
        self._entries: dict[str, Entry] = {}
        self._changing = asyncio.Lock()
        self._looks_begun = 0
        self._unreadable = False
        self.applied = applied_file.read(applied_path)
        self._told_applied = self.applied

    def use_directory(self, directory: Path) -> None:
        """Another directory holds the presets from now on."""
        self._store = Store(directory)

    async def run(self) -> None:
        """Notice what others write into the directory, until cancelled."""
        await asyncio.to_thread(self._store.sweep)
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Read what has changed on disk. Those who ask while one look is under way share the next
        one: what was there when they asked is in it.
        """
        begun = self._looks_begun
        async with self._changing:
            if self._looks_begun == begun:
                await self._look()

    async def find(self, filename: str) -> tuple[str, Entry]:
        """One preset as it is on disk now, and its name. Raises `PresetNotFound`."""
        await self.look()
        return self._found(filename)

    def knows(self, name: str) -> bool:
        """Whether there was such a preset when somebody last looked."""
        return name in self._entries

    async def save(self, filename: str, change: Callable[[Entry | None], Document]) -> str:
        """Write what `change` makes of the present file (null: there is none); returns the name.

        `change` may block and runs in a thread. Raises `PresetSaveFailed`.
        """
        name = _writable_name(filename)
        async with self._saving():
            document = await asyncio.to_thread(change, self._entries.get(name))
            await self._write(self._store.write, name, str(document))
        return name

    async def delete(self, filename: str) -> str:
        """Remove a preset; nobody uses it any more. Raises `PresetNotFound`, `PresetSaveFailed`."""
        async with self._saving():
            name, _ = self._found(filename)
            await self._write(self._store.delete, name)
            await self._apply(self.applied.without(name))
        return name

    async def rename(self, filename: str, to: str) -> str:
        """Give a preset another name, by which its models use it. Raises as `delete` does."""
        fresh = _writable_name(to)
        async with self._saving():
            name, _ = self._found(filename)
            if fresh != name:
                await self._write(self._store.rename, name, fresh)
                await self._apply(self.applied.renamed(name, fresh))
        return fresh

    async def apply(self, filename: str, model_ids: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """Have models use a preset, or all of them where none is named; (name, who uses it)."""
        async with self._saving():
            name, _ = self._found(filename)
            after = self.applied.to_some(name, model_ids)
            await self._apply(after if model_ids else self.applied.to_all(name))
        return name, self.applied.users(name)

    @asynccontextmanager
    async def _saving(self) -> AsyncIterator[None]:
        async with self._changing:
            await self._look()
            try:
                yield
            finally:
                await self._look()

    async def _write(self, write: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await asyncio.to_thread(write, *args, **kwargs)
        except StoreError as error:
            raise PresetSaveFailed(str(error), {"reason": error.reason}) from error

    async def _apply(self, after: Applied) -> None:
        if after == self.applied:
            return
        try:
            await asyncio.to_thread(applied_file.write, self._applied_path, after)
        except OSError as error:
            raise PresetSaveFailed(
                f"which models use which preset could not be written: {error.strerror}",
                {"reason": "disk"},
            ) from error
        self.applied = after

    async def _look(self) -> None:
        self._looks_begun += 1
        known = {name: entry.file for name, entry in self._entries.items()}
        try:
            files = await asyncio.to_thread(self._store.look, known)
        except OSError as error:
            if not self._unreadable:
                logger.warning("the presets cannot be read and stay as they were: %s", error)
            self._unreadable = True
            return
        self._unreadable = False
        for name in self._entries.keys() - files.keys():
            del self._entries[name]
            self._table.remove(name)
        for name, file in files.items():
            before = self._entries.get(name)
            if before is None or before.file is not file:
                self._entries[name] = await asyncio.to_thread(_entry, file)
            elif self._told_applied is self.applied:
                continue
            self._table.put(name, self.row(name, self._entries[name]))
        self._told_applied = self.applied

    def rows(self) -> tuple[Preset, ...]:
        """All presets as they were when somebody last looked, by name."""
        return tuple(self.row(name, self._entries[name]) for name in sorted(self._entries))

    def row(self, name: str, entry: Entry) -> Preset:
        """A preset as lists show it."""
        return Preset(
            filename=name,
            name=entry.document.note(NAME_NOTE) or name,
            description=entry.document.note(DESCRIPTION_NOTE) or "",
            models=entry.document.sections,
            problem=entry.problem or UNSET,
            applied_to=self.applied.users(name) or UNSET,
        )

    def _found(self, filename: str) -> tuple[str, Entry]:
        try:
            name = preset_name(filename)
        except BadName as error:
            raise PresetNotFound(str(error), {"filename": filename[:200]}) from error
        entry = self._entries.get(name)
        if entry is None:
            raise PresetNotFound(
                f"there is no preset '{name}'; presets:list gives all", {"filename": name}
            )
        return name, entry


def _writable_name(filename: str) -> str:
    try:
        return preset_name(filename)
    except BadName as error:
        raise PresetSaveFailed(
            str(error), {"reason": "name", "filename": filename[:200]}
        ) from error


def _entry(file: StoredFile) -> Entry:
    if file.problem is not None:
        return Entry(file, Document(), file.problem)
    try:
        return Entry(file, Document.parse(file.text), None)
    except IniError as error:
        return Entry(file, Document(), str(error))
