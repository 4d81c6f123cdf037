from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from common.api.base import Change, Event, Struct
from common.api.bus import Beat, Snapshot, SnapshotItem
from common.bus import wire
from common.bus.events import MAX_HELD_BACK, Feeds
from common.bus.tables import Mirror
from common.bus.wire import Publication, WireError


class Row(Struct, frozen=True):
    number: int


class Said(Struct, frozen=True):
    text: str


ROW = Event("test:row", Change[Row], "A row.", stream="test", internal=True)
SAID = Event("test:said", Said, "Something was said.", stream="talk", internal=True)

Delivery = Publication | Beat


class Owner:
    """A process with a table, as the contract describes it; `sent` is what it has published."""

    def __init__(self, name: str = "owner", epoch: int = 100) -> None:
        self.name = name
        self.epoch = epoch
        self.sequence = 0
        self.rows: dict[str, Row] = {}
        self.sent: deque[Delivery] = deque()

    def put(self, key: str, number: int) -> None:
        self.rows[key] = Row(number=number)
        self._publish(key, self.rows[key])

    def remove(self, key: str) -> None:
        if self.rows.pop(key, None) is not None:
            self._publish(key, None)

    def restart(self, rows: dict[str, Row]) -> None:
        self.epoch += 1
        self.sequence = 0
        self.rows = {}
        for key, row in rows.items():
            self.put(key, row.number)

    def beat(self) -> None:
        self.sent.append(
            Beat(
                name=self.name,
                kind="runner",
                host="host",
                pid=1,
                epoch=self.epoch,
                started_at=0.0,
                streams={ROW.stream: self.sequence, "a stream that nobody follows": 7},
            )
        )

    def snapshot(self) -> Snapshot:
        items = tuple(
            SnapshotItem(name=ROW.name, body=wire.raw(Change(key=key, value=row)))
            for key, row in self.rows.items()
        )
        return Snapshot(epoch=self.epoch, sequence=self.sequence, items=items)

    def _publish(self, key: str, row: Row | None) -> None:
        self.sequence += 1
        body = wire.raw(Change(key=key, value=row))
        self.sent.append(
            Publication(self.name, self.epoch, ROW.stream, self.sequence, ROW.name, body)
        )


class Reading:
    """A mirror behind `Feeds`; `asked` are the owners whose snapshot is wanted."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.heard: dict[tuple[str, str], Row] = {}
        self.feeds = Feeds(self._ask)
        self.mirror: Mirror[Row] = Mirror(ROW)
        self.mirror.on_change(self._hear)
        self.feeds.follow(ROW.stream, self.mirror)

    def _ask(self, process: str, stream: str) -> None:
        assert stream == ROW.stream
        assert process not in self.asked, "asked again while an answer is awaited"
        self.asked.append(process)

    def _hear(self, owner: str, key: str, before: Row | None, after: Row | None) -> None:
        assert before != after
        assert self.heard.get((owner, key)) == before, "`before` is not what was told last"
        if after is None:
            del self.heard[owner, key]
        else:
            self.heard[owner, key] = after

    def take(self, delivery: Delivery) -> None:
        if isinstance(delivery, Beat):
            self.feeds.beat(delivery)
        else:
            self.feeds.receive(delivery)

    def take_all(self, owner: Owner) -> None:
        while owner.sent:
            self.take(owner.sent.popleft())

    def heal(self, process: str, snapshot: Snapshot) -> None:
        self.asked.remove(process)
        self.feeds.heal(process, ROW.stream, snapshot)

    def give_up(self, process: str) -> None:
        self.asked.remove(process)
        self.feeds.give_up(process, ROW.stream)

    def settle(self, owner: Owner) -> None:
        """The owner's last beat arrives, and snapshots succeed from then on."""
        owner.beat()
        self.take(owner.sent.pop())
        for _ in range(4):
            if owner.name in self.asked:
                self.heal(owner.name, owner.snapshot())
        assert owner.name not in self.asked
        assert self.mirror.rows(owner.name) == owner.rows


KEYS = st.sampled_from("abcd")
NAMES = st.sampled_from(["one", "two"])


