from __future__ import annotations

from common.api.logs import Level, LogEntry
from gateway.subscriptions import LogFilter, LogReaders, Pacing


def entry(level: Level = "info", source: str = "gateway@host") -> LogEntry:
    return LogEntry(timestamp="", level=level, source=source, message="")


def turns(pacing: Pacing, until: float, step: float = 0.05) -> dict[str, list[float]]:
    """When each client was served, by a clock of steps."""
    served: dict[str, list[float]] = {}
    for number in range(round(until / step) + 1):
        now = round(number * step, 3)
        for client in pacing.due(now):
            served.setdefault(client, []).append(now)
    return served


class TestPacing:
    def test_who_says_nothing_is_served_at_the_default_pace_from_when_it_came(self) -> None:
        pacing = Pacing(10)
        pacing.add("a", 0)
        pacing.add("b", 4)
        assert turns(pacing, 35) == {"a": [10, 20, 30], "b": [14, 24, 34]}

    def test_nobody_is_due_where_nobody_is(self) -> None:
        pacing = Pacing(10)
        assert pacing.next_at is None
        assert pacing.due(1000) == []

    def test_a_pace_of_its_own_begins_at_once_and_replaces_the_default(self) -> None:
        pacing = Pacing(10)
        pacing.add("a", 0)
        pacing.set_pace("a", 0.25, 0)
        assert turns(pacing, 1) == {"a": [0, 0.25, 0.5, 0.75, 1]}
        pacing.set_pace("a", 3, 1)
        assert turns(pacing, 8)["a"] == [1, 4, 7]

    def test_after_a_reset_the_default_applies(self) -> None:
        pacing = Pacing(10)
        pacing.add("a", 0)
        pacing.set_pace("a", 0.25, 0)
        pacing.reset_pace("a", 0)
        assert turns(pacing, 25) == {"a": [10, 20]}

    def test_who_has_left_is_not_served(self) -> None:
        pacing = Pacing(10)
        pacing.add("a", 0)
        pacing.add("b", 0)
        pacing.set_pace("a", 1, 0)
        pacing.remove("a")
        pacing.set_pace("a", 1, 0)
        pacing.reset_pace("a", 0)
        assert pacing.next_at == 10
        assert pacing.due(50) == ["b"]
        pacing.remove("b")
        assert pacing.next_at is None

    def test_missed_turns_are_not_made_up_for(self) -> None:
        pacing = Pacing(10)
        pacing.add("a", 0)
        pacing.set_pace("a", 1, 0)
        assert pacing.due(100) == ["a"]
        assert pacing.due(100) == []
        assert pacing.next_at == 100.5

    def test_many_changes_leave_no_more_turns_than_clients(self) -> None:
        pacing = Pacing(10)
        pacing.add("a", 0)
        for _ in range(1000):
            pacing.set_pace("a", 1, 0)
        assert pacing.due(0) == ["a"]
        assert pacing.due(0) == []


class TestLogFilter:
    def test_a_level_means_that_level_and_above(self) -> None:
        wanted = LogFilter(level="warn")
        assert [wanted.wants(entry(level)) for level in ("debug", "info", "warn", "error")] == [
            False,
            False,
            True,
            True,
        ]

    def test_sources_are_whole_names_or_how_they_begin(self) -> None:
        wanted = LogFilter(sources=("engine:", "gateway@host"))
        assert wanted.wants(entry(source="engine:qwen"))
        assert wanted.wants(entry(source="gateway@host"))
        assert not wanted.wants(entry(source="proxy@host"))
        assert not wanted.wants(entry(source="runner-0@host"))

    def test_both_must_fit(self) -> None:
        wanted = LogFilter("error", ("engine:",))
        assert not wanted.wants(entry("info", "engine:a"))
        assert not wanted.wants(entry("error", "gateway@host"))
        assert wanted.wants(entry("error", "engine:a"))


class TestLogReaders:
    def test_a_client_gets_everything_until_it_narrows(self) -> None:
        readers = LogReaders()
        readers.add("all")
        readers.add("some")
        readers.narrow("some", LogFilter("error"))
        assert set(readers.of(entry("debug"))) == {"all"}
        assert set(readers.of(entry("error"))) == {"all", "some"}

    def test_a_muted_client_gets_nothing_until_it_subscribes_again(self) -> None:
        readers = LogReaders()
        readers.add("a")
        readers.mute("a")
        readers.mute("a")
        assert list(readers.of(entry("error"))) == []
        readers.narrow("a", LogFilter())
        assert list(readers.of(entry("debug"))) == ["a"]

    def test_who_has_left_is_forgotten(self) -> None:
        readers = LogReaders()
        readers.add("a")
        readers.remove("a")
        readers.narrow("a", LogFilter())
        readers.remove("never came")
        assert list(readers.of(entry("error"))) == []
        assert readers.filters_for(entry("error")) == []

    def test_clients_with_one_filter_are_one_group(self) -> None:
        readers = LogReaders()
        for client in ("a", "b", "c"):
            readers.add(client)
        readers.narrow("c", LogFilter("warn", ("x",)))
        (only,) = readers.filters_for(entry("info"))
        assert list(readers.members(only)) == ["a", "b"]
