"""The NVIDIA GPUs of this host, read through NVML (the `pynvml` module of nvidia-ml-py).

The calls block, the first for up to a second when the driver is not loaded yet: call from a thread
where an event loop runs.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pynvml

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gpu:
    """One GPU. `uuid` (`GPU-…`) is what CUDA_VISIBLE_DEVICES takes; `index` is NVML's.

    NVML counts in PCI bus order; CUDA's own order may differ, which is why devices are named by
    UUID wherever a process is pinned to one.
    """

    uuid: str
    index: int
    name: str
    memory_total_bytes: int
    memory_free_bytes: int
    usage_percent: float
    """Share of the last sample period (NVML: up to a second) during which a kernel ran."""
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None


class NvmlUnavailable(Exception):
    """There is no NVML to ask: no driver, no library, no permission. Says which."""


class Nvml:
    """NVML, opened by the first call and kept open: opening it anew each second costs many times
    what is then read. May be called from any thread.

    `library` is the pynvml module, or what stands for it in a test.
    """

    def __init__(self, library: Any = pynvml) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._is_open = False
        self._is_stale = False

    def gpus(self) -> list[Gpu]:
        """All GPUs in NVML's order; empty on a host without NVML."""
        try:
            return self.read_gpus()
        except NvmlUnavailable:
            return []

    def read_gpus(self) -> list[Gpu]:
        """Like `gpus`, but raises NvmlUnavailable with the reason.

        A GPU that does not answer (fallen off the bus, say) is left out, with a warning in the log.
        """
        found = []
        with self._opened() as nvml:
            for index in range(nvml.nvmlDeviceGetCount()):
                try:
                    found.append(_read(nvml, index))
                except nvml.NVMLError as error:
                    logger.warning("GPU %d does not answer and is left out: %s", index, error)
                    self._is_stale = True
        return found

    def process_memory_bytes(self, pid: int, uuids: Collection[str]) -> int:
        """Device memory that a process holds on these GPUs; 0 where NVML does not know."""
        held = 0
        try:
            with self._opened() as nvml:
                for uuid in uuids:
                    handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
                    for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle):
                        if process.pid == pid:
                            held += int(process.usedGpuMemory or 0)
        except NvmlUnavailable as error:
            logger.debug("no device memory of process %d: %s", pid, error)
        return held

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """The library, open and for one thread at a time.

        Opened anew after an error: the driver may have been loaded, replaced or reset meanwhile.
        """
        nvml = self._library
        with self._lock:
            try:
                if not self._is_open:
                    nvml.nvmlInit()
                    self._is_open = True
                self._is_stale = False
                yield nvml
            except nvml.NVMLError as error:
                self._is_stale = True
                raise NvmlUnavailable(str(error)) from error
            finally:
                if self._is_open and self._is_stale:
                    self._is_open = False
                    with contextlib.suppress(nvml.NVMLError):
                        nvml.nvmlShutdown()


NVML = Nvml()
"""The one of this process: NVML counts its users by process."""


def missing(wanted: Iterable[str], present: Iterable[Gpu]) -> tuple[str, ...]:
    """Which of these UUIDs no GPU has."""
    there = {gpu.uuid for gpu in present}
    return tuple(uuid for uuid in wanted if uuid not in there)


def shown(present: Iterable[Gpu]) -> str:
    """The GPUs that are there, in words."""
    return ", ".join(f"{gpu.uuid} ({gpu.name})" for gpu in present) or "none"


def _read(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        index=index,
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_total_bytes=int(memory.total),
        memory_free_bytes=int(memory.free),
        usage_percent=_usage_percent(nvml, handle),
        temperature_c=_temperature_c(nvml, handle),
        power_w=_watts(nvml, nvml.nvmlDeviceGetPowerUsage, handle),
        power_limit_w=_watts(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle),
    )


def _usage_percent(nvml: Any, handle: object) -> float:
    try:
        return float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except nvml.NVMLError:
        return 0.0  # vGPUs and MIG instances do not tell


# What follows is told by NVML only of some boards, and never of a part of one (vGPU, MIG).
def _temperature_c(nvml: Any, handle: object) -> float | None:
    try:
        return float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
    except nvml.NVMLError:
        return None


def _watts(nvml: Any, ask: Callable[[object], int], handle: object) -> float | None:
    """NVML counts in milliwatts."""
    try:
        return ask(handle) / 1000
    except nvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
