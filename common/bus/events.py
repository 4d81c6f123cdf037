"""Numbered event streams over PUB/SUB, which may drop: a gap is seen and healed by a snapshot.

An owner publishes each stream with (epoch, sequence) and answers snapshots of those streams that
hold facts. A reader applies events in order; on a gap, a new epoch or a beat that names a later
number than it holds, it asks the owner for a snapshot and drops what is older.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import zmq
import zmq.asyncio

from common.api.base import Empty, Event, Struct
from common.api.bus import Beat, Snapshot, SnapshotItem, StreamsTold, TakeSnapshot
from common.bus import wire
from common.bus.security import Credentials
from common.errors import InvalidRequest

logger = logging.getLogger(__name__)

Payload = TypeVar("Payload", bound=Struct)

HIGH_WATER_MARK = 20_000
MAX_HELD_BACK = 10_000  # events kept while a snapshot is under way; beyond, ask again

Facts = Callable[[], Iterable[tuple[Event[Any], Struct]]]


class Publisher:
    """The streams of one process. Publishing never waits; what nobody can take is dropped."""

    def __init__(
        self,
        context: zmq.asyncio.Context,
        address: str,
        process: str,
        epoch: int,
        credentials: Credentials | None = None,
    ) -> None:
        self._process = process
        self._epoch = epoch
        self._positions: dict[str, int] = {}
        self._facts: dict[str, Facts] = {}
        self._known: dict[str, asyncio.Event] = {}
        self._socket: zmq.Socket[bytes] = zmq.Context.shadow(context.underlying).socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 10)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
        if credentials is not None:
            credentials.apply(self._socket)
        self._socket.connect(address)

    def close(self, linger_ms: int = 0) -> None:
        """Leave; `linger_ms` is how long last words may take."""
        self._socket.close(linger=linger_ms)

    async def told(self, _request: Empty) -> StreamsTold:
        """Answer `stream:told`."""
        return StreamsTold(epoch=self._epoch, streams=self.positions)

    @property
    def positions(self) -> dict[str, int]:
        """The number of the last event of each stream that holds facts or has spoken."""
        return dict(self._positions)

    def holds(self, stream: str, facts: Facts, known: asyncio.Event | None = None) -> None:
        """Declare that `stream` tells facts; `facts()` gives all that hold now, as events.

        A snapshot waits until `known` is set: one of facts that are still being learned would make
        readers forget what an earlier start of this process has told them.
        """
        if stream in self._facts:
            raise ValueError(f"stream {stream} has an owner already")
        self._facts[stream] = facts
        if known is not None:
            self._known[stream] = known
        self._positions.setdefault(stream, 0)

    def publish(self, event: Event[Payload], payload: Payload) -> None:
        """Send `payload` as the next event of its stream.

        Raises `WireError` where it cannot travel; it has no number then.
        """
        if not event.stream:
            raise ValueError(f"{event.name} does not travel the backplane")
        sequence = self._positions.get(event.stream, 0) + 1
        self._send(event, payload, sequence)
        self._positions[event.stream] = sequence

    def publish_unnumbered(self, event: Event[Payload], payload: Payload) -> None:
        """Send a beat: it carries the numbers of the others and needs none of its own."""
        self._send(event, payload, 0)

    def _send(self, event: Event[Payload], payload: Payload, sequence: int) -> None:
        frame = wire.encode_publication(
            wire.Publication(
                self._process, self._epoch, event.stream, sequence, event.name, wire.raw(payload)
            )
        )
        self._socket.send_multipart([topic(event.stream), frame], zmq.DONTWAIT)

    async def snapshot(self, request: TakeSnapshot) -> Snapshot:
        """Answer `stream:snapshot`."""
        facts = self._facts.get(request.stream)
        if facts is None:
            raise InvalidRequest(
                f"{self._process} holds no facts in a stream '{request.stream}'; "
                f"it holds {', '.join(sorted(self._facts)) or 'none'}"
            )
        if request.stream in self._known:
            await self._known[request.stream].wait()
        items = tuple(SnapshotItem(name=e.name, body=wire.raw(p)) for e, p in facts())
        return Snapshot(epoch=self._epoch, sequence=self._positions[request.stream], items=items)


def topic(stream: str) -> bytes:
    """The subscription of a stream; the closing NUL keeps one name from being another's prefix."""
    return stream.encode() + b"\0"


class Reader(Protocol):
    """What a stream's events are for, on the reading side."""

    def apply(self, process: str, name: str, body: wire.Body) -> None:
        """Take the next event of `process` in."""

    def replace(self, process: str, items: Iterable[tuple[str, wire.Body]]) -> None:
        """Take in that these are all facts of `process` now."""


Listener = Callable[[wire.Body], None]
"""Takes one event in, not yet decoded."""


