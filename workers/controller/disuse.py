"""Unloads what nobody uses any more, and calls off loads that nobody waits for any more."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable

from common import timestamps
from common.live_settings import LiveSettings
from workers.controller.fleet import Fleet
from workers.controller.idle_clock import ttl_s
from workers.controller.model import ModelLife

logger = logging.getLogger(__name__)

CHECK_S = 0.2
UNWANTED_S = 1.0
"""A load on demand and the news of who waits for it come by two ways; and a client that only
connects anew shall find its load going on."""

SETTLED_S = 1.0
"""Without use for so long, a model is told to be idle; sooner would be told with each request."""


class Disuse:
    """Looks at all models in turn, several times a second."""

    def __init__(
        self, lives: Callable[[], Iterable[ModelLife]], fleet: Fleet, live: LiveSettings
    ) -> None:
        self._lives = lives
        self._fleet = fleet
        self._live = live

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            now_s = time.monotonic()
            for life in list(self._lives()):
                if life.awaited_by_requests:
                    self._look_at_demand(life, now_s)
                else:
                    self._look_at_use(life, now_s)

    def _look_at_demand(self, life: ModelLife, now_s: float) -> None:
        if self._fleet.waiting(life.record.id):
            life.demanded_at_s = now_s
        elif now_s - life.demanded_at_s > UNWANTED_S:
            logger.info("%s: nobody waits any more, its load is called off", life.record.id)
            life.begin_unload()

    def _look_at_use(self, life: ModelLife, now_s: float) -> None:
        place, clock = life.place, life.idle_clock
        if place is None or place.state != "loaded":
            return
        clock.look(self._fleet.traffic(place.instance_id), now_s)
        limit_s = ttl_s(life.record.id, life.order.ttl_s, self._live.current)
        idle_s = clock.idle_s(now_s)
        if limit_s is None:
            life.expire_at(None)
        elif idle_s >= limit_s:
            logger.info("%s: not used for %g s, it is unloaded", life.record.id, limit_s)
            life.evict()
        elif idle_s < SETTLED_S:
            life.expire_at(None)
        else:
            # In whole seconds, so that it is not told anew with each look.
            life.expire_at(timestamps.iso(math.ceil(time.time() + limit_s - idle_s)))
