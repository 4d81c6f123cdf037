"""Finished requests on disk, writing side: SQLite, one writer. All calls block, in one thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from common.api.requests import AppendRecords, RequestRecord
from workers.logs.request_schema import INSERT_NEW, create, row_of

MAX_RECORDS = 1_000_000
"""The oldest beyond this are deleted: some 400 MB."""

MAX_AGE_S = 30 * 24 * 3600.0


class RequestStore:
    """Records by id: one that is delivered twice is stored once. `clock` gives Unix time."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing that it acknowledged; a power cut may lose the last ones.
        self._db.execute("PRAGMA synchronous = NORMAL")
        create(self._db)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def append(self, batch: AppendRecords) -> list[RequestRecord]:
        """Store a batch in one transaction. Returns the records that were not there before."""
        records = [numbered.record for numbered in batch.records]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            before = self._db.total_changes
            self._db.executemany(INSERT_NEW, map(row_of, records))
            stored = self._db.total_changes - before
            self._delete_oldest()
        # Batches of one sender follow each other: what is known of one again is its beginning.
        return records[len(records) - stored :]

    def _delete_oldest(self) -> None:
        self._db.execute(
            "DELETE FROM request WHERE number <= (SELECT max(number) FROM request) - ?",
            (MAX_RECORDS,),
        )
        self._db.execute("DELETE FROM request WHERE started_at < ?", (self._clock() - MAX_AGE_S,))
