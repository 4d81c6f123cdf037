"""A controller that decides nothing: the test says what becomes of each load."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import msgspec

from common.api import models
from common.api.models import Accepted, BeginLoad, Model
from common.bus.bus import Bus
from common.errors import ProxyError


class ScriptedController:
    """Accepts loads, and publishes models as it is told.

    Answers are held back while `may_answer` is cleared: its news overtakes them.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.asked: list[BeginLoad] = []
        self.refusal: ProxyError | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._models = bus.table(models.MODEL)
        self._generations = itertools.count(1)
        bus.serve(models.BEGIN_LOAD, self._begin_load)

    def add(self, model_id: str, **fields: Any) -> None:
        """A model is there."""
        model = Model(
            id=model_id,
            name=f"{model_id}.gguf",
            path=f"/models/{model_id}.gguf",
            size=1,
            scanner="runner-0@testhost",
            mtime_ns=7_000_000_000,
            status="unloaded",
            generation=next(self._generations),
        )
        self._models.put(model_id, msgspec.structs.replace(model, **fields))

    def change(self, model_id: str, **fields: Any) -> None:
        """A model's record changes."""
        model = self._models.get(model_id)
        assert model is not None
        self._models.put(model_id, msgspec.structs.replace(model, **fields))

    def move(self, model_id: str, **fields: Any) -> None:
        """A model's record changes, since something else is done to it now."""
        self.change(model_id, generation=next(self._generations), **fields)

    def remove(self, model_id: str) -> None:
        """A model disappears."""
        self._models.remove(model_id)

    async def _begin_load(self, request: BeginLoad) -> Accepted:
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        before = self._models.get(request.id)
        assert before is not None
        if before.status not in ("loaded", "loading"):
            self.move(request.id, status="loading")
        move = self._models.get(request.id)
        assert move is not None
        await self.may_answer.wait()
        loaded = before.status == "loaded"
        return Accepted(id=request.id, generation=move.generation, loaded=loaded)
