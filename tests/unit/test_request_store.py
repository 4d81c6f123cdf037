"""Finished requests in SQLite: stored once, within a bound, found by every filter."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common import timestamps
from common.api.requests import GetRequests, RequestRecord
from common.errors import InvalidRequest, RequestNotFound
from tests.support.request_records import batch, made
from workers.logs import request_store as storing
from workers.logs.request_schema import FIELDS
from workers.logs.request_search import RequestSearch
from workers.logs.request_store import RequestStore

START_S = 1_705_314_600.0


class Database:
    """Both sides of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now_s = START_S
        self.store = RequestStore(path, lambda: self.now_s)
        self.search = RequestSearch(path)

    def append(self, *records: RequestRecord) -> list[RequestRecord]:
        return self.store.append(batch(*records))

    def find(self, **wanted: Any) -> list[RequestRecord]:
        return list(self.search.newest(GetRequests(**wanted)).requests)

    def close(self) -> None:
        self.search.close()
        self.store.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "requests.sqlite")
    yield opened
    opened.close()


def at(offset_s: float) -> str:
    return timestamps.iso(START_S + offset_s)


def test_a_record_comes_back_as_it_was(database: Database) -> None:
    records = [
        made(1),
        made(2, end="refused", first_token_ms=None, prompt_tokens=None, cached_tokens=3),
        made(3, started_at="2024-01-15T10:30:00.123Z", model="team/é", tokens_per_second=None),
    ]
    assert database.append(*records) == records
    assert database.find() == records


def test_the_table_has_the_fields_of_a_record(database: Database) -> None:
    connection = sqlite3.connect(database.path)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(request)")]
    connection.close()
    assert columns == ["number", *FIELDS]


def test_what_is_delivered_again_is_stored_once(database: Database) -> None:
    one, two, three = made(1), made(2), made(3)
    database.append(one, two)
    assert database.append(one, two, three) == [three]
    assert database.append(one, two, three) == []
    assert database.find() == [one, two, three]


def test_each_models_last_use_is_its_newest_requests_beginning(database: Database) -> None:
    assert database.search.last_use().models == {}
    database.append(
        made(1, model="b", started_at=at(5)),
        made(2, model="a", started_at=at(9)),
        made(3, model="b", started_at=at(2)),
        made(4, model="a", started_at=at(1)),
    )
    assert database.search.last_use().models == {"a": at(9), "b": at(5)}


def test_the_newest_begun_are_given_newest_last(database: Database) -> None:
    for number, offset_s in enumerate((3, 1, 2, 1)):
        database.append(made(number, started_at=at(offset_s)))
    numbers = [record.id[-1] for record in database.find()]
    assert numbers == ["1", "3", "2", "0"]
    assert [record.id[-1] for record in database.find(limit=2)] == ["2", "0"]


def test_pages_follow_each_other_without_gap_or_overlap(database: Database) -> None:
    records = [made(number, started_at=at(number // 4)) for number in range(23)]
    database.append(*records)
    found: list[RequestRecord] = []
    more, before = True, None
    while more:
        page = database.search.newest(GetRequests(limit=5, before=before))
        found = [*page.requests, *found]
        more, before = page.more, page.requests[0].id
    assert found == records


def test_each_filter_and_all_of_them(database: Database) -> None:
    records = [
        made(0, model="a", caller="x", status=200, end="done", started_at=at(0)),
        made(1, model="a", caller="y", status=502, end="failed", started_at=at(1)),
        made(2, model="b", caller="x", status=502, end="failed", started_at=at(2)),
        made(3, model="b", caller="y", status=200, end="cut", started_at=at(3)),
    ]
    database.append(*records)

    def numbers(**wanted: Any) -> list[int]:
        return [int(record.id[-1]) for record in database.find(**wanted)]

    assert numbers(model="a") == [0, 1]
    assert numbers(caller="x") == [0, 2]
    assert numbers(status=502) == [1, 2]
    assert numbers(end="cut") == [3]
    assert numbers(since=at(1)) == [2, 3]
    assert numbers(before=records[2].id) == [0, 1]
    assert numbers(model="b", caller="x", status=502, end="failed", since=at(0)) == [2]
    assert numbers(model="c") == numbers(model="a' OR '1'='1") == []


def test_no_filter_has_to_sort_or_walk_the_table(database: Database) -> None:
    database.append(made(1))
    queries: list[str] = []
    wanted: list[dict[str, Any]] = [
        {},
        {"model": "a"},
        {"caller": "a"},
        {"status": 1},
        {"end": "cut"},
        {"since": at(0)},
        {"before": made(1).id},
        {"model": "a", "since": at(0), "before": made(1).id},
    ]
    database.search._db.set_trace_callback(queries.append)
    for each in wanted:
        database.find(**each)
    database.search._db.set_trace_callback(None)
    for query in queries:
        plan = database.search._db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
        assert all("USING INDEX" in step[3] for step in plan), (query, plan)


def test_what_cannot_be_looked_for_is_refused(database: Database) -> None:
    with pytest.raises(RequestNotFound, match="nowhere"):
        database.find(before="nowhere")
    with pytest.raises(InvalidRequest, match="since"):
        database.find(since="yesterday")


def test_the_history_has_a_bound(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MAX_RECORDS", 3)
    database.append(*(made(number) for number in range(5)))
    database.append(made(5))
    assert [record.id[-1] for record in database.find()] == ["3", "4", "5"]


def test_the_old_go(database: Database) -> None:
    database.append(made(0, started_at=at(0)), made(1, started_at=at(10)))
    database.now_s = START_S + storing.MAX_AGE_S + 5
    database.append(made(2, started_at=at(storing.MAX_AGE_S)))
    assert [record.id[-1] for record in database.find()] == ["1", "2"]


def test_what_ended_since_is_found_also_where_it_began_before(database: Database) -> None:
    def at(number: int, second: float, took_s: float) -> RequestRecord:
        began = timestamps.iso(START_S + second)
        return made(number, started_at=began, duration_ms=took_s * 1000)

    database.append(at(1, -100, 1), at(2, -100, 150), at(3, 10, 1))
    found = {record.id for record in database.search.ended_since(START_S)}
    assert found == {made(2).id, made(3).id}
