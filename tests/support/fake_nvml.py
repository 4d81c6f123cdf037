"""What stands for the pynvml module in tests: GPUs that come, go and fail as a test wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace


class NVMLError(Exception):
    """As pynvml's."""


@dataclass
class FakeGpu:
    """One GPU; `held_bytes` is what each process holds of its memory, by pid."""

    uuid: str
    name: str = "H200"
    memory_total_bytes: int = 141 << 30
    memory_free_bytes: int = 140 << 30
    held_bytes: dict[int, int] = field(default_factory=dict)
    answers: bool = True
    tells_usage: bool = True
    temperature_c: int | None = 41
    power_mw: int | None = 118_250
    power_limit_mw: int | None = 700_000


class FakeNvml:
    """`gpus` may be changed at any time; `problem` is the reason for which NVML refuses."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *gpus: FakeGpu, problem: str = "") -> None:
        self.gpus: Sequence[FakeGpu] = gpus
        self.problem = problem
        self.times_opened = 0
        self.users = 0

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's own names
        self._check()
        self.times_opened += 1
        self.users += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.users -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self._check()
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:  # noqa: N802
        return self._answering(self.gpus[index])

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> FakeGpu:  # noqa: N802
        self._check()
        for gpu in self.gpus:
            if gpu.uuid == uuid:
                return self._answering(gpu)
        raise NVMLError("Not Found")

    def nvmlDeviceGetUUID(self, gpu: FakeGpu) -> str:  # noqa: N802
        return gpu.uuid

    def nvmlDeviceGetName(self, gpu: FakeGpu) -> bytes:  # noqa: N802
        return gpu.name.encode()  # as older versions of pynvml do

    def nvmlDeviceGetMemoryInfo(self, gpu: FakeGpu) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=gpu.memory_total_bytes, free=gpu.memory_free_bytes)

    def nvmlDeviceGetUtilizationRates(self, gpu: FakeGpu) -> SimpleNamespace:  # noqa: N802
        if not gpu.tells_usage:
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=37)

    def nvmlDeviceGetTemperature(self, gpu: FakeGpu, sensor: int) -> int:  # noqa: N802
        assert sensor == self.NVML_TEMPERATURE_GPU
        return _told(gpu.temperature_c)

    def nvmlDeviceGetPowerUsage(self, gpu: FakeGpu) -> int:  # noqa: N802
        return _told(gpu.power_mw)

    def nvmlDeviceGetEnforcedPowerLimit(self, gpu: FakeGpu) -> int:  # noqa: N802
        return _told(gpu.power_limit_mw)

    def nvmlDeviceGetComputeRunningProcesses(  # noqa: N802
        self, gpu: FakeGpu
    ) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in gpu.held_bytes.items()
        ]

    def _answering(self, gpu: FakeGpu) -> FakeGpu:
        if not gpu.answers:
            raise NVMLError("GPU is lost")
        return gpu

    def _check(self) -> None:
        if self.problem:
            raise NVMLError(self.problem)


def _told(value: int | None) -> int:
    if value is None:
        raise NVMLError("Not Supported")
    return value
