"""What the controller has others do: runners start and stop engines, proxies drain them."""

from __future__ import annotations

import asyncio
import logging
import time

from common.api import instances
from common.api.instances import AskSlots, StartInstance, StopInstance
from common.bus.bus import Bus
from common.errors import ProxyError, Unavailable
from common.live_settings import LiveSettings
from workers import draining
from workers.draining import REPLY_MARGIN_S

logger = logging.getLogger(__name__)

SLOTS_CHECK_S = 0.05
RUNNER_RETURNS_S = 10.0
"""How long a runner that was there just now is given to be there again."""

RUNNER_CHECK_S = 0.1


class Engines:
    """Commands to runners and proxies, over the bus."""

    def __init__(self, bus: Bus, live: LiveSettings) -> None:
        self._bus = bus
        self._live = live

    async def start(
        self,
        runner: str,
        *,
        instance_id: str,
        model_id: str,
        path: str,
        size: int,
        timeout_s: float,
        flags: dict[str, str],
        preset: str | None,
    ) -> None:
        """Have an engine started; what becomes of it arrives in the table of instances.

        A runner that is being restarted is waited for. However often one start is asked for, it is
        carried out once, also where the predecessor did and could not say so any more.
        """
        request = StartInstance(
            id=instance_id,
            model_id=model_id,
            path=path,
            size=size,
            timeout_s=timeout_s,
            flags=flags,
            preset=preset,
        )
        patience_ends = time.monotonic() + RUNNER_RETURNS_S
        while True:
            try:
                await self._bus.call(runner, instances.START, request)
            except Unavailable:
                if time.monotonic() > patience_ends:
                    raise
                await asyncio.sleep(RUNNER_CHECK_S)
            else:
                return

    async def stop(self, runner: str, instance_id: str) -> None:
        """Have an engine stopped; returns when it has ended."""
        request = StopInstance(id=instance_id)
        timeout_s = self._live.current.runner.stop_grace_seconds + REPLY_MARGIN_S
        await self._bus.call(runner, instances.STOP, request, timeout_s=timeout_s)

    async def drain(self, runner: str, instance_id: str, timeout_s: float) -> bool:
        """Have every present proxy send nothing more to an instance; true once it is empty.

        Its engine has the last word: a proxy that is stopped or hung is not present, but the
        streams that it has opened go on when it does.
        """
        deadline = time.monotonic() + timeout_s
        if not await draining.drain(self._bus, instance_id, timeout_s):
            return False
        while await self._busy(runner, instance_id):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(SLOTS_CHECK_S)
        return True

    async def _busy(self, runner: str, instance_id: str) -> bool:
        try:
            slots = await self._bus.call(runner, instances.SLOTS, AskSlots(id=instance_id))
        except ProxyError as error:
            logger.warning("%s cannot say whether %s is idle: %s", runner, instance_id, error)
            return False
        return slots.busy > 0

    async def resume(self, instance_id: str) -> None:
        """Undo a drain at every present proxy."""
        await draining.resume(self._bus, instance_id)
