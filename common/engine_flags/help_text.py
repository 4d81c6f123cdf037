"""Reads llama-server's `--help`: each flag with its spellings, its type and what is said of it.

The layout is that of llama.cpp's common/arg.cpp: `----- common params -----` begins a section; an
entry begins at the left edge with its spellings and the form of its value, and its text stands from
column 40 on, in the same line or in those that follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from common.api.parameters import Parameter, RemovedFlag
from common.engine_flags.categories import category_of
from common.engine_flags.numbers import range_of
from common.engine_flags.value_forms import ValueForm, value_form
from common.engine_flags.words import bare

LONGEST_HELP = 1024 * 1024
"""Characters that are read of a help; llama.cpp's has some 60,000."""
_LONGEST_LINE = 2000

_HEADING = re.compile(r"-{3,} *([a-z][a-z-]*)[^-]*-{3,}")
_ENTRY = re.compile(
    r"(?P<spellings>-[^\s,]+(?:, +-[^\s,]+)*)"
    # The value's form may hold single blanks: `<tensor name pattern>=<buffer type>,...`.
    r"(?: (?P<value>[^ ](?:[^ ]| (?! ))*))?"
    r"(?: {2,}(?P<text>.*))?"
)
_ENV = re.compile(r"\(env: ([A-Z][A-Z0-9_]*)\)")
_MORE = re.compile(r"\s*\[\([^)]*\)\]\([^)]*\)")
_REMOVED = re.compile(r"(?:argument|option|flag) has been removed\b[.;,: ]*(.*)", re.IGNORECASE)
_FLAGS_OF_LLAMA_CPP = frozenset({"model", "ctx-size", "host", "port"})

# Where the last long form is not the name that people know.
_PREFERRED = frozenset({"temp", "typical", "ctx-checkpoints", "verbosity", "verbose", "help"})
_PREFERRED_PREFIXES = ("spec-", "ui")


@dataclass(frozen=True)
class HelpText:
    """What a help says: flags in its order, and those that it calls removed.

    `sections` has each flag's heading by its first word: common, sampling, speculative or
    example-specific.
    """

    parameters: tuple[Parameter, ...]
    removed: tuple[RemovedFlag, ...]
    sections: Mapping[str, str]

    @property
    def is_llama_cpp(self) -> bool:
        """Whether this is the help of a llama.cpp server at all."""
        return {parameter.name for parameter in self.parameters} >= _FLAGS_OF_LLAMA_CPP


@dataclass
class _Entry:
    section: str
    spellings: list[str]
    value: str
    lines: list[str] = field(default_factory=list)


def parse_help(text: str) -> HelpText:
    """The flags of a help; what does not look like one is stepped over, nothing is raised.

    Of two entries with the same name the first counts. Which flags are reserved is not decided
    here.
    """
    parameters: dict[str, Parameter] = {}
    sections: dict[str, str] = {}
    removed: list[RemovedFlag] = []
    for entry in _entries(text[:LONGEST_HELP]):
        said = " ".join(" ".join(entry.lines).split())
        if gone := _REMOVED.search(said):
            names = tuple(bare(spelling) for spelling in entry.spellings)
            removed.append(RemovedFlag(names=names, advice=_without_env(gone[1])))
            continue
        parameter = _parameter(entry, said)
        parameters.setdefault(parameter.name, parameter)
        sections.setdefault(parameter.name, entry.section)
    return HelpText(tuple(parameters.values()), tuple(removed), sections)


def _entries(text: str) -> Iterator[_Entry]:
    section = ""
    entry: _Entry | None = None
    for line in text.splitlines():
        line = line[:_LONGEST_LINE].rstrip()
        if heading := _HEADING.fullmatch(line):
            section = heading[1]
        elif line.startswith("-") and (found := _ENTRY.fullmatch(line)):
            if entry:
                yield entry
            spellings = re.split(r", +", found["spellings"])
            entry = _Entry(section, spellings, found["value"] or "")
            entry.lines.append(found["text"] or "")
        elif entry and line.startswith(" "):
            entry.lines.append(line.strip())
    if entry:
        yield entry


def _parameter(entry: _Entry, said: str) -> Parameter:
    positives, negatives = _split(entry.spellings)
    name = _canonical(positives)
    form = value_form(name, entry.value, entry.lines, said)
    env = _ENV.search(said)
    return Parameter(
        name=name,
        type=form.type,
        # A switch that cannot be switched off is off unless it is given.
        default=form.default or ("false" if form.type == "bool" and not negatives else ""),
        description=_description(said, form),
        category=category_of(name, entry.section),
        choices=form.choices,
        range=range_of(name) if form.type in ("int", "float") else None,
        env=env[1] if env else None,
        aliases=_others(positives, name),
        negations=_others(negatives, name),
    )


def _split(spellings: list[str]) -> tuple[list[str], list[str]]:
    """Spellings that switch on, and those that switch off (`-nkvo, --no-kv-offload`).

    In help those that switch off come last, each group with its short forms first.
    """
    if not spellings[-1].startswith("--no-") or spellings[0].startswith("--no-"):
        return spellings, []
    seen_long = False
    for index, spelling in enumerate(spellings):
        if seen_long and (spelling.startswith(("--no-", "-no-")) or spelling[:2] != "--"):
            return spellings[:index], spellings[index:]
        seen_long = seen_long or spelling.startswith("--")
    return spellings, []


def _canonical(spellings: list[str]) -> str:
    names = [bare(spelling) for spelling in spellings if spelling.startswith("--")]
    for name in names:
        if name in _PREFERRED or name.startswith(_PREFERRED_PREFIXES):
            return name
    return names[-1] if names else bare(spellings[-1])


def _others(spellings: list[str], name: str) -> tuple[str, ...]:
    return tuple(other for spelling in spellings if (other := bare(spelling)) != name)


def _description(said: str, form: ValueForm) -> str:
    text = _without_env(_MORE.sub("", said))
    if form.default_phrase:
        text = text.replace(form.default_phrase, "")
    return " ".join(text.split())


def _without_env(text: str) -> str:
    return _ENV.sub("", text).strip()
