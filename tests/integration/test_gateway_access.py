"""Who is let into the gateway, as what, and for how long: real sockets, tokens from a table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from common.api import models, tokens
from common.api.base import Command, Role
from common.api.catalog import COMMANDS
from common.api.tokens import CreatedToken, CreateToken, RevokedToken, RevokeToken
from common.bus.bus import Bus
from common.caller import EVERYBODY, LOCAL, Caller, current
from common.dispatch import Dispatcher
from common.errors import ProxyError
from gateway import sockets
from gateway.auth import Access
from gateway.handlers.tokens import TokenHandlers
from tests.support.access import SECRETS, TokenTable, access_with, everyone, token
from tests.support.guarded_gateway import RunningGateway, gateway_serving
from tests.support.loops import on_both_loops
from tests.support.socketio_caller import NAMESPACE, Refused, socketio_caller

PUBLIC = [command for command in COMMANDS.values() if not command.internal]
GATEWAY_ROLES = [role for role in Role if role is not Role.INFERENCE]


class Told(ProxyError):
    """Carries who asked to the client."""

    code = "TOLD"


def dispatcher_for(commands: list[Command[Any, Any]]) -> Dispatcher:
    """Answers each command with the name of its caller."""

    async def tell(_request: Any) -> Any:
        caller = current()
        raise Told(caller.name, {"role": caller.role.value, "tokenId": caller.token_id})

    dispatcher = Dispatcher()
    for command in commands:
        dispatcher.register(command, tell)
    return dispatcher


@asynccontextmanager
async def gateway(access: Access) -> AsyncIterator[RunningGateway]:
    async with gateway_serving(access, dispatcher_for(PUBLIC)) as running:
        yield running


async def who(running: RunningGateway, secret: str | None = None, **options: Any) -> Any:
    """The name and role that the gateway takes us for."""
    async with socketio_caller(running.address, secret, **options) as caller:
        error = (await caller.ask(models.LIST.name, {}))["error"]
        return error["message"], error["details"]["role"]


@on_both_loops
@pytest.mark.parametrize("namespace", ["/", NAMESPACE])
async def test_a_token_is_its_bearers_name_and_role(namespace: str) -> None:
    async with gateway(access_with(*everyone())) as running:
        for role in GATEWAY_ROLES:
            assert await who(running, SECRETS[role], namespace=namespace) == (
                role.value,
                role.value,
            )


async def test_the_handshakes_headers_may_carry_the_token() -> None:
    async with gateway(access_with(*everyone())) as running:
        for headers in (
            {"Authorization": f"Bearer {SECRETS[Role.VIEWER]}"},
            {"authorization": f"bearer  {SECRETS[Role.VIEWER]}"},
            {"X-Api-Key": SECRETS[Role.VIEWER]},
        ):
            assert await who(running, headers=headers) == ("viewer", "viewer")
        # `auth` is what the page itself says, so it counts more than what a proxy may add.
        assert (await who(running, SECRETS[Role.ADMIN], headers=headers))[0] == "admin"


@pytest.mark.parametrize("secret", [None, "", "lap_wrong", "x" * 1000, "\N{SNOWMAN}", "Bearer x"])
async def test_without_a_valid_token_nobody_is_let_in(secret: str | None) -> None:
    async with gateway(access_with(*everyone())) as running:
        with pytest.raises(Refused) as caught:
            await who(running, secret)
        assert caught.value.data == {"code": "UNAUTHENTICATED"}
        assert "token" in caught.value.message
        assert SECRETS[Role.VIEWER] not in caught.value.message


@pytest.mark.parametrize("auth", [[], "token", 7, {"token": 7}, {"token": {"a": 1}}, {"x": "y"}])
async def test_nonsense_in_auth_is_no_token(auth: object) -> None:
    async with gateway(access_with(*everyone())) as running:
        with pytest.raises(Refused) as caught:
            async with socketio_caller(running.address, join=False) as caller:
                await caller.join(auth)
        assert caught.value.data == {"code": "UNAUTHENTICATED"}


async def test_an_inference_token_is_for_the_proxy_only() -> None:
    async with gateway(access_with(*everyone())) as running:
        with pytest.raises(Refused, match="needs the role viewer; 'inference' has") as caught:
            await who(running, SECRETS[Role.INFERENCE])
        assert caught.value.data == {"code": "PERMISSION_DENIED"}


async def test_without_tokens_everybody_on_this_machine_is_admin() -> None:
    async with gateway(access_with()) as running:
        assert await who(running) == (EVERYBODY.name, "admin")
        assert await who(running, "lap_any") == (EVERYBODY.name, "admin")


async def test_without_tokens_a_public_gateway_is_closed() -> None:
    async with gateway(access_with(public=True)) as running:
        for secret in (None, "lap_any"):
            with pytest.raises(Refused) as caught:
                await who(running, secret)
            assert caught.value.data == {"code": "UNAUTHENTICATED"}


async def test_before_the_tokens_are_known_nobody_is_let_in() -> None:
    table = TokenTable()
    async with gateway(Access(table.mirror, public=False)) as running:
        with pytest.raises(Refused, match="try again soon") as caught:
            await who(running)
        assert caught.value.data == {"code": "UNAVAILABLE"}
        table.tell(owner="controller@elsewhere")
        table.tell(token("intruder", Role.ADMIN, "lap_made-up"), owner="runner-0@elsewhere")
        with pytest.raises(Refused):
            await who(running, "lap_made-up")
        table.tell(*everyone())
        with pytest.raises(Refused):
            await who(running, "lap_made-up")
        assert (await who(running, SECRETS[Role.ADMIN]))[0] == "admin"


@on_both_loops
async def test_the_owner_of_home_needs_no_token() -> None:
    table = TokenTable()
    async with (
        gateway(Access(table.mirror, public=True)) as running,
        socketio_caller(running.own_socket) as caller,
    ):
        error = (await caller.ask(models.LIST.name, {}))["error"]
        assert (error["message"], error["details"]["role"]) == (LOCAL.name, "admin")
        table.tell(*everyone())
        table.tell()
        assert (await caller.ask(models.LIST.name, {}))["error"]["code"] == "TOLD"


@on_both_loops
@pytest.mark.parametrize("namespace", ["/", NAMESPACE])
async def test_the_revoked_are_disconnected_and_others_stay(namespace: str) -> None:
    table = TokenTable()
    access = Access(table.mirror, public=False)
    viewer = token("v", Role.VIEWER, "lap_v")
    table.tell(viewer, token("a", Role.ADMIN, "lap_a"))
    async with (
        gateway(access) as running,
        socketio_caller(running.address, "lap_v", namespace=namespace) as staying,
        socketio_caller(running.address, "lap_a", namespace=namespace) as leaving,
    ):
        table.tell(viewer)
        await leaving.disconnected()
        assert (await staying.ask(models.LIST.name, {}))["error"]["code"] == "TOLD"
        with pytest.raises(Refused):
            await who(running, "lap_a")


async def test_the_first_token_ends_the_time_when_everybody_was_admin() -> None:
    table = TokenTable()
    access = Access(table.mirror, public=False)
    table.tell()
    async with gateway(access) as running, socketio_caller(running.address) as early:
        table.tell(*everyone())
        await early.disconnected()


async def test_what_the_last_to_have_access_wait_for_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sockets, "EXPEL_AFTER_S", 0.0)
    table = TokenTable()
    access = Access(table.mirror, public=False)
    table.tell()
    asked, answer = asyncio.Event(), asyncio.Event()

    async def make(_request: CreateToken) -> CreatedToken:
        asked.set()
        await answer.wait()
        return CreatedToken(
            id="id-a", name="a", role=Role.ADMIN, created_at="", token=SECRETS[Role.ADMIN]
        )

    dispatcher = dispatcher_for([models.LIST])
    dispatcher.register(tokens.CREATE, make)
    async with (
        gateway_serving(access, dispatcher) as running,
        socketio_caller(running.address) as early,
    ):
        request = {"name": "a", "role": "admin"}
        making = asyncio.create_task(early.ask(tokens.CREATE.name, request))
        await asked.wait()
        table.tell(*everyone())
        await asyncio.sleep(0.5)
        answer.set()
        assert (await making)["data"]["token"] == SECRETS[Role.ADMIN]
        await early.disconnected()


async def test_nobody_elses_leaving_cuts_an_answer_off() -> None:
    table = TokenTable()
    access = Access(table.mirror, public=False)
    viewer, admin = token("v", Role.VIEWER, "lap_v"), token("a", Role.ADMIN, "lap_a")
    table.tell(viewer, admin, token("other", Role.ADMIN, "lap_o"))
    asked, answer = asyncio.Event(), asyncio.Event()

    async def revoke(_request: RevokeToken) -> RevokedToken:
        asked.set()
        await answer.wait()
        return RevokedToken(id="id-a", name="a")

    dispatcher = dispatcher_for([models.LIST])
    dispatcher.register(tokens.REVOKE, revoke)
    async with (
        gateway_serving(access, dispatcher) as running,
        socketio_caller(running.address, "lap_v") as first,
        socketio_caller(running.address, "lap_a") as second,
    ):
        revoking = asyncio.create_task(second.ask(tokens.REVOKE.name, {"id": "id-a"}))
        await asked.wait()
        table.tell(admin, token("other", Role.ADMIN, "lap_o"))
        await asyncio.sleep(sockets.EXPEL_AFTER_S / 2)
        table.tell(token("other", Role.ADMIN, "lap_o"))
        await first.disconnected()
        answer.set()
        assert (await revoking)["data"]["id"] == "id-a"
        await second.disconnected()


async def test_what_is_asked_without_access_is_refused_before_the_connection_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sockets, "EXPEL_AFTER_S", 60.0)
    table = TokenTable()
    access = Access(table.mirror, public=False)
    table.tell()
    async with gateway(access) as running, socketio_caller(running.address) as early:
        assert (await early.ask(models.LIST.name, {}))["error"]["code"] == "TOLD"
        table.tell(*everyone())
        assert (await early.ask(models.LIST.name, {}))["error"]["code"] == "UNAUTHENTICATED"


async def test_a_revoked_client_that_stays_is_not_answered() -> None:
    table = TokenTable()
    access = Access(table.mirror, public=False)
    table.tell(*everyone())
    async with (
        gateway(access) as running,
        socketio_caller(running.address, SECRETS[Role.ADMIN]) as caller,
    ):
        table.tell()
        await caller.disconnected()
        await caller.emit(models.LIST.name, {})
        # Nothing comes but the answer to a new connection, which is everybody's again.
        await caller.send(f"40{NAMESPACE},")
        assert (await caller.receive()).startswith(f"40{NAMESPACE},")


@pytest.mark.parametrize("role", Role, ids=lambda role: role.value)
@pytest.mark.parametrize("command", PUBLIC, ids=lambda command: command.name)
def test_every_public_command_has_a_role(command: Command[Any, Any], role: Role) -> None:
    assert isinstance(command.role, Role)
    assert command.role is not Role.INFERENCE
    assert Caller("x", role).may(command.role) == (
        list(Role).index(role) >= list(Role).index(command.role)
    )


@pytest.mark.parametrize("role", GATEWAY_ROLES, ids=lambda role: role.value)
async def test_each_role_may_what_the_catalogue_says(role: Role) -> None:
    caller_role = Caller("x", role)
    async with (
        gateway(access_with(*everyone())) as running,
        socketio_caller(running.address, SECRETS[role]) as caller,
    ):
        for command in PUBLIC:
            # Refused for its payload, where it is not refused for its caller.
            answer = await caller.ask(command.name, {"noSuchField": 1})
            if caller_role.may(command.role):
                assert "noSuchField" in answer["error"]["message"]
            else:
                assert answer["error"]["code"] == "PERMISSION_DENIED", command.name
                assert f"needs the role {command.role.value}" in answer["error"]["message"]


async def test_no_internal_command_is_there_for_anybody() -> None:
    async with (
        gateway(access_with(*everyone())) as running,
        socketio_caller(running.address, SECRETS[Role.ADMIN]) as caller,
    ):
        for command in COMMANDS.values():
            if command.internal:
                answer = await caller.ask(command.name, {})
                assert answer["error"]["code"] == "UNKNOWN_COMMAND", command.name


async def identity(access: Access, secret: str | None = None) -> Any:
    """What a client is told of itself; the bus is not asked for that."""
    dispatcher = Dispatcher()
    dispatcher.register(tokens.IDENTITY, TokenHandlers(access, cast("Bus", None)).identity)
    async with (
        gateway_serving(access, dispatcher) as running,
        socketio_caller(running.address, secret) as caller,
    ):
        return (await caller.ask(tokens.IDENTITY.name, {}))["data"]


async def test_everybody_is_told_who_they_are() -> None:
    for role in GATEWAY_ROLES:
        told = {"name": role.value, "role": role.value, "needsToken": True}
        assert await identity(access_with(*everyone()), SECRETS[role]) == told
    told = {"name": "everybody", "role": "admin", "needsToken": False}
    assert await identity(access_with()) == told


def test_tokens_are_for_administrators() -> None:
    assert {tokens.LIST.role, tokens.CREATE.role, tokens.REVOKE.role} == {Role.ADMIN}
