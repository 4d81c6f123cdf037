"""Keeps a caller's stream alive while its request waits for a model.

A cold model takes minutes to load, and HTTP clients, and what stands between, give up on a silent
connection long before. Comment lines (`: …`) are what the protocol has for that: every reader of
server-sent events skips them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from gateway.proxy.routing import Outlook

T = TypeVar("T")

COMMENT_EVERY_S = 5.0


def comment(outlook: Outlook) -> bytes:
    """How things stand, as a comment line of a stream. Names no model: its id may hold anything."""
    parts = [f"the model is {outlook.status}"]
    if outlook.progress is not None:
        parts.append(f"{outlook.progress:.0%}")
    parts.append(f"position {outlook.position}")
    return f": {', '.join(parts)}\n\n".encode()


async def telling(
    work: Coroutine[Any, Any, T], every_s: float, tell: Callable[[], Awaitable[None]]
) -> T:
    """The result of `work`; `tell` is called each time that `every_s` have passed meanwhile.

    Whatever ends the wait (a cancellation, a failure of `tell`) also ends the work.
    """
    task = asyncio.create_task(work)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=every_s)
            if done:
                return task.result()
            await tell()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
