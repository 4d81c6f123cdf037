from __future__ import annotations

from contextlib import ExitStack

import pytest

from gateway.proxy.errors import QueueFull
from gateway.proxy.waiting_room import EXPECTED_S, WaitingRoom


def test_everybody_has_a_place_until_they_leave() -> None:
    room = WaitingRoom()
    with ExitStack() as all_of_them:
        with room.enter("a"):
            second = all_of_them.enter_context(room.enter("a"))
            assert room.position("a", second) == 2
            assert room.counts() == {"a": 2}
        assert room.position("a", second) == 1
        all_of_them.enter_context(room.enter("b"))
        assert room.counts() == {"a": 1, "b": 1}
    assert room.counts() == {}


def test_one_too_many_is_told_how_things_stand() -> None:
    room = WaitingRoom(max_waiting=1)
    with room.enter("a"), room.enter("b"):
        with pytest.raises(QueueFull) as caught, room.enter("a", {"progress": 0.5}):
            pass
        assert caught.value.details == {"waiting": 1, "limit": 1, "progress": 0.5}
        room.max_waiting = 2
        with room.enter("a"):
            assert room.counts() == {"a": 2, "b": 1}


def test_one_that_was_told_to_come_back_counts_for_a_while() -> None:
    now = [100.0]
    room = WaitingRoom(clock=lambda: now[0])
    with room.enter("a"):
        room.expect("a")
        room.expect("a")
        assert room.counts() == {"a": 2}
    assert room.counts() == {"a": 1}
    now[0] += EXPECTED_S
    assert room.counts() == {}
