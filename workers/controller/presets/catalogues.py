"""Which flags the engines have, as their runners say."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from common.api import parameters
from common.api.parameters import DescribeParameters, EngineKind
from common.bus.bus import Bus
from common.engine_flags.catalogue import Catalogue, shipped
from common.errors import ProxyError

logger = logging.getLogger(__name__)

ASK_S = 5.0
"""A runner runs its engine with --help, once for each version of it."""


@dataclass(frozen=True)
class Described:
    """The flags of one engine; `kind` is `shipped` where no engine could be asked."""

    kind: EngineKind
    version: str
    catalogue: Catalogue


class Catalogues:
    """The flags of each runner's engine. Loads take what is known, and wait for nobody."""

    shipped: Final = shipped()
    """For what does not depend on the engine."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[str, Described] = {}
        self._changed = asyncio.Event()
        self._shipped = Described("shipped", "", self.shipped)
        bus.on_presence(self._changed.set)

    async def run(self) -> None:
        """Ask each runner that comes, until cancelled."""
        while True:
            self._changed.clear()
            runners = self._bus.present("runner")
            for gone in self._known.keys() - set(runners):
                del self._known[gone]
            for runner in runners:
                if runner not in self._known:
                    await self.ask(runner)
            await self._changed.wait()

    def known(self, runner: str) -> Described:
        """What a runner has said last."""
        return self._known.get(runner, self._shipped)

    async def ask(self, runner: str) -> Described:
        """What a runner says now; what is known where it says nothing."""
        try:
            told = await self._bus.call(
                runner, parameters.PARAMETERS, DescribeParameters(), timeout_s=ASK_S
            )
        except ProxyError as error:
            logger.info("%s does not say which flags its engine has: %s", runner, error)
            return self.known(runner)
        described = Described(told.kind, told.version, Catalogue(told.parameters, told.removed))
        self._known[runner] = described
        return described

    async def in_use(self) -> Described:
        """The flags of the engine in use: of the first runner, by name, that says."""
        for runner in sorted(self._bus.present("runner")):
            described = await self.ask(runner)
            if described.kind != "shipped":
                return described
        return self._shipped
