"""What changes of the configuration come to: the new text, the new settings, and who may make them.

Pure: nothing is read and nothing is written here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from common import settings_source
from common.api.base import Role
from common.api.config import HIDDEN
from common.errors import ConfigInvalid, PermissionDenied
from common.settings import Settings
from common.settings_difference import Difference, admin_only, differences
from common.settings_effects import EFFECTS
from common.settings_keys import KEYS, SECTIONS, Key
from common.settings_secrets import reveal
from common.settings_source import Problem
from common.settings_values import as_json
from workers.controller.configuration.edit import CannotEdit, edited
from workers.controller.configuration.patch import as_tables, merged, touched, wanted_value


@dataclass(frozen=True)
class Proposal:
    """`text`: the whole file as it would be. `asked`: what the changes themselves change; `before`
    is what the file says up to now, with changes made by hand that nobody has told of yet.
    """

    text: str
    before: Settings
    after: Settings
    asked: list[Difference]


def propose(
    text: str,
    changes: Mapping[str, Any],
    role: Role,
    *,
    where: str,
    known: Settings,
    environ: Mapping[str, str],
) -> Proposal:
    """What the changes would make of the file `where` with this text.

    `known` are the settings as last told, for where the file is wrong at the moment: the changes
    may set it right. Raises ConfigInvalid, and PermissionDenied where the role does not suffice.
    """
    tables = _parsed(text, where)
    before = _settings_before(tables, where, environ, known)
    current = as_json(before)
    changes = reveal(changes, current)
    # All of it is checked, also what changes nothing.
    checked = settings_source.check(_with_misspelt(merged(tables, changes), changes), "", environ)
    if problems := [*_overridden(changes, current, environ), *_fixed(changes, current)]:
        raise settings_source.refusal(problems)
    if problems := list(_still_hidden(as_json(checked))):
        raise settings_source.refusal(problems)
    written = as_tables(_effective(changes, tables, current))
    try:
        new_text = edited(text, written)
    except CannotEdit as error:
        raise ConfigInvalid(f"{where}: {error}; edit it by hand") from error
    after = settings_source.check(tomllib.loads(new_text), where, environ)
    asked = differences(before, after)
    if role is not Role.ADMIN and (denied := admin_only(asked)):
        raise PermissionDenied(
            f"only an admin may change {', '.join(denied)}: programs, directories and addresses",
            {"paths": denied, "needed": Role.ADMIN.value},
        )
    return Proposal(new_text, before, after, asked)


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"{where}: this is not TOML: {error}") from error


def _with_misspelt(after: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`after` with the names that nulls of `changes` would take back, though they are no keys: a
    check finds them then, as it finds all others.
    """
    for section, table in changes.items():
        if section in SECTIONS and isinstance(table, Mapping):
            misspelt = {name: None for name in table if (section, name) not in KEYS}
            after = {**after, section: {**misspelt, **after.get(section, {})}}
    return after


def _settings_before(
    tables: Mapping[str, Any], where: str, environ: Mapping[str, str], known: Settings
) -> Settings:
    try:
        return settings_source.check(tables, where, environ)
    except ConfigInvalid:
        return known


def _overridden(
    changes: Mapping[str, Any], current: Mapping[str, Any], environ: Mapping[str, str]
) -> Iterator[Problem]:
    """Keys that would change if no environment variable stood above them."""
    for key, change in touched(changes):
        if key.variable in environ and _changes(key, change, current):
            yield Problem(
                key.path,
                "",
                f"the environment variable {key.variable} sets it, and wins over the file; unset"
                " that and start llama-proxy anew to change it here",
                allowed=f"no change while {key.variable} is set",
            )


def _fixed(changes: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Problem]:
    for key, change in touched(changes):
        if EFFECTS[key.path].fixed and _changes(key, change, current):
            yield Problem(
                key.path, "", "only the file can change it", allowed="no change but in the file"
            )


def _still_hidden(tables: Mapping[str, Any]) -> Iterator[Problem]:
    """What a client sent back as it was shown, though there is no such secret."""
    held = [("llama.flags", tables["llama"]["flags"])]
    held += [(f"runners.{runner['name']}.env", runner["env"]) for runner in tables["runners"]]
    for path, values in held:
        for name, value in values.items():
            if value == HIDDEN:
                yield Problem(f"{path}.{name}", "", "no value is known that this could stand for")


def _effective(
    changes: Mapping[str, Any], tables: Mapping[str, Any], current: Mapping[str, Any]
) -> Iterator[tuple[Key, Any]]:
    """What has to be written: a value that holds anyway is not."""
    for key, change in touched(changes):
        held = tables.get(key.section, {}) if key.section else tables
        if _changes(key, change, current) or (change is None and key.name in held):
            yield key, change


def _changes(key: Key, change: Any, current: Mapping[str, Any]) -> bool:
    value = current[key.section][key.name] if key.section else current[key.name]
    return bool(wanted_value(key, change, value) != value)
