"""Flags by any of their spellings, and what a spelling stands for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from common.api.parameters import Parameter
from common.engine_flags.words import bare, negative_env

_COMPARED_CHARACTERS = 100


def spellings(parameter: Parameter) -> tuple[str, ...]:
    """All that a preset may call a flag; the name first."""
    env = (parameter.env,) if parameter.env else ()
    return (parameter.name, *parameter.aliases, *env, *negative_spellings(parameter))


def negative_spellings(parameter: Parameter) -> tuple[str, ...]:
    """Those with the opposite meaning: `no-jinja`, `LLAMA_ARG_NO_JINJA`."""
    if not parameter.negations:
        return ()
    return parameter.negations + ((negative_env(parameter.env),) if parameter.env else ())


def by_spelling(parameters: Iterable[Parameter]) -> dict[str, Parameter]:
    """Each spelling with its flag. A name wins over another flag's alias."""
    known = tuple(parameters)
    found = {spelling: flag for flag in reversed(known) for spelling in spellings(flag)}
    return found | {flag.name: flag for flag in known}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a mistyped one most likely means."""
    wanted = bare(word)[:_COMPARED_CHARACTERS]
    return next(iter(difflib.get_close_matches(wanted, list(known), n=1, cutoff=0.6)), None)
