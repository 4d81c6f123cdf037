"""system:status."""

from __future__ import annotations

from common import timestamps
from common.api.bus import Beat
from common.api.system import GetStatus, ProcessStatus, SystemStatus
from gateway.fleet import Fleet, ProcessState
from gateway.handlers.models import row


class SystemHandlers:
    """Answers from the fleet's copy."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def status(self, _request: GetStatus) -> SystemStatus:
        """All processes that were seen, and all models."""
        return SystemStatus(
            processes=tuple(_process(beat, state) for beat, state in self._fleet.processes()),
            models=tuple(row(model) for model in self._fleet.models()),
        )


def _process(beat: Beat, state: ProcessState) -> ProcessStatus:
    return ProcessStatus(
        name=beat.name,
        kind=beat.kind,
        host=beat.host,
        pid=beat.pid,
        status=state,
        started_at=timestamps.iso(beat.started_at),
    )
