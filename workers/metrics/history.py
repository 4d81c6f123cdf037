"""The last hour of one host, in columns of eight bytes per figure. Pure; times are given."""

from __future__ import annotations

import math
from array import array

from common import timestamps
from common.api.metrics import HISTORY_SECONDS, Gpu, GpuHistory, HostHistory, Sample

SLACK_SECONDS = 300
"""How much more than what is asked for may be kept, so that old entries go in blocks."""

MAX_ENTRIES = 40_000
"""Room for an hour at the shortest interval; the bound where a clock was set back by more."""


class _GpuColumns:
    """One GPU; entries before it came and after it went are NaN."""

    def __init__(self, entries: int) -> None:
        self.newest: Gpu | None = None
        self.usage = array("d", [math.nan]) * entries
        self.memory_used = array("d", [math.nan]) * entries
        self.temperature = array("d", [math.nan]) * entries
        self.power = array("d", [math.nan]) * entries

    def append(self, gpu: Gpu | None) -> None:
        self.newest = gpu or self.newest
        self.usage.append(gpu.usage if gpu else math.nan)
        self.memory_used.append(gpu.memory_used if gpu else math.nan)
        self.temperature.append(_or_nan(gpu.temperature if gpu else None))
        self.power.append(_or_nan(gpu.power if gpu else None))

    def drop(self, entries: int) -> None:
        for column in (self.usage, self.memory_used, self.temperature, self.power):
            del column[:entries]

    @property
    def empty(self) -> bool:
        return all(map(math.isnan, self.usage))

    def since(self, first: int, uuid: str) -> GpuHistory:
        newest = self.newest
        return GpuHistory(
            uuid=uuid,
            name=newest.name if newest else "",
            memory_total=newest.memory_total if newest else 0,
            power_limit=newest.power_limit if newest else None,
            usage=_or_none(self.usage[first:]),
            temperature=_or_none(self.temperature[first:]),
            power=_or_none(self.power[first:]),
            memory_used=[
                None if math.isnan(value) else int(value) for value in self.memory_used[first:]
            ],
        )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _or_none(values: array[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]


class HostRecord:
    """Samples of one host, by column; those older than an hour are dropped."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._newest: Sample | None = None
        self._times_s = array("d")
        self._cpu_usage = array("d")
        self._memory_used = array("d")
        self._disk_used = array("d")
        self._gpus: dict[str, _GpuColumns] = {}

    def add(self, sample: Sample) -> None:
        """Take in the next sample."""
        self._newest = sample
        there = {gpu.uuid: gpu for gpu in sample.gpu}
        for uuid in there.keys() - self._gpus.keys():
            self._gpus[uuid] = _GpuColumns(len(self._times_s))
        for uuid, columns in self._gpus.items():
            columns.append(there.get(uuid))
        self._times_s.append(timestamps.parse(sample.timestamp, "timestamp"))
        self._cpu_usage.append(sample.system.cpu.usage)
        self._memory_used.append(sample.system.memory.used)
        self._disk_used.append(sample.system.disk.used)
        if self._times_s[0] < self._times_s[-1] - HISTORY_SECONDS - SLACK_SECONDS:
            self._drop_before(self._first_after(HISTORY_SECONDS))
        elif len(self._times_s) > MAX_ENTRIES:
            self._drop_before(MAX_ENTRIES // 10)

    def last(self, seconds: int) -> HostHistory | None:
        """What happened in the `seconds` before the newest sample; None before the first."""
        newest = self._newest
        if newest is None:
            return None
        first = self._first_after(seconds)
        return HostHistory(
            host=self._host,
            times_ms=[round(time_s * 1000) for time_s in self._times_s[first:]],
            cpu_usage=self._cpu_usage[first:].tolist(),
            memory_used=[int(used) for used in self._memory_used[first:]],
            disk_used=[int(used) for used in self._disk_used[first:]],
            cores=newest.system.cpu.cores,
            memory_total=newest.system.memory.total,
            disk_total=newest.system.disk.total,
            gpu=tuple(columns.since(first, uuid) for uuid, columns in self._gpus.items()),
        )

    def _first_after(self, seconds: int) -> int:
        """Where the entries begin that are less than `seconds` older than the newest.

        Not by bisection: a clock that was set back leaves times that do not grow.
        """
        limit_s = self._times_s[-1] - seconds
        return next(i for i, time_s in enumerate(self._times_s) if time_s > limit_s)

    def _drop_before(self, first: int) -> None:
        for column in (self._times_s, self._cpu_usage, self._memory_used, self._disk_used):
            del column[:first]
        for uuid, columns in list(self._gpus.items()):
            columns.drop(first)
            if columns.empty:
                del self._gpus[uuid]
