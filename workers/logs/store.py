"""The numbered log on disk, writing side: SQLite, one writer. All calls block, in one thread."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

from common.api.logs import AppendLines, LogEntry
from workers.logs.schema import MINUTE_S, create, entry_of, row_of

MAX_LINES = 10_000_000
"""The oldest lines beyond this are deleted, so the log has a bound."""


class Store:
    """Lines by number. A line that a sender delivers twice is stored once."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing that it acknowledged; a power cut may lose the last lines.
        self._db.execute("PRAGMA synchronous = NORMAL")
        create(self._db)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def append(self, batch: AppendLines) -> tuple[int, list[LogEntry]]:
        """Store a batch and its sender's position in one transaction.

        Returns the last sequence that is stored now, and the lines that were not before.
        """
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            known = self._position(batch.sender, batch.epoch)
            new = [line for line in batch.lines if line.sequence > known]
            rows = [row_of(line) for line in new]
            numbers = range(first := self._next_number(), first + len(rows))
            self._db.executemany(
                "INSERT INTO entry (id, time, level, source, message) VALUES (?, ?, ?, ?, ?)",
                [(number, *row) for number, row in zip(numbers, rows, strict=True)],
            )
            self._count(Counter((row.level, int(row.time // MINUTE_S)) for row in rows))
            last = new[-1].sequence if new else known
            self._db.execute(
                "INSERT INTO sender VALUES (?, ?, ?) "
                "ON CONFLICT (name, epoch) DO UPDATE SET sequence = excluded.sequence",
                (batch.sender, batch.epoch, last),
            )
            self._delete_oldest()
        return last, [entry_of(row, number) for row, number in zip(rows, numbers, strict=True)]

    def _next_number(self) -> int:
        """The newest lines are never deleted, so no number comes twice."""
        (newest,) = self._db.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()
        return int(newest) + 1

    def _position(self, sender: str, epoch: int) -> int:
        row = self._db.execute(
            "SELECT sequence FROM sender WHERE name = ? AND epoch = ?", (sender, epoch)
        ).fetchone()
        return -1 if row is None else int(row[0])

    def _count(self, lines: Counter[tuple[int, int]]) -> None:
        self._db.executemany(
            "INSERT INTO tally VALUES (?, ?, ?) "
            "ON CONFLICT (level, minute) DO UPDATE SET lines = lines + excluded.lines",
            [(level, minute, count) for (level, minute), count in lines.items()],
        )

    def _delete_oldest(self) -> None:
        beyond = "FROM entry WHERE id <= (SELECT max(id) FROM entry) - ?"
        going = self._db.execute(
            f"SELECT level, CAST(time / {MINUTE_S} AS INTEGER), -count(*) {beyond} GROUP BY 1, 2",
            (MAX_LINES,),
        ).fetchall()
        if not going:
            return
        self._db.execute(f"DELETE {beyond}", (MAX_LINES,))
        self._count(Counter({(level, minute): count for level, minute, count in going}))
        self._db.executemany(
            "DELETE FROM tally WHERE level = ? AND minute = ? AND lines <= 0",
            [(level, minute) for level, minute, _ in going],
        )
