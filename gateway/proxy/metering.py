"""The requests of one proxy: those under way, to be listed and cancelled, and the record of each.

A record is made when its request is over, put into an outbox, and delivered to `logs` from there.
"""

from __future__ import annotations

import asyncio

from common.api import requests
from common.api.requests import (
    AppendRecords,
    CancelledRequest,
    CancelRequest,
    ListRequests,
    NumberedRecord,
    RequestList,
)
from common.bus.bus import Bus
from common.delivery import Goods, Outbox
from common.errors import ProxyError, RequestNotFound
from gateway.http_exchange import Exchange
from gateway.proxy.activity import Activity
from gateway.proxy.client_watch import ClientWatch
from gateway.proxy.errors import ClientGone, RequestCancelled, answer_for
from gateway.proxy.records import in_flight, record
from gateway.proxy.responder import Responder
from gateway.proxy.trace import Trace

GATHER_S = 0.2
"""Records are delivered so often, and not one by one."""

_RECORD_BYTES = 500  # what a record takes beyond its model's name, about


RecordOutbox = Outbox[NumberedRecord, AppendRecords]

RECORDS: Goods[NumberedRecord, AppendRecords] = Goods(
    name="records of requests",
    command=requests.APPEND,
    batch=lambda sender, epoch, records, dropped: AppendRecords(
        sender=sender, epoch=epoch, records=records, dropped=dropped
    ),
    fit=None,
    size_bytes=lambda item: len(item.record.model) + _RECORD_BYTES,
    max_kept=65_536,
    max_kept_bytes=64 * 1024 * 1024,
    max_batch=1_000,
    max_batch_bytes=1024 * 1024,
)


class Metering:
    """Of the proxy process `proxy`, started as `epoch`. Without an `outbox` records are dropped.

    Ids of requests begin with the proxy's name, so that whoever has one knows whom to ask, and are
    unique over all proxies and all their starts.
    """

    def __init__(
        self, proxy: str, epoch: int, activity: Activity, outbox: RecordOutbox | None = None
    ) -> None:
        self._proxy = proxy
        self._start = f"{proxy}/{epoch:x}-"
        self._activity = activity
        self._outbox = outbox
        self._begun = 0
        self._recorded = 0
        self._under_way: dict[str, Metered] = {}
        self._over: list[tuple[Metered, int]] = []

    @property
    def count(self) -> int:
        """How many requests are under way."""
        return len(self._under_way)

    def serve(self, bus: Bus) -> None:
        """Answer gateways that ask for this proxy's requests."""
        bus.serve(requests.LIST, self.list)
        bus.serve(requests.CANCEL, self.cancel)

    def request(self, exchange: Exchange, trace: Trace, responder: Responder) -> Metered:
        """One request is under way in the body of this context.

        Raises `RequestCancelled` in it, where it is cancelled, and `ClientGone`.
        """
        self._begun += 1
        request_id = f"{self._start}{self._begun:x}"
        return Metered(self, exchange, request_id, trace, responder)

    async def list(self, _request: ListRequests) -> RequestList:
        """Those under way, oldest first."""
        return RequestList(
            requests=tuple(
                in_flight(metered.trace, metered.id, self._proxy, metered.responder.status)
                for metered in self._under_way.values()
            )
        )

    async def cancel(self, request: CancelRequest) -> CancelledRequest:
        """End one; returns when its engine is free of it. Raises `RequestNotFound`."""
        metered = self._under_way.get(request.id)
        if metered is None:
            raise RequestNotFound(
                f"no request '{request.id}' is under way; it may be over", {"id": request.id}
            )
        await metered.cancel()
        return CancelledRequest(id=request.id)

    def enter(self, metered: Metered) -> None:
        """A request has begun."""
        self._under_way[metered.id] = metered
        self._activity.began()

    def leave(self, metered: Metered, status: int) -> None:
        """It is over, and was answered with that status; 0 where it was not."""
        del self._under_way[metered.id]
        trace = metered.trace
        trace.over_at_s = trace.now_s()
        self._activity.ended(trace)
        if trace.model_id and self._outbox is not None:
            if not self._over:
                # The answers that end together leave first, and are recorded together.
                asyncio.get_running_loop().call_soon(self._record, self._outbox)
            self._over.append((metered, status))

    def _record(self, outbox: RecordOutbox) -> None:
        over, self._over = self._over, []
        records = [
            record(metered.trace, metered.id, self._proxy, status) for metered, status in over
        ]
        first = self._recorded + 1
        self._recorded += len(records)
        outbox.put(
            NumberedRecord(sequence=sequence, record=told)
            for sequence, told in enumerate(records, first)
        )


class Metered(ClientWatch):
    """A context within which a request is under way, and ends when its client leaves or a command
    says so.
    """

    __slots__ = ("_ended", "_metering", "id", "responder", "trace")

    def __init__(
        self,
        metering: Metering,
        exchange: Exchange,
        request_id: str,
        trace: Trace,
        responder: Responder,
    ) -> None:
        super().__init__(exchange)
        self.id = request_id
        self.trace = trace
        self.responder = responder
        self._metering = metering
        self._ended: asyncio.Event | None = None

    def __enter__(self) -> None:
        super().__enter__()
        self._metering.enter(self)

    async def cancel(self) -> None:
        """End the request; returns when it is over."""
        if self._ended is None:
            self._ended = asyncio.Event()
            self.end(RequestCancelled())
        await self._ended.wait()

    def _over(self, failure: BaseException | None) -> None:
        if failure is not None:
            _note_end(self.trace, failure, started=self.responder.started)
        self._metering.leave(self, self.responder.status or _status_of(failure))
        if self._ended is not None:
            self._ended.set()


def _note_end(trace: Trace, failure: BaseException, *, started: bool) -> None:
    """What the trace could not see: who ended the request."""
    if isinstance(failure, RequestCancelled):
        trace.end = "cancelled"
    elif isinstance(failure, ClientGone):
        trace.end = "left"
    elif started and trace.end == "failed":
        trace.end = "cut"  # the proxy itself failed, or stops


def _status_of(failure: BaseException | None) -> int:
    """The status of the answer that a failure is about to become; 0 where there will be none."""
    if isinstance(failure, ProxyError):
        return answer_for(failure).status
    return 500 if isinstance(failure, Exception) and not isinstance(failure, ClientGone) else 0
