"""What processes tell each other about themselves: presence, and snapshots of their streams."""

from __future__ import annotations

from typing import Literal

import msgspec

from common.api.base import Command, Empty, Event, Role, Struct

ProcessKind = Literal[
    "backplane", "controller", "runner", "metrics", "logs", "gateway", "proxy", "cli"
]


class Beat(Struct, frozen=True):
    """Sent once a second, and at once when somebody says hello.

    `epoch` differs at each start of a process and grows. `streams` holds the number of the last
    event of each of its streams, so that a lost last event shows. `started_at` and `sent_at` are in
    seconds since 1970 by the clock of its host. `hello` asks everybody to answer with a beat;
    `leaving` is true in the last beat before a clean end.
    """

    name: str
    kind: ProcessKind
    host: str
    pid: int
    epoch: int
    started_at: float
    streams: dict[str, int]
    sent_at: float = 0.0
    hello: bool = False
    leaving: bool = False


class TakeSnapshot(Struct, frozen=True):
    """Which stream of the asked process to give as a whole."""

    stream: str


class SnapshotItem(Struct, frozen=True):
    """One fact of a snapshot, as the event that would have told it."""

    name: str
    body: msgspec.Raw


class Snapshot(Struct, frozen=True):
    """All facts of a stream that hold after its event number `sequence` in `epoch`."""

    epoch: int
    sequence: int
    items: tuple[SnapshotItem, ...]


class StreamsTold(Struct, frozen=True):
    """How far a process's streams have come, as in its beats."""

    epoch: int
    streams: dict[str, int]


BEAT = Event(
    "presence:beat",
    Beat,
    "A process is there.",
    stream="presence",
    internal=True,
)
PING = Command(
    "presence:ping",
    Empty,
    Empty,
    Role.VIEWER,
    "Answer at once; every process asks itself, to see that it can be reached.",
    internal=True,
)
SNAPSHOT = Command(
    "stream:snapshot",
    TakeSnapshot,
    Snapshot,
    Role.VIEWER,
    "Everything that a stream has told so far.",
    internal=True,
)
TOLD = Command(
    "stream:told",
    Empty,
    StreamsTold,
    Role.VIEWER,
    "The number of the last event of each stream of the asked process.",
    internal=True,
)
