"""Structs as tables: field, type with its limits, default."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import inspect as types

from common.api.base import Struct


def taken(kind: type[Struct]) -> str:
    """What clients send: prose, and a table with the defaults of what they may leave out."""
    fields = _fields(kind)
    if not fields:
        return "`{}`\n"
    rows = [
        f"| `{field.encode_name}` | {shown(field.type)} | {_default(field)} |" for field in fields
    ]
    return "\n".join((_prose(kind), "", "| field | type | default |", "|---|---|---|", *rows, ""))


def given(kind: type[Struct]) -> str:
    """What clients get: prose, and a table without defaults, since what has one is sent anyway."""
    fields = _fields(kind)
    if not fields:
        return "`{}`\n"
    rows = [f"| `{field.encode_name}` | {shown(field.type)}{_absent(field)} |" for field in fields]
    return "\n".join((_prose(kind), "", "| field | type |", "|---|---|", *rows, ""))


def _prose(kind: type[Struct]) -> str:
    """A struct's docstring on one line, with the names that its fields have in JSON."""
    text = " ".join((inspect.getdoc(kind) or "").split())
    for field in _fields(kind):
        text = text.replace(f"`{field.name}`", f"`{field.encode_name}`")
    return text


def nested(tops: Iterable[type[Struct]]) -> list[type[Struct]]:
    """The structs that appear inside these, by name."""
    found: dict[str, type[Struct]] = {}
    for top in tops:
        for kind in _structs_in(types.type_info(top)):
            if kind is not top:
                found[kind.__name__] = kind
    return [found[name] for name in sorted(found)]


def shown(kind: types.Type) -> str:
    """A type in the words of JSON, with its limits."""
    match kind:
        case types.Metadata(type=inner):
            return shown(inner)
        case types.StructType(cls=cls):
            return f"[{cls.__name__}](#{cls.__name__.lower()})"
        case types.UnionType(types=members):
            return " or ".join(text for text in map(shown, members) if text)
        case types.LiteralType(values=values):
            return ", ".join(f'`"{value}"`' for value in values)
        case types.EnumType(cls=cls):
            return ", ".join(f'`"{member.value}"`' for member in cls)
        case types.VarTupleType(item_type=item) | types.ListType(item_type=item):
            most = "" if kind.max_length is None else f" (at most {kind.max_length:,})"
            return f"list of {_inner(item)}{most}"
        case types.DictType(value_type=value):
            return f"object of {_inner(value)}"
        case types.IntType() | types.FloatType():
            return _PLAIN[type(kind)] + _range(kind)
        case types.StrType():
            return "string" + _text_limits(kind)
        case _:
            return _PLAIN.get(type(kind), "")


def _inner(kind: types.Type) -> str:
    return f"({shown(kind)})" if isinstance(kind, types.UnionType) else shown(kind)


_PLAIN: dict[type[types.Type], str] = {
    types.AnyType: "any",
    types.BoolType: "boolean",
    types.FloatType: "number",
    types.IntType: "integer",
    types.NoneType: "null",
}


def _range(kind: types.IntType | types.FloatType) -> str:
    least, most = kind.ge, kind.le
    if least is not None and most is not None:
        return f", {least:,} to {most:,}"
    if least is not None:
        return f" from {least:,}"
    return "" if most is None else f" up to {most:,}"


def _text_limits(kind: types.StrType) -> str:
    limits = ""
    if kind.max_length is not None:
        limits += f", {kind.min_length or 0} to {kind.max_length:,} characters"
    elif kind.min_length:
        limits += ", not empty" if kind.min_length == 1 else f" from {kind.min_length} characters"
    if kind.pattern is not None:
        pattern = kind.pattern.replace("|", "\\|")
        limits += f", `{pattern}`"
    return limits


def _default(field: types.Field) -> str:
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{msgspec.json.encode(field.default_factory()).decode()}`"
    if _absent(field):
        return "absent"
    return f"`{msgspec.json.encode(field.default).decode()}`"


def _absent(field: types.Field) -> str:
    """A remark where a field is left out when there is nothing to say."""
    has_default = (
        field.required
        or field.default is not msgspec.NODEFAULT
        or field.default_factory is not msgspec.NODEFAULT
    )
    return "" if has_default else ", or absent"  # msgspec tells UNSET as no default at all


def _fields(kind: type[Struct]) -> tuple[types.Field, ...]:
    info = types.type_info(kind)
    return info.fields if isinstance(info, types.StructType) else ()


def _structs_in(kind: types.Type) -> Iterator[type[Any]]:
    match kind:
        case types.Metadata(type=inner):
            yield from _structs_in(inner)
        case types.StructType(cls=cls, fields=fields):
            yield cls
            for field in fields:
                yield from _structs_in(field.type)
        case types.UnionType(types=members):
            for member in members:
                yield from _structs_in(member)
        case types.VarTupleType(item_type=item) | types.ListType(item_type=item):
            yield from _structs_in(item)
        case types.DictType(value_type=value):
            yield from _structs_in(value)
