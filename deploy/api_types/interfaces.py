"""Structs as TypeScript interfaces."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect as types

from common.api.base import Struct

_WIDTH = 96

_PLAIN: dict[type[types.Type], str] = {
    types.AnyType: "unknown",
    types.BoolType: "boolean",
    types.FloatType: "number",
    types.IntType: "number",
    types.NoneType: "null",
    types.StrType: "string",
}


def interface(kind: type[Struct], *, sent: bool) -> str:
    """One struct. `sent`: by clients, who may leave out whatever has a default."""
    info = types.type_info(kind)
    if not isinstance(info, types.StructType):
        raise TypeError(f"{kind} is no struct")
    prose = _prose(kind, info)
    if not info.fields:
        return f"{prose}export type {kind.__name__} = Record<string, never>;\n"
    lines = [
        f"  {field.encode_name}{_mark(field, sent=sent)}: {shown(field.type)};"
        for field in info.fields
    ]
    return "\n".join((f"{prose}export interface {kind.__name__} {{", *lines, "}", ""))


def shown(kind: types.Type) -> str:
    """A type in TypeScript's words."""
    match kind:
        case types.Metadata(type=inner):
            return shown(inner)
        case types.StructType(cls=cls):
            return str(cls.__name__)
        case types.UnionType(types=members):
            # What is absent (msgspec's UNSET) has no name in TypeScript: its mark is the `?`.
            texts = [shown(member) for member in members if not _is_unset(member)]
            return " | ".join(dict.fromkeys(texts))
        case types.LiteralType(values=values):
            return " | ".join(json.dumps(value) for value in values)
        case types.EnumType(cls=cls):
            return " | ".join(json.dumps(member.value) for member in cls)
        case types.VarTupleType(item_type=item) | types.ListType(item_type=item):
            text = shown(item)
            return f"({text})[]" if "|" in text else f"{text}[]"
        case types.DictType(value_type=value):
            return f"Record<string, {shown(value)}>"
        case _ if type(kind) in _PLAIN:
            return _PLAIN[type(kind)]
    raise TypeError(f"no TypeScript for {kind}")


def structs_in(kind: types.Type) -> Iterator[type[Any]]:
    """The structs that a type names, itself and those inside it."""
    match kind:
        case types.Metadata(type=inner):
            yield from structs_in(inner)
        case types.StructType(cls=cls, fields=fields):
            yield cls
            for field in fields:
                yield from structs_in(field.type)
        case types.UnionType(types=members):
            for member in members:
                yield from structs_in(member)
        case types.VarTupleType(item_type=item) | types.ListType(item_type=item):
            yield from structs_in(item)
        case types.DictType(value_type=value):
            yield from structs_in(value)


def _mark(field: types.Field, *, sent: bool) -> str:
    has_default = (
        field.default is not msgspec.NODEFAULT or field.default_factory is not msgspec.NODEFAULT
    )
    # msgspec tells UNSET as no default at all.
    may_be_absent = not field.required and not has_default
    return "?" if may_be_absent or (sent and not field.required) else ""


def _is_unset(kind: types.Type) -> bool:
    return isinstance(kind, types.CustomType) and kind.cls is msgspec.UnsetType


def _prose(kind: type[Struct], info: types.StructType) -> str:
    """The docstring as a comment, with the names that its fields have in JSON."""
    text = " ".join((inspect.getdoc(kind) or "").split())
    for field in info.fields:
        text = text.replace(f"`{field.name}`", f"`{field.encode_name}`")
    text = text.replace("*/", "* /")
    lines = re.findall(rf"(?:\S.{{0,{_WIDTH - 1}}})(?=\s|$)", text)
    if len(lines) <= 1:
        return f"/** {text} */\n" if text else ""
    body = "\n".join(f" * {line.strip()}" for line in lines)
    return f"/**\n{body}\n */\n"
