"""An example of every public request and event, kept as data in `examples/<domain>.json`.

They are checked against the contract whenever the page is made, and run against a real stack by
tests/system/test_api_examples.py, in the order of the files: each may build on those before it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from common.api.base import Command, Event, Struct
from common.api.catalog import COMMANDS, EVENTS

FOLDER = Path(__file__).with_name("examples")


class ExampleInvalid(Exception):
    """An example that does not fit the contract; says which, and why."""


class CommandExample(NamedTuple):
    """A request's payload and the data of its answer. `abridged`: the real answer is longer."""

    command: Command[Any, Any]
    request: dict[str, Any]
    reply: dict[str, Any]
    abridged: bool


@cache
def command_examples() -> dict[str, CommandExample]:
    """By the command's name, in the order in which they can be run.

    Raises `ExampleInvalid`.
    """
    found = {}
    for name, told in _all().items():
        if name in EVENTS:
            continue
        command = COMMANDS.get(name)
        if command is None or command.internal:
            raise ExampleInvalid(f"{name}: clients have no such command")
        _sent(f"{name}, request", told["request"], command.request)
        reply = _sent(f"{name}, reply", told["reply"], command.reply)
        found[name] = CommandExample(command, told["request"], reply, told.get("abridged", False))
    return found


@cache
def event_examples() -> dict[str, dict[str, Any]]:
    """Payloads by the event's name. Raises `ExampleInvalid`."""
    found = {}
    for name, told in _all().items():
        event: Event[Any] | None = EVENTS.get(name)
        if event is None:
            continue
        found[name] = _sent(name, told["payload"], event.payload)
    return found


def _all() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(FOLDER.glob("*.json")):
        found |= json.loads(path.read_text(encoding="utf-8"))
    return found


def _sent(what: str, value: Any, kind: type[Struct]) -> dict[str, Any]:
    """The value as it is on the wire, which has the fields with a default, too."""
    try:
        struct = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ExampleInvalid(f"{what}: {error}") from error
    sent: dict[str, Any] = json.loads(msgspec.json.encode(struct))
    return sent
