"""Engines that no model needs: they are ended, so that nothing holds memory unseen.

A model has one engine. A second one comes to light when a host was cut off while its model was
loaded elsewhere, or when an engine could not be stopped because its runner did not answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from common.api.instances import Instance, InstanceState
from common.errors import ProxyError
from workers.controller.engines import Engines
from workers.controller.fleet import Fleet

logger = logging.getLogger(__name__)

CHECK_S = 1.0

LIVE: frozenset[InstanceState] = frozenset({"loading", "ready", "restarting"})
"""States of an instance that has an engine or will have one, and was not told to stop."""


def by_preference(engines: Iterable[Instance], wanted_runner: str | None) -> list[Instance]:
    """The engines of one model, the one to keep first: where it was, ready, oldest. Pure."""
    return sorted(
        engines,
        key=lambda engine: (
            engine.runner != wanted_runner,
            engine.state != "ready",
            engine.started_at,
            engine.id,
        ),
    )


class Surplus:
    """Drains and stops engines, until their rows have gone."""

    def __init__(
        self,
        fleet: Fleet,
        engines: Engines,
        spawn: Callable[[Coroutine[Any, Any, None], str], object],
        drain_s: Callable[[], float],
    ) -> None:
        self._fleet = fleet
        self._engines = engines
        self._spawn = spawn
        self._drain_s = drain_s
        self._ending: set[str] = set()

    def __contains__(self, instance_id: str) -> bool:
        """Whether an engine is being ended: it is nobody's to adopt."""
        return instance_id in self._ending

    def end(self, engine: Instance) -> None:
        """See to it that an engine ends, however long its runner does not answer."""
        if engine.id not in self._ending:
            self._ending.add(engine.id)
            self._spawn(self._end(engine), f"surplus {engine.id}")

    async def _end(self, engine: Instance) -> None:
        told = ""
        try:
            while True:
                # One that was stopped just now goes by itself: the answer overtakes the news.
                await asyncio.sleep(CHECK_S)
                row = self._fleet.instance(engine.id)
                if row is None or row.state not in LIVE:
                    return
                if not told:
                    logger.warning(
                        "%s: engine %s on %s is not needed and is stopped",
                        row.model_id,
                        row.id,
                        row.runner,
                    )
                try:
                    await self._engines.drain(row.runner, row.id, self._drain_s())
                    await self._engines.stop(row.runner, row.id)
                    told = "stopped"
                except ProxyError as error:
                    if error.message != told:
                        told = error.message
                        logger.warning("engine %s cannot be stopped yet: %s", row.id, told)
        finally:
            self._ending.discard(engine.id)
