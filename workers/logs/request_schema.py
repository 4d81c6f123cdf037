"""The table of finished requests in SQLite: a number, then a column for each field of
`RequestRecord`, in the same order."""

from __future__ import annotations

import sqlite3
from typing import Any

from common import timestamps
from common.api.requests import RequestRecord

FIELDS = RequestRecord.__struct_fields__

_MARKS = ", ".join("?" * len(FIELDS))

INSERT_NEW = " ".join(
    ("INSERT INTO request VALUES (NULL,", _MARKS, ") ON CONFLICT (id) DO NOTHING")
)

_STARTED = FIELDS.index("started_at")

# A record's id holds its proxy, that proxy's start and a number, so that the table itself says what
# was stored already. Each filter of the history has an index that ends in the history's order.
_TABLES = """
CREATE TABLE IF NOT EXISTS request (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    model TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    caller TEXT NOT NULL,
    proxy TEXT NOT NULL,
    started_at REAL NOT NULL,
    queue_ms REAL NOT NULL,
    load_ms REAL NOT NULL,
    first_token_ms REAL,
    duration_ms REAL NOT NULL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    status INTEGER NOT NULL,
    prompt_tokens INTEGER,
    cached_tokens INTEGER,
    completion_tokens INTEGER,
    tokens_per_second REAL,
    "end" TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS request_started ON request (started_at);
CREATE INDEX IF NOT EXISTS request_model ON request (model, started_at);
CREATE INDEX IF NOT EXISTS request_caller ON request (caller, started_at);
CREATE INDEX IF NOT EXISTS request_status ON request (status, started_at);
CREATE INDEX IF NOT EXISTS request_end ON request ("end", started_at);
"""


def create(database: sqlite3.Connection) -> None:
    """Create what is missing."""
    database.executescript(_TABLES)


def row_of(record: RequestRecord) -> list[Any]:
    """The values of a record's columns."""
    values = [getattr(record, name) for name in FIELDS]
    values[_STARTED] = timestamps.parse(record.started_at, "startedAt")
    return values


def record_of(row: tuple[Any, ...]) -> RequestRecord:
    """A row as clients see it."""
    values = dict(zip(FIELDS, row[1:], strict=True))
    values["started_at"] = timestamps.iso(values["started_at"])
    return RequestRecord(**values)
