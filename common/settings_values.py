"""Whether one value fits one key, and the sentence to say when it does not.

Values of a file must have exactly the key's type; those of the environment are text, so numbers
are read from it, and a list or a table is written as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, get_args, get_origin

import msgspec
from msgspec import inspect

from common.settings import Settings
from common.settings_keys import Key, allowed

_SHOWN_CHARACTERS = 200


class Misfit(NamedTuple):
    """A wrong value: `at` is its path (`llama.flags.threads`) or variable, `text` what is wrong.

    `given` (as JSON, shortened) and `allowed` are in the text already; empty where it has none.
    """

    at: str
    text: str
    given: str = ""
    allowed: str = ""


def misfit(at: str, given: object, allowed_text: str) -> Misfit:
    """A value that is not allowed."""
    return Misfit(at, refusal(given, allowed_text), shown(given), allowed_text)


def misfits(value: Any, wanted: Any, at: str) -> Iterator[Misfit]:
    """What in `value` does not have the type `wanted`.

    Tables and lists are walked here, since msgspec's own errors do not name a table's key.
    """
    bare = _bare(wanted)
    if get_origin(bare) is dict and isinstance(value, dict):
        for name, item in value.items():
            yield from misfits(item, get_args(bare)[1], f"{at}.{name}")
    elif get_origin(bare) is tuple and isinstance(value, list):
        for index, item in enumerate(value):
            yield from misfits(item, get_args(bare)[0], f"{at}[{index}]")
    elif isinstance(bare, type) and issubclass(bare, msgspec.Struct) and isinstance(value, dict):
        yield from _misfits_of_table(value, bare, at)
    else:
        try:
            msgspec.convert(value, wanted)
        except msgspec.ValidationError:
            yield misfit(at, value, allowed(inspect.type_info(wanted)))


def _misfits_of_table(
    value: dict[str, Any], wanted: type[msgspec.Struct], at: str
) -> Iterator[Misfit]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
    for name, item in value.items():
        if name in fields:
            yield from misfits(item, fields[name].type, f"{at}.{name}")
        else:
            known = ", ".join(fields)
            yield Misfit(f"{at}.{name}", f"there is no such key (known: {known})")
    for name, field in fields.items():
        if field.required and name not in value:
            yield Misfit(f"{at}.{name}", "is missing")


def from_text(text: str, key: Key) -> tuple[Any, list[Misfit]]:
    """The value that an environment variable's text stands for, and what is wrong with it."""
    bare = _bare(key.type)
    value: Any = text
    if get_origin(bare) in (dict, tuple):
        try:
            value = json.loads(text)
        except ValueError:
            return None, [misfit(key.variable, text, f"{key.allowed}, written as JSON")]
    elif bare in (int, float, bool):
        try:
            return msgspec.convert(text.strip(), key.type, strict=False), []
        except msgspec.ValidationError:
            return None, [misfit(key.variable, text, key.allowed)]
    return value, list(misfits(value, key.type, key.variable))


def as_json(settings: Settings) -> dict[str, Any]:
    """Settings in the shape of the file, made of what JSON has."""
    tables: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(settings))
    return tables


def refusal(given: object, allowed_text: str) -> str:
    """The sentence for a wrong value; a long one is shortened."""
    return f"given {shown(given)}; allowed is {allowed_text}"


def shown(given: object) -> str:
    """A value as messages show it: JSON, shortened."""
    text = json.dumps(given, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _bare(wanted: Any) -> Any:
    return get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted
