"""What waits for one client, within bounds.

python-engineio keeps an unbounded `asyncio.Queue` of packets for each connection and empties it as
fast as the client reads. This one takes its place. It bounds what we send by ourselves; answers it
cannot bound, since each was asked for, but `room` says when no more requests should be read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from common.api import logs
from common.api.logs import DroppedEntries
from gateway.told import EventPacket, Lane, Told

MAX_STATE_EVENTS = 512
MAX_STATE_CHARACTERS = 1024 * 1024
MAX_LOG_ENTRIES = 256
MAX_LOG_CHARACTERS = 256 * 1024
MAX_ANSWER_CHARACTERS = 64 * 1024

Packet = Any
"""engineio's `Packet`, or None as the last, which ends the connection's writer."""


class _Loss:
    """Stands in the queue for log lines that were dropped."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace


class Backlog(asyncio.Queue[Packet]):
    """The queue of one connection; `offer` is for events, `put` for all that the library sends.

    Answers and events of state keep their order and go first, then metrics, then logs.
    """

    def _init(self, maxsize: int) -> None:
        del maxsize  # asyncio's own bound would make the sender wait
        self._first: deque[Packet] = deque()
        self._metrics: dict[str, EventPacket] = {}
        self._losses: dict[str, int] = {}
        self._logs: deque[EventPacket] = deque()
        self._log_characters = 0
        self._state_events = 0
        self._state_characters = 0
        self._answer_characters = 0
        self._has_room = asyncio.Event()
        self._has_room.set()

    def qsize(self) -> int:
        """How many packets wait."""
        return len(self._first) + len(self._metrics) + len(self._losses) + len(self._logs)

    def empty(self) -> bool:
        """Whether none waits."""
        return not (self._first or self._metrics or self._losses or self._logs)

    def offer(self, packet: EventPacket) -> bool:
        """Take an event; false where the client has to go, since it does not keep up."""
        if packet.lane is Lane.STATE:
            if (
                self._state_events >= MAX_STATE_EVENTS
                or self._state_characters >= MAX_STATE_CHARACTERS
            ):
                return False
            self.put_nowait(packet)
        elif packet.lane is Lane.LOGS:
            while self._logs and (
                len(self._logs) >= MAX_LOG_ENTRIES
                or self._log_characters + packet.characters > MAX_LOG_CHARACTERS
            ):
                self._drop_oldest_log()
            self.put_nowait(packet)
        elif packet.namespace in self._metrics:
            self._metrics[packet.namespace] = packet
        else:
            self.put_nowait(packet)
        return True

    def lose(self, namespace: str, count: int) -> None:
        """So many log lines never came this far; the client is told."""
        if namespace not in self._losses:
            self.put_nowait(_Loss(namespace))
        self._losses[namespace] += count

    async def room(self) -> None:
        """Return once the client has read so many of its answers that it may ask for more."""
        await self._has_room.wait()

    @property
    def has_room(self) -> bool:
        """Whether `room` would return at once."""
        return self._has_room.is_set()

    def clear(self) -> None:
        """Drop everything; nobody will read it."""
        while not self.empty():
            self.get_nowait()
            self.task_done()

    def _drop_oldest_log(self) -> None:
        oldest = self._logs.popleft()
        self._log_characters -= oldest.characters
        self.lose(oldest.namespace, 1)
        self.task_done()

    # What asyncio.Queue leaves to its subclasses.

    def _put(self, item: Packet) -> None:
        if isinstance(item, _Loss):
            self._losses[item.namespace] = 0
        elif not isinstance(item, EventPacket):
            self._first.append(item)
            self._count_answer(_characters(item))
        elif item.lane is Lane.STATE:
            self._first.append(item)
            self._state_events += 1
            self._state_characters += item.characters
        elif item.lane is Lane.METRICS:
            self._metrics[item.namespace] = item
        else:
            self._logs.append(item)
            self._log_characters += item.characters

    def _get(self) -> Packet:
        if self._first:
            packet = self._first.popleft()
            if isinstance(packet, EventPacket):
                self._state_events -= 1
                self._state_characters -= packet.characters
            else:
                self._count_answer(-_characters(packet))
            return packet
        if self._metrics:
            return self._metrics.pop(next(iter(self._metrics)))
        if self._losses:
            namespace, count = self._losses.popitem()
            return Told(logs.DROPPED, DroppedEntries(count=count)).packet(namespace)
        oldest = self._logs.popleft()
        self._log_characters -= oldest.characters
        return oldest

    def _count_answer(self, characters: int) -> None:
        self._answer_characters += characters
        if self._answer_characters > MAX_ANSWER_CHARACTERS:
            self._has_room.clear()
        else:
            self._has_room.set()


def _characters(packet: Packet) -> int:
    """The size of an answer; pings and the like count as nothing."""
    data = getattr(packet, "data", None)
    return len(data) if isinstance(data, str | bytes) else 0
