"""The embedded engine's flags as clients are told of them: the rows of its table."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

from common.api.parameters import EngineParameters, Parameter, ParameterType
from common.engine_flags.categories import category_of
from common.engine_flags.numbers import WORDS, range_of
from common.engine_flags.reserved import marked
from common.engine_flags.shipped import SHIPPED
from common.engine_flags.words import FALSE_WORDS, TRUE_WORDS, bare, is_decimal
from workers.runner.embedded.flags import Flag, Kind
from workers.runner.embedded.table import TABLE

_TYPES: Mapping[Kind, ParameterType] = {
    "boolean": "bool",
    "integer": "int",
    "number": "float",
    "string": "string",
    "path": "path",
    "enum": "enum",
}
_SECTIONS = {"server": "example-specific"}
_NOTHING = frozenset({"none", "disabled"})


def embedded_parameters() -> EngineParameters:
    """All flags of the table."""
    return EngineParameters(
        kind="embedded",
        path="",
        version=f"xllamacpp {metadata.version('xllamacpp')}",
        parameters=tuple(_parameter(flag) for flag in TABLE),
    )


def _parameter(flag: Flag) -> Parameter:
    kind = _type(flag)
    return marked(
        Parameter(
            name=flag.name,
            type=kind,
            default=_literal(flag, kind),
            description=flag.summary,
            category=category_of(flag.name, _SECTIONS.get(flag.section, flag.section)),
            choices=flag.choices or WORDS.get(flag.name, ()),
            range=range_of(flag.name) if kind in ("int", "float") else None,
            env=flag.variable,
            aliases=tuple(bare(name) for name in flag.names[:-1]),
            negations=tuple(bare(name) for name in flag.negations),
        )
    )


def _type(flag: Flag) -> ParameterType:
    """A list may be one of paths; llama-server's own catalogue knows."""
    if flag.kind in _TYPES:
        return _TYPES[flag.kind]
    known = SHIPPED.get(flag.name)
    return known.type if known else "string"


def _literal(flag: Flag, kind: ParameterType) -> str:
    """The default where it is a value, and empty where the table tells it in words."""
    default = flag.default
    if kind == "bool":
        word = default.partition(" ")[0]
        return "true" if word in TRUE_WORDS else "false" if word in FALSE_WORDS else ""
    if kind in ("int", "float"):
        return default if is_decimal(default) or default in WORDS.get(flag.name, ()) else ""
    if kind == "enum":
        return default if default in flag.choices else ""
    return "" if kind == "path" or " " in default or default in _NOTHING else default
