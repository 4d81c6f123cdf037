"""Every key that a configuration may hold: what it is called, what it takes, what comes near it.

Derived from the structs of `common.settings`, so a new field needs no second entry here. Sources
of settings and the messages about wrong ones stand on this table.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect

from common import environment
from common.settings import Settings


@dataclass(frozen=True)
class Key:
    """One key: `section` and `name` as the file spells them, `type` for `msgspec.convert`.

    `section` is empty for tables of a kind (`[[runners]]`, `[models."<id>"]`).
    """

    section: str
    name: str
    variable: str
    type: Any
    default: Any
    description: str

    @property
    def path(self) -> str:
        """What messages call it: `llama.maxModels`."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def allowed(self) -> str:
        """What it takes, in words: `a whole number from 1 to 65535`."""
        return allowed(inspect.type_info(self.type))


def _keys() -> dict[tuple[str, str], Key]:
    return {
        (section.encode_name, field.encode_name): _key(
            field, section.encode_name, f"{section.name}__{field.name}"
        )
        for section in msgspec.structs.fields(Settings)
        if _is_struct(section.type)
        for field in msgspec.structs.fields(section.type)
    }


def _lists() -> dict[str, Key]:
    return {
        field.encode_name: _key(field, "", field.name)
        for field in msgspec.structs.fields(Settings)
        if not _is_struct(field.type)
    }


def _key(field: msgspec.structs.FieldInfo, section: str, variable: str) -> Key:
    info = inspect.type_info(field.type)
    schema = (info.extra_json_schema or {}) if isinstance(info, inspect.Metadata) else {}
    return Key(
        section=section,
        name=field.encode_name,
        variable=f"{environment.PREFIX}{variable.upper()}",
        type=field.type,
        default=field.default_factory() if field.default is msgspec.NODEFAULT else field.default,
        description=schema.get("description", ""),
    )


def _is_struct(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, msgspec.Struct)


KEYS: Mapping[tuple[str, str], Key] = _keys()
LISTS: Mapping[str, Key] = _lists()
"""The lists of tables (`[[runners]]`) and tables of tables (`[models."<id>"]`), by name."""

SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(section for section, _ in KEYS))
VARIABLES: Mapping[str, Key] = {key.variable: key for key in (*KEYS.values(), *LISTS.values())}


def nearest(wrong: str) -> Key | None:
    """The key that was probably meant by a path that does not exist: case, dashes, slips.

    A key of that very name in another section comes first: it is a right key in a wrong place.
    """
    _, _, name = wrong.rpartition(".")
    if meant := namesake(name):
        return meant
    folded = {_fold(key.path): key for key in KEYS.values()}
    close = difflib.get_close_matches(_fold(wrong), folded, n=1, cutoff=0.75)
    return folded[close[0]] if close else None


def namesake(name: str) -> Key | None:
    """The only key of this name, in whichever section."""
    found = [key for key in KEYS.values() if _fold(key.name) == _fold(name)]
    return found[0] if len(found) == 1 else None


def nearest_section(wrong: str) -> str | None:
    """The section that was probably meant."""
    folded = {_fold(section): section for section in (*SECTIONS, *LISTS)}
    close = difflib.get_close_matches(_fold(wrong), folded, n=1)
    return folded[close[0]] if close else None


def nearest_variable(wrong: str) -> str | None:
    """The environment variable that was probably meant."""
    folded = {_fold(variable): variable for variable in VARIABLES}
    close = difflib.get_close_matches(_fold(wrong), folded, n=1, cutoff=0.8)
    return folded[close[0]] if close else None


def _fold(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def allowed(info: inspect.Type) -> str:
    """A type of the settings in words."""
    match info:
        case inspect.Metadata():
            return allowed(info.type)
        case inspect.IntType():
            return "a whole number" + _range(info)
        case inspect.FloatType():
            return "a number" + _range(info)
        case inspect.UnionType():
            return " or ".join(
                allowed(kind) for kind in info.types if not isinstance(kind, inspect.NoneType)
            )
        case inspect.AnyType():
            return "any value"
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType():
            return "one of " + ", ".join(json.dumps(value) for value in info.values)
        case inspect.StrType():
            return "a string" + _string_limits(info)
        case inspect.StructType():
            return f"a table of {', '.join(field.encode_name for field in info.fields)}"
        case inspect.DictType():
            return f"a table whose values are each {allowed(info.value_type)}"
        case inspect.VarTupleType() | inspect.ListType():
            return f"a list whose items are each {allowed(info.item_type)}"
    raise TypeError(f"no words for {info!r}; add them where the type is first used in a setting")


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is None or info.le is None:
        return ""
    return f" from {info.ge} to {info.le}"


def _string_limits(info: inspect.StrType) -> str:
    limits = []
    if info.min_length:
        limits.append("not empty")
    if info.max_length is not None:
        limits.append(f"at most {info.max_length} characters")
    if info.pattern is not None:
        limits.append(f"matching {info.pattern}")
    return f" ({', '.join(limits)})" if limits else ""
