"""The queue of models that wait for a place, reviewed whenever there may be more room."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from common.errors import ModelLoadFailed
from common.live_settings import LiveSettings
from workers.controller.placement import (
    Evict,
    FleetView,
    Refuse,
    Start,
    Wait,
    Wish,
    decide,
)
from workers.controller.records import NO_ROOM

logger = logging.getLogger(__name__)


@dataclass
class _Waiter:
    wish: Wish
    grant: Callable[[str], None]
    granted: asyncio.Future[None]
    timeout_s: float
    expired: bool = False
    asked: set[str] = field(default_factory=set)
    """Models that were asked to leave for this one; one that is asked again did not."""
    why: str = ""


class Room:
    """Grants places in the order of asking; an earlier one's room is never given to a later one.

    `view` takes a snapshot of the fleet; `evict` begins to drain and unload a model by id.
    """

    def __init__(
        self,
        view: Callable[[], FleetView],
        evict: Callable[[str], None],
        *,
        live: LiveSettings,
    ) -> None:
        self._view = view
        self._evict = evict
        self._live = live
        self._waiting: list[_Waiter] = []

    async def obtain(self, wish: Wish, grant: Callable[[str], None]) -> None:
        """Wait for a place. `grant(runner)` is called at the moment of the decision, so that the
        place is taken before the next decision is made.

        Raises `ModelLoadFailed` with the numbers, after the queue's timeout or at once where there
        can never be room. The timeout is for waiting while all are busy: room that is being made
        is waited for, as long as the models that were asked to leave do so.
        """
        loop = asyncio.get_running_loop()
        timeout_s = self._live.current.llama.queue_timeout
        waiter = _Waiter(wish, grant, loop.create_future(), timeout_s)
        self._waiting.append(waiter)
        expiry = loop.call_later(timeout_s, self._expire, waiter)
        try:
            self.review()
            await waiter.granted
        finally:
            expiry.cancel()
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _expire(self, waiter: _Waiter) -> None:
        waiter.expired = True
        self.review()

    def review(self) -> None:
        """Decide about everybody who waits, oldest first."""
        promised: list[str] = []
        for waiter in list(self._waiting):
            decision = decide(self._view(), waiter.wish, promised)
            match decision:
                case Start(runner):
                    self._waiting.remove(waiter)
                    logger.info("%s gets a place on %s", waiter.wish.model_id, runner)
                    waiter.grant(runner)
                    if not waiter.granted.done():
                        waiter.granted.set_result(None)
                case Evict(runner, model_ids) if not (
                    waiter.expired and waiter.asked.intersection(model_ids)
                ):
                    waiter.why = f"waiting for {_names(model_ids)} to be unloaded"
                    waiter.asked.update(model_ids)
                    logger.info("%s makes room for %s", _names(model_ids), waiter.wish.model_id)
                    promised.append(runner)
                    for model_id in model_ids:
                        self._evict(model_id)
                case Evict():
                    self._give_up(waiter)
                case Wait(why, None):
                    waiter.why = why
                    if waiter.expired:
                        self._give_up(waiter)
                case Wait(why, runner) if runner is not None:
                    waiter.why = why
                    promised.append(runner)
                case Refuse(why):
                    self._refuse(waiter, why)

    def _give_up(self, waiter: _Waiter) -> None:
        self._refuse(waiter, waiter.why, f" within {waiter.timeout_s:g} s")

    def _refuse(self, waiter: _Waiter, why: str, when: str = "") -> None:
        self._waiting.remove(waiter)
        if not waiter.granted.done():
            waiter.granted.set_exception(
                no_room(f"no room for {waiter.wish.model_id}{when}: {why}")
            )


def no_room(message: str) -> ModelLoadFailed:
    """The error of a load that found no place."""
    return ModelLoadFailed(message, {"reason": NO_ROOM})


def _names(model_ids: Iterable[str]) -> str:
    return ", ".join(model_ids)
