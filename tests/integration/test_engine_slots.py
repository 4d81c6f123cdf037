from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from tests.support.waiting import until
from workers.runner import engine_slots
from workers.runner.engine_slots import busy_slots, learn_slots

OK = b"HTTP/1.1 200 OK\r\n\r\n"


@dataclass
class ToldEngine:
    """Gives one answer after another, the last for ever, and closes; null: says nothing at all."""

    answers: list[bytes | None]
    asked: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            said = self.answers[min(len(self.asked), len(self.answers)) - 1]
            if said is None:
                await reader.read()
            else:
                writer.write(said)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def engine_that_says(*answers: bytes | None) -> AsyncIterator[ToldEngine]:
    engine = ToldEngine(list(answers))
    server = await asyncio.start_server(engine.serve, "127.0.0.1", 0)
    engine.port = server.sockets[0].getsockname()[1]
    try:
        yield engine
    finally:
        server.close()


@pytest.fixture(autouse=True)
def ask_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_slots, "ASK_AGAIN_S", 0.01)


async def test_the_engine_is_asked_with_its_key() -> None:
    told = b'{"default_generation_settings": {"n_ctx": 1}, "total_slots": 3, "chat_template": ""}'
    async with engine_that_says(OK + told) as engine:
        assert await learn_slots("127.0.0.1", engine.port, "the-key") == 3
        (asked,) = engine.asked
        assert asked.startswith(b"GET /props HTTP/1.0\r\n")
        assert b"\r\nAuthorization: Bearer the-key\r\n" in asked


@pytest.mark.parametrize(
    "said",
    [
        b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"total_slots": 9}',
        OK + b"{}",
        OK + b'{"total_slots": 0}',
        OK + b'{"total_slots": "many"}',
        OK + b"\xff",
        b"garbage",
        b"",
    ],
)
async def test_an_engine_that_does_not_say_it_is_asked_again(said: bytes) -> None:
    async with engine_that_says(said, OK + b'{"total_slots": 2}') as engine:
        assert await learn_slots("127.0.0.1", engine.port, "") == 2
        assert len(engine.asked) == 2


async def test_an_engine_that_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_slots, "_ANSWER_S", 0.05)
    async with engine_that_says(None, OK + b'{"total_slots": 2}') as engine:
        assert await learn_slots("127.0.0.1", engine.port, "") == 2


async def test_an_engine_that_does_not_listen_is_asked_until_it_does() -> None:
    async with engine_that_says(OK + b'{"total_slots": 2}') as engine:
        port = engine.port
    learning = asyncio.create_task(learn_slots("127.0.0.1", port, ""))
    server = await asyncio.start_server(engine.serve, "127.0.0.1", port)
    await until(learning.done)
    assert learning.result() == 2
    server.close()


async def test_busy_slots_are_counted() -> None:
    told = b'[{"id": 0, "is_processing": true}, {"id": 1, "is_processing": false, "n_ctx": 8}]'
    async with engine_that_says(OK + told) as engine:
        assert await busy_slots("127.0.0.1", engine.port, "the-key") == 1
        assert engine.asked[0].startswith(b"GET /slots HTTP/1.0\r\n")


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 501 Not Implemented\r\n\r\n{}", OK + b"{}", OK + b'[{"id": 0}]', b""]
)
async def test_an_engine_that_does_not_tell_counts_as_idle(said: bytes) -> None:
    async with engine_that_says(said) as engine:
        assert await busy_slots("127.0.0.1", engine.port, "") == 0
