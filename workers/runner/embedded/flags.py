"""What a flag of the embedded engine is, and how a command line of them is read.

llama-server builds its parameters from a command line; the wheel has no such parser and starts from
parameters that are already filled in. So the flags are written down once more, under the same
names: one row each in table.py, made by the constructors of rows.py. All three import next to
nothing, since every start of an engine waits for it; the runner, too, reads the table, without
loading llama.cpp.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["boolean", "integer", "number", "string", "path", "enum", "list"]
Section = Literal["common", "sampling", "speculative", "server"]

_HEADINGS: Mapping[Section, str] = {
    "common": "common params",
    "sampling": "sampling params",
    "speculative": "speculative params",
    "server": "example-specific params",
}
_HELP_COLUMN = 40
_HELP_WIDTH = 78


class BadArgument(Exception):
    """A command line that the engine refuses; the message is worded as llama-server's."""


@dataclass(frozen=True)
class Flag:
    """One flag.

    `names` and `negations` are as typed, with dashes, the canonical long form last. `value_name` is
    how help writes the value; None marks a switch, which takes none. `variable` is the name by
    which llama.cpp's preset files may also call it (`LLAMA_ARG_…`). `default` is what holds without
    the flag, as text. `parse` turns the typed value into what `apply(params, value, library)`
    stores in `xllamacpp.CommonParams` (a switch is applied with True, a negation with False);
    `library` is the xllamacpp module, for its enums.
    """

    names: tuple[str, ...]
    negations: tuple[str, ...]
    value_name: str | None
    variable: str | None
    kind: Kind
    choices: tuple[str, ...]
    default: str
    summary: str
    section: Section
    parse: Callable[[str], Any]
    apply: Callable[[Any, Any, Any], None]

    @property
    def name(self) -> str:
        """The canonical name without dashes: what a preset file calls it."""
        return self.names[-1].lstrip("-")


@dataclass(frozen=True)
class Setting:
    """One flag of a command line with its parsed value."""

    flag: Flag
    value: Any


def parse(arguments: Sequence[str], table: Iterable[Flag]) -> list[Setting]:
    """The settings of a command line in order; of a repeated flag the last one is to win.

    Raises `BadArgument` for what llama-server would refuse too, in the same words.
    """
    known = {name: (flag, True) for flag in table for name in flag.names}
    known |= {name: (flag, False) for flag in table for name in flag.negations}
    settings: list[Setting] = []
    remaining = iter(arguments)
    for argument in remaining:
        # llama.cpp reads --ctx_size as --ctx-size.
        name = argument.replace("_", "-") if argument.startswith("--") else argument
        if name not in known:
            raise BadArgument(f"error: invalid argument: {name}")
        flag, positive = known[name]
        if flag.value_name is None:
            settings.append(Setting(flag, positive))
            continue
        try:
            settings.append(Setting(flag, flag.parse(_value(remaining))))
        except ValueError as error:
            raise BadArgument(
                f'error while handling argument "{name}": {error}\n\n'
                f"usage:\n{describe(flag)}\n\nto show complete usage, run with -h"
            ) from error
    return settings


def describe(flag: Flag) -> str:
    """A flag's entry in the help: its forms on the left, its explanation from column 40 on."""
    forms = ", ".join(flag.names + flag.negations)
    head = f"{forms} {flag.value_name}" if flag.value_name else forms
    body = textwrap.wrap(f"{flag.summary} (default: {flag.default})", _HELP_WIDTH)
    lines = [" " * _HELP_COLUMN + line for line in body]
    if len(head) < _HELP_COLUMN:
        lines[0] = head + lines[0][len(head) :]
        return "\n".join(lines)
    return "\n".join([head, *lines])


def usage(table: Sequence[Flag]) -> str:
    """The whole help, in llama-server's sections and layout, so that one reader serves both."""
    sections = []
    for section, heading in _HEADINGS.items():
        entries = [describe(flag) for flag in table if flag.section == section]
        sections.append("\n".join([f"----- {heading} -----", "", *entries]))
    return "\n\n\n".join(sections)


def _value(remaining: Iterable[str]) -> str:
    for argument in remaining:
        return argument
    raise ValueError("expected value for argument")
