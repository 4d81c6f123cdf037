"""Keeps the C library from giving memory back after each long prompt, and asking for it anew.

A body of 1 MiB passes through three or four buffers of its size. By default glibc returns such
memory at once, and the kernel clears each page again for the next request: two thirds of what a
prompt of 1 MiB cost here.
"""

from __future__ import annotations

import ctypes

TRIM_BYTES = 8 << 20
"""So much free memory at the end of the heap is kept."""

MAPPED_BYTES = 4 << 20
"""What is larger is not of the heap, and is given back when it is freed."""

# The numbers of mallopt(3) in malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_freed_memory() -> None:
    """For the whole process. Does nothing where the C library has no such setting."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_TRIM_THRESHOLD, TRIM_BYTES)
    mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)
