"""Ends the work for a request from outside: as soon as its client is gone, or somebody wants it."""

from __future__ import annotations

import asyncio
from types import TracebackType

from gateway.http_exchange import Exchange
from gateway.proxy.errors import ClientGone


class ClientWatch:
    """A context within which the client's disconnect cancels what is awaited.

    Works as `asyncio.timeout` does, and raises `ClientGone`.
    """

    __slots__ = ("_cancelling_before", "_exchange", "_task", "_why")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._task = exchange.task
        self._cancelling_before = 0
        self._why: Exception | None = None

    def __enter__(self) -> None:
        if self._task is None:
            raise RuntimeError("a client can only be watched from within the task of its exchange")
        self._cancelling_before = self._task.cancelling()
        self._exchange.watch(self._leave)

    def end(self, why: Exception) -> None:
        """Cancel what is awaited: `why` is raised instead. The first reason stays."""
        if self._why is None and self._task is not None:
            self._why = why
            self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exchange.watch(None)
        failure = error if self._why is None else self._reason_of(error)
        self._over(failure)
        if failure is not error and failure is not None:
            try:
                raise failure from error
            finally:
                # Its traceback knows this frame: without this all would wait for the collector.
                self._why = failure = None

    def _reason_of(self, error: BaseException | None) -> BaseException | None:
        """What really ended the body: the error itself, unless it is our own cancellation."""
        ours = self._task is not None and self._task.uncancel() <= self._cancelling_before
        return self._why if ours and isinstance(error, asyncio.CancelledError) else error

    def _over(self, failure: BaseException | None) -> None:
        """The body has ended, so."""

    def _leave(self) -> None:
        self.end(ClientGone())
