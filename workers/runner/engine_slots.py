"""An engine's slots: how many requests it works on at a time, and how many it works on now.

llama.cpp's tools/server/README.md has the paths. Where no flag says how many slots there are, the
engine decides when it starts, so it has to be asked.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec

T = TypeVar("T")

ASK_AGAIN_S = 10.0
_ANSWER_S = 5.0
_MAX_ANSWER_BYTES = 4 << 20
"""It holds the chat template, too."""


class _Props(msgspec.Struct):
    total_slots: int


class _Slot(msgspec.Struct):
    is_processing: bool


async def learn_slots(host: str, port: int, api_key: str) -> int:
    """Ask until the engine has told."""
    while True:
        slots = await _slots(host, port, api_key)
        if slots is not None:
            return slots
        await asyncio.sleep(ASK_AGAIN_S)


async def busy_slots(host: str, port: int, api_key: str) -> int:
    """How many slots work on a request (GET /slots); 0 where the engine does not say it in time."""
    slots = await _told(host, port, api_key, "/slots", list[_Slot])
    return sum(slot.is_processing for slot in slots or ())


async def _slots(host: str, port: int, api_key: str) -> int | None:
    props = await _told(host, port, api_key, "/props", _Props)
    return props.total_slots if props is not None and props.total_slots > 0 else None


async def _told(host: str, port: int, api_key: str, path: str, kind: type[T]) -> T | None:
    """An engine's answer; null where it is another one, or does not come in time."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            answer = await _answer(host, port, api_key, path)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        return None
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError:
        return None


async def _answer(host: str, port: int, api_key: str, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        # HTTP/1.0: the body ends with the connection and is in one piece.
        writer.write(
            f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n"
            f"Authorization: Bearer {api_key}\r\n\r\n".encode()
        )
        parts: list[bytes] = []
        size = 0
        while (part := await reader.read(1 << 16)) and size <= _MAX_ANSWER_BYTES:
            parts.append(part)
            size += len(part)
        return b"".join(parts)
    finally:
        writer.transport.abort()
