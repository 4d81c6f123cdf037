"""Finished requests on disk, reading side: its own connection, so that storing never waits for it.

All calls block, in one thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import timestamps
from common.api.requests import GetRequests, LastUse, RequestHistory, RequestRecord
from common.errors import RequestNotFound
from workers.logs.request_schema import record_of

MAX_SINCE = 100_000
"""About what is read in two seconds."""

LONGEST_S = 3600

_SELECT = "SELECT * FROM request WHERE"
_ORDER = "ORDER BY started_at DESC, number DESC LIMIT ?"

# From each model to the next one in the index, instead of over all of a million rows.
_LAST_USE = """
WITH RECURSIVE used (model) AS (
    SELECT min(model) FROM request
    UNION ALL
    SELECT (SELECT min(model) FROM request WHERE model > used.model)
    FROM used WHERE used.model IS NOT NULL
)
SELECT model, (SELECT max(started_at) FROM request WHERE request.model = used.model)
FROM used WHERE model IS NOT NULL
"""


class RequestSearch:
    """Finds records that a `RequestStore` has stored."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def newest(self, wanted: GetRequests) -> RequestHistory:
        """The newest that match, newest last.

        Raises `RequestNotFound` where there is no request `before`, `InvalidRequest` for a time
        that is none.
        """
        where, values = self._conditions(wanted)
        rows = self._db.execute(" ".join((_SELECT, where, _ORDER)), (*values, wanted.limit + 1))
        found = rows.fetchall()
        newest = found[: wanted.limit]
        return RequestHistory(
            requests=tuple(record_of(row) for row in reversed(newest)),
            more=len(found) > len(newest),
        )

    def ended_since(self, after_s: float) -> Iterator[RequestRecord]:
        """Those that have ended since, the newest `MAX_SINCE` of them. A request that took more
        than `LONGEST_S` may be missing: there is an index of when they began.
        """
        rows = self._db.execute(
            " ".join((_SELECT, "started_at > ? AND started_at + duration_ms / 1000 > ?", _ORDER)),
            (after_s - LONGEST_S, after_s, MAX_SINCE),
        )
        return map(record_of, rows)

    def last_use(self) -> LastUse:
        """When the newest request of each model began."""
        rows = self._db.execute(_LAST_USE)
        return LastUse(models={model: timestamps.iso(started_s) for model, started_s in rows})

    def _conditions(self, wanted: GetRequests) -> tuple[str, list[Any]]:
        conditions, values = ["true"], []
        for column in ("model", "caller", "status", "end"):
            value = getattr(wanted, column)
            if value is not None:
                conditions.append(f'"{column}" = ?')
                values.append(value)
        if wanted.since is not None:
            conditions.append("started_at > ?")
            values.append(timestamps.parse(wanted.since, "since"))
        if wanted.before is not None:
            started, number = self._place(wanted.before)
            conditions.append("started_at <= ? AND (started_at < ? OR number < ?)")
            values += [started, started, number]
        return " AND ".join(conditions), values

    def _place(self, request_id: str) -> tuple[float, int]:
        row = self._db.execute(
            "SELECT started_at, number FROM request WHERE id = ?", (request_id,)
        ).fetchone()
        if row is None:
            raise RequestNotFound(f"the history has no request '{request_id}'", {"id": request_id})
        return row[0], row[1]
