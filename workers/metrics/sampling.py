"""One look at this host. Both functions block for some milliseconds: call them from threads."""

from __future__ import annotations

from pathlib import Path

import psutil

from common import timestamps
from common.api.metrics import Cpu, Gpu, Sample, Space, System
from common.devices import NVML, Nvml


def take_sample(host: str, models: Path, gpus: tuple[Gpu, ...]) -> Sample:
    """Processor since the last call (0 at the first), memory and the models' disk.

    `gpus` is what `read_gpus` gave; NVML has a thread of its own, since a driver in trouble may let
    it wait for many seconds.
    """
    memory = psutil.virtual_memory()
    return Sample(
        host=host,
        timestamp=timestamps.now(),
        system=System(
            cpu=Cpu(usage=psutil.cpu_percent(), cores=psutil.cpu_count() or 1),
            memory=Space(used=memory.total - memory.available, total=memory.total),
            disk=_disk(models),
        ),
        gpu=gpus,
    )


def read_gpus(nvml: Nvml = NVML) -> tuple[Gpu, ...]:
    """All GPUs in NVML's order; none without NVML."""
    return tuple(
        Gpu(
            name=gpu.name,
            usage=gpu.usage_percent,
            memory_used=gpu.memory_total_bytes - gpu.memory_free_bytes,
            memory_total=gpu.memory_total_bytes,
            uuid=gpu.uuid,
            temperature=gpu.temperature_c,
            power=gpu.power_w,
            power_limit=gpu.power_limit_w,
        )
        for gpu in nvml.gpus()
    )


def _disk(directory: Path) -> Space:
    """The file system that `directory` is on, or would be on: it may not be mounted just now."""
    for place in (directory, *directory.parents):
        try:
            disk = psutil.disk_usage(str(place))
        except OSError:
            continue
        return Space(used=disk.used, total=disk.total)
    return Space(used=0, total=0)
