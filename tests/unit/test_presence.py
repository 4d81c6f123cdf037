from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.api.bus import Beat, ProcessKind
from common.bus.presence import BEAT_S, GONE_AFTER_S, Presence


def beat(
    name: str = "runner-0@host",
    *,
    kind: ProcessKind = "runner",
    epoch: int = 1,
    leaving: bool = False,
) -> Beat:
    return Beat(
        name=name,
        kind=kind,
        host="host",
        pid=epoch,
        epoch=epoch,
        started_at=0.0,
        streams={},
        leaving=leaving,
    )


def test_the_first_beat_is_a_newcomers_and_the_next_is_not() -> None:
    presence = Presence()
    assert "runner-0@host" not in presence
    assert presence.beat(beat(), 0.0)
    assert not presence.beat(beat(), 1.0)
    assert "runner-0@host" in presence


def test_a_new_start_is_a_newcomer_and_shows_its_own_beat() -> None:
    presence = Presence()
    presence.beat(beat(epoch=1), 0.0)
    assert presence.beat(beat(epoch=2), 0.1)
    assert [member.pid for member in presence.members()] == [2]


def test_an_older_start_changes_nothing() -> None:
    presence = Presence()
    presence.beat(beat(epoch=2), 0.0)
    assert not presence.beat(beat(epoch=1), 1.0)
    assert not presence.beat(beat(epoch=1, leaving=True), 1.0)
    presence.heard("runner-0@host", 1, 1.0)
    assert presence.members() == [beat(epoch=2)]
    assert presence.remove_gone(1.0) == []
    assert presence.remove_gone(GONE_AFTER_S + 0.5) == [beat(epoch=2)]


def test_who_is_silent_for_three_beats_is_gone_and_said_so_once() -> None:
    presence = Presence()
    presence.beat(beat(), 10.0)
    assert presence.remove_gone(10.0 + 3 * BEAT_S) == []
    assert presence.remove_gone(10.0 + GONE_AFTER_S + 0.01) == [beat()]
    assert presence.remove_gone(100.0) == []
    assert presence.members() == []
    assert GONE_AFTER_S < 4.0


def test_any_traffic_counts_as_a_beat() -> None:
    presence = Presence()
    presence.beat(beat(), 0.0)
    presence.heard("runner-0@host", 1, 3.0)
    assert presence.remove_gone(3.0 + GONE_AFTER_S) == []
    presence.heard("unknown", 1, 3.0)
    assert "unknown" not in presence


def test_who_leaves_is_gone_at_once_and_may_return() -> None:
    presence = Presence()
    presence.beat(beat(), 0.0)
    assert not presence.beat(beat(leaving=True), 0.1)
    assert presence.remove_gone(0.1) == [beat(leaving=True)]
    assert presence.beat(beat(epoch=2), 0.2)


def test_members_are_given_by_name_and_kind() -> None:
    presence = Presence()
    presence.beat(beat("b", kind="runner"), 0.0)
    presence.beat(beat("c", kind="proxy"), 0.0)
    presence.beat(beat("a", kind="runner"), 0.0)
    assert [member.name for member in presence.members()] == ["a", "b", "c"]
    assert presence.names("runner") == ["a", "b"]
    assert presence.names("logs") == []


@given(
    st.lists(
        st.tuples(
            st.floats(0, 2),
            st.sampled_from("ab"),
            st.integers(1, 3),
            st.sampled_from(["beat", "heard", "leave"]),
        )
    )
)
def test_who_is_there_was_heard_lately_and_did_not_leave(
    steps: list[tuple[float, str, int, str]],
) -> None:
    presence = Presence()
    now = 0.0
    last: dict[str, tuple[int, float]] = {}
    for pause, name, epoch, what in steps:
        now += pause
        known_epoch = last.get(name, (0, 0.0))[0]
        if what == "heard":
            presence.heard(name, epoch, now)
            if epoch == known_epoch:
                last[name] = (epoch, now)
        else:
            newcomer = presence.beat(beat(name, epoch=epoch, leaving=what == "leave"), now)
            assert newcomer == (epoch > known_epoch)
            if epoch >= known_epoch:
                last[name] = (epoch, -1000.0 if what == "leave" else now)
        gone = [member.name for member in presence.remove_gone(now)]
        expected = [name for name, (_, heard) in last.items() if now - heard > GONE_AFTER_S]
        assert sorted(gone) == sorted(expected)
        for name_of_gone in gone:
            del last[name_of_gone]
        assert [member.name for member in presence.members()] == sorted(last)
