"""Presets: llama.cpp-compatible INI files with engine flags, and which models use them."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from common.api.base import Change, Command, Event, Role, Struct
from common.api.parameters import EngineKind, Parameter

Sections = dict[str, dict[str, str]]
"""Section (`*`, a model's id, a group such as `qwen*`) → flag without dashes → value."""

Source = Literal["default", "config", "[*]", "group", "model"]
Severity = Literal["error", "warning"]


class Preset(Struct, frozen=True):
    """One preset. `filename` is its file's name without `.ini`.

    `models` are the file's sections. `problem` is there where the file cannot be used as it is, and
    says why; `models` is then empty. `applied_to` is there where models use the preset: their ids,
    or `*` for all that use no other.
    """

    filename: str
    name: str
    description: str
    models: Sections
    problem: str | UnsetType = UNSET
    applied_to: tuple[str, ...] | UnsetType = UNSET


class ListPresets(Struct, frozen=True):
    """All presets; no fields."""


class PresetList(Struct, frozen=True):
    """Every preset, by filename."""

    presets: tuple[Preset, ...]


class ReadPreset(Struct, frozen=True):
    """Which preset to read; a trailing `.ini` is taken off, here and wherever one is named."""

    filename: str


class PresetContent(Struct, frozen=True):
    """One preset with its file's text."""

    filename: str
    name: str
    description: str
    content: str
    models: Sections
    problem: str | UnsetType = UNSET
    applied_to: tuple[str, ...] | UnsetType = UNSET


class SavePreset(Struct, frozen=True):
    """What a preset shall say; it is made where there is none.

    Either `config`: each section of it is written as given, a section that is null is removed, and
    all else of the file stays, comments and order included. Or `content`: the file's whole text.
    `name` and `description` are kept in leading comments; an empty text removes them.
    """

    filename: str
    config: dict[str, dict[str, str] | None] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class SavedPreset(Struct, frozen=True):
    """A preset that is on disk now."""

    filename: str
    saved_at: str


class DeletePreset(Struct, frozen=True):
    """Which preset to delete; models that used it use what is applied to all, from their next load.

    Loaded models keep what they were started with.
    """

    filename: str


class DeletedPreset(Struct, frozen=True):
    """The preset's file is gone."""

    deleted: bool


class GetLlamaParams(Struct, frozen=True):
    """The flags of the engine in use; no fields."""


class LlamaParams(Struct, frozen=True):
    """Every flag, by category. `engine` says who was asked for them: `shipped` where nobody could
    be; `version` is what the engine calls itself.
    """

    parameters: dict[str, tuple[Parameter, ...]]
    engine: EngineKind
    version: str


class ValidateConfig(Struct, frozen=True):
    """A preset to check without saving it: either `config`, or a file's whole text as `content`.

    `filename` is the preset that it is meant for.
    """

    filename: str
    config: dict[str, dict[str, str] | None] | UnsetType = UNSET
    content: str | UnsetType = UNSET


class ConfigFinding(Struct, frozen=True):
    """A remark on a preset. `message` is a sentence; `key` is empty where it is about a section,
    and `section`, too, where it is about the whole.
    """

    section: str
    key: str
    severity: Severity
    message: str


class Validation(Struct, frozen=True):
    """What is wrong with a configuration (`errors`), and what is worth a look (`warnings`).

    Both are sentences that name section and key; `findings` are the same as data.
    """

    valid: bool
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    findings: tuple[ConfigFinding, ...]


class ApplyPreset(Struct, frozen=True):
    """Which models use a preset from their next load, by id; none, or `*`: all of them."""

    filename: str
    models: tuple[str, ...] = ()


class AppliedPreset(Struct, frozen=True):
    """Who uses the preset now: ids, or `*` for all that use no other."""

    filename: str
    applied_to: tuple[str, ...]


class RenamePreset(Struct, frozen=True):
    """A preset's new filename; models that use it use it under that."""

    filename: str
    to: str


class RenamedPreset(Struct, frozen=True):
    """What the preset is called now."""

    filename: str


class ResolvePreset(Struct, frozen=True):
    """Which model with which preset."""

    filename: str
    id: str


class ResolvedValue(Struct, frozen=True):
    """One flag's value and where it comes from.

    `source`: the engine's own `default`, `llama.flags` of `config`, the preset's `[*]`, one of its
    groups, or the model's own section. `section` is the preset's section, where it is one.
    """

    value: str
    source: Source
    section: str | UnsetType = UNSET


class ResolvedPreset(Struct, frozen=True):
    """What a model's engine gets with a preset: every flag by its long name, whichever spelling
    sets it (`no-jinja = true` is `jinja`, false).

    `llama.flags` are the main host's; a joined host has its own.
    """

    filename: str
    id: str
    parameters: dict[str, ResolvedValue]


LIST = Command("presets:list", ListPresets, PresetList, Role.VIEWER, "All presets, by filename.")
READ = Command(
    "presets:read", ReadPreset, PresetContent, Role.VIEWER, "One preset with its file's text."
)
SAVE = Command("presets:save", SavePreset, SavedPreset, Role.OPERATOR, "Create or update a preset.")
DELETE = Command("presets:delete", DeletePreset, DeletedPreset, Role.OPERATOR, "Delete a preset.")
GET_LLAMA_PARAMS = Command(
    "presets:get-llama-params",
    GetLlamaParams,
    LlamaParams,
    Role.VIEWER,
    "Every flag of the engine in use, by category.",
)
VALIDATE_CONFIG = Command(
    "presets:validate-config",
    ValidateConfig,
    Validation,
    Role.VIEWER,
    "Check a configuration without saving it.",
)
APPLY = Command(
    "presets:apply",
    ApplyPreset,
    AppliedPreset,
    Role.OPERATOR,
    "Say which models use a preset from their next load.",
)
RENAME = Command(
    "presets:rename", RenamePreset, RenamedPreset, Role.OPERATOR, "Give a preset another filename."
)
RESOLVE = Command(
    "presets:resolve",
    ResolvePreset,
    ResolvedPreset,
    Role.VIEWER,
    "What a model gets with a preset: each flag with its value and where that comes from.",
)
PRESET = Event(
    "presets:preset",
    Change[Preset],
    "A preset came, changed or went.",
    stream="presets",
    internal=True,
)
