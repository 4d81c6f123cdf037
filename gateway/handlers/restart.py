"""system:restart."""

from __future__ import annotations

from common.api import system
from common.api.bus import Beat
from common.api.system import Restarting, RestartProcess, RestartProgram
from common.bus.bus import Bus
from common.errors import InvalidRequest, Unavailable
from gateway.fleet import Fleet

MAX_SHOWN_CHARACTERS = 200


class RestartHandler:
    """Asks the metrics process of the right host, which speaks to its supervisord."""

    def __init__(self, fleet: Fleet, bus: Bus) -> None:
        self._fleet = fleet
        self._bus = bus

    async def restart(self, request: RestartProcess) -> Restarting:
        """Answer before anything happens: it may be this process that ends."""
        beat = self._find(request.process)
        program = beat.name.partition("@")[0]
        metrics = f"metrics@{beat.host}"
        try:
            await self._bus.call(metrics, system.RESTART_PROGRAM, RestartProgram(program=program))
        except Unavailable as error:
            raise Unavailable(
                f"{beat.name} cannot be started anew: {error.message}", error.details
            ) from error
        return Restarting(process=beat.name)

    def _find(self, name: str) -> Beat:
        known = {beat.name: beat for beat, _ in self._fleet.processes()}
        found = known.get(name) or known.get(f"{name}@{self._bus.identity.host}")
        if found is not None:
            return found
        if name == "up":
            raise InvalidRequest(
                "`llama-proxy up` cannot be started anew from here: end it and start it again"
            )
        raise InvalidRequest(
            f"there is no process '{name[:MAX_SHOWN_CHARACTERS]}'; there are"
            f" {', '.join(sorted(known))}"
        )
