"""The controller process: decides which model runs where."""

from __future__ import annotations

import os

from common import service
from common.token_store import TokenStore
from workers.controller.configuration.configuration import Configuration
from workers.controller.desired import Desired
from workers.controller.fleet import Fleet
from workers.controller.models import Models
from workers.controller.presets.presets import Presets
from workers.controller.tokens import Tokens


async def work(process: service.Process) -> None:
    """Accept loads and unloads until told to stop."""
    fleet = Fleet(process.bus)
    desired = Desired(process.home.desired_file, process.settings.llama.preload)
    tokens = Tokens(process.bus, TokenStore(process.home.tokens_file))
    await tokens.restore()
    presets = Presets(process.bus, fleet, process.home, process.live)
    models = Models(process.bus, fleet, process.live, process.spawn, desired, presets.for_models)
    Configuration(
        process.bus,
        process.home,
        process.live,
        given=process.arguments.config,
        environ=os.environ,
        catalogue=presets.catalogue_in_use,
    )
    async with process.joined():
        process.spawn(desired.run(), "desired")
        presets.start(process.spawn)
        process.spawn(models.restore(), "restore")
        process.spawn(models.end_disuse(), "disuse")
        await process.stopping.wait()
    if not process.handing_over:
        await desired.forget()


if __name__ == "__main__":
    service.run("controller", work)
