"""`llama-proxy config` and `restart`: the running stack's configuration, through the public API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from common.api import config, system
from common.api.config import CheckedConfig, ConfigChanges, GetConfig, UpdatedConfig
from common.api.system import RestartProcess
from common.errors import ConfigInvalid
from common.settings_keys import KEYS, LISTS, Key, nearest
from common.settings_values import from_text
from deploy.client import ANSWER_S, Client
from deploy.failure import CommandFailed

CHANGE_S = 45.0
"""A llama-server that is chosen is run first, to see what it is."""

DEFAULT = "default"
"""The value that takes a key back to its default."""


def shown(client: Client, path: str | None) -> str:
    """Everything as JSON, or one value: text as it is, all else as JSON."""
    tables: dict[str, Any] = msgspec.to_builtins(client.call(config.GET, GetConfig(), ANSWER_S))
    if path is None:
        return json.dumps(tables, indent=2, ensure_ascii=False)
    key = _key(path)
    value = tables[key.section][key.name] if key.section else tables[key.name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def change(client: Client, path: str, text: str) -> list[str]:
    """Set a key, and say what is left to do. Raises ConfigInvalid."""
    reply: UpdatedConfig = client.call(config.UPDATE, _changes(path, text), CHANGE_S)
    if not reply.updated:
        return [f"{path} is that already"]
    return [f"{path} is changed", *_left_to_do(reply.restart)]


def check(client: Client, path: str, text: str) -> list[str]:
    """What `change` would do, a line per key. Raises ConfigInvalid with everything wrong."""
    reply: CheckedConfig = client.call(config.VALIDATE, _changes(path, text), CHANGE_S)
    if not reply.valid:
        raise ConfigInvalid("\n".join(f"{one.path}: {one.message}" for one in reply.errors))
    if not reply.diff:
        return ["nothing would change"]
    lines = [
        f"{one.path}: {json.dumps(one.before)} would become {json.dumps(one.after)}"
        for one in reply.diff
    ]
    return [*lines, *_left_to_do(reply.restart)]


def restart(client: Client, process: str) -> str:
    """Start a process anew."""
    request = RestartProcess(process=process)
    return f"{client.call(system.RESTART, request, ANSWER_S).process} is started anew"


def _left_to_do(processes: tuple[str, ...]) -> Iterator[str]:
    for process in processes:
        if process == "up":
            yield "to be ended and started again for this: llama-proxy up"
        else:
            yield f"to be started anew for this: llama-proxy restart {process}"


def _changes(path: str, text: str) -> ConfigChanges:
    key = _key(path)
    value: Any = None
    if text != DEFAULT:
        value, wrong = from_text(text, key)
        if wrong:
            raise ConfigInvalid("\n".join(f"{path}: {one.text}" for one in wrong))
    changes = {key.section: {key.name: value}} if key.section else {key.name: value}
    return msgspec.convert(changes, ConfigChanges)


def _key(path: str) -> Key:
    section, _, name = path.rpartition(".")
    key = KEYS.get((section, name)) or LISTS.get(path)
    if key is None:
        meant = nearest(path)
        known = f"; did you mean {meant.path}?" if meant else ""
        raise CommandFailed(f"there is no key {path}{known}")
    return key
