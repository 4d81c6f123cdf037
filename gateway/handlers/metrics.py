"""metrics:get, metrics:subscribe, metrics:unsubscribe, metrics:history."""

from __future__ import annotations

import asyncio
import logging

from common.api import metrics
from common.api.metrics import (
    DEFAULT_INTERVAL_MS,
    GetHistory,
    GetMetrics,
    History,
    HostHistory,
    InferenceHistory,
    Metrics,
    MetricsPace,
    SubscribeMetrics,
    UnsubscribeMetrics,
)
from common.bus.bus import Bus
from common.delivery import LOGS_PROCESS
from common.errors import ProxyError
from gateway.asking import asking_client
from gateway.fleet_metrics import FleetMetrics
from gateway.metrics_updates import MetricsUpdates

logger = logging.getLogger(__name__)


class MetricsHandlers:
    """Figures from this gateway's copy; history from the metrics process of each host and,
    of inference, from the log process."""

    def __init__(self, bus: Bus, figures: FleetMetrics, updates: MetricsUpdates) -> None:
        self._bus = bus
        self._figures = figures
        self._updates = updates

    async def get(self, _request: GetMetrics) -> Metrics:
        """The newest figures."""
        return await self._figures.learned()

    async def subscribe(self, request: SubscribeMetrics) -> MetricsPace:
        """Updates at the client's own pace."""
        self._updates.set_pace(asking_client(), request.interval_ms)
        return MetricsPace(interval_ms=request.interval_ms)

    async def unsubscribe(self, _request: UnsubscribeMetrics) -> MetricsPace:
        """Updates at everybody's pace."""
        self._updates.reset_pace(asking_client())
        return MetricsPace(interval_ms=DEFAULT_INTERVAL_MS)

    async def history(self, request: GetHistory) -> History:
        """What the hosts remember; one that does not answer is left out."""
        processes = self._bus.present("metrics")
        answers, inference = await asyncio.gather(
            asyncio.gather(*(self._of(process, request) for process in processes)),
            self._inference(request),
        )
        hosts = [host for answer in answers for host in answer]
        return History(hosts=tuple(sorted(hosts, key=lambda host: host.host)), inference=inference)

    async def _inference(self, request: GetHistory) -> InferenceHistory | None:
        try:
            return await self._bus.call(LOGS_PROCESS, metrics.INFERENCE, request)
        except ProxyError as error:
            logger.warning("no history of inference: %s", error)
            return None

    async def _of(self, process: str, request: GetHistory) -> tuple[HostHistory, ...]:
        try:
            return (await self._bus.call(process, metrics.HISTORY, request)).hosts
        except ProxyError as error:
            logger.warning("no history from %s: %s", process, error)
            return ()
