"""A controller with everything around it that it talks to, for its tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from common.api.models import Model, ModelStatus, UnloadModel
from common.errors import ProxyError
from common.live_settings import LiveSettings
from common.settings import Llama, Settings
from gateway.fleet import Fleet
from tests.support.bus import Joiner
from tests.support.controller import Controller
from tests.support.scripted_proxy import ScriptedProxy
from tests.support.scripted_runner import ScriptedRunner
from tests.support.waiting import until

PATIENT = 20.0
"""Seconds that a limit has which must not be what ends a test's wait."""


@dataclass
class World:
    """A controller between a scripted runner, a scripted proxy and a gateway's client."""

    joiner: Joiner
    settings: Settings
    desired_file: Path
    controller: Controller
    runner: ScriptedRunner
    proxy: ScriptedProxy
    client: Fleet
    records: list[Model] = field(default_factory=list)
    """All that the client was told, in order."""

    def watch(self, _before: Model | None, after: Model | None) -> None:
        if after is not None:
            self.records.append(after)

    def status(self, model_id: str) -> ModelStatus | None:
        rows = {model.id: model.status for model in self.client.models()}
        return rows.get(model_id)

    def statuses(self, model_id: str) -> list[ModelStatus]:
        """The statuses that a model went through, each once in a row."""
        told = [record.status for record in self.records if record.id == model_id]
        return [status for place, status in enumerate(told) if told[place - 1 : place] != [status]]

    def instance_of(self, model_id: str) -> str:
        instance_id = self.client.model(model_id).instance_id
        assert instance_id is not None
        return instance_id

    async def knows_traffic(self) -> None:
        """The controller has heard what the proxy has told so far."""
        sentinel = f"sentinel-{len(self.records)}"
        self.proxy.use(sentinel, 7)
        await until(lambda: self.controller.fleet.traffic(sentinel).in_flight == 7)

    async def seen(self, model_id: str, status: ModelStatus | None) -> None:
        await until(lambda: self.status(model_id) == status)

    async def add(self, *model_ids: str, **file: Any) -> None:
        for model_id in model_ids:
            self.runner.add_file(model_id, **file)
        await until(lambda: all(self.status(model_id) is not None for model_id in model_ids))

    def begin_load(self, model_id: str) -> asyncio.Task[Model]:
        return asyncio.create_task(self.client.load(model_id))

    def begin_unload(self, model_id: str) -> asyncio.Task[Model]:
        return asyncio.create_task(self.client.unload(UnloadModel(id=model_id)))

    async def replace_controller(self) -> None:
        """One controller ends as if killed, and another starts."""
        await self.stop_controller()
        await self.start_controller()

    async def stop_controller(self) -> None:
        await self.controller.stop()
        await self.joiner.stop(self.controller.bus)

    async def start_controller(self) -> None:
        bus = self.joiner.create("controller", "controller")
        self.controller = Controller(bus, self.settings, self.desired_file)
        await self.joiner.start(bus)
        self.controller.start()


MakeWorld = Callable[..., Awaitable[World]]


@asynccontextmanager
async def worlds(joiner: Joiner, desired_file: Path) -> AsyncIterator[MakeWorld]:
    """Makes worlds, whose controllers end in the end; it fails where one's task has failed."""
    made: list[World] = []

    async def make(*, memory_gib: int = 24, measures: bool = False, **llama: Any) -> World:
        limits = {"queue_timeout": PATIENT, "drain_timeout_seconds": PATIENT}
        settings = Settings(llama=replace(Llama(), **(limits | llama)))
        controller_bus = joiner.create("controller", "controller")
        runner_bus = joiner.create("runner-0@testhost", "runner")
        proxy_bus = joiner.create("proxy-0@testhost", "proxy")
        client_bus = joiner.create("gateway@testhost", "gateway")
        world = World(
            joiner=joiner,
            settings=settings,
            desired_file=desired_file,
            controller=Controller(controller_bus, settings, desired_file),
            runner=ScriptedRunner(runner_bus, memory_gib=memory_gib, measures=measures),
            proxy=ScriptedProxy(proxy_bus),
            client=Fleet(client_bus, LiveSettings(settings)),
        )
        world.client.on_model(world.watch)
        made.append(world)
        await joiner.start(controller_bus, runner_bus, proxy_bus, client_bus)
        world.controller.start()
        await until(world.client.knows_models)
        return world

    yield make
    for world in made:
        await world.controller.stop()


def reason(error: pytest.ExceptionInfo[ProxyError]) -> str:
    """The stable word that says why a load or an unload failed."""
    assert error.value.details is not None
    return str(error.value.details["reason"])
