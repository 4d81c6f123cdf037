"""Whether a process of this host that says nothing lives: stopped or hung, and not gone."""

from __future__ import annotations

import psutil

from common.api.bus import Beat

START_TOLERANCE_S = 60.0
"""A process's first beat is told some time after the kernel started it."""


def lives(beat: Beat) -> bool:
    """Whether the process behind a beat still exists. Only for one of this host."""
    try:
        process = psutil.Process(beat.pid)
        started_at: float = process.create_time()
        ended = process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
    return not ended and 0 <= beat.started_at - started_at + 1 <= START_TOLERANCE_S
