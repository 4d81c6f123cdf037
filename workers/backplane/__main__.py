"""The backplane process: moves every frame of a stack, owns nothing."""

from __future__ import annotations

import asyncio
import logging

from common import service
from common.bus.addresses import Addresses
from common.bus.key_files import KeyFiles
from workers.backplane.backplane import Backplane
from workers.backplane.entrance import Opening

logger = logging.getLogger(__name__)

CHECK_S = 1.0


async def work(process: service.Process) -> None:
    """Move frames until told to stop."""
    backplane = Backplane(Addresses.in_directory(process.home.run), _opening(process))
    backplane.start()
    try:
        async with process.joined():
            process.spawn(_watch(backplane), "watch")
            if process.settings.backplane.listen:
                process.spawn(_watch_allowed(process), "allowed hosts")
            await process.stopping.wait()
    finally:
        backplane.stop()


def _opening(process: service.Process) -> Opening | None:
    """Where other hosts join, if they may. Raises ConfigInvalid where this host has no key."""
    listen = process.settings.backplane.listen
    if not listen:
        return None
    keys = KeyFiles(process.home.keys(process.settings))
    return Opening(Addresses.over_tcp(listen), keys.own(), keys.allowed)


async def _watch(backplane: Backplane) -> None:
    """End the process when a thread has died; tell of what was dropped when there is more of it.

    Of what a host sends in a wrong name, when it has doubled: that host does not stop by itself.
    """
    garbage = refused = 0
    while backplane.alive:
        await asyncio.sleep(CHECK_S)
        if backplane.garbage_frames > garbage:
            garbage = backplane.garbage_frames
            logger.warning("%d frames of garbage were dropped so far", garbage)
        if backplane.refused_frames > 2 * refused:
            refused = backplane.refused_frames
            last = "; ".join(backplane.last_refused)
            logger.warning("%d frames of other hosts were refused so far: %s", refused, last)
    raise RuntimeError("a thread of the backplane has died")


async def _watch_allowed(process: service.Process) -> None:
    """Start anew when a host is no longer allowed: nothing else cuts its connections."""
    keys = KeyFiles(process.home.keys(process.settings))
    before = await asyncio.to_thread(keys.allowed)
    while True:
        await asyncio.sleep(CHECK_S)
        now = await asyncio.to_thread(keys.allowed)
        gone = set(before.items()) - set(now.items())
        if gone:
            names = ", ".join(sorted(host for _, host in gone))
            logger.warning("%s may join no longer; the backplane starts anew", names)
            process.stopping.set()
            return
        before = now


if __name__ == "__main__":
    service.run("backplane", work)
