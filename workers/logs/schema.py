"""The log's tables in SQLite, and how a line becomes a row.

`tally` counts the lines of each minute and level, so that "how many match" is a sum over minutes
and not a walk over millions of lines. Writer and tally change in one transaction.
"""

from __future__ import annotations

import functools
import sqlite3
from typing import NamedTuple

from common import timestamps
from common.api.logs import Level, Line, LogEntry

LEVELS: tuple[Level, ...] = ("debug", "info", "warn", "error")
NUMBER = {level: number for number, level in enumerate(LEVELS)}

MINUTE_S = 60

_TABLES = """
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    level INTEGER NOT NULL,
    source TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS entry_level_time ON entry (level, time);
DROP INDEX IF EXISTS entry_time;
CREATE TABLE IF NOT EXISTS sender (
    name TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (name, epoch)
);
"""

_TALLY = """
CREATE TABLE tally (
    level INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    PRIMARY KEY (level, minute)
) WITHOUT ROWID;
INSERT INTO tally
    SELECT level, CAST(time / 60 AS INTEGER), count(*) FROM entry GROUP BY 1, 2;
"""


class Row(NamedTuple):
    """A line as it is stored."""

    time: float
    level: int
    source: str
    message: str


def create(database: sqlite3.Connection) -> None:
    """Create what is missing; a log from before there was a tally gets one."""
    database.executescript(_TABLES)
    (has_tally,) = database.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'tally'"
    ).fetchone()
    if not has_tally:
        database.executescript(f"BEGIN IMMEDIATE;{_TALLY}COMMIT;")


def row_of(line: Line) -> Row:
    """The row of a line."""
    return Row(_as_shown(line.time), NUMBER[line.level], line.source, line.message)


@functools.lru_cache(maxsize=1024)
def _as_shown(time: float) -> float:
    """A time as it will be shown: what came after an entry's own timestamp leaves that entry out.

    Cached, since an engine's lines are read in batches that have one time.
    """
    return timestamps.parse(timestamps.iso(time), "time")


def entry_of(row: Row, number: int) -> LogEntry:
    """A row as clients see it; `number` is its id."""
    return LogEntry(
        id=number,
        timestamp=timestamps.iso(row.time),
        level=LEVELS[row.level],
        source=row.source,
        message=row.message,
    )
