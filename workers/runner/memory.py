"""How much memory there is on a runner's devices, and how much an engine takes of it.

All calls block for some milliseconds: they belong in a thread.
"""

from __future__ import annotations

from collections.abc import Collection

import psutil

from common.api.instances import Device, RunnerState
from common.devices import NVML, Nvml, missing, shown


def engine_memory_bytes(pid: int, device_uuids: Collection[str], nvml: Nvml = NVML) -> int:
    """Device memory of an engine on these GPUs, or its resident memory where it has none."""
    if device_uuids:
        return nvml.process_memory_bytes(pid, device_uuids)
    try:
        resident: int = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0
    return resident


class DeviceMissing(Exception):
    """A GPU of a runner is not there (any more). Says which, and which are."""


def runner_state(
    name: str, host: str, device_uuids: Collection[str], nvml: Nvml = NVML
) -> RunnerState:
    """What a runner has to give now: its GPUs' memory, or RAM where it has none.

    Raises DeviceMissing unless all its GPUs are there.
    """
    if not device_uuids:
        memory = psutil.virtual_memory()
        return RunnerState(
            name=name,
            host=host,
            devices=(),
            memory_total=memory.total,
            memory_free=memory.available,
        )
    gpus = nvml.gpus()
    if gone := missing(device_uuids, gpus):
        raise DeviceMissing(f"{', '.join(gone)} is not there; GPUs that are: {shown(gpus)}")
    devices = tuple(
        Device(
            uuid=gpu.uuid,
            name=gpu.name,
            memory_total=gpu.memory_total_bytes,
            memory_free=gpu.memory_free_bytes,
        )
        for gpu in gpus
        if gpu.uuid in device_uuids
    )
    return RunnerState(
        name=name,
        host=host,
        devices=devices,
        memory_total=sum(device.memory_total for device in devices),
        memory_free=sum(device.memory_free for device in devices),
    )
