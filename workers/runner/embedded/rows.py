"""How rows of the flag table are made: a constructor for each kind of flag, and value parsers.

A row reads like help and then like code: the flag's names, the canonical one last, with the form of
its value (`"-t --threads N"`); its target, a dotted attribute of `xllamacpp.CommonParams` or a
function that stores the value; the default; the rest of llama.cpp's `LLAMA_ARG_…` name, or ""; and
one phrase for the user. A parser raises ValueError with a sentence for the user.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from common.engine_flags.words import FALSE_WORDS, TRUE_WORDS
from workers.runner.embedded.flags import Flag, Kind, Section

Apply = Callable[[Any, Any, Any], None]
Target = str | Apply

_INT_MAX = 2**31 - 1


def switch(
    names: str,
    target: Target,
    default: str,
    variable: str,
    summary: str,
    *,
    no: str = "",
    inverted: bool = False,
) -> Flag:
    """A flag without a value; `inverted` where the attribute says the opposite of the flag."""

    def store(params: Any, value: bool, _library: Any) -> None:
        _assign(params, str(target), value != inverted)

    apply = store if isinstance(target, str) else target
    flag = valued(f"{names} -", apply, default, variable, summary, kind="boolean")
    return dataclasses.replace(flag, value_name=None, negations=tuple(no.split()))


def valued(
    form: str,
    target: Target,
    default: str,
    variable: str,
    summary: str,
    *,
    kind: Kind = "string",
    parse: Callable[[str], Any] = str,
    choices: tuple[str, ...] = (),
) -> Flag:
    """A flag with a value of any kind; the others below are this one with a parser."""
    *names, value_name = form.split()

    def store(params: Any, value: Any, _library: Any) -> None:
        _assign(params, str(target), value)

    return Flag(
        names=tuple(names),
        negations=(),
        value_name=value_name,
        variable=f"LLAMA_ARG_{variable}" if variable else None,
        kind=kind,
        choices=choices,
        default=default,
        summary=summary,
        section="server",
        parse=parse,
        apply=store if isinstance(target, str) else target,
    )


def integer(
    form: str,
    target: Target,
    default: str,
    variable: str,
    summary: str,
    *,
    minimum: int = -1,
    maximum: int = _INT_MAX,
) -> Flag:
    """A flag with a whole number within bounds, both included."""
    parse = whole_number(minimum, maximum)
    return valued(form, target, default, variable, summary, kind="integer", parse=parse)


def real(form: str, target: Target, default: str, variable: str, summary: str) -> Flag:
    """A flag with a finite decimal number."""
    return valued(form, target, default, variable, summary, kind="number", parse=number)


def path(form: str, target: Target, default: str, variable: str, summary: str) -> Flag:
    """A flag with the path of a file."""
    return valued(form, target, default, variable, summary, kind="path")


def words(
    names: str, target: Target, default: str, variable: str, summary: str, *choices: str
) -> Flag:
    """A flag with one of a few words."""
    form = f"[{'|'.join(choices)}]" if "on" in choices else f"{{{','.join(choices)}}}"
    return valued(
        f"{names} {form}",
        target,
        default,
        variable,
        summary,
        kind="enum",
        parse=one_of(*choices),
        choices=choices,
    )


def member(
    names: str,
    attribute: str,
    default: str,
    variable: str,
    summary: str,
    enum: str,
    members: Mapping[str, str],
) -> Flag:
    """A flag whose words stand for members of an enum of llama.cpp, given without their prefix."""

    def store(params: Any, value: str, library: Any) -> None:
        chosen = getattr(getattr(library, enum), f"{enum.upper()}_{members[value]}")
        _assign(params, attribute, chosen)

    return words(names, store, default, variable, summary, *members)


def recommended(flag: Flag, bit: str) -> Flag:
    """A sampler setting that a model file may recommend; what the user gives must win over that.

    llama.cpp takes the recommendation unless this bit is set in `user_sampling_config`.
    """

    def store(params: Any, value: Any, library: Any) -> None:
        flag.apply(params, value, library)
        bits = library.common_params_sampling_config
        params.sampling.user_sampling_config |= int(bits[f"COMMON_PARAMS_SAMPLING_CONFIG_{bit}"])

    return dataclasses.replace(flag, apply=store)


def in_section(section: Section, *flags: Flag) -> tuple[Flag, ...]:
    """The same rows under a heading of the help."""
    return tuple(dataclasses.replace(flag, section=section) for flag in flags)


def whole_number(minimum: int = -1, maximum: int = _INT_MAX) -> Callable[[str], int]:
    """Parses an integer within the given bounds, both included."""

    def parse(value: str) -> int:
        try:
            result = int(value)
        except ValueError:
            raise ValueError(f"'{value}' is not a whole number") from None
        if not minimum <= result <= maximum:
            raise ValueError(f"{result} is not between {minimum} and {maximum}")
        return result

    return parse


def number(value: str) -> float:
    """Parses a finite decimal number."""
    try:
        result = float(value)
    except ValueError:
        raise ValueError(f"'{value}' is not a number") from None
    if not math.isfinite(result):
        raise ValueError(f"'{value}' is not a finite number")
    return result


def numbers(value: str) -> list[float]:
    """Parses numbers divided by commas or slashes, as in `3,1`."""
    return [number(item) for item in value.replace("/", ",").split(",") if item]


def texts(value: str) -> list[str]:
    """Parses texts divided by commas; empty ones are left out."""
    return [item.strip() for item in value.split(",") if item.strip()]


def one_of(*choices: str) -> Callable[[str], str]:
    """Parses one of the given words; where `on` and `off` are among them, their synonyms too."""

    def parse(value: str) -> str:
        if value in choices:
            return value
        if "on" in choices and value in TRUE_WORDS:
            return "on"
        if "off" in choices and value in FALSE_WORDS:
            return "off"
        raise ValueError(f"unknown value '{value}'; allowed are {', '.join(choices)}")

    return parse


def _assign(target: Any, attribute: str, value: Any) -> None:
    *parts, last = attribute.split(".")
    for part in parts:
        target = getattr(target, part)
    setattr(target, last, value)
