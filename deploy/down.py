"""`llama-proxy down`: end the `up` of a home, from anywhere."""

from __future__ import annotations

import psutil

from common.home import Home
from deploy import lock, supervisord
from deploy.failure import CommandFailed
from deploy.processes import (
    end,
    engine_processes,
    foreign_programs,
    kill,
    resume,
    stack_processes,
    wait,
)

# `up` stops everything within 12 s, and nothing may be alive after 15.
_PATIENCE_S = 12.5
_LEFTOVER_GRACE_S = 8.0


def down(home: Home) -> str:
    """Stop the stack of a home and say what was done; nothing to stop is fine, too.

    Raises CommandFailed where it cannot be stopped from here.
    """
    refuse_foreign(home)
    pid = lock.owner(home)
    if pid is not None:
        _end_up(pid)
        _leave_nothing(home)
        return f"stopped the stack of {home.root}"
    programs = stack_processes(home.root)
    if programs or engine_processes(home.root):
        # Their `up` was killed; they run on without it.
        resume(programs)
        end(programs, _LEFTOVER_GRACE_S)
        _leave_nothing(home)
        return f"stopped what was left of the stack of {home.root}"
    return f"nothing is running in {home.root}"


def _leave_nothing(home: Home) -> None:
    supervisord.sweep(home)
    # What was loaded is not to be loaded again: whoever stops a stack by hand wants it so.
    home.desired_file.unlink(missing_ok=True)


def refuse_foreign(home: Home) -> None:
    """Raise CommandFailed where the home's programs run under a supervisord that is not ours."""
    programs = foreign_programs(home.root)
    if programs:
        raise CommandFailed(
            f"the programs of home {home.root} run under another supervisord"
            f" (pid {programs[0].ppid()}); start and stop them there, with supervisorctl"
        )


def _end_up(pid: int) -> None:
    try:
        process = psutil.Process(pid)
        process.terminate()
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise CommandFailed(
            f"`llama-proxy up` (pid {pid}) belongs to another user; stop it as that user"
        ) from None
    resume([process])
    # One that hangs is ended too; what it started is swept.
    kill(wait([process], _PATIENCE_S))
