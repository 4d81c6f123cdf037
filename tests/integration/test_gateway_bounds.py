"""What one client may do to the gateway, and to its other clients: nothing much."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from websockets.exceptions import ConnectionClosed

from common.api import models
from common.api.base import Command, Role, Struct
from common.api.models import ListModels, ModelList
from common.caller import EVERYBODY
from common.dispatch import Dispatcher
from common.errors import Busy, Unauthenticated
from gateway.clients import MAX_CLIENTS, MAX_REQUESTS_IN_FLIGHT, Clients
from gateway.packets import MAX_ATTACHMENTS, MAX_PAYLOAD_BYTES
from gateway.sockets import NAMESPACES
from gateway.strangers import Strangers
from tests.support.access import SECRETS, access_with, everyone
from tests.support.guarded_gateway import RunningGateway, gateway_serving
from tests.support.socketio_caller import NAMESPACE, Refused, SocketIoCaller, socketio_caller
from tests.support.waiting import until

LIST = models.LIST.name
FORGED = '{"asgi.scope": {"llama_proxy.local": true, "headers": []}}, {"token": "x"}'


@dataclass
class Gate:
    """A command whose answers wait until the test opens."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    async def list(self, _request: ListModels) -> ModelList:
        self.waiting += 1
        await self.opened.wait()
        return ModelList(models=(), total=0)


@asynccontextmanager
async def gateway(gate: Gate | None = None) -> AsyncIterator[RunningGateway]:
    gate = gate or open_gate()
    dispatcher = Dispatcher()
    dispatcher.register(models.LIST, gate.list)
    async with gateway_serving(access_with(*everyone()), dispatcher) as running:
        yield running
        gate.opened.set()


def open_gate() -> Gate:
    gate = Gate()
    gate.opened.set()
    return gate


async def answers(caller: SocketIoCaller) -> bool:
    answer = await caller.ask(LIST, {})
    return answer["success"] is True


async def test_one_client_has_a_bound_of_requests_under_way() -> None:
    gate = Gate()
    async with (
        gateway(gate) as running,
        socketio_caller(running.address, SECRETS[Role.VIEWER]) as greedy,
        socketio_caller(running.address, SECRETS[Role.VIEWER]) as modest,
    ):
        sent = [await greedy.emit(LIST, {}) for _ in range(MAX_REQUESTS_IN_FLIGHT)]
        await until(lambda: gate.waiting == MAX_REQUESTS_IN_FLIGHT)
        refused = await greedy.ask(LIST, {})
        assert refused["error"]["code"] == "BUSY"
        assert refused["error"]["details"] == {"limit": MAX_REQUESTS_IN_FLIGHT}
        asked = await modest.emit(LIST, {})
        await until(lambda: gate.waiting == MAX_REQUESTS_IN_FLIGHT + 1)
        gate.opened.set()
        assert (await modest.acknowledgement(asked))["success"]
        for number in sent:
            assert (await greedy.acknowledgement(number))["success"]
        assert await answers(greedy)


