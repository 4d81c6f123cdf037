"""Whether one value fits one flag, and what to say where it does not."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from common.api.parameters import Parameter
from common.engine_flags.numbers import misfit
from common.engine_flags.paths import paths_in
from common.engine_flags.words import FALSE_WORDS, TRUE_WORDS, is_decimal, is_whole

PathRule = Callable[[str], str | None]
"""Says why a path may not be given to an engine; None where it may."""

LONGEST_VALUE = 65_536
"""Characters. The kernel takes 128 KiB for one argument (execve(2), MAX_ARG_STRLEN)."""
_SHOWN_CHARACTERS = 60


def value_problem(parameter: Parameter, value: str, refuse_path: PathRule) -> str | None:
    """What is wrong with a value, as a sentence without its end; None where it is right."""
    if not is_one_line(value):
        return "a value is one line without control characters"
    if len(value) > LONGEST_VALUE:
        return f"a value has at most {LONGEST_VALUE:,} characters"
    match parameter.type:
        case "bool":
            right = value in TRUE_WORDS | FALSE_WORDS
            return None if right else f"{shown(value)} is neither true nor false"
        case "int" | "float":
            return _number_problem(parameter, value)
        case "enum":
            return _choice_problem(parameter, value)
        case "path":
            return _path_problem(parameter, value, refuse_path)
        case "string":
            return _string_problem(parameter, value)


def is_one_line(value: str) -> bool:
    """Whether a text has no control characters, ends of lines and halves of characters."""
    return not any(unicodedata.category(each) in ("Cc", "Zl", "Zp", "Cs") for each in value)


def shown(text: str) -> str:
    """A value or a key as messages quote it: printable, and not too long."""
    printable = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in text[:_SHOWN_CHARACTERS]
    )
    return f"'{printable}…'" if len(text) > _SHOWN_CHARACTERS else f"'{printable}'"


def _number_problem(parameter: Parameter, value: str) -> str | None:
    if value in parameter.choices:
        return None
    whole = parameter.type == "int"
    if not (is_whole(value) if whole else is_decimal(value)):
        kind = "a whole number" if whole else "a number"
        words = "".join(f", {word}" for word in parameter.choices)
        return f"{shown(value)} is not {kind}{' or one of' + words[1:] if words else ''}"
    # Of a number with so many digits it does not matter how many there are.
    number = float(value) if len(value) <= 300 else float("inf")
    allowed = misfit(parameter.name, number, parameter.range, whole=whole)
    return f"{shown(value)} is out of range; it is {allowed}" if allowed else None


def _choice_problem(parameter: Parameter, value: str) -> str | None:
    choices = parameter.choices
    switched = TRUE_WORDS if "on" in choices else frozenset[str]()
    switched |= FALSE_WORDS if "off" in choices else frozenset()
    if not choices or value in choices or value in switched:
        return None
    return f"{shown(value)} is not one of {', '.join(choices)}"


def _path_problem(parameter: Parameter, value: str, refuse_path: PathRule) -> str | None:
    paths = paths_in(parameter.name, value)
    if paths is None:
        form = "PATH:SCALE" if parameter.name.endswith("-scaled") else "PATH"
        return f"{shown(value)} is not {form}, or several of them divided by commas, unquoted"
    for path in paths:
        if problem := refuse_path(path):
            return f"the path {shown(path)} is refused: {problem}"
    return None


def _string_problem(parameter: Parameter, value: str) -> str | None:
    """A string with choices is a list of them."""
    wrong = [item for item in value.split(",") if item not in parameter.choices]
    if not parameter.choices or not wrong:
        return None
    return f"{shown(wrong[0])} is not one of {', '.join(parameter.choices)}"
