"""Whether a preset's configuration is right for an engine: errors, and warnings. Pure.

The caller's rule for paths may ask the disk (`Facts.refuse_path`); nothing else does. Keys of a
preset file that are no flags (`version`, `stop-timeout`) are the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from common.engine_flags.advice import advise
from common.engine_flags.catalogue import Catalogue
from common.engine_flags.facts import EVERY_MODEL, Facts, ModelFacts
from common.engine_flags.reserved import reserved_reason
from common.engine_flags.spellings import nearest
from common.engine_flags.values import shown, value_problem

__all__ = ["Facts", "Finding", "Findings", "ModelFacts", "validate"]

Severity = Literal["error", "warning"]
Config = Mapping[str, Mapping[str, str]]

MAX_FINDINGS = 500
"""Nobody reads more, and an answer has to stay within what a client takes."""
_MAX_SUGGESTIONS = 20


class Finding(NamedTuple):
    """One remark. `message` is a sentence that names section and key; `key` may be empty."""

    section: str
    key: str
    severity: Severity
    message: str


@dataclass(frozen=True)
class Findings:
    """All remarks, in the order of the configuration, errors of a section before its warnings."""

    all: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What must be put right before the configuration can be used."""
        return tuple(finding for finding in self.all if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What may be meant, but is worth a look."""
        return tuple(finding for finding in self.all if finding.severity == "warning")


def validate(config: Config, catalogue: Catalogue, facts: Facts) -> Findings:
    """Remarks on a preset's sections (`*`, model ids, groups) and their flags.

    Takes any texts and raises nothing of its own. Beyond `MAX_FINDINGS` remarks are left out.
    """
    check = _Check(config, catalogue, facts)
    return Findings(tuple(islice(check.findings(), MAX_FINDINGS)))


def flag_problems(
    flags: Mapping[str, str], catalogue: Catalogue, facts: Facts
) -> Iterator[tuple[str, str]]:
    """Each wrong flag with what is wrong, as the errors of `validate` without section and key."""
    check = _Check({EVERY_MODEL: flags}, catalogue, facts)
    for key, value in flags.items():
        if problem := check.problem(key, value):
            yield key, problem


class _Check:
    """One run over a configuration."""

    def __init__(self, config: Config, catalogue: Catalogue, facts: Facts) -> None:
        self._config = config
        self._catalogue = catalogue
        self._facts = facts
        self._suggestions_left = _MAX_SUGGESTIONS

    def findings(self) -> Iterator[Finding]:
        right: dict[str, dict[str, str]] = {}
        keys: dict[str, dict[str, str]] = {}
        for section, entries in self._config.items():
            yield from self._section(section)
            right[section], keys[section] = {}, {}
            for key, value in entries.items():
                name, meant = self._catalogue.canonical(key, value)
                if problem := self.problem(key, value):
                    yield _finding(section, key, "error", problem)
                elif name in keys[section]:
                    first = shown(keys[section][name])
                    problem = f"it sets the same flag as {first}; which one counts is not certain"
                    yield _finding(section, key, "warning", problem)
                else:
                    right[section][name], keys[section][name] = meant, key
        for section in right:
            for name, message in advise(section, right, self._facts):
                key = keys[section].get(name, name)
                yield _finding(section, key, "warning", message)

    def _section(self, section: str) -> Iterator[Finding]:
        models, groups = self._facts.models, self._facts.groups
        if models is None or section == EVERY_MODEL or section in models or section in groups:
            return
        near = self._suggest(section, models)
        problem = f"there is no model or group of this name{near}; * is for all models"
        yield _finding(section, "", "error", problem)

    def problem(self, key: str, value: str) -> str | None:
        """Why one flag may not be set like this; None where it may."""
        parameter = self._catalogue.find(key)
        if parameter is None:
            return self._unknown(key, value)
        if reason := reserved_reason(parameter):
            return f"it cannot be set here, since {reason}"
        return value_problem(parameter, value, self._facts.refuse_path)

    def _unknown(self, key: str, value: str) -> str:
        if successor := self._catalogue.successor(key):
            return f"the flag has been removed from llama.cpp; use {successor}"
        if reason := reserved_reason(key, value):
            return f"it cannot be set here, since {reason}"
        near = self._suggest(key, self._catalogue.spellings)
        return f"the engine has no such flag{near}"

    def _suggest(self, word: str, known: Iterable[str]) -> str:
        """Looking for a near word takes milliseconds, so only so many are looked for."""
        if self._suggestions_left <= 0:
            return ""
        self._suggestions_left -= 1
        near = nearest(word, known)
        return f"; did you mean {near}?" if near else ""


def _finding(section: str, key: str, severity: Severity, problem: str) -> Finding:
    where = f"[{shown(section)[1:-1]}]" + (f" {shown(key)[1:-1]}" if key else "")
    return Finding(section, key, severity, f"{where}: {problem}")
