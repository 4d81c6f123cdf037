"""Changes of models as llama.cpp's router tells them: `GET /models/sse`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from gateway.proxy.openai import router_status
from gateway.proxy.responder import Responder
from gateway.proxy.routing import ModelEntry

KEEP_ALIVE_S = 15.0
MAX_BEHIND = 1_000
"""Changes that a reader may be behind. One who is further is cut off, and asks anew."""


def change(before: ModelEntry | None, after: ModelEntry | None) -> dict[str, Any] | None:
    """What to tell of a change; None where a reader would see none. Pure."""
    if after is None:
        return {"model": before.id, "event": "model_remove"} if before is not None else None
    status = router_status(after)
    if before is not None and status == router_status(before):
        return None
    data = {"status": status.pop("value"), **status}
    return {"model": after.id, "event": "model_status", "data": data}


class ModelEvents:
    """The readers of one process."""

    def __init__(self) -> None:
        self._readers: set[asyncio.Queue[bytes | None]] = set()

    def put(self, before: ModelEntry | None, after: ModelEntry | None) -> None:
        """Tell every reader of a change."""
        told = change(before, after)
        if told is None:
            return
        event = b"data: " + msgspec.json.encode(told) + b"\n\n"
        for reader in list(self._readers):
            if reader.qsize() < MAX_BEHIND:
                reader.put_nowait(event)
            else:
                self._readers.discard(reader)
                reader.put_nowait(None)

    async def stream(self, responder: Responder) -> None:
        """Send a reader every change from now on, until it leaves (by cancellation)."""
        with self._reading() as events:
            await responder.start_events()
            await responder.body(b": every change of a model follows\n\n", more=True)
            while True:
                try:
                    event = await asyncio.wait_for(events.get(), KEEP_ALIVE_S)
                except TimeoutError:
                    event = b": still here\n\n"
                if event is None:
                    break
                await responder.body(event, more=True)
            await responder.body(b"", more=False)

    @contextmanager
    def _reading(self) -> Iterator[asyncio.Queue[bytes | None]]:
        events: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._readers.add(events)
        try:
            yield events
        finally:
            self._readers.discard(events)
