"""This process's copy of the newest samples and counts; nothing is collected when it is asked."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from common.api import metrics
from common.api.metrics import HostGpu, HostMetrics, LlamaMetrics, Metrics
from common.bus.bus import Bus
from common.errors import Unavailable

LEARN_S = 2.0


class FleetMetrics:
    """Answers from what the metrics processes and the proxies have told.

    A host is shown while its metrics process is there; our own always, with the time of its last
    sample. Answered requests of a proxy count also while it is away.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._samples = bus.mirror(metrics.SAMPLE)
        self._samples.on_change(lambda *_: self._sampled())
        self._heard = asyncio.Event()
        self._activities = bus.mirror(metrics.ACTIVITY)
        self._current: Metrics | None = None
        self._activities.on_change(lambda *_: self._forget())
        bus.on_presence(self._forget)

    def current(self) -> Metrics:
        """The newest figures: the same object until something was told.

        Raises `Unavailable` while nothing is known of our own host.
        """
        if self._current is None:
            self._current = self._compose()
        return self._current

    async def learned(self) -> Metrics:
        """`current`; right after a start, once there is a first sample: it waits a bit for it."""
        if not self._heard.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), LEARN_S)
        return self.current()

    def _sampled(self) -> None:
        self._heard.set()
        self._forget()

    def _forget(self) -> None:
        self._current = None

    def _compose(self) -> Metrics:
        own_host = self._bus.identity.host
        samples = {host: sample for _, host, sample in self._samples.items()}
        own = samples.get(own_host)
        if own is None:
            raise Unavailable(
                f"the metrics process of {own_host} has not told anything yet; try again in a"
                " second"
            )
        sampled = {beat.host for beat in self._bus.members if beat.kind == "metrics"}
        shown = [
            sample
            for host, sample in sorted(samples.items())
            if host == own_host or host in sampled
        ]
        return Metrics(
            system=own.system,
            llama=self._llama(),
            gpu=tuple(
                HostGpu(
                    host=sample.host,
                    name=gpu.name,
                    usage=gpu.usage,
                    memory_used=gpu.memory_used,
                    memory_total=gpu.memory_total,
                    uuid=gpu.uuid,
                    temperature=gpu.temperature,
                    power=gpu.power,
                    power_limit=gpu.power_limit,
                )
                for sample in shown
                for gpu in sample.gpu
            ),
            timestamp=own.timestamp,
            hosts=tuple(
                HostMetrics(host=sample.host, system=sample.system, timestamp=sample.timestamp)
                for sample in shown
            ),
        )

    def _llama(self) -> LlamaMetrics:
        present = set(self._bus.present("proxy"))
        rows = [(proxy, row) for proxy, _, row in self._activities.items()]
        recent = sum(row.recent for _, row in rows)
        recent_ms = sum(row.recent_ms for _, row in rows)
        return LlamaMetrics(
            active_connections=sum(row.active for proxy, row in rows if proxy in present),
            requests_processed=sum(row.processed for _, row in rows),
            average_response_time=round(recent_ms / recent, 3) if recent else 0.0,
        )
