"""Watches an engine that is ready: whether it still answers, and what memory it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import psutil

from workers.runner.child import Child
from workers.runner.memory import engine_memory_bytes
from workers.runner.race import first_of
from workers.runner.readiness import EngineEnded, is_healthy

CHECK_S = 3.0
ANSWER_S = 3.0
MAX_SILENT = 3
BUSY_SHARE = 0.2
"""Of a core: an engine that computes this much is busy with a long prompt and not hung."""

MEMORY_EVERY_CHECKS = 3
MEMORY_STEP_BYTES = 16 * 1024 * 1024


class EngineHung(Exception):
    """The engine accepts connections, or not even that, but answers nothing and does nothing."""


async def watch_engine(
    child: Child,
    host: str,
    port: int,
    api_key: str,
    device_uuids: Collection[str],
    held_bytes: int,
    tell_memory: Callable[[int], None],
) -> None:
    """Watch until the engine ends (`EngineEnded`) or is found hung (`EngineHung`), within 15 s.

    `tell_memory` hears of its memory whenever that differs much from `held_bytes`, then from what
    was told last.
    """
    await first_of(
        child.wait(),
        _check(child, host, port, api_key),
        _measure(child, device_uuids, held_bytes, tell_memory),
    )
    raise EngineEnded(child.exit_code)


async def _check(child: Child, host: str, port: int, api_key: str) -> None:
    silent = 0
    while silent < MAX_SILENT:
        used_before = _processor_s(child.pid)
        started = asyncio.get_running_loop().time()
        if await is_healthy(host, port, api_key, timeout_s=ANSWER_S):
            silent = 0
            await asyncio.sleep(CHECK_S)
            continue
        waited_s = asyncio.get_running_loop().time() - started
        # Refused at once: it is about to end, which is seen elsewhere, or hung in another way.
        await asyncio.sleep(max(ANSWER_S - waited_s, 0))
        computing = _processor_s(child.pid) - used_before > BUSY_SHARE * ANSWER_S
        silent = 0 if computing else silent + 1
    raise EngineHung


def _processor_s(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    used: float = times.user + times.system
    return used


async def _measure(
    child: Child,
    device_uuids: Collection[str],
    told: int,
    tell_memory: Callable[[int], None],
) -> None:
    while True:
        held = await asyncio.to_thread(engine_memory_bytes, child.pid, device_uuids)
        if abs(held - told) >= MEMORY_STEP_BYTES:
            told = held
            tell_memory(held)
        await asyncio.sleep(CHECK_S * MEMORY_EVERY_CHECKS)
