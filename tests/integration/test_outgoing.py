"""Clients that do not read, on real sockets: what waits for them, and what the others notice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from common.api import logs, models
from common.api.base import Command, Role, Struct
from common.api.logs import LogEntry, NewEntry
from common.api.models import ModelMoved
from common.dispatch import Dispatcher
from gateway import backlog, outgoing
from gateway.sockets import Sockets
from gateway.told import Told
from tests.support.gateway_server import serving_sockets
from tests.support.lean_socketio import LeanClient, Listener, connect
from tests.support.waiting import until

SMALL_BUFFER_BYTES = 4096
LONG = "x" * 20_000


class Say(Struct, frozen=True):
    """What is said and repeated."""

    text: str


REPEAT = Command("test:repeat", Say, Say, Role.VIEWER, "Repeat.")


class Gateway:
    """Sockets on a port, and how often the one command was asked."""

    def __init__(self, sockets: Sockets, port: int) -> None:
        self.sockets = sockets
        self.port = port
        self.asked = 0
        self.gone: list[str] = []
        self._clients: list[LeanClient] = []

    def client_connected(self, client_id: str) -> None:
        """See `ClientListener`."""

    def client_disconnected(self, client_id: str) -> None:
        """See `ClientListener`."""
        self.gone.append(client_id)

    async def reader(self, on_event: Listener | None = None) -> LeanClient:
        """A client."""
        client = await connect(self.port, on_event, buffer_bytes=SMALL_BUFFER_BYTES)
        self._clients.append(client)
        return client

    async def silent(self, on_event: Listener | None = None) -> LeanClient:
        """A client that reads nothing from now on."""
        client = await self.reader(on_event)
        client.stop_reading()
        return client

    def close(self) -> None:
        """End all clients."""
        for client in self._clients:
            client.close()

    def tell_state(self) -> None:
        """Everybody hears of a model."""
        self.sockets.emit(models.LOADED, ModelMoved(model_id=LONG))

    def tell_line(self, number: int) -> None:
        """Everybody hears of a log line."""
        entry = LogEntry(timestamp="", level="info", source="test", message=f"{number} {LONG}")
        self.sockets.emit(logs.ENTRY, NewEntry(entry=entry))


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    dispatcher = Dispatcher()
    made: list[Gateway] = []

    async def repeat(request: Say) -> Say:
        made[0].asked += 1
        return request

    dispatcher.register(REPEAT, repeat)
    async with serving_sockets(dispatcher) as (sockets, port):
        made.append(Gateway(sockets, port))
        sockets.listen(made[0])
        try:
            yield made[0]
        finally:
            made[0].close()


def names(events: list[Any]) -> list[str]:
    return [event[0] for event in events]


async def test_who_reads_nothing_is_disconnected_and_who_reads_misses_nothing(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []
    reader = await gateway.reader(lambda event: heard.append(json.loads(event)))
    silent = await gateway.silent()
    told = 0
    # Without a bound this would go on for as long as there is memory.
    while not gateway.gone and told < 100_000:
        gateway.tell_state()
        told += 1
        await until(lambda: len(heard) == told)  # noqa: B023 - called in this turn
        assert (await reader.call("test:repeat", {"text": "hello"}))["data"] == {"text": "hello"}
    assert len(gateway.gone) == 1
    assert "does not read and is ended" in caplog.text
    assert names(heard) == ["models:loaded"] * told
    silent.read_again()
    async with asyncio.timeout(10):
        await silent.lost


async def test_log_lines_are_dropped_for_who_does_not_read_and_their_number_is_told(
    gateway: Gateway,
) -> None:
    heard: list[Any] = []
    silent = await gateway.silent(lambda event: heard.append(json.loads(event)))
    lines = 1000
    for number in range(lines):
        gateway.tell_line(number)
        if number % 10 == 0:
            await asyncio.sleep(0)  # lets some of them go into the socket
    assert gateway.gone == []
    silent.read_again()
    await until(lambda: names(heard)[-1:] == ["logs:entry"] and str(lines - 1) in str(heard[-1]))
    dropped = [event[1]["count"] for event in heard if event[0] == "logs:dropped"]
    entries = [event[1]["entry"] for event in heard if event[0] == "logs:entry"]
    assert dropped
    assert sum(dropped) + len(entries) == lines


async def test_who_does_not_take_its_answers_is_not_asked_for_more(gateway: Gateway) -> None:
    client = await gateway.silent()
    request = f'42/llamaproxws,1["test:repeat",{{"text":"{LONG}"}}]'.encode()
    requests = 1000
    for _ in range(requests):
        client.send(request)
    asked = -1

    def settled() -> bool:
        nonlocal asked
        before, asked = asked, gateway.asked
        return 0 < before == asked

    await until(settled)
    assert gateway.asked < requests
    client.read_again()
    await until(lambda: gateway.asked == requests)
    assert gateway.gone == []


async def test_who_takes_no_answers_for_long_is_disconnected(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "STALL_S", 0.1)
    monkeypatch.setattr(backlog, "MAX_ANSWER_CHARACTERS", 1000)
    client = await gateway.silent()
    request = f'42/llamaproxws,1["test:repeat",{{"text":"{LONG}"}}]'.encode()
    for _ in range(1000):
        client.send(request)
    await until(lambda: len(gateway.gone) == 1)


async def test_an_event_for_a_client_that_is_gone_is_no_error(gateway: Gateway) -> None:
    told = Told(models.LOADED, ModelMoved(model_id="a"))
    gateway.sockets.outgoing.send("nobody", told)
    gateway.sockets.outgoing.lose("nobody", 1)
    client = await gateway.reader()
    client.close()
    await until(lambda: len(gateway.gone) == 1)
    gateway.sockets.outgoing.send(gateway.gone[0], told)
