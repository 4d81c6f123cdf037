from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from common.api.base import Command, Role, Struct
from common.bus.wire import WireError
from common.caller import PROCESS, Caller, current
from common.dispatch import Dispatcher
from common.errors import (
    Busy,
    ConfigInvalid,
    InvalidRequest,
    ModelNotFound,
    PermissionDenied,
    ServerError,
    UnknownCommand,
)


class Say(Struct, frozen=True):
    text: str


ECHO = Command("test:echo", Say, Say, Role.VIEWER, "Echo.")
OTHER = Command("test:other", Say, Say, Role.VIEWER, "Another.")


async def echo(request: Say) -> Say:
    return request


def plain(payload: Any) -> Callable[[type[Struct]], Struct]:
    return lambda kind: msgspec.convert(payload, kind)


@pytest.fixture
def dispatcher() -> Dispatcher:
    dispatcher = Dispatcher()
    dispatcher.register(ECHO, echo)
    return dispatcher


def raising(error: BaseException) -> Dispatcher:
    async def fail(_request: Say) -> Say:
        raise error

    dispatcher = Dispatcher()
    dispatcher.register(ECHO, fail)
    return dispatcher


async def test_the_handler_gets_the_commands_struct(dispatcher: Dispatcher) -> None:
    assert await dispatcher.answer("test:echo", plain({"text": "hi"}), PROCESS) == Say(text="hi")


async def test_an_unknown_command_is_named(dispatcher: Dispatcher) -> None:
    with pytest.raises(UnknownCommand, match="'test:nothing'") as caught:
        await dispatcher.answer("test:nothing", plain({}), PROCESS)
    assert caught.value.details == {"command": "test:nothing"}


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({}, "text"),
        ({"text": 1}, "text"),
        ({"text": "hi", "extra": 1}, "extra"),
        (["hi"], "object"),
        (None, "object"),
    ],
)
async def test_a_payload_that_does_not_fit_is_refused_with_its_field(
    dispatcher: Dispatcher, payload: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        await dispatcher.answer("test:echo", plain(payload), PROCESS)
    assert caught.value.message.startswith("test:echo: ")


async def test_a_command_may_have_a_code_of_its_own_for_what_does_not_fit() -> None:
    dispatcher = Dispatcher()
    command = Command("test:set", Say, Say, Role.VIEWER, "Set.", misfit="CONFIG_INVALID")
    dispatcher.register(command, echo)
    with pytest.raises(ConfigInvalid, match="extra"):
        await dispatcher.answer("test:set", plain({"text": "hi", "extra": 1}), PROCESS)


async def test_bytes_that_are_no_struct_are_an_invalid_request(dispatcher: Dispatcher) -> None:
    def decode(_kind: type[Struct]) -> Struct:
        raise WireError("garbage")

    with pytest.raises(InvalidRequest, match="garbage"):
        await dispatcher.answer("test:echo", decode, PROCESS)


@pytest.mark.parametrize("error", [ModelNotFound("none", {"id": "x"}), Busy("full")])
async def test_expected_failures_leave_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await raising(error).answer("test:echo", plain({"text": ""}), PROCESS)
    assert caught.value is error


@pytest.mark.parametrize("error", [RuntimeError("secret"), KeyError("secret"), WireError("secret")])
async def test_the_unexpected_is_logged_and_leaves_without_its_text(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(ServerError) as caught:
        await raising(error).answer("test:echo", plain({"text": ""}), PROCESS)
    assert "secret" not in caught.value.message
    (record,) = caplog.records
    assert "test:echo" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_cancellation_is_no_failure() -> None:
    with pytest.raises(asyncio.CancelledError):
        await raising(asyncio.CancelledError()).answer("test:echo", plain({"text": ""}), PROCESS)


def test_a_name_is_registered_once(dispatcher: Dispatcher) -> None:
    with pytest.raises(ValueError, match="test:echo"):
        dispatcher.register(ECHO, echo)
    dispatcher.register(OTHER, echo)
    assert dispatcher.commands == [ECHO, OTHER]


async def test_too_little_is_refused_before_the_payload_is_read(dispatcher: Dispatcher) -> None:
    caller = Caller("ci", Role.INFERENCE, "1")
    with pytest.raises(PermissionDenied) as caught:
        await dispatcher.answer("test:echo", plain({"nonsense": 1}), caller)
    assert caught.value.message == "test:echo needs the role viewer; 'ci' has inference"
    assert caught.value.details == {"needed": "viewer", "role": "inference"}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
async def test_a_handler_finds_its_caller(role: Role) -> None:
    seen = []

    async def look(request: Say) -> Say:
        seen.append(current())
        return request

    dispatcher = Dispatcher()
    dispatcher.register(ECHO, look)
    caller = Caller("ci", role, "1")
    await dispatcher.answer("test:echo", plain({"text": ""}), caller)
    assert seen == [caller]
    with pytest.raises(LookupError):
        current()


async def test_an_unknown_field_is_answered_with_the_known_ones(dispatcher: Dispatcher) -> None:
    with pytest.raises(InvalidRequest, match=r"unknown field `txt` \(known: text\)"):
        await dispatcher.answer("test:echo", plain({"text": "hi", "txt": "hi"}), PROCESS)


async def test_what_was_sent_is_quoted_in_bounded_length(dispatcher: Dispatcher) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await dispatcher.answer("test:echo", plain({"text": "hi", "x" * 100_000: 1}), PROCESS)
    assert len(caught.value.message) < 1_000
