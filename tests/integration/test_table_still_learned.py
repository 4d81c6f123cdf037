"""A table whose owner still learns its rows: readers keep what they had."""

from __future__ import annotations

import asyncio

from common.api import instances, system
from common.api.instances import Traffic
from common.api.system import SilentProcess
from tests.support.bus import Joiner
from tests.support.waiting import until

ROW = SilentProcess(pid=1, epoch=1)


async def test_a_successor_that_still_learns_makes_nobody_forget(joiner: Joiner) -> None:
    reader = joiner.create("reader", "gateway")
    mirror, known_at_once = reader.mirror(system.SILENT), reader.mirror(instances.TRAFFIC)
    first = joiner.create("owner")
    first.table(system.SILENT).put("before", ROW)
    await joiner.start(reader, first)
    await until(lambda: mirror.find("before") == ROW)
    await joiner.stop(first)

    known = asyncio.Event()
    second = joiner.create("owner")
    table = second.table(system.SILENT, known)
    second.table(instances.TRAFFIC).put("marker", Traffic(in_flight=1, last_used_at=1.0))
    await joiner.start(second)
    table.put("after", ROW)
    # The reader has asked the successor for both by now.
    await until(lambda: known_at_once.find("marker"))
    assert mirror.find("before") == ROW
    known.set()
    await until(lambda: mirror.find("after") == ROW)
    assert mirror.find("before") is None