@pytest.mark.parametrize(
    "packet",
    [
        "42",
        "42{}",
        "42[]",
        "42[",
        "42[7]",
        "42[null]",
        '42[["a"]]',
        '42{"a":1}',
        '42"text"',
        "429",
        "42" + "9" * 200 + "[]",
        "43",
        "43[]",
        "431[]",
        "437[1]",
        "44",
        "44{}",
        "45",
        "451-",
        '451-["a"]',
        '459999999999-["a"]',
        f'45{MAX_ATTACHMENTS + 1}-["a"]',
        '45-1-["a"]',
        "46[]",
        "47",
        "4",
        "4x",
        "40/nowhere,",
        "41/nowhere,",
        "42/nowhere," + '["models:list",{}]',
        "",
        "0",
        "6",
        "7",
        "9",
        "x",
        "b",
        "bAAAA",
        "bA",
        "4" + "[" * 5000,
        "4\N{ARABIC-INDIC DIGIT TWO}[]",
        "42" + "[" * 5000,
        "42" + '["models:list",' + '{"a":' * 5000 + "1" + "}" * 5000 + "]",
        b"",
        b"\x00\xff",
        '42["connect",' + FORGED + "]",
        '42["disconnect"]',
        '42["disconnect","transport close"]',
        '42["connect_error",{}]',
        '42["*",{}]',
        '421["*","another-client",{}]',
    ],
    ids=lambda packet: repr(packet)[:30],
)
async def test_a_malformed_packet_disturbs_nobody(
    packet: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway() as running:
        async with (
            socketio_caller(running.address, SECRETS[Role.VIEWER]) as other,
            socketio_caller(running.address, SECRETS[Role.VIEWER], namespace="/") as sender,
        ):
            with suppress(ConnectionClosed):
                await sender.send(packet)
            assert await answers(other)
        async with socketio_caller(running.address, SECRETS[Role.VIEWER]) as another:
            assert await answers(another)
    loud = [r for r in caplog.records if r.exc_info or r.levelno > logging.WARNING]
    assert [record.getMessage() for record in loud] == []


async def test_made_up_connects_make_nobody_an_administrator() -> None:
    async with (
        gateway() as running,
        socketio_caller(running.address, SECRETS[Role.VIEWER]) as caller,
    ):
        await caller.send(f'42{NAMESPACE},["connect",{FORGED}]')
        await caller.send(f'42{NAMESPACE},["disconnect","x"]')
        answer = await caller.ask("tokens:list", {})
        assert answer["error"]["code"] == "UNKNOWN_COMMAND"
        assert await answers(caller)


async def test_a_payload_beyond_the_bound_ends_its_connection_only() -> None:
    async with (
        gateway() as running,
        socketio_caller(running.address, SECRETS[Role.VIEWER]) as large,
        socketio_caller(running.address, SECRETS[Role.VIEWER]) as other,
    ):
        within = await large.ask(LIST, {"x": "a" * (MAX_PAYLOAD_BYTES - 100)})
        assert within["error"]["code"] == "INVALID_REQUEST"
        with suppress(ConnectionClosed):
            await large.emit(LIST, {"x": "a" * MAX_PAYLOAD_BYTES})
        await large.disconnected()
        assert await answers(other)


@pytest.mark.parametrize("name", ["x" * 500_000, "", " ", "models:list\n", "\N{SNOWMAN}"])
async def test_a_strange_name_is_an_unknown_command(name: str) -> None:
    async with (
        gateway() as running,
        socketio_caller(running.address, SECRETS[Role.VIEWER]) as caller,
    ):
        error = (await caller.ask(name, {}))["error"]
        assert error["code"] == "UNKNOWN_COMMAND"
        assert len(error["message"]) < 300
        assert len(error["details"]["command"]) <= 200


async def test_half_a_surrogate_pair_where_a_number_belongs_is_answered() -> None:
    class Wait(Struct, frozen=True):
        seconds: float | None = None

    async def wait(_request: Wait) -> Wait:
        raise AssertionError

    dispatcher = Dispatcher()
    dispatcher.register(Command("test:wait", Wait, Wait, Role.VIEWER, "Wait."), wait)
    async with (
        gateway_serving(access_with(*everyone()), dispatcher) as running,
        socketio_caller(running.address, SECRETS[Role.VIEWER]) as caller,
    ):
        error = (await caller.ask("test:wait", {"seconds": "\ud800"}))["error"]
        assert error["code"] == "INVALID_REQUEST"
        assert "surrogate" in error["message"]


async def test_a_connection_that_joins_nothing_is_closed() -> None:
    async with (
        gateway() as running,
        socketio_caller(running.address, SECRETS[Role.VIEWER]) as joined,
        socketio_caller(running.address, SECRETS[Role.VIEWER], namespace="/") as joined_plainly,
        socketio_caller(running.address, join=False) as stranger,
    ):
        with suppress(Refused):
            await stranger.join({"token": "wrong"})
        looking = asyncio.create_task(Strangers(running.sockets.server, NAMESPACES).run(0.05))
        with pytest.raises(ConnectionClosed):
            await stranger.receive()
        assert await answers(joined)
        assert await answers(joined_plainly)
        looking.cancel()


def test_the_number_of_clients_is_bounded() -> None:
    clients = Clients()
    for number in range(MAX_CLIENTS):
        clients.enter(str(number), "/", EVERYBODY)
    with pytest.raises(Busy):
        clients.enter("one more", "/", EVERYBODY)
    assert clients.leave("0")
    assert not clients.leave("0")
    clients.enter("one more", "/", EVERYBODY)
    assert len(clients) == MAX_CLIENTS


def test_a_client_that_has_left_asks_nothing() -> None:
    with pytest.raises(Unauthenticated), Clients().request_of("nobody"):
        pytest.fail("it was let through")


def test_nothing_is_under_way_after_a_failure() -> None:
    clients = Clients()
    clients.enter("one", "/", EVERYBODY)
    for _ in range(MAX_REQUESTS_IN_FLIGHT + 1):
        with suppress(RuntimeError), clients.request_of("one"):
            raise RuntimeError
