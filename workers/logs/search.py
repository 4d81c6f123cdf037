"""The numbered log on disk, reading side: its own connection, so that storing never waits for it.

SQLite's write-ahead log lets one connection write while others read what was committed before. All
calls block, in one thread.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from heapq import merge
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from msgspec import UNSET

from common.api.logs import GetLogs, Level, LogEntry, Logs
from common.errors import InvalidRequest
from workers.logs.schema import LEVELS, MINUTE_S, NUMBER, Row, entry_of

MAX_REPLY_CHARACTERS = 8 * 1024 * 1024
MAX_LOOKED_AT = 50_000
"""Lines that one request may look at where it names sources or a text: about 0.2 s."""

_START = (-math.inf, 0.0)
_END = (math.inf, 0.0)

_NEWEST_FIRST = """
SELECT time, id, level, source, message FROM entry
WHERE level = ? AND time > ? AND (time, id) < (?, ?)
ORDER BY time DESC, id DESC LIMIT ?
"""
# One bound alone: of two, SQLite may walk from the wrong one.
_OLDEST_FIRST = """
SELECT time, id, level, source, message FROM entry
WHERE level = ? AND (time, id) > (?, ?)
ORDER BY time, id LIMIT ?
"""


class Search:
    """Finds lines in a log that a `Store` has created."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def find(self, request: GetLogs, since: float) -> Logs:
        """What `request` asks for; `since` is its time, in seconds since 1970.

        Fewer lines where their text would be longer than `MAX_REPLY_CHARACTERS`. Raises
        `InvalidRequest` where it asks for lines both before and after another.
        """
        if request.before is not None and request.after is not None:
            raise InvalidRequest("give before or after, not both")
        self._db.execute("BEGIN")  # lines and total of the same moment
        try:
            if request.sources or request.text or request.before is not None:
                return self._matching(request, since, newest_first=True)
            if request.after is not None:
                return self._matching(request, since, newest_first=False)
            found = self._lines(request, since, request.limit, newest_first=True)
            entries, _ = _taken(found, request, lambda _: True)
            total = sum(self._count(number, since) for number in _levels(request.level))
        finally:
            self._db.execute("COMMIT")
        return Logs(logs=tuple(reversed(entries)), total=total)

    def _matching(self, request: GetLogs, since: float, *, newest_first: bool) -> Logs:
        """Some lines of those that were looked at, up to `MAX_LOOKED_AT`."""
        text = request.text.lower()
        sources = request.sources

        def wanted(entry: LogEntry) -> bool:
            return (not sources or entry.source.startswith(sources)) and (
                not text or text in entry.message.lower()
            )

        lines = self._lines(request, since, MAX_LOOKED_AT, newest_first=newest_first)
        entries, looked_at = _taken(lines, request, wanted)
        unfinished = looked_at.lines == MAX_LOOKED_AT and len(entries) < request.limit
        return Logs(
            logs=tuple(reversed(entries) if newest_first else entries),
            total=len(entries),
            searched_to=looked_at.last if unfinished else UNSET,
        )

    def _lines(
        self, request: GetLogs, since: float, limit: int, *, newest_first: bool
    ) -> Iterator[LogEntry]:
        """Lines of the levels and the part of the log that are asked for, `limit` at most."""
        mark = request.before if request.before is not None else request.after
        by_level = [
            self._of_level(number, since, self._place(mark), limit, newest_first=newest_first)
            for number in _levels(request.level)
        ]
        merged = merge(*by_level, key=itemgetter(0, 1), reverse=newest_first)
        for time, number, level, source, message in islice(merged, limit):
            yield entry_of(Row(time, level, source, message), number)

    def _place(self, number: int | None) -> tuple[float, int] | None:
        """(time, id) of a line: lines are in this order. One that was deleted is older than all."""
        if number is None:
            return None
        row = self._db.execute("SELECT time FROM entry WHERE id = ?", (number,)).fetchone()
        return (0.0 if row is None else float(row[0]), number)

    def _of_level(
        self,
        level: int,
        since: float,
        place: tuple[float, int] | None,
        limit: int,
        *,
        newest_first: bool,
    ) -> Iterator[tuple[float, int, int, str, str]]:
        """(time, id, level, source, message), on the one side of `place` or on the other."""
        if newest_first:
            return self._db.execute(_NEWEST_FIRST, (level, since, *(place or _END), limit))
        start = max(place or _START, (since, math.inf))
        return self._db.execute(_OLDEST_FIRST, (level, *start, limit))

    def _count(self, number: int, after: float) -> int:
        """Lines of a level after a time: those of its minute one by one, whole minutes by tally."""
        minute = int(after // MINUTE_S)
        (counted,) = self._db.execute(
            "SELECT count(*) FROM entry WHERE level = ? AND time > ? AND time < ?",
            (number, after, (minute + 1) * MINUTE_S),
        ).fetchone()
        (tallied,) = self._db.execute(
            "SELECT coalesce(sum(lines), 0) FROM tally WHERE level = ? AND minute > ?",
            (number, minute),
        ).fetchone()
        return int(counted) + int(tallied)


class _LookedAt(NamedTuple):
    """How many lines, and the id of the last of them."""

    lines: int
    last: int


def _taken(
    lines: Iterator[LogEntry], request: GetLogs, wanted: Callable[[LogEntry], bool]
) -> tuple[list[LogEntry], _LookedAt]:
    """The wanted ones in their order, until there are enough; and how far that was."""
    found: list[LogEntry] = []
    characters = count = last = 0
    for entry in lines:
        if wanted(entry):
            characters += len(entry.message)
            if found and (characters > MAX_REPLY_CHARACTERS or len(found) == request.limit):
                break
            found.append(entry)
        count += 1
        last = entry.id
    return found, _LookedAt(count, last)


def _levels(least: Level) -> range:
    return range(NUMBER[least], len(LEVELS))
