"""Emptying an instance before its engine is stopped: every present proxy has its word."""

from __future__ import annotations

import asyncio
import logging

from common.api import instances
from common.api.instances import DrainInstance, ResumeInstance
from common.bus.bus import Bus
from common.errors import ProxyError, Unavailable

logger = logging.getLogger(__name__)

REPLY_MARGIN_S = 5.0
UNTOLD_PAUSE_S = 1.0


async def drain(bus: Bus, instance_id: str, timeout_s: float) -> bool:
    """Have every present proxy send nothing more to an instance.

    True once none has a request in flight for it; false where that took too long, or where one did
    not answer. A proxy that is gone has none.
    """
    counts = await asyncio.gather(
        *(_drain_one(bus, proxy, instance_id, timeout_s) for proxy in bus.present("proxy"))
    )
    return sum(counts) == 0


async def _drain_one(bus: Bus, proxy: str, instance_id: str, timeout_s: float) -> int:
    request = DrainInstance(id=instance_id, timeout_s=timeout_s)
    try:
        answer = await bus.call(
            proxy, instances.DRAIN, request, timeout_s=timeout_s + REPLY_MARGIN_S
        )
    except Unavailable:
        return 0
    except ProxyError as error:
        logger.warning("%s cannot say what is in flight: %s", proxy, error)
        await asyncio.sleep(UNTOLD_PAUSE_S)  # else it would be asked again at once
        return 1
    return answer.in_flight


async def resume(bus: Bus, instance_id: str) -> None:
    """Undo a drain at every present proxy."""
    request = ResumeInstance(id=instance_id)
    await asyncio.gather(
        *(bus.call(proxy, instances.RESUME, request) for proxy in bus.present("proxy")),
        return_exceptions=True,
    )
