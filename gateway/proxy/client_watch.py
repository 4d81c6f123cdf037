"""Ends the work for a request as soon as its client is gone."""

from __future__ import annotations

import asyncio
from types import TracebackType

from gateway.http_exchange import Exchange
from gateway.proxy.errors import ClientGone


class ClientWatch:
    """A context within which the client's disconnect cancels what is awaited.

    Works as `asyncio.timeout` does, and raises `ClientGone`.
    """

    __slots__ = ("_cancelling_before", "_exchange", "_gone", "_request")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._request: asyncio.Task[object] | None = None
        self._cancelling_before = 0
        self._gone = False

    def __enter__(self) -> None:
        self._request = asyncio.current_task()
        if self._request is None:
            raise RuntimeError("a client can only be watched from within a task")
        self._cancelling_before = self._request.cancelling()
        self._exchange.watch(self._leave)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exchange.watch(None)
        if (
            self._gone
            and self._request is not None
            and self._request.uncancel() <= self._cancelling_before
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise ClientGone from error

    def _leave(self) -> None:
        self._gone = True
        if self._request is not None:
            self._request.cancel()
