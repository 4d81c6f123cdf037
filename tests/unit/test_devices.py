from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from common.devices import NVML, Nvml, NvmlUnavailable, missing, shown
from tests.support.fake_nvml import FakeGpu, FakeNvml
from workers.metrics.sampling import read_gpus, take_sample
from workers.runner.memory import DeviceMissing, engine_memory_bytes, runner_state

HAS_GPU = bool(NVML.gpus())


@pytest.mark.skipif(HAS_GPU, reason="this host has NVML")
def test_without_nvml_there_is_a_reason_and_the_list_is_empty() -> None:
    with pytest.raises(NvmlUnavailable, match="NVML"):
        NVML.read_gpus()
    assert NVML.gpus() == []


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="no NVIDIA GPU with NVML")
def test_a_gpu_tells_its_uuid_and_its_memory() -> None:
    gpus = NVML.gpus()
    assert len({gpu.uuid for gpu in gpus}) == len(gpus)
    for gpu in gpus:
        assert gpu.uuid.startswith("GPU-")
        assert 0 <= gpu.memory_free_bytes <= gpu.memory_total_bytes
        assert 0 <= gpu.usage_percent <= 100
    assert [gpu.uuid for gpu in NVML.gpus()] == [gpu.uuid for gpu in gpus]


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="no NVIDIA GPU with NVML")
def test_a_process_without_kernels_holds_no_device_memory() -> None:
    assert NVML.process_memory_bytes(os.getpid(), [gpu.uuid for gpu in NVML.gpus()]) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="no NVIDIA GPU with NVML")
def test_a_gpu_that_is_not_there_is_missed_on_a_real_host() -> None:
    present = NVML.gpus()
    with pytest.raises(DeviceMissing, match=present[0].uuid):
        runner_state("r", "h", [present[0].uuid, "GPU-none"])
    state = runner_state("r", "h", [present[0].uuid])
    assert state.memory_total == present[0].memory_total_bytes


def test_nvml_is_opened_once() -> None:
    library = FakeNvml(FakeGpu("GPU-a"))
    nvml = Nvml(library)
    for _ in range(3):
        (gpu,) = nvml.read_gpus()
    assert (gpu.uuid, gpu.name, gpu.usage_percent) == ("GPU-a", "H200", 37.0)
    assert library.times_opened == 1


def test_nvml_is_opened_anew_after_a_refusal() -> None:
    library = FakeNvml(FakeGpu("GPU-a"))
    nvml = Nvml(library)
    assert len(nvml.gpus()) == 1
    library.problem = "Driver/library version mismatch"
    with pytest.raises(NvmlUnavailable, match="version mismatch"):
        nvml.read_gpus()
    assert nvml.gpus() == []
    assert library.users == 0
    library.problem = ""
    assert len(nvml.gpus()) == 1
    assert (library.times_opened, library.users) == (2, 1)


def test_a_gpu_that_is_lost_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    library = FakeNvml(FakeGpu("GPU-a", answers=False), FakeGpu("GPU-b"))
    nvml = Nvml(library)
    with caplog.at_level(logging.WARNING):
        assert [(gpu.index, gpu.uuid) for gpu in nvml.gpus()] == [(1, "GPU-b")]
    assert "GPU 0 does not answer and is left out: GPU is lost" in caplog.text
    assert library.users == 0


def test_a_gpu_that_tells_no_usage_counts_as_idle() -> None:
    (gpu,) = Nvml(FakeNvml(FakeGpu("GPU-a", tells_usage=False))).gpus()
    assert gpu.usage_percent == 0.0


def test_an_engine_on_two_gpus_holds_memory_of_both() -> None:
    library = FakeNvml(
        FakeGpu("GPU-a", held_bytes={7: 100, 8: 1}),
        FakeGpu("GPU-b", held_bytes={7: 50}),
        FakeGpu("GPU-c", held_bytes={7: 1000}),
    )
    assert engine_memory_bytes(7, ("GPU-a", "GPU-b"), Nvml(library)) == 150
    assert engine_memory_bytes(7, ("GPU-none",), Nvml(library)) == 0


def test_a_runner_with_two_gpus_has_the_memory_of_both() -> None:
    library = FakeNvml(
        FakeGpu("GPU-a", memory_total_bytes=100, memory_free_bytes=60),
        FakeGpu("GPU-b", memory_total_bytes=10, memory_free_bytes=6),
        FakeGpu("GPU-c", memory_total_bytes=1, memory_free_bytes=1),
    )
    state = runner_state("pair", "host", ("GPU-a", "GPU-b"), Nvml(library))
    assert [device.uuid for device in state.devices] == ["GPU-a", "GPU-b"]
    assert (state.memory_total, state.memory_free) == (110, 66)


def test_a_runner_whose_gpu_is_not_there_is_an_error_and_no_cpu() -> None:
    nvml = Nvml(FakeNvml(FakeGpu("GPU-a")))
    with pytest.raises(DeviceMissing, match=r"^GPU-b is not there; GPUs that are: GPU-a \(H200\)$"):
        runner_state("pair", "host", ("GPU-a", "GPU-b"), nvml)
    with pytest.raises(DeviceMissing, match=r"GPUs that are: none$"):
        runner_state("pair", "host", ("GPU-a",), Nvml(FakeNvml(problem="Driver Not Loaded")))


def test_a_runner_without_gpus_has_the_ram() -> None:
    state = runner_state("cpu", "host", (), Nvml(FakeNvml(problem="none")))
    assert state.devices == ()
    assert 0 < state.memory_free <= state.memory_total


def test_a_sample_has_every_gpu(tmp_path: Path) -> None:
    library = FakeNvml(FakeGpu("GPU-a", "one", 100, 60), FakeGpu("GPU-b", "two", 10, 10))
    sample = take_sample("host", tmp_path, read_gpus(Nvml(library)))
    assert [(gpu.uuid, gpu.name, gpu.memory_used, gpu.memory_total) for gpu in sample.gpu] == [
        ("GPU-a", "one", 40, 100),
        ("GPU-b", "two", 0, 10),
    ]


def test_missing_gpus_keep_their_order() -> None:
    gpus = Nvml(FakeNvml(FakeGpu("GPU-a"))).gpus()
    assert missing(("GPU-z", "GPU-a", "GPU-b"), gpus) == ("GPU-z", "GPU-b")
    assert shown([]) == "none"


def test_temperature_and_power_are_told_where_nvml_knows_them() -> None:
    mute = FakeGpu("GPU-b", temperature_c=None, power_mw=None, power_limit_mw=None)
    told, untold = read_gpus(Nvml(FakeNvml(FakeGpu("GPU-a"), mute)))
    assert (told.temperature, told.power, told.power_limit) == (41.0, 118.25, 700.0)
    assert (untold.temperature, untold.power, untold.power_limit) == (None, None, None)
