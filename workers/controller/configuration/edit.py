"""Changes the text of `config.toml` and keeps what people wrote around the values.

tomlkit keeps comments, order and spacing. Only where a key is new does it need help: it would come
last in its section, below the comments that lead to the next one. The file that we ship has every
key as a comment (`#port = 3000`), and there, or else behind the section's last key, is its place.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import tomlkit
from tomlkit.items import Comment, Item, Table

from common.settings_keys import LISTS
from workers.controller.configuration.patch import merged


class CannotEdit(Exception):
    """The text has a form into which the change cannot be fitted."""


def edited(text: str, changes: Mapping[str, Any]) -> str:
    """The text after the changes (`patch.merged`), one key after another.

    Raises CannotEdit rather than return a text that says anything else than it should.
    """
    for section, change in changes.items():
        if isinstance(change, Mapping):
            for name, value in change.items():
                text = _edited(text, {section: {name: value}})
        else:
            # No list of tables can be empty: without any, there is none.
            text = _edited(text, {section: change or None})
    return text


def _edited(text: str, change: Mapping[str, Any]) -> str:
    wanted = merged(tomllib.loads(text), change)
    for edit in (_put_in_place, _put_anywhere):
        try:
            result = edit(text, change)
            if _without_empty(tomllib.loads(result)) == _without_empty(wanted):
                return result
        except (tomlkit.exceptions.TOMLKitError, tomllib.TOMLDecodeError):
            continue
    raise CannotEdit(f"the change of {', '.join(change)} cannot be fitted into the file")


def _without_empty(tables: Mapping[str, Any]) -> dict[str, Any]:
    """A table without keys is the same as none."""
    bare = {
        name: _without_empty(value) if isinstance(value, Mapping) else value
        for name, value in tables.items()
    }
    return {name: value for name, value in bare.items() if value != {}}


def _put_in_place(text: str, change: Mapping[str, Any]) -> str:
    return _put(text, change, _add_beside_its_comment)


def _put_anywhere(text: str, change: Mapping[str, Any]) -> str:
    return _put(text, change, _add_at_the_end)


_Add = Callable[[Table, str, Any], None]


def _put(text: str, change: Mapping[str, Any], add: _Add) -> str:
    document = tomlkit.parse(text)
    for section, value in change.items():
        if not isinstance(value, Mapping):
            _replace(document, section, value)
        elif section not in document:
            document[section] = _section(section, value)
        else:
            for name, item in value.items():
                _put_key(document[section], name, item, add)
    return document.as_string()


def _put_key(table: Any, name: str, value: Any, add: _Add) -> None:
    if name not in table and value is not None:
        add(table, name, value)
    elif isinstance(value, Mapping) and isinstance(table[name], Mapping):
        for inner, item in value.items():
            _put_key(table[name], inner, item, _add_at_the_end)
    else:
        _replace(table, name, value)


def _replace(table: Any, name: str, value: Any) -> None:
    if value is None:
        table.pop(name, None)
    elif name not in table or table[name] != value:
        table[name] = _item(value)


def _add_at_the_end(table: Any, name: str, value: Any) -> None:
    # A section of tables alone (`[models."a"]`) has no heading of its own to put a value below.
    only_tables = isinstance(table, Table) and table.is_super_table()
    table[name] = _table(value) if only_tables and isinstance(value, Mapping) else _item(value)


def _add_beside_its_comment(table: Table, name: str, value: Any) -> None:
    neighbour = _neighbour(table, name)
    if neighbour is None:
        _add_at_the_end(table, name, value)
        return
    alone = tomlkit.document()
    alone[name] = _item(value)
    end_of_line = neighbour.trivia.trail or "\n"
    # As text behind the neighbour's line: what is parsed next knows it as a key.
    neighbour.trivia.trail = f"{end_of_line}{alone.as_string().rstrip()}{end_of_line}"


def _neighbour(table: object, name: str) -> Item | None:
    """The comment that holds the key, else the last key; neither where the section has none."""
    if not isinstance(table, Table):  # written on one line, or in several places of the file
        return None
    commented_out = re.compile(rf"#\s*{re.escape(name)}\s*=")
    last: Item | None = None
    for key, item in table.value.body:
        if isinstance(item, Comment) and commented_out.match(item.trivia.comment):
            return item
        if key is not None and not isinstance(item, Table):
            last = item
    return last


def _item(value: Any) -> Any:
    if isinstance(value, Mapping):
        inline = tomlkit.inline_table()
        inline.update({name: _item(item) for name, item in value.items() if item is not None})
        return inline
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        tables = tomlkit.aot()
        for item in value:
            tables.append(_table(item))
        return tables
    return tomlkit.item(value)


def _section(name: str, values: Mapping[str, Any]) -> Table:
    if name not in LISTS:
        return _table(values)
    tables = tomlkit.table(is_super_table=True)
    for key, inner in values.items():
        if inner is not None:
            tables[key] = _table(inner)
    return tables


def _table(values: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for name, value in values.items():
        if value is not None:
            table[name] = _item(value)
    return table
