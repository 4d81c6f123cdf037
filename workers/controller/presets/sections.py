"""Which sections of a preset a model heeds, and what that makes of its flags. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from common.engine_flags.catalogue import Catalogue
from common.engine_flags.layers import stacked

EVERY_MODEL = "*"

PRESET_ONLY = frozenset({"load-on-startup", "stop-timeout", "dedup-cache-models"})
"""Keys that llama.cpp's own router heeds and that are no flags of an engine (its README)."""

Kind = Literal["[*]", "group", "model"]
Source = Literal["default", "config", "[*]", "group", "model"]


class Layer(NamedTuple):
    """One section that a model heeds."""

    kind: Kind
    section: str
    entries: Mapping[str, str]


class Resolved(NamedTuple):
    """One flag of a model: its spelling and value where it is set, and where that is."""

    key: str
    value: str
    source: Source
    section: str | None


def is_group(section: str) -> bool:
    """Whether a section is for all models whose ids match it: `qwen*`, `coder-?b`."""
    return section != EVERY_MODEL and ("*" in section or "?" in section)


def in_group(model_id: str, group: str) -> bool:
    """Whether a model belongs to a group: `*` is any text, `/` included, `?` one character."""
    return fnmatchcase(model_id, group.replace("[", "[[]"))  # a header cannot hold [a-z]


def layers(model_id: str, sections: Mapping[str, Mapping[str, str]]) -> list[Layer]:
    """The sections for a model, weakest first: `*`, groups in the file's order, its own."""
    found = []
    if EVERY_MODEL in sections:
        found.append(Layer("[*]", EVERY_MODEL, sections[EVERY_MODEL]))
    found += [
        Layer("group", section, entries)
        for section, entries in sections.items()
        if is_group(section) and in_group(model_id, section)
    ]
    if model_id in sections and model_id != EVERY_MODEL and not is_group(model_id):
        found.append(Layer("model", model_id, sections[model_id]))
    return found


def entries(
    model_id: str, sections: Mapping[str, Mapping[str, str]], catalogue: Catalogue
) -> dict[str, Resolved]:
    """What a preset says of a model, by canonical name, preset-only keys included."""
    heeded = layers(model_id, sections)
    chosen = stacked((layer.entries for layer in heeded), catalogue)
    return {
        name: Resolved(each.key, each.value, heeded[each.layer].kind, heeded[each.layer].section)
        for name, each in chosen.items()
    }


def engine_flags(resolved: Mapping[str, Resolved]) -> dict[str, str]:
    """What an engine is given of it: each flag as it is spelled in the file."""
    return {each.key: each.value for each in engine_only(resolved).values()}


def with_lower_layers(
    resolved: Mapping[str, Resolved], config: Mapping[str, str], catalogue: Catalogue
) -> dict[str, Resolved]:
    """What a preset says, above `llama.flags`, above the engine's own defaults."""
    lowest: dict[str, Resolved] = {
        parameter.name: Resolved(parameter.name, parameter.default, "default", None)
        for parameter in catalogue.parameters
        if not parameter.reserved
    }
    configured = {
        name: Resolved(each.key, each.value, "config", None)
        for name, each in stacked([config], catalogue).items()
    }
    return {**lowest, **configured, **engine_only(resolved)}


def by_section(resolved: Mapping[str, Resolved]) -> dict[str, dict[str, str]]:
    """The flags as they stand in the file."""
    found: dict[str, dict[str, str]] = {}
    for each in resolved.values():
        found.setdefault(each.section or EVERY_MODEL, {})[each.key] = each.value
    return found


def engine_only(resolved: Mapping[str, Resolved]) -> dict[str, Resolved]:
    """Without the keys that are no flags of an engine."""
    return {name: each for name, each in resolved.items() if name not in PRESET_ONLY}


def groups(sections: Iterable[str], model_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Each group with the models in it."""
    known = tuple(model_ids)
    return {
        section: tuple(model_id for model_id in known if in_group(model_id, section))
        for section in sections
        if is_group(section)
    }
