"""The runner process: engines on its devices, and the model files of its host."""

from __future__ import annotations

import argparse
import os

from common import service
from common.api import parameters
from workers.runner.engine import Engine, find_engine, without_interference
from workers.runner.instance import Setting
from workers.runner.inventory.table import ModelTable
from workers.runner.parameters import ParameterSource
from workers.runner.room_table import RoomTable
from workers.runner.runner import Runner


async def work(process: service.Process) -> None:
    """Start and stop engines as told; at the end stop them all, or leave them to a successor."""
    settings, home = process.settings, process.home
    device_uuids = tuple(uuid for uuid in process.arguments.devices.split(",") if uuid)
    environment = dict(os.environ)
    room = RoomTable(process.bus, device_uuids)
    named = settings.runner_named(process.arguments.name)

    def engine() -> Engine:
        return find_engine(process.live.current.llama.server_path, environment.get("PATH"))

    def find() -> Engine:
        room.refuse_missing()
        return engine()

    setting = Setting(
        runner=process.identity.name,
        # Looked up at every start: a llama-server may be installed while we run.
        find_engine=find,
        live=process.live,
        # Where the user chooses them by variables, an empty CUDA_VISIBLE_DEVICES would hide them:
        # AMD's HIP heeds it, too.
        device_uuids=None if named and not named.devices else device_uuids,
        base_environment=environment,
        extra_environment=named.env if named else {},
        tag_prefix=str(home.root),
        directory=home.engines,
        tell_room=room.tell,
    )
    runner = Runner(process.bus, process.delivery, setting, process.spawn)
    extra = setting.extra_environment
    source = ParameterSource(engine, home.cache, {**without_interference(environment), **extra})
    process.bus.serve(parameters.PARAMETERS, source.describe)
    files = ModelTable(process.bus, home.models(settings), home.cache)
    process.live.on_change(lambda _before, after: files.look_in(home.models(after)))
    runner.take_over()
    async with process.joined():
        runner.watch_adopted()
        process.spawn(room.run(), "room")
        process.spawn(files.run(), "files")
        await process.stopping.wait()
        room.stop()
        await (runner.release_all() if process.handing_over else runner.stop_all())


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--devices", default="", help="UUIDs of its GPUs, separated by commas")


if __name__ == "__main__":
    service.run("runner", work, add_arguments=_add_arguments)
