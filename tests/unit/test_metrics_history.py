from __future__ import annotations

import pytest

from common import timestamps
from common.api.metrics import HISTORY_SECONDS, Cpu, Gpu, HostHistory, Sample, Space, System
from workers.metrics import history
from workers.metrics.history import HostRecord

START_S = 1_705_314_600.0


def sample(second: float, *gpus: Gpu) -> Sample:
    return Sample(
        host="host",
        timestamp=timestamps.iso(START_S + second),
        system=System(
            cpu=Cpu(usage=second % 100, cores=4),
            memory=Space(used=1000 + int(second), total=8000),
            disk=Space(used=5, total=50),
        ),
        gpu=gpus,
    )


def gpu(uuid: str, usage: float = 50.0) -> Gpu:
    return Gpu(name="H200", usage=usage, memory_used=10, memory_total=100, uuid=uuid)


def last(record: HostRecord, seconds: int) -> HostHistory:
    found = record.last(seconds)
    assert found is not None
    return found


def test_there_is_nothing_before_the_first_sample() -> None:
    assert HostRecord("host").last(60) is None


def test_columns_are_oldest_first_and_of_one_length() -> None:
    record = HostRecord("host")
    for second in range(5):
        record.add(sample(second))
    found = last(record, 60)
    assert found.times_ms == [round((START_S + second) * 1000) for second in range(5)]
    assert found.cpu_usage == [0, 1, 2, 3, 4]
    assert found.memory_used == [1000, 1001, 1002, 1003, 1004]
    assert found.disk_used == [5] * 5
    assert (found.host, found.cores, found.memory_total, found.disk_total) == ("host", 4, 8000, 50)


def test_as_many_seconds_as_asked_for() -> None:
    record = HostRecord("host")
    for second in range(20):
        record.add(sample(second))
    assert last(record, 5).memory_used == [1015, 1016, 1017, 1018, 1019]
    assert last(record, 1).memory_used == [1019]


def test_an_hour_is_kept_and_not_much_more() -> None:
    record = HostRecord("host")
    for second in range(2 * HISTORY_SECONDS):
        record.add(sample(second))
    assert len(last(record, HISTORY_SECONDS).times_ms) == HISTORY_SECONDS
    assert len(last(record, 10 * HISTORY_SECONDS).times_ms) <= (
        HISTORY_SECONDS + history.SLACK_SECONDS + 1
    )


def test_a_gpu_that_comes_and_goes_has_gaps_and_is_forgotten_after_an_hour() -> None:
    record = HostRecord("host")
    record.add(sample(0))
    record.add(sample(1, gpu("GPU-a", 30)))
    record.add(sample(2, gpu("GPU-a", 40), gpu("GPU-b", 70)))
    record.add(sample(3, gpu("GPU-b", 80)))
    first, second = last(record, 60).gpu
    assert (first.uuid, first.name, first.memory_total) == ("GPU-a", "H200", 100)
    assert first.usage == [None, 30, 40, None]
    assert first.memory_used == [None, 10, 10, None]
    assert second.usage == [None, None, 70, 80]
    for later in range(2 * HISTORY_SECONDS):
        record.add(sample(4 + later, gpu("GPU-b")))
    assert [entry.uuid for entry in last(record, 60).gpu] == ["GPU-b"]


def test_a_clock_that_is_set_back_neither_breaks_it_nor_makes_it_grow_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "MAX_ENTRIES", 100)
    record = HostRecord("host")
    record.add(sample(100_000))
    for second in range(500):
        record.add(sample(second))
    found = last(record, 10)
    assert found.memory_used[-1] == 1499
    assert len(last(record, HISTORY_SECONDS).times_ms) <= 101


def test_a_gpu_that_does_not_say_its_temperature_has_gaps_and_no_zeros() -> None:
    record = HostRecord("host")
    hot = Gpu("H200", 50.0, 10, 100, uuid="a", temperature=41.5, power=99.0, power_limit=700.0)
    record.add(sample(0, hot))
    record.add(sample(1, gpu("a")))
    record.add(sample(2))
    (told,) = last(record, 60).gpu
    assert (told.temperature, told.power) == ([41.5, None, None], [99.0, None, None])
    assert told.usage == [50.0, 50.0, None]
