"""What a process does about settings that change while it runs."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import msgspec

from common.api import inventory, metrics
from common.api.base import Change
from common.api.metrics import Sample
from common.live_settings import LiveSettings
from common.settings import Llama, Settings
from deploy.demo_model import write_demo_model
from tests.support.bus import Joiner
from tests.support.controller_world import worlds
from tests.support.waiting import until
from workers.metrics.sampler import Sampler
from workers.runner.inventory.table import ModelTable


def changed(settings: Settings, **llama: Any) -> Settings:
    return msgspec.structs.replace(settings, llama=msgspec.structs.replace(settings.llama, **llama))


def test_listeners_hear_of_changes_only() -> None:
    live = LiveSettings(Settings())
    heard: list[tuple[int, int]] = []
    live.on_change(
        lambda before, after: heard.append((before.llama.max_models, after.llama.max_models))
    )
    live.replace(Settings())
    live.replace(Settings(llama=Llama(max_models=8)))
    assert heard == [(4, 8)]
    assert live.current.llama.max_models == 8


async def test_a_load_that_waits_gets_its_place_once_more_models_are_allowed(
    joiner: Joiner, tmp_path: Path
) -> None:
    async with worlds(joiner, tmp_path / "desired.json") as make:
        world = await make(max_models=1)
        await world.add("busy", "waiting")
        await world.client.load("busy")
        world.proxy.use(world.instance_of("busy"), 1)
        await world.knows_traffic()
        loading = world.begin_load("waiting")
        await world.seen("waiting", "loading")
        live = world.controller.live
        live.replace(changed(live.current, max_models=2))
        assert (await loading).status == "loaded"
        assert world.status("busy") == "loaded"
        live.replace(changed(live.current, max_models=1))
        await world.knows_traffic()
        assert world.runner.stopped == []


async def test_the_models_of_another_directory_take_the_place_of_the_first(
    joiner: Joiner, tmp_path: Path
) -> None:
    first, second, cache = (tmp_path / name for name in ("first", "second", "cache"))
    for directory in (first, second, cache):
        directory.mkdir()
    write_demo_model(first / "one.gguf")
    shutil.copy(first / "one.gguf", second / "two.gguf")
    runner = joiner.create("runner-0@testhost", "runner")
    reader = joiner.create("controller")
    files = reader.mirror(inventory.FILE)
    table = ModelTable(runner, first, cache)
    await joiner.start(runner, reader)
    scanning = asyncio.create_task(table.run())
    try:
        await until(lambda: [key for _, key, _ in files.items()] == ["one"])
        table.look_in(second)
        await until(lambda: [key for _, key, _ in files.items()] == ["two"])
        table.look_in(first)
        await until(lambda: [key for _, key, _ in files.items()] == ["one"])
    finally:
        scanning.cancel()
        await asyncio.wait([scanning])


async def test_a_shorter_interval_does_not_wait_for_the_end_of_the_long_one(
    joiner: Joiner, tmp_path: Path
) -> None:
    bus = joiner.create("metrics@testhost", "metrics")
    reader = joiner.create("controller")
    samples: list[Change[Sample]] = []
    reader.listen(metrics.SAMPLE, samples.append)
    sampler = Sampler(bus, tmp_path, 3600.0, lambda: ())
    await joiner.start(bus, reader)
    sampling = asyncio.create_task(sampler.run())
    try:
        await until(lambda: samples)
        sampler.change(tmp_path, 0.1)
        await until(lambda: len(samples) >= 4)
    finally:
        sampling.cancel()
        await asyncio.wait([sampling])
