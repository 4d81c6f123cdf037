"""supervisord that ends with the `up` that started it: `python -m deploy.tied_supervisord PID …`.

supervisord does not notice that its parent is gone. After a kill of `up` it would run on, and the
next `up` would start a second set of programs beside its own. So the kernel is told to kill it then
(PR_SET_PDEATHSIG, prctl(2)). By KILL: on TERM it would stop every program and so every engine,
which are to be handed over. "Parent" there is the thread that started us: `up`'s main thread.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from supervisor import supervisord

from common import environment

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Be the supervisord of the process whose pid is the first argument; the rest is its own."""
    parent = int(sys.argv.pop(1))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot be tied to the parent process")
    if os.getppid() != parent:
        sys.exit(f"process {parent} is gone")
    # Programs see by it that we are gone, even if that happens before they look at their parent.
    os.environ[environment.SUPERVISOR] = str(os.getpid())
    supervisord.main()


if __name__ == "__main__":
    main()
