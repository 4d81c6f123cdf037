"""Log lines: from every process and engine to `logs`, and from there to everyone."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from common.api.base import Command, Empty, Event, Role, Struct

Level = Literal["debug", "info", "warn", "error"]


class Line(Struct, frozen=True):
    """A line on its way to `logs`. `sequence` grows within its sender's epoch; a line is stored
    once however often it is delivered. `time` is in seconds since 1970.
    """

    sequence: int
    time: float
    level: Level
    source: str
    message: str


class Append(Struct, frozen=True):
    """A batch of what one sender has to store, in order. `dropped` counts what it had to give up.
    `epoch` is the sender's start.
    """

    sender: str
    epoch: int
    dropped: int = 0


class AppendLines(Append, frozen=True, kw_only=True):
    """A batch of one sender's lines."""

    lines: tuple[Line, ...]


class Appended(Struct, frozen=True):
    """The last sequence of this sender and epoch that is stored for good."""

    sequence: int


class LogEntry(Struct, frozen=True):
    """A log line as clients see it. `timestamp` is ISO-8601 in UTC, `id` its number in the log."""

    timestamp: str
    level: Level
    source: str
    message: str
    id: int = 0


class NewEntry(Struct, frozen=True):
    """A log line that was just stored."""

    entry: LogEntry


class DroppedEntries(Struct, frozen=True):
    """How many `logs:entry` this client was too slow for, since the last that it got."""

    count: int


Source = Annotated[str, Meta(min_length=1, max_length=300)]


class SubscribeLogs(Struct, frozen=True):
    """Which lines this client wants as `logs:entry`: `level` and above, of `sources`.

    A source is named in full (`gateway@myhost`) or by how its name begins (`engine:`); none means
    all.
    """

    level: Level = "debug"
    sources: Annotated[tuple[Source, ...], Meta(max_length=100)] = ()


class UnsubscribeLogs(Struct, frozen=True):
    """No more `logs:entry` for this client; no fields."""


class LogSubscription(Struct, frozen=True):
    """What this client gets from now on."""

    level: Level
    sources: tuple[str, ...]


LineId = Annotated[int, Meta(ge=0)]


class GetLogs(Struct, frozen=True):
    """Which lines to give: `level` and above, `limit` at most, after `since` (ISO-8601).

    `sources` as in `logs:subscribe`. `text` is in the message, in any case. `before` is a line's
    id: only older ones are given. With `after`, a line's id, the next newer ones are given.
    """

    level: Level = "debug"
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100
    since: str | None = None
    sources: Annotated[tuple[Source, ...], Meta(max_length=100)] = ()
    text: Annotated[str, Meta(max_length=1_000)] = ""
    before: LineId | None = None
    after: LineId | None = None


class Logs(Struct, frozen=True):
    """The newest matching lines, newest last, 8 MiB of text at most. `total` counts every match;
    where `sources`, `text`, `before` or `after` are given, those that are in `logs`.

    `searched_to` is there where the search ended before it had `limit` lines, since it has looked
    at 50,000: the id to go on from.
    """

    logs: tuple[LogEntry, ...]
    total: int
    searched_to: int | UnsetType = UNSET


APPEND = Command(
    "logs:append", AppendLines, Appended, Role.ADMIN, "Store lines for good.", internal=True
)
ENTRY = Event("logs:entry", NewEntry, "A log line was stored.", stream="logs")
DROPPED = Event(
    "logs:dropped", DroppedEntries, "This client reads too slowly and has missed log lines."
)
GET = Command("logs:get", GetLogs, Logs, Role.VIEWER, "The newest log lines.")
SUBSCRIBE = Command(
    "logs:subscribe",
    SubscribeLogs,
    LogSubscription,
    Role.VIEWER,
    "Narrow `logs:entry` to what this client wants; without it a client gets every line.",
)
UNSUBSCRIBE = Command(
    "logs:unsubscribe",
    UnsubscribeLogs,
    Empty,
    Role.VIEWER,
    "Send this client no more `logs:entry`, until it subscribes again.",
)
