"""What a runner says of one model's engine, and waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from common.api.instances import Instance
from common.errors import ModelLoadFailed
from workers.controller.records import lost_engine

ROW_GOES_S = 2.0


class EngineSight:
    """The newest record of the engine that a model has, or is getting."""

    def __init__(self, model_id: str) -> None:
        self.instance: Instance | None = None
        self._model_id = model_id
        self._ended = False
        self._changed = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether it answers requests."""
        return self.instance is not None and self.instance.state == "ready"

    def expect(self, instance: Instance | None) -> None:
        """From now on it is about another engine, of which this much is known."""
        self.instance, self._ended = instance, False

    def see(self, instance: Instance | None) -> None:
        """Its runner says something new; null: it has ended."""
        self.instance = instance
        self._ended = instance is None
        self._changed.set()

    async def ready(self, progress: Callable[[Instance], None]) -> Instance:
        """Until it answers requests; `progress` is told what happens meanwhile.

        Raises `ModelLoadFailed` where it ends instead.
        """
        while True:
            self._changed.clear()
            instance = self.instance
            if instance is not None and instance.state == "ready":
                return instance
            if self._ended or (instance is not None and instance.state == "failed"):
                failure = (instance and instance.failure) or lost_engine(self._model_id)
                raise ModelLoadFailed(failure.message, msgspec.to_builtins(failure))
            if instance is not None:
                progress(instance)
            await self._changed.wait()

    async def gone(self) -> None:
        """Until its row has gone, if there was one; not for long.

        A runner tells its free memory before that; the answer to a stop may overtake both, and who
        waits for room would find too little and evict another model.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(ROW_GOES_S):
                while self.instance is not None and self.instance.state != "failed":
                    self._changed.clear()
                    await self._changed.wait()
