"""Waiting for a condition with a deadline: `wait_for` blocks, `until` lets the event loop run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_S = 0.02


def wait_for(condition: Callable[[], T], timeout_s: float = 40.0) -> T:
    """The first true result of `condition`; fails the test after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {condition}"
        time.sleep(_PAUSE_S)
    return result


async def until(condition: Callable[[], object], *, timeout_s: float = 20.0) -> None:
    """Return once `condition` is true; fails the test after `timeout_s`."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)