class MirrorsFollowTables(RuleBasedStateMachine):
    """Two owners, one reader, and a network that does to events what it likes."""

    @initialize()
    def begin(self) -> None:
        self.owners = {name: Owner(name) for name in ("one", "two")}
        self.reading = Reading()
        self.snapshots: dict[str, Snapshot] = {}

    @rule(name=NAMES, key=KEYS, number=st.integers(0, 3))
    def put(self, name: str, key: str, number: int) -> None:
        self.owners[name].put(key, number)

    @rule(name=NAMES, key=KEYS)
    def remove(self, name: str, key: str) -> None:
        self.owners[name].remove(key)

    @rule(name=NAMES)
    def beat(self, name: str) -> None:
        self.owners[name].beat()

    @rule(name=NAMES, rows=st.dictionaries(KEYS, st.builds(Row, number=st.integers(0, 3))))
    def restart(self, name: str, rows: dict[str, Row]) -> None:
        self.owners[name].restart(rows)

    @rule(name=NAMES)
    def deliver_all(self, name: str) -> None:
        self.reading.take_all(self.owners[name])

    @rule(name=NAMES, place=st.integers(0, 3), keep=st.booleans())
    def deliver_one(self, name: str, place: int, keep: bool) -> None:
        """The first, or out of turn; `keep`: it will arrive once more."""
        sent = self.owners[name].sent
        if place < len(sent):
            delivery = sent[place]
            if not keep:
                del sent[place]
            self.reading.take(delivery)

    @rule(name=NAMES, place=st.integers(0, 3))
    def lose_one(self, name: str, place: int) -> None:
        sent = self.owners[name].sent
        if place < len(sent):
            del sent[place]

    @rule(name=NAMES)
    def lose_all(self, name: str) -> None:
        self.owners[name].sent.clear()

    @precondition(lambda self: not set(self.reading.asked) <= set(self.snapshots))
    @rule()
    def take_snapshots(self) -> None:
        """The owners answer; the answers are on their way."""
        for name in set(self.reading.asked) - set(self.snapshots):
            self.snapshots[name] = self.owners[name].snapshot()

    @precondition(lambda self: bool(self.snapshots))
    @rule()
    def answers_arrive(self) -> None:
        for name in sorted(self.snapshots):
            self.reading.heal(name, self.snapshots.pop(name))

    @precondition(lambda self: bool(self.reading.asked))
    @rule()
    def answers_fail(self) -> None:
        for name in list(self.reading.asked):
            self.snapshots.pop(name, None)
            self.reading.give_up(name)

    @rule(name=NAMES)
    def seem_gone(self, name: str) -> None:
        """The owner was silent for too long, though it lives."""
        self.reading.mirror.forget(name)
        self.reading.feeds.forget(name, ROW.stream)

    @invariant()
    def listeners_know_what_the_mirror_holds(self) -> None:
        if hasattr(self, "reading"):
            held = {(owner, key): row for owner, key, row in self.reading.mirror.items()}
            assert self.reading.heard == held

    def teardown(self) -> None:
        for name, owner in getattr(self, "owners", {}).items():
            if name in self.reading.asked:  # what is under way arrives before the last beat
                self.reading.heal(name, self.snapshots.get(name) or owner.snapshot())
            self.reading.settle(owner)
        if hasattr(self, "reading"):
            self.listeners_know_what_the_mirror_holds()


MirrorsFollowTables.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestMirrorsFollowTables = MirrorsFollowTables.TestCase


def test_events_in_order_are_applied_without_asking_again() -> None:
    owner, reading = Owner(), Reading()
    reading.settle(owner)
    owner.put("a", 1)
    owner.put("b", 2)
    owner.remove("a")
    reading.take_all(owner)
    assert reading.mirror.rows("owner") == {"b": Row(number=2)}
    assert (reading.asked, reading.feeds.gaps) == ([], 0)


def test_a_gap_is_counted_and_asked_about_once() -> None:
    owner, reading = Owner(), Reading()
    reading.settle(owner)
    owner.put("a", 1)
    owner.sent.clear()
    for number in range(5):
        owner.put("b", number)
    owner.beat()
    reading.take_all(owner)
    assert (reading.asked, reading.feeds.gaps) == (["owner"], 1)


