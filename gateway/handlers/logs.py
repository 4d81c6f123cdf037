"""logs:get, logs:subscribe, logs:unsubscribe."""

from __future__ import annotations

from common.api import logs
from common.api.base import Empty
from common.api.logs import GetLogs, Logs, LogSubscription, SubscribeLogs, UnsubscribeLogs
from common.bus.bus import Bus
from common.delivery import LOGS_PROCESS
from gateway.asking import asking_client
from gateway.subscriptions import LogFilter, LogReaders


class LogHandlers:
    """Lines from the log process; what is sent of new ones is kept here."""

    def __init__(self, bus: Bus, readers: LogReaders) -> None:
        self._bus = bus
        self._readers = readers

    async def get(self, request: GetLogs) -> Logs:
        """The newest matching lines."""
        return await self._bus.call(LOGS_PROCESS, logs.GET, request)

    async def subscribe(self, request: SubscribeLogs) -> LogSubscription:
        """Only what the client wants."""
        self._readers.narrow(asking_client(), LogFilter(request.level, request.sources))
        return LogSubscription(level=request.level, sources=request.sources)

    async def unsubscribe(self, _request: UnsubscribeLogs) -> Empty:
        """Nothing any more."""
        self._readers.mute(asking_client())
        return Empty()
