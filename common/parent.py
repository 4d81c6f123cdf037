"""The process that started this one: when it is gone, this one is to be gone soon, too.

Whoever supervises us starts a new set of processes after its own death, and two sets must not
overlap. supervisord itself has no such watch.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Mapping

from common import environment

logger = logging.getLogger(__name__)

_ORPHANED = 1  # the exit code


class Parent:
    """Our parent as of now, or as `llama-proxy up` names it, should it have died by now."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        named = environ.get(environment.SUPERVISOR, "")
        self._pid = int(named) if named.isdecimal() else os.getppid()

    @property
    def gone(self) -> bool:
        """Whether somebody else is our parent by now."""
        return os.getppid() != self._pid

    def watch(self, on_gone: Callable[[], None], grace_s: float) -> None:
        """Call `on_gone` from a thread when it is gone, and end this process `grace_s` later.

        The end is as sudden as that by SIGKILL: what is worth keeping must be safe anyway, and
        nothing that this process waits for may hold it.
        """
        if self._pid > 0:  # else it is outside of this pid namespace, and cannot be watched
            threading.Thread(
                target=self._watch, args=(on_gone, grace_s), name="parent", daemon=True
            ).start()

    def _watch(self, on_gone: Callable[[], None], grace_s: float) -> None:
        self._wait()
        logger.warning("the parent process %d is gone", self._pid)
        on_gone()
        time.sleep(grace_s)
        os._exit(_ORPHANED)

    def _wait(self) -> None:
        try:
            descriptor = os.pidfd_open(self._pid)
        except ProcessLookupError:
            return
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            # Looked at with the pidfd open: the number may have become another process's.
            while not self.gone:
                poll.poll()
        finally:
            os.close(descriptor)
