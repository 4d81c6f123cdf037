"""When an engine that crashed is started again, and when no more. Pure."""

from __future__ import annotations

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
JITTER = 0.1
MAX_CRASHES = 5
WITHIN_S = 60.0
FORGIVEN_AFTER_S = 600.0


class Backoff:
    """The crashes of one instance.

    Pauses of 1, 2, 4 … 60 s, with up to a tenth more by chance, so that engines that fell together
    do not rise together. Five crashes within a minute are an error; after ten minutes one is
    forgiven.
    """

    def __init__(self) -> None:
        self._crashes: list[float] = []

    def pause_after_crash(self, now: float, chance: float) -> float | None:
        """Seconds until the next start; null: give up. `now` of any clock, `chance` in [0, 1)."""
        self._crashes = [at for at in self._crashes if now - at < FORGIVEN_AFTER_S]
        self._crashes.append(now)
        if sum(now - at < WITHIN_S for at in self._crashes) >= MAX_CRASHES:
            return None
        doublings = min(len(self._crashes) - 1, 16)
        pause_s = min(FIRST_PAUSE_S * (1 << doublings), LONGEST_PAUSE_S)
        return pause_s * (1 + JITTER * chance)
