"""presets:list, read, save, delete, get-llama-params, validate-config, apply, rename, resolve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import msgspec
from msgspec import UNSET

from common import timestamps
from common.api import presets
from common.api.presets import (
    AppliedPreset,
    ApplyPreset,
    ConfigFinding,
    DeletedPreset,
    DeletePreset,
    GetLlamaParams,
    ListPresets,
    LlamaParams,
    PresetContent,
    PresetList,
    ReadPreset,
    RenamedPreset,
    RenamePreset,
    ResolvedPreset,
    ResolvedValue,
    ResolvePreset,
    SavedPreset,
    SavePreset,
    ValidateConfig,
    Validation,
)
from common.bus.bus import Bus
from common.errors import ModelNotFound, PresetSaveFailed
from common.live_settings import LiveSettings
from workers.controller.fleet import Fleet
from workers.controller.presets import checks, sections
from workers.controller.presets.catalogues import Catalogues, Described
from workers.controller.presets.collection import Collection, Entry
from workers.controller.presets.edit import proposed, refuse_contradictory
from workers.controller.presets.ini import Document, IniError
from workers.controller.presets.names import BadName, preset_name
from workers.controller.presets.surroundings import Surroundings


class PresetCommands:
    """Answers for clients; gateways answer presets:list from their own copy of the table."""

    def __init__(
        self,
        bus: Bus,
        fleet: Fleet,
        collection: Collection,
        catalogues: Catalogues,
        surroundings: Surroundings,
        live: LiveSettings,
    ) -> None:
        self._fleet = fleet
        self._collection = collection
        self._catalogues = catalogues
        self._surroundings = surroundings
        self._live = live
        bus.serve(presets.LIST, self.list)
        bus.serve(presets.READ, self.read)
        bus.serve(presets.SAVE, self.save)
        bus.serve(presets.DELETE, self.delete)
        bus.serve(presets.RENAME, self.rename)
        bus.serve(presets.APPLY, self.apply)
        bus.serve(presets.RESOLVE, self.resolve)
        bus.serve(presets.GET_LLAMA_PARAMS, self.get_llama_params)
        bus.serve(presets.VALIDATE_CONFIG, self.validate_config)

    async def list(self, _request: ListPresets) -> PresetList:
        """Every preset as it is on disk: for a gateway whose copy is not there yet."""
        await self._collection.look()
        return PresetList(presets=self._collection.rows())

    async def read(self, request: ReadPreset) -> PresetContent:
        """One preset with its text as it is on disk."""
        name, entry = await self._collection.find(request.filename)
        row = self._collection.row(name, entry)
        fields = {field: getattr(row, field) for field in row.__struct_fields__}
        return PresetContent(content=entry.file.text, **fields)

    async def save(self, request: SavePreset) -> SavedPreset:
        """Check, then write. Raises `PresetSaveFailed` with all findings, and writes nothing."""
        refuse_contradictory(request, presets.SAVE.name)
        described = await self._catalogues.in_use()
        check = partial(
            checks.check, catalogue=described.catalogue, facts=self._surroundings.facts()
        )

        def change(before: Entry | None) -> Document:
            return _changed(request, before, check)

        name = await self._collection.save(request.filename, change)
        return SavedPreset(filename=name, saved_at=timestamps.now())

    async def delete(self, request: DeletePreset) -> DeletedPreset:
        """Remove the file."""
        await self._collection.delete(request.filename)
        return DeletedPreset(deleted=True)

    async def rename(self, request: RenamePreset) -> RenamedPreset:
        """Give the file another name."""
        return RenamedPreset(filename=await self._collection.rename(request.filename, request.to))

    async def apply(self, request: ApplyPreset) -> AppliedPreset:
        """Remember who uses the preset from the next load on."""
        chosen = () if sections.EVERY_MODEL in request.models else request.models
        for model_id in chosen:
            self._refuse_unknown(model_id)
        name, users = await self._collection.apply(request.filename, chosen)
        return AppliedPreset(filename=name, applied_to=users)

    async def resolve(self, request: ResolvePreset) -> ResolvedPreset:
        """Every flag of a model with a preset, and where it comes from."""
        self._refuse_unknown(request.id)
        name, entry = await self._collection.find(request.filename)
        described = await self._catalogue_for(request.id)
        catalogue = described.catalogue
        resolved = sections.with_lower_layers(
            sections.entries(request.id, entry.document.sections, catalogue),
            self._live.current.llama.flags,
            catalogue,
        )
        return ResolvedPreset(
            filename=name,
            id=request.id,
            parameters={
                flag: ResolvedValue(
                    value=catalogue.canonical(each.key, each.value)[1],
                    source=each.source,
                    section=each.section or UNSET,
                )
                for flag, each in resolved.items()
            },
        )

    async def get_llama_params(self, _request: GetLlamaParams) -> LlamaParams:
        """Every flag of the engine in use."""
        described = await self._catalogues.in_use()
        return LlamaParams(
            parameters=described.catalogue.by_category(),
            engine=described.kind,
            version=described.version,
        )

    async def validate_config(self, request: ValidateConfig) -> Validation:
        """All remarks; nothing is written."""
        refuse_contradictory(request, presets.VALIDATE_CONFIG.name)
        described = await self._catalogues.in_use()
        findings = await asyncio.to_thread(
            _findings,
            request,
            partial(checks.check, catalogue=described.catalogue, facts=self._surroundings.facts()),
        )
        try:
            preset_name(request.filename)
        except BadName as error:
            findings = (checks.about_the_whole(str(error)), *findings)
        wrong = checks.errors(findings)
        return Validation(
            valid=not wrong,
            errors=tuple(finding.message for finding in wrong),
            warnings=tuple(
                finding.message for finding in findings if finding.severity == "warning"
            ),
            findings=findings,
        )

    async def _catalogue_for(self, model_id: str) -> Described:
        found = self._fleet.file(model_id)
        if found is None:
            return await self._catalogues.in_use()
        return await self._catalogues.ask(found.scanner)

    def _refuse_unknown(self, model_id: str) -> None:
        if self._fleet.file(model_id) is None:
            raise ModelNotFound(
                f"there is no model '{model_id[:200]}'; models:list gives all ids",
                {"id": model_id[:200]},
            )


def _findings(
    request: ValidateConfig, check: Callable[[checks.Config], tuple[ConfigFinding, ...]]
) -> tuple[ConfigFinding, ...]:
    """All remarks. Blocks, as `check` does."""
    if request.content is UNSET:
        return check(request.config or {})
    try:
        return check(Document.parse(request.content).sections)
    except IniError as error:
        return (checks.about_the_whole(str(error)),)


def _changed(
    request: SavePreset,
    before: Entry | None,
    check: Callable[[checks.Config], tuple[ConfigFinding, ...]],
) -> Document:
    """What the file shall be. Blocks, as `check` does. Raises `PresetSaveFailed`."""
    after, findings = proposed(request, before)
    if after is not None:
        present = before.document.sections if before is not None else {}
        findings = check(checks.changed(present, after.sections))
    wrong = checks.errors(findings)
    if after is None or wrong:
        raise PresetSaveFailed(
            f"the preset is not saved: {checks.sentences(wrong)}",
            {
                "reason": "invalid",
                "findings": [msgspec.to_builtins(finding) for finding in findings],
            },
        )
    return after
