"""The metrics process: one sample of this host per interval, and who of it is silent."""

from __future__ import annotations

import os

from common import service
from common.settings import Settings
from workers.metrics.sampler import Sampler
from workers.metrics.silence import Silence
from workers.metrics.supervisor import Supervisor


async def work(process: service.Process) -> None:
    """Sample until told to stop."""
    settings = process.settings
    silence = Silence(process.bus)
    sampler = Sampler(process.bus, process.home.models(settings), settings.metrics.interval_seconds)

    def follow(_before: Settings, after: Settings) -> None:
        sampler.change(process.home.models(after), after.metrics.interval_seconds)

    process.live.on_change(follow)
    Supervisor(process.bus, process.live, process.spawn, os.environ)
    async with process.joined():
        process.spawn(silence.run(), "silence")
        process.spawn(sampler.run(), "sampling")
        await process.stopping.wait()


if __name__ == "__main__":
    service.run("metrics", work)
