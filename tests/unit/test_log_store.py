from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from common.api.logs import AppendLines, GetLogs, Level, Line, Logs
from common.errors import InvalidRequest
from workers.logs import search as searching
from workers.logs import store as storing
from workers.logs.search import Search
from workers.logs.store import Store

START_S = 1_705_314_600.0
LEVELS: tuple[Level, ...] = ("debug", "info", "warn", "error")


class Database:
    """Both sides of one log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store(path)
        self.search = Search(path)
        self._sequence = 0

    def append(
        self, *times: float, level: Level = "info", message: str = "", source: str = "s"
    ) -> None:
        lines = []
        for time in times:
            self._sequence += 1
            text = message or str(self._sequence)
            lines.append(
                Line(sequence=self._sequence, time=time, level=level, source=source, message=text)
            )
        self.store.append(AppendLines(sender="s", epoch=1, lines=tuple(lines)))

    def total(self, level: Level = "debug", after: float = 0.0) -> int:
        return self.newest(1, level, after).total

    def newest(self, limit: int, level: Level = "debug", since: float = 0.0) -> Logs:
        return self.search.find(GetLogs(level=level, limit=limit), since)

    def close(self) -> None:
        self.search.close()
        self.store.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "log.sqlite")
    yield made
    made.close()


def test_the_total_is_that_of_a_count_whatever_the_time_and_level(database: Database) -> None:
    times = [START_S + offset for offset in (0, 0.5, 59.999, 60, 61, 119.5, 120, 3600)]
    for level in LEVELS:
        database.append(*times, level=level)
    for after in (0.0, START_S - 1, START_S, *times, START_S + 30, START_S + 90, START_S + 9999):
        for number, level in enumerate(LEVELS):
            expected = (len(LEVELS) - number) * sum(time > after for time in times)
            assert database.total(level, after) == expected, (after, level)


def test_what_is_deleted_is_not_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "MAX_LINES", 10)
    for second in range(0, 600, 20):
        database.append(START_S + second)
    assert database.total() == 10
    assert database.total(after=START_S + 500) == 4
    tallied = sqlite3.connect(database.path)
    assert tallied.execute("SELECT sum(lines), min(lines) > 0 FROM tally").fetchone() == (10, 1)
    tallied.close()


def test_a_log_of_before_there_was_a_tally_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    first = Database(path)
    first.append(*(START_S + second for second in range(0, 300, 10)))
    first.close()
    old = sqlite3.connect(path)
    old.executescript("DROP TABLE tally; CREATE INDEX entry_time ON entry (time);")
    old.close()
    again = Database(path)
    assert again.total() == 30
    assert again.total(after=START_S + 200) == 9
    again.close()


def test_the_newest_come_by_time_and_then_by_arrival(database: Database) -> None:
    database.append(START_S + 2, START_S + 2, level="warn")
    database.append(START_S + 1)
    database.append(START_S + 2, level="error")
    found = database.newest(3)
    assert [entry.message for entry in found.logs] == ["1", "2", "4"]
    assert found.total == 4


def test_a_reply_has_a_bound_but_never_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MAX_REPLY_CHARACTERS", 100)
    for _ in range(5):
        database.append(START_S, message="x" * 40)
    found = database.newest(10)
    assert (len(found.logs), found.total) == (2, 5)
    database.append(START_S + 1, message="y" * 500)
    assert [entry.message[0] for entry in database.newest(10).logs] == ["y"]


def test_a_search_under_way_does_not_stop_storing(database: Database) -> None:
    database.append(START_S)
    reader = sqlite3.connect(database.path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM entry").fetchone() == (1,)
    database.append(START_S + 1)
    assert reader.execute("SELECT count(*) FROM entry").fetchone() == (1,)
    reader.close()
    assert database.total() == 2


def test_a_search_cannot_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError):
        database.search._db.execute("DELETE FROM entry")


def messages(database: Database, **asked: Any) -> list[str]:
    return [entry.message for entry in database.search.find(GetLogs(**asked), 0.0).logs]


def test_lines_are_numbered_and_numbers_are_no_position(database: Database) -> None:
    database.append(START_S + 1, START_S)
    found = database.newest(10).logs
    assert [(entry.message, entry.id) for entry in found] == [("2", 2), ("1", 1)]
    _, stored = database.store.append(
        AppendLines(
            sender="other",
            epoch=1,
            lines=(Line(sequence=0, time=0, level="info", source="s", message="m"),),
        )
    )
    assert [entry.id for entry in stored] == [3]


def test_pages_lead_back_and_forth_through_every_line_once(database: Database) -> None:
    for second in range(10):
        database.append(START_S + second // 3, level=LEVELS[second % 4])
    everything = database.newest(100).logs
    assert messages(database, before=99) == [], "a line that is gone was older than all"
    back = list(database.newest(3).logs)
    while page := database.search.find(GetLogs(limit=3, before=back[0].id), 0.0).logs:
        back = [*page, *back]
    assert tuple(back) == everything
    forth = [everything[0]]
    while page := database.search.find(GetLogs(limit=3, after=forth[-1].id), 0.0).logs:
        forth += page
    assert tuple(forth) == everything


def test_sources_and_text_narrow_the_search(database: Database) -> None:
    database.append(START_S, message="Loaded ÄPFEL", source="engine:one")
    database.append(START_S + 1, message="loaded", source="engine:two")
    database.append(START_S + 2, message="loaded", source="gateway@h", level="warn")
    assert messages(database, sources=("engine:",)) == ["Loaded ÄPFEL", "loaded"]
    assert messages(database, sources=("engine:two", "gateway"), level="warn") == ["loaded"]
    assert messages(database, text="äpfel") == ["Loaded ÄPFEL"]
    assert messages(database, text="load", limit=1, sources=("engine:",)) == ["loaded"]
    assert messages(database, text="100%_") == []


def test_a_search_that_finds_little_says_where_to_go_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MAX_LOOKED_AT", 4)
    database.append(START_S, message="needle")
    database.append(*(START_S + second for second in range(1, 11)))
    told = database.search.find(GetLogs(text="needle"), 0.0)
    steps = 1
    while not told.logs:
        assert told.searched_to is not UNSET
        asked = GetLogs(text="needle", before=told.searched_to)
        told = database.search.find(asked, 0.0)
        steps += 1
    assert (steps, told.logs[0].message) == (3, "needle")


def test_before_and_after_at_once_are_refused(database: Database) -> None:
    with pytest.raises(InvalidRequest):
        database.search.find(GetLogs(before=1, after=1), 0.0)
