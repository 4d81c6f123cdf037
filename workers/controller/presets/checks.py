"""What is wrong with a preset's configuration, before it is saved or used. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from common.api.presets import ConfigFinding
from common.engine_flags.catalogue import Catalogue
from common.engine_flags.reserved import reserved_reason
from common.engine_flags.validation import Facts, validate
from workers.controller.presets.ini import writable_problem
from workers.controller.presets.sections import PRESET_ONLY, groups

Config = Mapping[str, Mapping[str, str] | None]

MAX_NOTE_CHARACTERS = 500
MAX_SECTIONS = 500
"""That one request may change; a file may have more."""
_SECONDS = re.compile(r"[0-9]{1,9}")
_SWITCH = re.compile(r"on|enabled|true|1|off|disabled|false|0")


def check(config: Config, catalogue: Catalogue, facts: Facts) -> tuple[ConfigFinding, ...]:
    """All remarks on a configuration, in its order; its groups are found out here. May look at
    files: blocks.
    """
    problems = tuple(unwritable(config))
    if len(config) > MAX_SECTIONS:
        return problems
    wrong = {(finding.section, finding.key) for finding in problems}
    flags = {
        section: {
            key: value
            for key, value in entries.items()
            if (section, key) not in wrong and key not in PRESET_ONLY
        }
        for section, entries in config.items()
        if entries is not None and (section, "") not in wrong
    }
    facts = replace(facts, groups=groups(config, facts.models or ()))
    remarks = (
        ConfigFinding(
            section=remark.section,
            key=remark.key,
            # A section for a model that is not here is no error: its file may still come.
            severity=remark.severity if remark.key else "warning",
            message=remark.message,
        )
        for remark in validate(flags, catalogue, facts).all
    )
    return (*problems, *_preset_only(config), *remarks)


def errors(findings: Iterable[ConfigFinding]) -> tuple[ConfigFinding, ...]:
    """What must be put right."""
    return tuple(finding for finding in findings if finding.severity == "error")


def reserved(config: Config) -> tuple[ConfigFinding, ...]:
    """What may not be set whatever the engine knows."""
    return tuple(
        _error(section, key, f"it cannot be set here, since {reason}")
        for section, entries in config.items()
        for key, value in (entries or {}).items()
        if (reason := reserved_reason(key, value)) is not None
    )


def sentences(findings: Iterable[ConfigFinding]) -> str:
    """All of it for people, on one line."""
    return "; ".join(finding.message for finding in findings)


def changed(
    before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]
) -> dict[str, Mapping[str, str]]:
    """The sections that say something else than before.

    What others have written for another program (a `model = …` for llama.cpp's router) may stay.
    """
    return {name: entries for name, entries in after.items() if before.get(name) != entries}


def unwritable(config: Config) -> Iterator[ConfigFinding]:
    """What llama.cpp's format has no form for, or is too much at a time."""
    if len(config) > MAX_SECTIONS:
        yield about_the_whole(f"{len(config)} sections are more than {MAX_SECTIONS} at a time")
        return
    for section, entries in config.items():
        if problem := writable_problem(section):
            yield _error(section, "", problem)
        for key, value in (entries or {}).items():
            if problem := writable_problem(section, key, value):
                yield _error(section, key, problem)


def note_problem(field: str, text: str) -> ConfigFinding | None:
    """Why a text cannot be kept in a leading comment; null where it can."""
    if text and not text.isprintable():
        return about_the_whole(f"{field} is one line without control characters")
    if len(text) > MAX_NOTE_CHARACTERS:
        return about_the_whole(f"{field} has at most {MAX_NOTE_CHARACTERS} characters")
    return None


def about_the_whole(problem: str) -> ConfigFinding:
    """An error that no section has for itself."""
    return ConfigFinding(section="", key="", severity="error", message=problem)


def _preset_only(config: Config) -> Iterator[ConfigFinding]:
    for section, entries in config.items():
        for key, value in (entries or {}).items():
            if key not in PRESET_ONLY:
                continue
            if key == "stop-timeout":
                if not _SECONDS.fullmatch(value):
                    yield _error(section, key, "it is a number of seconds")
            elif not _SWITCH.fullmatch(value):
                yield _error(section, key, "it is true or false")


def _error(section: str, key: str, problem: str) -> ConfigFinding:
    where = f"[{section[:100]}] {key[:100]}".rstrip()
    return ConfigFinding(section=section, key=key, severity="error", message=f"{where}: {problem}")
