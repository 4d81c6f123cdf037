"""Log lines from the backplane to real clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from common.api import logs
from common.api.logs import Level, LogEntry, NewEntry
from common.bus.bus import Bus
from common.dispatch import Dispatcher
from gateway import log_feed
from gateway.handlers.logs import LogHandlers
from gateway.log_feed import LogFeed
from tests.support.bus import Joiner
from tests.support.gateway_server import serving_sockets
from tests.support.lean_socketio import LeanClient, connect
from tests.support.waiting import until


@dataclass
class Listener:
    """A client and what it heard: messages of lines, and counts of lines it missed."""

    heard: list[str] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)
    client: LeanClient | None = None

    def on_event(self, event: bytes) -> None:
        name, payload = json.loads(event)
        if name == "logs:entry":
            self.heard.append(payload["entry"]["message"])
        elif name == "logs:dropped":
            self.missed.append(payload["count"])

    async def call(self, name: str, payload: Any) -> Any:
        assert self.client is not None
        return (await self.client.call(name, payload))["data"]


class Feed:
    """A feed between a bus that plays the log process and clients of one gateway."""

    def __init__(self, logger: Bus, port: int) -> None:
        self._logger = logger
        self._port = port
        self.listeners: list[Listener] = []

    async def listener(self) -> Listener:
        listener = Listener()
        listener.client = await connect(self._port, listener.on_event)
        self.listeners.append(listener)
        await listener.call("logs:subscribe", {})
        return listener

    def store(self, message: str, level: Level = "info", source: str = "gateway@host") -> None:
        entry = LogEntry(timestamp="", level=level, source=source, message=message)
        self._logger.publish(logs.ENTRY, NewEntry(entry=entry))


@pytest.fixture
async def feed(joiner: Joiner, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Feed]:
    monkeypatch.setattr(log_feed, "PAUSE_S", 0.005)
    logger, gateway = joiner.create("logs", "logs"), joiner.create("gateway", "gateway")
    lines = LogFeed(gateway)
    handlers = LogHandlers(gateway, lines.readers)
    dispatcher = Dispatcher()
    dispatcher.register(logs.SUBSCRIBE, handlers.subscribe)
    dispatcher.register(logs.UNSUBSCRIBE, handlers.unsubscribe)
    await joiner.start(logger, gateway)
    async with serving_sockets(dispatcher) as (sockets, port):
        sockets.listen(lines)
        sending = asyncio.create_task(lines.run(sockets.outgoing))
        feed = Feed(logger, port)
        try:
            yield feed
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending
            for listener in feed.listeners:
                if listener.client is not None:
                    listener.client.close()


async def test_every_client_hears_every_line_in_order(feed: Feed) -> None:
    first, second = await feed.listener(), await feed.listener()
    expected = [f"line {number}" for number in range(200)]
    for message in expected:
        feed.store(message)
    await until(lambda: len(first.heard) == len(second.heard) == 200)
    assert first.heard == second.heard == expected
    assert first.missed == []


async def test_each_client_hears_what_it_subscribed_to(feed: Feed) -> None:
    every, errors, engines, muted = [await feed.listener() for _ in range(4)]
    assert await errors.call("logs:subscribe", {"level": "error"}) == {
        "level": "error",
        "sources": [],
    }
    await engines.call("logs:subscribe", {"sources": ["engine:"]})
    assert await muted.call("logs:unsubscribe", {}) == {}
    feed.store("a", "info", "gateway@host")
    feed.store("b", "error", "gateway@host")
    feed.store("c", "debug", "engine:qwen")
    feed.store("d", "error", "engine:qwen")
    await until(lambda: len(every.heard) == 4)
    await muted.call("logs:subscribe", {})
    feed.store("last", "error", "engine:qwen")
    await until(lambda: all("last" in listener.heard for listener in feed.listeners))
    assert errors.heard == ["b", "d", "last"]
    assert engines.heard == ["c", "d", "last"]
    assert muted.heard == ["last"]


async def test_a_subscription_ends_with_its_client(feed: Feed) -> None:
    first = await feed.listener()
    await first.call("logs:unsubscribe", {})
    assert first.client is not None
    first.client.close()
    again = await feed.listener()
    feed.store("hello")
    await until(lambda: again.heard == ["hello"])
    assert first.heard == []


async def test_of_a_flood_the_newest_come_and_what_is_missing_is_told(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_feed, "MAX_WAITING", 50)
    monkeypatch.setattr(log_feed, "LINES_AT_ONCE", 10)
    every, engines = await feed.listener(), await feed.listener()
    await engines.call("logs:subscribe", {"sources": ["engine:"]})
    lines = 3000
    for number in range(lines):
        feed.store(f"line {number}")
    await until(lambda: f"line {lines - 1}" in every.heard)
    assert every.missed
    assert sum(every.missed) + len(every.heard) == lines
    assert every.heard == sorted(every.heard, key=lambda message: int(message.split()[1]))
    assert engines.missed == []
