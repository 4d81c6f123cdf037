"""The proxy with one model on one engine, whose answers a test scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from gateway.proxy.patience import COMMENT_EVERY_S
from tests.support.http_caller import Answer, fetch
from tests.support.proxy_server import TableRouter, proxying
from tests.support.upstream_server import (
    LAST_CHUNK,
    Script,
    ScriptedUpstream,
    chunk,
    scripted_upstream,
)
from tests.support.waiting import until

CHAT = "/v1/chat/completions"
MODEL = "team/tiny"
BODY = b'{"model": "team/tiny",\n "messages": [], "x": 1.50}'
EVENTS = [b'data: {"n": 1}\n\n', b'data: {"n": 2}\n\n', b"data: [DONE]\n\n"]
STREAM_BODY = b"".join(chunk(event) for event in EVENTS) + LAST_CHUNK
JSON = ("Content-Type", "application/json")


@dataclass
class Proxied:
    """A proxy with one model on one engine."""

    address: tuple[str, int]
    router: TableRouter
    engine: ScriptedUpstream

    async def post(self, body: bytes = BODY, path: str = CHAT, *headers: tuple[str, str]) -> Answer:
        return await fetch(self.address, "POST", path, body, headers or [JSON])

    def in_flight(self) -> int:
        return self.router.in_flight.count(self.router.engines[MODEL].instance_id)


@asynccontextmanager
async def proxied(
    script: Script,
    *,
    max_body_bytes: int = 64 << 20,
    send_buffer_bytes: int | None = None,
    comment_every_s: float = COMMENT_EVERY_S,
) -> AsyncIterator[Proxied]:
    router = TableRouter()
    async with (
        scripted_upstream(script) as engine,
        proxying(
            router,
            max_body_bytes=max_body_bytes,
            send_buffer_bytes=send_buffer_bytes,
            comment_every_s=comment_every_s,
        ) as address,
    ):
        router.add(MODEL, engine.host, engine.port)
        proxied = Proxied(address, router, engine)
        yield proxied
        await until(lambda: proxied.in_flight() == 0)


def error_of(answer: Answer, status: int) -> dict[str, str | None]:
    assert answer.status == status, answer
    assert answer.headers[b"content-type"] == b"application/json"
    decoded: dict[str, dict[str, str | None]] = answer.json()
    assert list(decoded) == ["error"]
    assert list(decoded["error"]) == ["message", "type", "param", "code"]
    return decoded["error"]


def last_event(stream: bytes) -> dict[str, str]:
    """The error that a stream ends with."""
    *_, last, end = stream.split(b"\n\n")
    assert end == b""
    decoded: dict[str, dict[str, str]] = msgspec.json.decode(last.removeprefix(b"data: "))
    return decoded["error"]
