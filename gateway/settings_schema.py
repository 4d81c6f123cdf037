"""What may be configured, told from the one place where it is written: `common.settings`.

Types, ranges and descriptions are those of the fields, restarts and roles those of
`common.settings_effects`. Pure.
"""

from __future__ import annotations

import inspect as objects
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import inspect

from common.api.base import Role
from common.api.config import ConfigSchema, Setting, SettingsSection, SettingType
from common.api.parameters import Range
from common.settings import FORMAT, UNIT, Settings
from common.settings_effects import EFFECTS
from common.settings_keys import KEYS, LISTS, Key, allowed
from common.settings_secrets import SECRET_TABLES

_TYPES: Mapping[type[inspect.Type], SettingType] = {
    inspect.BoolType: "bool",
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.StrType: "string",
    inspect.LiteralType: "enum",
    inspect.VarTupleType: "list",
    inspect.ListType: "list",
    inspect.DictType: "table",
    inspect.StructType: "table",
}


def schema(environ: Mapping[str, str]) -> ConfigSchema:
    """All of it; `environ` tells which variables stand above the file."""
    return ConfigSchema(
        sections=tuple(_section(field) for field in msgspec.structs.fields(Settings)),
        settings=tuple(
            setting
            for key in (*KEYS.values(), *LISTS.values())
            for setting in (_setting(key, environ), *_entries(key, environ))
        ),
    )


def _section(field: msgspec.structs.FieldInfo) -> SettingsSection:
    if key := LISTS.get(field.encode_name):
        return SettingsSection(name=key.name, description=key.description)
    # `[llama]`: the engine, the models and the OpenAI-compatible proxy.
    first_line = (objects.getdoc(field.type) or "").partition("\n")[0]
    text = first_line.partition(": ")[2]
    return SettingsSection(name=field.encode_name, description=text[:1].upper() + text[1:])


def _setting(key: Key, environ: Mapping[str, str]) -> Setting:
    default: Any = msgspec.to_builtins(key.default)
    return _described(key.path, key.path, key.section or key.name, key.type, default, key, environ)


def _entries(key: Key, environ: Mapping[str, str]) -> Iterator[Setting]:
    """The keys of each `[[runners]]`, of each `[models."<id>"]`."""
    info = _bare(inspect.type_info(key.type))
    inner = _bare(_item(info) or info)
    if not isinstance(inner, inspect.StructType):
        return
    each = "[]" if isinstance(info, inspect.VarTupleType) else ".*"
    for field in msgspec.structs.fields(inner.cls):
        given = field.default_factory if field.default is msgspec.NODEFAULT else field.default
        default = None if given is msgspec.NODEFAULT else msgspec.to_builtins(_made(given))
        path = f"{key.name}{each}.{field.encode_name}"
        yield _described(path, key.path, key.name, field.type, default, key, environ)


def _made(given: Any) -> Any:
    return given() if callable(given) else given


def _described(
    path: str,
    effect_of: str,
    section: str,
    wanted: Any,
    default: Any,
    key: Key,
    environ: Mapping[str, str],
) -> Setting:
    info = inspect.type_info(wanted)
    extra = _extra(info)
    bare = _bare(info)
    item = _item(bare)
    effect = EFFECTS[effect_of]
    return Setting(
        path=path,
        section=section,
        type=_type(info),
        default=default,
        description=extra.get("description", ""),
        allowed=allowed(info),
        items=_type(item) if item is not None and not _is_any(item) else None,
        choices=_choices(wanted),
        range=_range(bare),
        pattern=_pattern(bare),
        unit=_unit(extra),
        restart=effect.restart,
        role=Role.ADMIN if effect.admin or path.endswith(".env") else Role.OPERATOR,
        fixed=effect.fixed,
        variable=key.variable,
        overridden=key.variable in environ,
        secret=path in SECRET_TABLES,
    )


def _extra(info: inspect.Type) -> dict[str, Any]:
    """What is said of a type besides itself, the outermost last: `Seconds | None` has it inside."""
    match info:
        case inspect.Metadata(type=inner, extra_json_schema=extra):
            return {**_extra(inner), **(extra or {})}
        case inspect.UnionType(types=kinds):
            return {name: value for kind in kinds for name, value in _extra(kind).items()}
    return {}


def _bare(info: inspect.Type) -> inspect.Type:
    """Without what is said of it, and without null."""
    match info:
        case inspect.Metadata(type=inner):
            return _bare(inner)
        case inspect.UnionType(types=kinds):
            real = [kind for kind in kinds if not isinstance(kind, inspect.NoneType)]
            return _bare(real[0])
    return info


def _item(info: inspect.Type) -> inspect.Type | None:
    match info:
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return item
        case inspect.DictType(value_type=value):
            return value
    return None


def _is_any(info: inspect.Type) -> bool:
    return isinstance(_bare(info), inspect.AnyType)


def _type(info: inspect.Type) -> SettingType:
    bare = _bare(info)
    if isinstance(bare, inspect.StrType) and _extra(info).get(FORMAT) == "path":
        return "path"
    return _TYPES[type(bare)]


def _choices(wanted: Any) -> tuple[str, ...]:
    """In the order of the source, which msgspec does not keep."""
    bare = get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted
    return tuple(map(str, get_args(bare))) if get_origin(bare) is Literal else ()


def _range(bare: inspect.Type) -> Range | None:
    if isinstance(bare, inspect.IntType | inspect.FloatType):
        return Range(min=bare.ge, max=bare.le)
    return None


def _pattern(bare: inspect.Type) -> str:
    of = _bare(_item(bare) or bare)
    return (of.pattern or "") if isinstance(of, inspect.StrType) else ""


def _unit(extra: Mapping[str, Any]) -> Literal["", "seconds", "bytes"]:
    unit: Literal["", "seconds", "bytes"] = extra.get(UNIT, "")
    return unit
