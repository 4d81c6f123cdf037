"""Numbered items on their way to `logs`, which stores each once: log lines, records of requests.

An item is kept until `logs` has stored it, up to a bound; what is over the bound is dropped, oldest
first, counted, and the count is delivered with the next batch.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from common.api.base import Command
from common.api.logs import Append, Appended
from common.bus.bus import Bus
from common.errors import ProxyError

LOGS_PROCESS = "logs"
DELIVERY_TIMEOUT_S = 10.0
RETRY_PAUSE_S = 0.5
LAST_DELIVERY_S = 2.0


class Numbered(Protocol):
    """What can be delivered."""

    @property
    def sequence(self) -> int:
        """Its number, which grows within its sender's epoch; it need not grow by one."""


Item = TypeVar("Item", bound=Numbered)
Batch = TypeVar("Batch", bound=Append)


@dataclass(frozen=True)
class Goods(Generic[Item, Batch]):
    """One kind of items: how it is sent, and how much of it is kept and sent at once.

    `name` is what people call several of them. `batch` makes a request of sender, epoch, items and
    the number of those that were dropped; `fit` makes of an item one that can travel, where not all
    can.
    """

    name: str
    command: Command[Batch, Appended]
    batch: Callable[[str, int, tuple[Item, ...], int], Batch]
    fit: Callable[[Item], Item] | None
    size_bytes: Callable[[Item], int]
    max_kept: int
    max_kept_bytes: int
    max_batch: int
    max_batch_bytes: int


class Outbox(Generic[Item, Batch]):
    """Items of one sender, oldest first. May be filled from any thread."""

    def __init__(
        self, goods: Goods[Item, Batch], sender: str, epoch: int, on_fill: Callable[[], None]
    ) -> None:
        self.goods = goods
        self.sender = sender
        self.epoch = epoch
        self.closed = False
        self.acknowledged = -1
        self._on_fill = on_fill
        self._items: deque[tuple[Item, int]] = deque()  # each with its size in bytes
        self._bytes = 0
        self._dropped = 0
        self._lock = threading.Lock()

    def put(self, items: Iterable[Item]) -> None:
        """Keep items, in order of their sequence; drop the oldest beyond the bound."""
        goods = self.goods
        with self._lock:
            for given in items:
                item = given if goods.fit is None else goods.fit(given)
                size_bytes = goods.size_bytes(item)
                self._items.append((item, size_bytes))
                self._bytes += size_bytes
            while len(self._items) > goods.max_kept or self._bytes > goods.max_kept_bytes:
                self._bytes -= self._items.popleft()[1]
                self._dropped += 1
        self._on_fill()

    def close(self) -> None:
        """No more items will be put; what is kept is still delivered."""
        self.closed = True
        self._on_fill()

    def batch(self) -> Batch | None:
        """The oldest items, as much as one request should hold; None where there are none."""
        goods = self.goods
        with self._lock:
            items: list[Item] = []
            size_bytes = 0
            for item, item_bytes in self._items:
                size_bytes += item_bytes
                if items and (size_bytes > goods.max_batch_bytes or len(items) == goods.max_batch):
                    break
                items.append(item)
            if not items:
                return None
            return goods.batch(self.sender, self.epoch, tuple(items), self._dropped)

    def acknowledge(self, sequence: int, dropped: int) -> None:
        """Everything up to `sequence` is stored, and a count of dropped items was told."""
        with self._lock:
            self.acknowledged = max(self.acknowledged, sequence)
            self._dropped -= dropped
            while self._items and self._items[0][0].sequence <= sequence:
                self._bytes -= self._items.popleft()[1]

    @property
    def empty(self) -> bool:
        """Whether everything is stored."""
        return not self._items

    @property
    def fills_a_batch(self) -> bool:
        """Whether there is so much that a batch would not hold more."""
        return len(self._items) >= self.goods.max_batch


class Delivery:
    """Brings the items of any number of outboxes to `logs`.

    `gather_s`: how long to wait for more before a batch that is not full is sent. It saves a
    request for each item where they come one by one and nobody waits for them.
    """

    def __init__(self, bus: Bus, gather_s: float = 0.0) -> None:
        self._bus = bus
        self._gather_s = gather_s
        self._outboxes: dict[tuple[str, str, int], Outbox[Any, Any]] = {}
        self._filled = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def open(self, goods: Goods[Item, Batch], sender: str, epoch: int) -> Outbox[Item, Batch]:
        """An outbox whose items are delivered from now on, until it is closed and empty."""
        outbox = Outbox(goods, sender, epoch, self._wake)
        self._outboxes[_key(outbox)] = outbox
        return outbox

    def _wake(self) -> None:
        if not self._filled.is_set():  # else a flood would wake the loop once per item
            self._loop.call_soon_threadsafe(self._filled.set)

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self._filled.clear()
            delivered = await self._deliver_once()
            if not delivered and not self.empty:
                await asyncio.sleep(RETRY_PAUSE_S)
                continue
            if not delivered:
                await self._filled.wait()
            if self._gather_s and not any(box.fills_a_batch for box in self._outboxes.values()):
                await asyncio.sleep(self._gather_s)

    async def finish(self) -> None:
        """Deliver what is left, for a short while, before the process ends."""
        if not self._bus.present("logs"):
            return  # it stops before the backplane does, whose own output file has the lines
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_DELIVERY_S):
                while await self._deliver_once():
                    pass
        left = sorted({box.goods.name for box in self._outboxes.values() if not box.empty})
        if left:
            sys.stderr.write(f"some {', '.join(left)} could not be delivered before the end\n")

    @property
    def empty(self) -> bool:
        """Whether everything is stored."""
        return all(outbox.empty for outbox in self._outboxes.values())

    async def _deliver_once(self) -> bool:
        """One batch of each outbox; false where nothing could be or had to be delivered."""
        delivered = False
        for outbox in list(self._outboxes.values()):
            batch = outbox.batch()
            if batch is None:
                if outbox.closed:
                    del self._outboxes[_key(outbox)]
                continue
            try:
                reply = await self._bus.call(
                    LOGS_PROCESS, outbox.goods.command, batch, timeout_s=DELIVERY_TIMEOUT_S
                )
            except ProxyError:
                continue  # kept; asked again soon. A record of this would only add to the pile.
            outbox.acknowledge(reply.sequence, batch.dropped)
            delivered = True
        return delivered


def _key(outbox: Outbox[Any, Any]) -> tuple[str, str, int]:
    return outbox.goods.command.name, outbox.sender, outbox.epoch
