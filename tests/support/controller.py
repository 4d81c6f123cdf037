"""A real controller on a bus of its own, without the process around it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from common.bus.bus import Bus
from common.home import Home
from common.live_settings import LiveSettings
from common.settings import Settings
from workers.controller.desired import Desired
from workers.controller.fleet import Fleet
from workers.controller.models import Models
from workers.controller.presets.presets import Presets


class Controller:
    """The controller's parts, put together as its main does; `stop` fails where a task failed."""

    def __init__(self, bus: Bus, settings: Settings, desired_file: Path) -> None:
        self.bus = bus
        self._tasks: dict[asyncio.Task[None], None] = {}  # in the order of their beginning
        self._failures: list[BaseException] = []
        self._stopping = False
        self._desired = Desired(desired_file, settings.llama.preload)
        self.fleet = Fleet(bus)
        self.live = live = LiveSettings(settings)
        self._presets = Presets(bus, self.fleet, Home(desired_file.parent), live)
        self._models = Models(
            bus, self.fleet, live, self._spawn, self._desired, self._presets.for_models
        )

    def start(self) -> None:
        """Begin what runs beside the answers to requests."""
        self._spawn(self._desired.run(), "desired")
        self._presets.start(self._spawn)
        self._spawn(self._models.restore(), "restore")
        self._spawn(self._models.end_disuse(), "disuse")

    async def stop(self) -> None:
        """End all tasks; the engines stay."""
        self._stopping = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._failures:
            raise BaseExceptionGroup("the controller would have ended", self._failures)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        if self._stopping:
            task.cancel()
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)