@dataclass
class _Position:
    """How far one owner's stream was read. `forgotten`: the answer under way comes too late."""

    epoch: int
    sequence: int
    asking: bool = False
    forgotten: bool = False
    held_back: list[wire.Publication] = field(default_factory=list)


Ask = Callable[[str, str], None]
"""(process, stream): start asking that process for a snapshot; `Feeds.heal` gets the answer."""


class Feeds:
    """The streams that one process reads, with the position in each owner's. No sockets here."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._readers: dict[str, Reader] = {}
        self._listeners: dict[str, dict[str, Listener]] = {}
        self._positions: dict[tuple[str, str], _Position] = {}
        self.gaps = 0

    def follow(self, stream: str, reader: Reader) -> None:
        """Read a stream that tells facts, of every owner: it starts from a snapshot."""
        if stream in self._readers:
            raise ValueError(f"stream {stream} is followed already")
        self._readers[stream] = reader

    def listen(self, event: Event[Any], listener: Listener) -> None:
        """Hear an event of a stream that tells no facts: from now on, and gaps are only counted."""
        self._listeners.setdefault(event.stream, {})[event.name] = listener

    @property
    def streams(self) -> list[str]:
        """What is read."""
        return [*self._readers, *self._listeners]

    def receive(self, publication: wire.Publication) -> None:
        """Take one publication in, in order, or hold it back and ask for a snapshot."""
        stream, process = publication.stream, publication.process
        if stream in self._listeners:
            self._hear(publication)
            return
        reader = self._readers.get(stream)
        if reader is None:
            return
        position = self._positions.get((process, stream))
        if position is None or position.asking or publication.epoch > position.epoch:
            self._hold_back(publication)
        elif publication.epoch == position.epoch and publication.sequence > position.sequence:
            if publication.sequence == position.sequence + 1:
                position.sequence = publication.sequence
                reader.apply(process, publication.name, publication.body)
            else:
                self._hold_back(publication)

    def _hear(self, publication: wire.Publication) -> None:
        key = (publication.process, publication.stream)
        position = self._positions.get(key)
        self._positions[key] = _Position(publication.epoch, publication.sequence)
        if (
            position is not None
            and position.epoch == publication.epoch
            and publication.sequence != position.sequence + 1
        ):
            self.gaps += 1
        listener = self._listeners[publication.stream].get(publication.name)
        if listener is not None:
            listener(publication.body)

    def _hold_back(self, publication: wire.Publication) -> None:
        position = self._start_asking(publication.process, publication.stream)
        if len(position.held_back) < MAX_HELD_BACK:
            position.held_back.append(publication)

    def _start_asking(self, process: str, stream: str) -> _Position:
        key = (process, stream)
        position = self._positions.setdefault(key, _Position(epoch=0, sequence=0))
        if not position.asking:
            self.gaps += position.epoch > 0
            position.asking = True
            self._ask(process, stream)
        return position

    def beat(self, beat: Beat) -> None:
        """Compare a beat's numbers with what is held; ask where something was lost."""
        for stream, sequence in beat.streams.items():
            if stream not in self._readers:
                continue
            position = self._positions.get((beat.name, stream))
            if (
                position is None
                or beat.epoch > position.epoch
                or (beat.epoch == position.epoch and sequence > position.sequence)
            ) and not (position and position.asking):
                self._start_asking(beat.name, stream)

    def has_read(self, process: str, stream: str, told: StreamsTold) -> bool:
        """Whether what a process had told then in a stream has been taken in."""
        position = self._positions.get((process, stream))
        if position is None or position.asking:
            return False
        reached = (position.epoch, position.sequence)
        return reached >= (told.epoch, told.streams.get(stream, 0))

    def heal(self, process: str, stream: str, snapshot: Snapshot) -> None:
        """Start again from a snapshot, then apply what was held back and is newer.

        Raises `WireError` where the snapshot cannot be read; nothing has changed then.
        """
        position = self._positions[process, stream]
        if position.forgotten:
            del self._positions[process, stream]
            return
        self._readers[stream].replace(process, [(i.name, i.body) for i in snapshot.items])
        self._positions[process, stream] = _Position(snapshot.epoch, snapshot.sequence)
        for publication in position.held_back:
            self.receive(publication)

    def give_up(self, process: str, stream: str) -> None:
        """No snapshot could be had; the next event or beat of that process asks again."""
        position = self._positions.pop((process, stream))
        if not position.forgotten:
            self._positions[process, stream] = _Position(position.epoch, position.sequence)

    def forget(self, process: str, stream: str) -> None:
        """What was read of that process was dropped; should it return, it is read anew."""
        position = self._positions.get((process, stream))
        if position is not None and position.asking:
            position.forgotten = True
        else:
            self._positions.pop((process, stream), None)
