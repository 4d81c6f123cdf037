"""Samples and counts on their way from who takes them to who shows them, on a real backplane."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from common import timestamps
from common.api import metrics, requests
from common.api.metrics import (
    Activity,
    Cpu,
    GetHistory,
    Gpu,
    HostGpu,
    Metrics,
    Sample,
    Space,
    System,
)
from common.api.requests import ListRequests, RequestList
from common.bus.bus import Bus, Identity
from common.errors import Unavailable
from gateway.fleet_metrics import FleetMetrics
from gateway.handlers.metrics import MetricsHandlers
from gateway.metrics_updates import MetricsUpdates
from gateway.proxy.activity import ROW
from tests.support.bus import Joiner
from tests.support.request_records import made, under_way
from tests.support.waiting import until
from workers.logs.inference_hour import InferenceHour
from workers.logs.inference_log import InferenceLog
from workers.metrics.sampler import Sampler

GPU = Gpu(name="H200", usage=37.0, memory_used=1, memory_total=141, uuid="GPU-a")


def sample(host: str, *gpus: Gpu, cpu: float = 1.0) -> Sample:
    space = Space(used=1, total=2)
    return Sample(
        host=host,
        timestamp=timestamps.now(),
        system=System(cpu=Cpu(usage=cpu, cores=1), memory=space, disk=space),
        gpu=gpus,
    )


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def bus_on(joiner: Joiner, name: str, kind: Any, host: str) -> Bus:
    return Bus(Identity.new(f"{name}@{host}", kind, host), joiner.addresses)


@pytest.fixture
def gateway(joiner: Joiner) -> Bus:
    return bus_on(joiner, "gateway", "gateway", "here")


async def heard(figures: FleetMetrics) -> Metrics:
    """The first figures that this gateway can show."""

    def known() -> bool:
        with suppress(Unavailable):
            figures.current()
            return True
        return False

    await until(known)
    return figures.current()


async def test_before_the_first_sample_nothing_is_made_up(joiner: Joiner, gateway: Bus) -> None:
    figures = FleetMetrics(gateway)
    await joiner.start(gateway)
    with pytest.raises(Unavailable, match="metrics process of here"):
        figures.current()


async def test_a_real_sample_is_shown_and_remembered(
    joiner: Joiner, gateway: Bus, tmp_path: Path
) -> None:
    figures = FleetMetrics(gateway)
    handlers = MetricsHandlers(gateway, figures, MetricsUpdates(figures))
    bus = bus_on(joiner, "metrics", "metrics", "here")
    unmounted = tmp_path / "not" / "mounted"
    sampler = Sampler(bus, unmounted, 0.1, lambda: (GPU,))
    await joiner.start(gateway, bus)
    async with running(sampler.run()):
        shown = await heard(figures)
        await until(lambda: figures.current().timestamp > shown.timestamp)
    assert 0 < shown.system.memory.used < shown.system.memory.total
    assert 0 < shown.system.disk.used <= shown.system.disk.total
    assert shown.system.cpu.cores >= 1
    assert 0 <= shown.system.cpu.usage <= 100
    assert shown.gpu == (
        HostGpu(
            host="here", name="H200", usage=37.0, memory_used=1, memory_total=141, uuid="GPU-a"
        ),
    )
    (remembered,) = (await handlers.history(GetHistory(seconds=60))).hosts
    assert remembered.host == "here"
    assert len(remembered.times_ms) == len(remembered.cpu_usage) >= 2
    assert remembered.times_ms == sorted(remembered.times_ms)
    assert remembered.gpu[0].usage[0] == 37.0


async def test_a_gpu_driver_that_hangs_does_not_stop_the_samples(
    joiner: Joiner, gateway: Bus, tmp_path: Path
) -> None:
    figures = FleetMetrics(gateway)
    bus = bus_on(joiner, "metrics", "metrics", "here")
    driver = threading.Event()

    def hang() -> tuple[Gpu, ...]:
        driver.wait()
        return (GPU,)

    await joiner.start(gateway, bus)
    try:
        async with running(Sampler(bus, tmp_path, 0.1, hang).run()):
            first = await heard(figures)
            assert first.gpu == ()
            await until(lambda: figures.current().timestamp > first.timestamp)
            driver.set()
            await until(lambda: len(figures.current().gpu) == 1)
    finally:
        driver.set()


async def test_all_hosts_are_shown_and_the_askeds_own_is_the_system(
    joiner: Joiner, gateway: Bus
) -> None:
    figures = FleetMetrics(gateway)
    here = bus_on(joiner, "metrics", "metrics", "here")
    there = bus_on(joiner, "metrics", "metrics", "there")
    there.table(metrics.SAMPLE).put("there", sample("there", GPU, cpu=2.0))
    here.table(metrics.SAMPLE).put("here", sample("here", cpu=1.0))
    await joiner.start(gateway, here, there)
    await heard(figures)
    await until(lambda: len(figures.current().hosts) == 2)
    shown = figures.current()
    assert shown.system.cpu.usage == 1.0
    assert [(host.host, host.system.cpu.usage) for host in shown.hosts] == [
        ("here", 1.0),
        ("there", 2.0),
    ]
    assert [(gpu.host, gpu.name) for gpu in shown.gpu] == [("there", "H200")]
    # What is told does not change by asking, and the same answer is not made twice.
    assert figures.current() is shown
    await joiner.stop(there)
    await until(lambda: len(figures.current().hosts) == 1)
    assert figures.current().gpu == ()
    await joiner.stop(here)
    await until(lambda: not gateway.present("metrics"))
    assert figures.current().system.cpu.usage == 1.0


async def test_counts_are_summed_over_all_proxies_and_outlive_them(
    joiner: Joiner, gateway: Bus
) -> None:
    figures = FleetMetrics(gateway)
    host = bus_on(joiner, "metrics", "metrics", "here")
    first = bus_on(joiner, "proxy-0", "proxy", "here")
    second = bus_on(joiner, "proxy-1", "proxy", "there")
    tables = [bus.table(metrics.ACTIVITY) for bus in (first, second)]
    host.table(metrics.SAMPLE).put("here", sample("here"))
    await joiner.start(gateway, host, first, second)
    await heard(figures)
    assert figures.current().llama == metrics.LlamaMetrics(
        active_connections=0, requests_processed=0, average_response_time=0.0
    )
    tables[0].put(ROW, Activity(active=2, processed=100, recent=3, recent_ms=30.0))
    tables[1].put(ROW, Activity(active=1, processed=50, recent=1, recent_ms=90.0))
    await until(lambda: figures.current().llama.requests_processed == 150)
    llama = figures.current().llama
    assert (llama.active_connections, llama.average_response_time) == (3, 30.0)
    await joiner.stop(second)
    await until(lambda: figures.current().llama.active_connections == 2)
    assert figures.current().llama.requests_processed == 150
    again = bus_on(joiner, "proxy-1", "proxy", "there")
    again.table(metrics.ACTIVITY).put(
        ROW, Activity(active=0, processed=51, recent=1, recent_ms=10.0)
    )
    await joiner.start(again)
    await until(lambda: figures.current().llama.requests_processed == 151)


async def test_a_host_that_does_not_answer_is_left_out_of_the_history(
    joiner: Joiner, gateway: Bus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    figures = FleetMetrics(gateway)
    handlers = MetricsHandlers(gateway, figures, MetricsUpdates(figures))
    here = bus_on(joiner, "metrics", "metrics", "here")
    there = bus_on(joiner, "metrics", "metrics", "there")  # answers no history
    sampler = Sampler(here, tmp_path, 0.1, lambda: ())
    await joiner.start(gateway, here, there)
    async with running(sampler.run()):
        await heard(figures)
    answered = await handlers.history(GetHistory())
    assert [host.host for host in answered.hosts] == ["here"]
    assert "no history from metrics@there" in caplog.text


async def test_inference_is_told_by_the_log_process_of_stored_and_present_requests(
    joiner: Joiner, gateway: Bus
) -> None:
    figures = FleetMetrics(gateway)
    handlers = MetricsHandlers(gateway, figures, MetricsUpdates(figures))
    hour, now_s = InferenceHour(), time.time()
    before = made(1, started_at=timestamps.iso(now_s - 20), duration_ms=1_000.0)
    hour.add(before, now_s)
    logs = joiner.create("logs", "logs")
    inference = InferenceLog(logs, hour)
    inference.add([made(2, started_at=timestamps.iso(now_s - 10), duration_ms=1_000.0)])
    # Two proxies, one of which does not answer.
    proxy = bus_on(joiner, "proxy", "proxy", "here")
    mute = bus_on(joiner, "proxy-1", "proxy", "here")
    present = under_way(now_s - 5)

    async def under_way_now(_request: ListRequests) -> RequestList:
        return RequestList(requests=(present,))

    proxy.serve(requests.LIST, under_way_now)
    await joiner.start(gateway, logs, proxy, mute)
    told = (await handlers.history(GetHistory(seconds=60))).inference
    assert told is not None
    assert sum(told.finished) == 2
    assert sum(told.in_flight) == pytest.approx(1 + 1 + 5, abs=1.5)
    assert told.in_flight[-1] == 1.0
    # Its record has come: it is counted by that, and not twice.
    inference.add([made(0, started_at=present.started_at, duration_ms=5_000.0)])
    told = (await handlers.history(GetHistory(seconds=60))).inference
    assert told is not None
    assert sum(told.finished) in (2, 3)  # that of the second that is not over yet is not told
    assert max(told.in_flight) == 1.0


async def test_without_the_log_process_there_is_no_history_of_inference(
    joiner: Joiner, gateway: Bus
) -> None:
    figures = FleetMetrics(gateway)
    handlers = MetricsHandlers(gateway, figures, MetricsUpdates(figures))
    await joiner.start(gateway)
    assert (await handlers.history(GetHistory())).inference is None