def test_what_arrives_while_a_snapshot_is_under_way_is_applied_after_it() -> None:
    owner, reading = Owner(), Reading()
    owner.put("a", 1)
    reading.take_all(owner)
    snapshot = owner.snapshot()
    owner.put("a", 2)
    owner.put("b", 3)
    reading.take_all(owner)
    assert reading.mirror.rows("owner") == {}
    reading.heal("owner", snapshot)
    assert reading.mirror.rows("owner") == {"a": Row(number=2), "b": Row(number=3)}
    assert reading.asked == []


def test_more_than_can_be_held_back_is_asked_about_again() -> None:
    owner, reading = Owner(), Reading()
    owner.put("a", 0)
    reading.take_all(owner)
    snapshot = owner.snapshot()
    for number in range(MAX_HELD_BACK + 10):
        owner.put("a", number)
    reading.take_all(owner)
    reading.heal("owner", snapshot)
    reading.settle(owner)


def test_a_lost_last_event_shows_in_the_next_beat() -> None:
    owner, reading = Owner(), Reading()
    reading.settle(owner)
    owner.put("a", 1)
    owner.sent.clear()
    assert reading.mirror.rows("owner") == {}
    reading.settle(owner)


def test_an_older_start_is_not_listened_to() -> None:
    owner, reading = Owner(epoch=100), Reading()
    owner.put("a", 1)
    owner.beat()
    late = list(owner.sent)
    owner.restart({})
    owner.sent.clear()
    reading.settle(owner)
    for delivery in late:
        reading.take(delivery)
    assert (reading.mirror.rows("owner"), reading.asked) == ({}, [])


def test_the_first_event_of_a_new_start_is_asked_about_at_once() -> None:
    owner, reading = Owner(), Reading()
    reading.settle(owner)
    owner.restart({"a": Row(number=1)})
    reading.take_all(owner)
    assert reading.asked == ["owner"]
    reading.heal("owner", owner.snapshot())
    assert reading.mirror.rows("owner") == owner.rows


def test_an_answer_is_too_late_once_its_owner_is_gone() -> None:
    owner, reading = Owner(), Reading()
    owner.put("a", 1)
    reading.take_all(owner)
    snapshot = owner.snapshot()
    reading.feeds.forget("owner", ROW.stream)
    reading.mirror.forget("owner")
    reading.heal("owner", snapshot)
    assert reading.mirror.rows("owner") == {}
    reading.settle(owner)


def test_an_owner_that_seemed_gone_is_read_anew() -> None:
    owner, reading = Owner(), Reading()
    owner.put("a", 1)
    reading.settle(owner)
    reading.mirror.forget("owner")
    reading.feeds.forget("owner", ROW.stream)
    reading.settle(owner)
    assert reading.mirror.rows("owner") == {"a": Row(number=1)}


def test_an_unreadable_snapshot_counts_as_none() -> None:
    owner, reading = Owner(), Reading()
    owner.put("a", 1)
    owner.beat()
    reading.take_all(owner)
    garbage = SnapshotItem(name=ROW.name, body=wire.raw({"key": 1}))
    with pytest.raises(WireError):
        reading.heal("owner", Snapshot(epoch=100, sequence=1, items=(garbage,)))
    reading.feeds.give_up("owner", ROW.stream)
    reading.settle(owner)


class TestListening:
    """Streams that tell no facts."""

    def hear(self, *numbers: tuple[int, int]) -> tuple[int, list[Any]]:
        heard: list[Any] = []
        feeds = Feeds(lambda *_: pytest.fail("such a stream has no snapshot"))
        feeds.listen(SAID, lambda body: heard.append(wire.decode(body, Said).text))
        for epoch, sequence in numbers:
            text = f"{epoch}.{sequence}"
            body = wire.raw(Said(text=text))
            feeds.receive(Publication("owner", epoch, SAID.stream, sequence, SAID.name, body))
            feeds.receive(Publication("owner", epoch, "other", sequence, SAID.name, body))
        return feeds.gaps, heard

    def test_everything_is_heard_from_now_on(self) -> None:
        assert self.hear((1, 7), (1, 8), (2, 1), (2, 2)) == (0, ["1.7", "1.8", "2.1", "2.2"])

    def test_gaps_are_counted(self) -> None:
        assert self.hear((1, 1), (1, 3), (1, 4), (1, 9)) == (2, ["1.1", "1.3", "1.4", "1.9"])
