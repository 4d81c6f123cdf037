"""File permissions that count for root, too."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

# linux/capability.h
_VERSION_3 = 0x20080522
_DAC_OVERRIDE = 1
_DAC_READ_SEARCH = 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def permissions_heeded() -> Iterator[None]:
    """What this thread does inside is refused where a file's mode refuses its owner.

    Root may read everything by two capabilities; those are laid down meanwhile. Whoever has none
    of them changes nothing.
    """
    before = _capabilities("capget", (_Data * 2)())
    lowered = (_Data * 2).from_buffer_copy(before)
    lowered[0].effective &= ~(1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH)
    _capabilities("capset", lowered)
    try:
        yield
    finally:
        _capabilities("capset", before)


def _capabilities(call: str, data: ctypes.Array[_Data]) -> ctypes.Array[_Data]:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc[call](ctypes.byref(_Header(_VERSION_3, 0)), data):
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")
    return data
