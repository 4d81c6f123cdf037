"""The row that says how much memory this runner has left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

import msgspec

from common.api import instances
from common.api.instances import RunnerState
from common.bus.bus import Bus
from common.devices import NVML, Nvml
from common.errors import ModelLoadFailed
from workers.runner.memory import DeviceMissing, runner_state

logger = logging.getLogger(__name__)

EVERY_S = 1.0
STEP_BYTES = 32 * 1024 * 1024
"""Smaller changes are not told: they decide nothing, and every process would hear of them."""


class RoomTable:
    """Measures once a second, and whenever an engine has become ready or has ended."""

    def __init__(self, bus: Bus, device_uuids: Collection[str], nvml: Nvml = NVML) -> None:
        self._name = bus.identity.name
        self._host = bus.identity.host
        self._device_uuids = device_uuids
        self._nvml = nvml
        self._table = bus.table(instances.RUNNER)
        self._missing: str | None = None
        self._stopping = False

    def stop(self) -> None:
        """Say that no engine is started here any more: loads look for another place, or wait."""
        self._stopping = True
        told = self._table.get(self._name)
        if told is not None:
            self._table.put(self._name, self._as_told(told))

    def _as_told(self, state: RunnerState) -> RunnerState:
        if not self._stopping:
            return state
        return msgspec.structs.replace(state, memory_free=0, problem="it is stopping")

    async def tell(self) -> None:
        """Measure and tell at once: an engine has taken or freed memory.

        Before its row says so: who learns that an engine has ended counts on what it freed.
        """
        self._table.put(self._name, await self._measure())

    def refuse_missing(self) -> None:
        """Raise `ModelLoadFailed` while a GPU is missing: an engine would then use the CPU, and
        nobody would know why it is so slow."""
        if self._missing is not None:
            raise ModelLoadFailed(
                f"{self._name} cannot start an engine: {self._missing}.",
                details={"reason": "device_missing"},
            )

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            state = await self._measure()
            told = self._table.get(self._name)
            if told is None or _differs(told, state):
                self._table.put(self._name, state)
            await asyncio.sleep(EVERY_S)

    async def _measure(self) -> RunnerState:
        """What there is; nothing while a GPU is missing. Engines that run are left alone then: they
        may well work where a driver that was replaced only refuses newcomers."""
        problem = None
        try:
            state = await asyncio.to_thread(
                runner_state, self._name, self._host, self._device_uuids, self._nvml
            )
        except DeviceMissing as error:
            problem = str(error)
            state = RunnerState(
                name=self._name,
                host=self._host,
                devices=(),
                memory_total=0,
                memory_free=0,
                problem=problem,
            )
        if problem is not None and problem != self._missing:
            logger.error("no engine can be started: %s", problem)
        elif problem is None and self._missing is not None:
            logger.info("all GPUs are there again")
        self._missing = problem
        return self._as_told(state)


def _differs(told: RunnerState, state: RunnerState) -> bool:
    return (told.memory_total, told.problem) != (state.memory_total, state.problem) or abs(
        told.memory_free - state.memory_free
    ) >= STEP_BYTES
