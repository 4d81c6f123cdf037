"""How long `up` waits before it starts a supervisord that has ended again. Pure."""

from __future__ import annotations

WELL_S = 3.0
"""Who lived that long has read its configuration and started its programs: it was well."""

FIRST_S = 0.5
LONGEST_S = 30.0


class RestartPause:
    """None after one that was well; growing while each ends soon after its start."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def after(self, lived_s: float) -> float:
        """The pause in seconds after one that lived so long."""
        if lived_s >= WELL_S:
            self._next_s = FIRST_S
            return 0.0
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, LONGEST_S)
        return pause_s
