"""The whole TypeScript module: every struct that clients see, then the catalogue of names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import inspect as types

from common.api.base import Command, Event, Role, Struct
from common.api.catalog import COMMANDS, EVENTS
from deploy.api_types.interfaces import interface, structs_in

_HEAD = """\
// Generated from common/api by `python -m deploy.api_types`; `make check` fails when it is stale.
"""


def module() -> str:
    """The module's text."""
    commands = [command for command in COMMANDS.values() if not command.internal]
    events = [event for event in EVENTS.values() if not event.internal]
    return "\n".join((_HEAD, *_interfaces(commands, events), *_catalogue(commands, events)))


def _interfaces(
    commands: Iterable[Command[Any, Any]], events: Iterable[Event[Any]]
) -> Iterator[str]:
    sent = _reached(command.request for command in commands)
    got = _reached(
        kind
        for kinds in (
            (command.reply for command in commands),
            (event.payload for event in events),
        )
        for kind in kinds
    )
    for name, kind in sorted({**got, **sent}.items()):
        yield interface(kind, sent=name in sent)


def _reached(tops: Iterable[type[Struct]]) -> dict[str, type[Struct]]:
    """These structs and all that appear inside them, by name."""
    found: dict[str, type[Struct]] = {}
    for top in tops:
        for kind in structs_in(types.type_info(top)):
            if found.setdefault(kind.__name__, kind) is not kind:
                raise ValueError(f"two structs are named {kind.__name__}")
    return found


def _catalogue(
    commands: Iterable[Command[Any, Any]], events: Iterable[Event[Any]]
) -> Iterator[str]:
    roles = ", ".join(f'"{role.value}"' for role in Role)
    yield f"/** Each includes those before it. */\nexport const ROLES = [{roles}] as const;\n"
    yield "export type Role = (typeof ROLES)[number];\n"
    yield "/** What each request takes and gives. */\nexport interface Commands {"
    for command in commands:
        yield f"  /** {command.summary} */"
        yield (
            f'  "{command.name}": {{ request: {command.request.__name__};'
            f" reply: {command.reply.__name__} }};"
        )
    yield "}\n\nexport type CommandName = keyof Commands;\n"
    yield "/** The role that each request needs. */"
    yield "export const COMMAND_ROLES: Readonly<Record<CommandName, Role>> = {"
    for command in commands:
        yield f'  "{command.name}": "{command.role.value}",'
    yield "};\n\n/** What each event carries. */\nexport interface Events {"
    for event in events:
        yield f"  /** {event.summary} */"
        yield f'  "{event.name}": {event.payload.__name__};'
    yield "}\n\nexport type EventName = keyof Events;\n"
