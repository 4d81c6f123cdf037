"""One clock for all deadlines of a fleet whose hosts have clocks of their own: the main host's.

A process of the main host just reads its clock. One of another host learns how far its own is off
from the beats of the backplane, each of which says when it was sent. A beat can only be late, never
early, so the greatest difference seen lately is the best. It is kept from one window of real time
to the next: after a long stop (SIGSTOP, a suspended machine) a queue of old beats comes first, and
must not make old requests look young.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

WINDOW_S = 5.0

Clock = Callable[[], float]


class FleetClock:
    """Makes deadlines and judges them, in seconds since 1970 by the main host's clock.

    `at_main_host` is whether `wall` is that clock. Elsewhere, nothing is known before the first
    beat: until then no deadline is made and none has passed.
    """

    def __init__(
        self, *, at_main_host: bool, wall: Clock = time.time, monotonic: Clock = time.monotonic
    ) -> None:
        self._at_main_host = at_main_host
        self._wall = wall
        self._monotonic = monotonic
        self._window_began = -math.inf
        self._before = -math.inf
        """Greatest difference in the window before this one."""
        self._lately = -math.inf

    def read(self) -> float:
        """This host's own clock, as it goes out with a beat."""
        return self._wall()

    def hear(self, sent_at: float) -> None:
        """A beat of the backplane has come that was sent when its clock showed `sent_at`."""
        now = self._monotonic()
        if now - self._window_began >= WINDOW_S:
            self._window_began, self._before, self._lately = now, self._lately, -math.inf
        self._lately = max(self._lately, sent_at - self._wall())

    def deadline(self, timeout_s: float) -> float:
        """The moment `timeout_s` from now."""
        ahead = self._ahead_s
        return math.inf if ahead is None else self._wall() + ahead + timeout_s

    def has_passed(self, deadline: float) -> bool:
        """Whether a deadline made anywhere in the fleet lies behind us."""
        ahead = self._ahead_s
        return ahead is not None and deadline < self._wall() + ahead

    @property
    def _ahead_s(self) -> float | None:
        """How far the main host's clock is ahead of ours; null while that is not known."""
        if self._at_main_host:
            return 0.0
        ahead = max(self._before, self._lately)
        return None if ahead == -math.inf else ahead
