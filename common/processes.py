"""The processes of this machine, and what was put into their environment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

import psutil


def environments() -> Iterator[tuple[psutil.Process, Mapping[str, str]]]:
    """Each other process whose environment can be read, with it.

    Not by `psutil.process_iter`: it gives the same object for the same pid again and again, and
    once the kernel has given that pid to another process, the object takes this one's environment
    for its own, but says that it has ended and sends it no signal.
    """
    for pid in psutil.pids():
        if pid == os.getpid():
            continue
        # Ended meanwhile, or somebody else's.
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            yield process, process.environ()
