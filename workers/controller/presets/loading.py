"""Which preset a model is loaded with, and what that gives its engine."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from common.api.presets import ConfigFinding
from common.engine_flags.words import TRUE_WORDS
from common.errors import ModelLoadFailed, PresetNotFound
from workers.controller.presets import checks, sections
from workers.controller.presets.catalogues import Catalogues, Described
from workers.controller.presets.collection import Collection, Entry
from workers.controller.presets.sections import Resolved
from workers.controller.presets.surroundings import Surroundings

logger = logging.getLogger(__name__)

FALLBACK = "default"
"""The preset of models for which nobody has chosen one, where there is such a file."""

LOAD_ON_STARTUP = "load-on-startup"

Findings = tuple[ConfigFinding, ...]


class ModelPresets:
    """What the lives of models ask about presets."""

    def __init__(
        self, collection: Collection, catalogues: Catalogues, surroundings: Surroundings
    ) -> None:
        self._collection = collection
        self._catalogues = catalogues
        self._surroundings = surroundings

    async def learn(self) -> None:
        """Have a first look at the presets, before anybody chooses one."""
        await self._collection.look()

    async def choose(self, model_id: str, named: str | None) -> str | None:
        """The preset to load a model with: the one that is named, else the one that was applied to
        it or to all, else `default`; null where there is none of that name.

        Raises `PresetNotFound` where somebody has chosen one that is not there. Nothing is waited
        for where the preset is known: loads and unloads take effect in the order of asking.
        """
        wanted = named if named is not None else self._collection.applied.of(model_id)
        if wanted is None:
            return FALLBACK if self._collection.knows(FALLBACK) else None
        if self._collection.knows(wanted):
            return wanted
        name, _ = await self._collection.find(wanted)
        return name

    async def remembered(self, model_id: str, preset: str | None) -> str | None:
        """The preset to load a model with again; where it is gone, one as if chosen anew."""
        for wanted in (preset, None):
            try:
                return await self.choose(model_id, wanted)
            except PresetNotFound as error:
                logger.warning("%s is loaded without the preset it had: %s", model_id, error)
        return None

    async def wants_load(self, model_id: str) -> bool:
        """Whether the preset that a model uses says that it shall be loaded at the start."""
        try:
            preset = await self.choose(model_id, None)
            if preset is None:
                return False
            _, entry = await self._collection.find(preset)
        except PresetNotFound:
            return False
        said = sections.entries(model_id, entry.document.sections, self._catalogues.shipped)
        wish = said.get(LOAD_ON_STARTUP)
        return wish is not None and wish.value in TRUE_WORDS

    async def flags(self, model_id: str, preset: str | None, runner: str) -> dict[str, str]:
        """What a preset has a model's engine started with, spelled as in the file.

        `runner` is one that can open the model: its engine is taken to be the one that starts.
        Raises `ModelLoadFailed` where the preset has errors, `PresetNotFound` where it has gone.
        """
        if preset is None:
            return {}
        name, entry = await self._collection.find(preset)
        if entry.problem is not None:
            raise ModelLoadFailed(
                f"the preset '{name}' cannot be used: {entry.problem}",
                {"reason": "preset_unusable", "preset": name},
            )
        described = self._catalogues.known(runner)
        resolved, wrong = await self._checked(model_id, entry, described)
        if wrong:
            # The engine may be another one by now than when its runner was asked.
            described = await self._catalogues.ask(runner)
            resolved, wrong = await self._checked(model_id, entry, described)
        if wrong:
            raise ModelLoadFailed(
                f"the preset '{name}' has errors: {checks.sentences(wrong)}",
                {
                    "reason": "preset_invalid",
                    "preset": name,
                    "findings": [msgspec.to_builtins(finding) for finding in wrong],
                },
            )
        return sections.engine_flags(resolved)

    async def _checked(
        self, model_id: str, entry: Entry, described: Described
    ) -> tuple[dict[str, Resolved], Findings]:
        """What a preset says of a model, and what is wrong with that.

        Where no engine has told its flags, one that is not known may be new: only what is reserved
        is an error then.
        """
        catalogue = described.catalogue
        resolved = sections.engine_only(
            sections.entries(model_id, entry.document.sections, catalogue)
        )
        told = described.kind != "shipped"
        judged = {key: each for key, each in resolved.items() if told or catalogue.find(key)}
        facts = self._surroundings.facts()
        found = await asyncio.to_thread(checks.check, sections.by_section(judged), catalogue, facts)
        unknown = {key: each for key, each in resolved.items() if key not in judged}
        return resolved, (*checks.errors(found), *checks.reserved(sections.by_section(unknown)))
