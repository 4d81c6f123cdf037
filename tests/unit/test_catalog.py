from __future__ import annotations

import asyncio
import re
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.api import models
from common.api.base import Command, Event, Role, Struct
from common.api.catalog import COMMANDS, EVENTS
from common.bus.addresses import Addresses
from common.bus.bus import Bus, Identity
from common.delivery import Delivery
from common.dispatch import Dispatcher
from common.home import Home
from common.service import Process
from common.settings import Settings
from gateway import __main__ as gateway

NAME = re.compile(r"[a-z]+(-[a-z]+)*:[a-z]+(-[a-z]+)*")

ENTRIES: list[Command[Any, Any] | Event[Any]] = [*COMMANDS.values(), *EVENTS.values()]
PUBLIC = [entry for entry in ENTRIES if not entry.internal]


def by_name(entry: Command[Any, Any] | Event[Any]) -> str:
    return entry.name


def structs_of(entry: Command[Any, Any] | Event[Any]) -> list[type[Struct]]:
    if isinstance(entry, Command):
        return [entry.request, entry.reply]
    return [entry.payload]


def components(entry: Command[Any, Any] | Event[Any]) -> dict[str, Any]:
    """The JSON Schemas of all structs that are reached from this entry."""
    _, found = msgspec.json.schema_components(
        structs_of(entry), ref_template="#/{name}", schema_hook=lambda _: {}
    )
    return found


def property_names(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from property_names(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from property_names(value)


def test_the_domains_are_there() -> None:
    assert {name.partition(":")[0] for name in COMMANDS} >= {"models", "logs", "system"}
    assert COMMANDS["models:load"] is models.LOAD
    assert EVENTS["models:status"] is models.STATUS


def test_no_command_has_the_name_of_an_event() -> None:
    assert COMMANDS.keys().isdisjoint(EVENTS)


@pytest.mark.parametrize("entry", ENTRIES, ids=by_name)
def test_names_are_a_domain_and_what_is_done_or_happened(
    entry: Command[Any, Any] | Event[Any],
) -> None:
    assert NAME.fullmatch(entry.name)


@pytest.mark.parametrize("entry", ENTRIES, ids=by_name)
def test_every_entry_has_a_sentence_for_the_api_page(
    entry: Command[Any, Any] | Event[Any],
) -> None:
    assert entry.summary.endswith(".")
    assert entry.summary[0].isupper()
    assert "\n" not in entry.summary


@pytest.mark.parametrize("command", COMMANDS.values(), ids=by_name)
def test_every_command_has_a_role(command: Command[Any, Any]) -> None:
    assert isinstance(command.role, Role)


@pytest.mark.parametrize("event", EVENTS.values(), ids=by_name)
def test_internal_events_travel_the_backplane(event: Event[Any]) -> None:
    assert event.stream or not event.internal


@pytest.mark.parametrize("entry", ENTRIES, ids=by_name)
def test_unknown_fields_are_refused(entry: Command[Any, Any] | Event[Any]) -> None:
    for struct in structs_of(entry):
        with pytest.raises(msgspec.ValidationError, match="noSuchField"):
            msgspec.convert({"noSuchField": 1} | _plausible(struct), struct)


def _plausible(struct: Any) -> dict[str, Any]:
    """Values for what is required, so that only the unknown field is wrong."""
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    return {field.encode_name: _value(field.type) for field in info.fields if field.required}


def _value(kind: msgspec.inspect.Type) -> Any:
    match kind:
        case msgspec.inspect.StrType():
            return ""
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return 1
        case msgspec.inspect.LiteralType():
            return kind.values[0]
        case msgspec.inspect.DictType():
            return {}
        case msgspec.inspect.StructType():
            return _plausible(kind.cls)
        case msgspec.inspect.UnionType():
            return None
        case msgspec.inspect.AnyType():
            return None
        case _:
            return []


@pytest.mark.parametrize("entry", ENTRIES, ids=by_name)
def test_fields_are_camel_case(entry: Command[Any, Any] | Event[Any]) -> None:
    names = set(property_names(components(entry)))
    assert {
        name for name in names if not re.fullmatch(r"[a-z]+([A-Z0-9][a-z0-9]*)*", name)
    } == set()


@pytest.mark.parametrize("entry", PUBLIC, ids=by_name)
def test_public_entries_have_a_json_schema(entry: Command[Any, Any] | Event[Any]) -> None:
    for struct in structs_of(entry):
        schema = msgspec.json.schema(struct)
        assert schema["$ref"].endswith(f"/{struct.__name__}")


@pytest.mark.parametrize("entry", PUBLIC, ids=by_name)
def test_no_client_ever_sees_an_engines_address_or_key(
    entry: Command[Any, Any] | Event[Any],
) -> None:
    names = {name.lower() for name in property_names(components(entry))}
    assert names.isdisjoint({"apikey", "api_key", "port", "instanceid"})


class _Registered(Exception):
    """Ends the gateway's start once its commands are known."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__()
        self.dispatcher = dispatcher


async def test_the_gateway_answers_the_public_commands_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_here(dispatcher: Dispatcher, *_: object) -> None:
        raise _Registered(dispatcher)

    monkeypatch.setattr("gateway.__main__.Sockets", stop_here)
    identity = Identity.new("gateway@host", "gateway", "host")
    bus = Bus(identity, Addresses.in_directory(tmp_path))
    process = Process(
        identity, Home(tmp_path), Settings(), bus, Delivery(bus), Namespace(), asyncio.Event()
    )
    with pytest.raises(_Registered) as caught:
        await gateway.work(process)
    bus.close()
    answered = {command.name for command in caught.value.dispatcher.commands}
    assert answered == {command.name for command in COMMANDS.values() if not command.internal}
