"""Changes of a configuration as JSON Merge Patches (RFC 7396)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from common.settings_keys import KEYS, LISTS, Key

Tables = Mapping[str, Any]


def merged(tables: Tables, changes: Tables) -> dict[str, Any]:
    """`tables` after the changes: tables are merged, null removes, all else is replaced."""
    result = dict(tables)
    for name, change in changes.items():
        before = result.get(name)
        if change is None:
            result.pop(name, None)
        elif isinstance(change, Mapping):
            result[name] = merged(before if isinstance(before, Mapping) else {}, change)
        else:
            result[name] = change
    return result


def touched(changes: Tables) -> Iterator[tuple[Key, Any]]:
    """The keys that changes speak of, each with what they say; null for a section is for all of it.

    The changes must fit the settings: what is no key is passed over.
    """
    for (section, name), key in KEYS.items():
        if section in changes:
            table = changes[section]
            if table is None:
                yield key, None
            elif name in table:
                yield key, table[name]
    for name, key in LISTS.items():
        if name in changes:
            yield key, changes[name]


def wanted_value(key: Key, change: Any, current: Any) -> Any:
    """What a key is to be, as JSON has it, by a change of it from `current`."""
    if change is None:
        return key.default if not isinstance(key.default, tuple) else list(key.default)
    if isinstance(change, Mapping):
        return merged(current, change)
    return change


def as_tables(changes: Iterable[tuple[Key, Any]]) -> dict[str, Any]:
    """Changes by key, in the shape of the file again."""
    tables: dict[str, Any] = {}
    for key, change in changes:
        if key.section:
            tables.setdefault(key.section, {})[key.name] = change
        else:
            tables[key.name] = change
    return tables
