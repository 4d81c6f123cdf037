"""A process's own tasks, from its joining the backplane until it leaves."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from common.delivery import Delivery
from common.home import Home
from common.service import Process
from common.settings import Settings
from tests.support.bus import Joiner


async def test_what_is_begun_while_a_process_leaves_ends_at_once(
    joiner: Joiner, tmp_path: Path
) -> None:
    bus = joiner.create("controller")
    begun: list[asyncio.Task[None]] = []

    class LateNews(Delivery):
        async def finish(self) -> None:
            begun.append(process.spawn(asyncio.sleep(1000), "late"))

    process = Process(
        bus.identity,
        Home(tmp_path),
        Settings(),
        bus,
        LateNews(bus),
        argparse.Namespace(),
        asyncio.Event(),
    )
    async with asyncio.timeout(20), process.joined():
        begun.append(process.spawn(asyncio.sleep(1000), "early"))
    assert [task.cancelled() for task in begun] == [True, True]
    bus.close()
