"""presets:*. The list comes from this process's copy; the controller answers all else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from common.api import presets
from common.api.base import Command, Struct
from common.api.presets import ListPresets, Preset, PresetList
from common.bus.bus import Bus
from common.dispatch import Dispatcher
from gateway.fleet import CONTROLLER

Req = TypeVar("Req", bound=Struct)
Rep = TypeVar("Rep", bound=Struct)

ANSWER_S = 20.0
"""More than an engine takes to print its help."""

QUESTIONS: tuple[Command[Any, Any], ...] = (
    presets.READ,
    presets.GET_LLAMA_PARAMS,
    presets.VALIDATE_CONFIG,
    presets.RESOLVE,
)
CHANGES: tuple[Command[Any, Any], ...] = (
    presets.SAVE,
    presets.DELETE,
    presets.APPLY,
    presets.RENAME,
)


class PresetHandlers:
    """Answers lists from a copy of the controller's table."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._presets = bus.mirror(presets.PRESET)

    @property
    def copy(self) -> dict[str, Preset]:
        """What the controller has told, by filename."""
        return self._presets.rows(CONTROLLER)

    def register(self, dispatcher: Dispatcher) -> None:
        """Have all commands of the domain answered."""
        dispatcher.register(presets.LIST, self.list)
        for command in QUESTIONS:
            dispatcher.register(command, self._ask(command))
        for command in CHANGES:
            dispatcher.register(command, self._change(command))

    async def list(self, request: ListPresets) -> PresetList:
        """Every preset; before the copy is there, as the controller says."""
        if not self._presets.knows(CONTROLLER):
            return await self._bus.call(CONTROLLER, presets.LIST, request, timeout_s=ANSWER_S)
        return PresetList(presets=tuple(row for _, row in sorted(self.copy.items())))

    def _ask(self, command: Command[Req, Rep]) -> Callable[[Req], Awaitable[Rep]]:
        async def ask(request: Req) -> Rep:
            return await self._bus.call(CONTROLLER, command, request, timeout_s=ANSWER_S)

        return ask

    def _change(self, command: Command[Req, Rep]) -> Callable[[Req], Awaitable[Rep]]:
        async def change(request: Req) -> Rep:
            return await self._bus.change(
                CONTROLLER, command, request, presets.PRESET, timeout_s=ANSWER_S
            )

        return change
