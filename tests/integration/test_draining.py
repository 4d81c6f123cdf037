"""Every proxy that shares the port has its word before an engine is stopped."""

from __future__ import annotations

import asyncio

from common.bus.bus import Bus
from tests.support.bus import Joiner
from tests.support.scripted_proxy import ScriptedProxy
from tests.support.waiting import until
from workers.draining import drain, resume

INSTANCE = "one"


async def proxies(joiner: Joiner) -> tuple[Bus, list[ScriptedProxy]]:
    """Two proxies, and somebody who drains."""
    found = [
        ScriptedProxy(joiner.create(f"proxy-{number}@testhost", "proxy")) for number in range(2)
    ]
    bus = joiner.create("controller")
    await joiner.start(bus, *(proxy.bus for proxy in found))
    return bus, found


async def test_it_is_empty_once_it_is_empty_at_each_of_them(joiner: Joiner) -> None:
    bus, (first, second) = await proxies(joiner)
    second.use_untold(INSTANCE, 1)
    draining = asyncio.create_task(drain(bus, INSTANCE, 20))
    await until(lambda: first.drained and second.drained)
    assert not draining.done()
    second.use_untold(INSTANCE, 0)
    assert await draining


async def test_it_is_busy_while_it_is_busy_at_one_of_them(joiner: Joiner) -> None:
    bus, (first, second) = await proxies(joiner)
    first.use_untold(INSTANCE, 1)
    assert not await drain(bus, INSTANCE, 0.1)
    assert [first.drained, second.drained] == [[INSTANCE], [INSTANCE]]
    await resume(bus, INSTANCE)
    assert [first.resumed, second.resumed] == [[INSTANCE], [INSTANCE]]


async def test_one_that_has_left_is_not_waited_for(joiner: Joiner) -> None:
    bus, (first, second) = await proxies(joiner)
    first.use_untold(INSTANCE, 1)
    await joiner.stop(first.bus)
    assert await drain(bus, INSTANCE, 20)
    assert second.drained == [INSTANCE]
