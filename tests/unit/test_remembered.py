"""Answers are remembered for a while, and within bounds of count and size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.bus.remembered import MAX_ANSWERS, MAX_BYTES, REMEMBER_S, Answer, Key, Remembered


def key(number: int) -> Key:
    return b"caller", b"%d" % number


def answer(size_bytes: int) -> Answer:
    return Answer(b"", bytes(size_bytes))


def test_an_answer_is_known_for_a_while() -> None:
    remembered = Remembered()
    remembered.keep(key(1), answer(10), now=0.0)
    assert remembered.find(key(1), now=REMEMBER_S - 1) == answer(10)
    assert remembered.find(key(2), now=0.0) is None
    assert remembered.find((b"another", key(1)[1]), now=0.0) is None
    assert remembered.find(key(1), now=REMEMBER_S) is None
    assert remembered.size_bytes == 0


def test_the_oldest_go_where_there_are_too_many() -> None:
    remembered = Remembered()
    for number in range(MAX_ANSWERS + 10):
        remembered.keep(key(number), answer(1), now=0.0)
    known = [number for number in range(MAX_ANSWERS + 10) if remembered.find(key(number), 0.0)]
    assert known == list(range(10, MAX_ANSWERS + 10))


def test_the_oldest_go_where_they_are_too_large() -> None:
    remembered = Remembered()
    third = MAX_BYTES // 3
    for number in range(5):
        remembered.keep(key(number), answer(third), now=0.0)
    known = [number for number in range(5) if remembered.find(key(number), 0.0)]
    assert known == [2, 3, 4]


def test_the_newest_stays_however_large_and_goes_with_the_next() -> None:
    remembered = Remembered()
    remembered.keep(key(1), answer(10), now=0.0)
    remembered.keep(key(2), answer(2 * MAX_BYTES), now=0.0)
    assert remembered.find(key(1), now=0.0) is None
    assert remembered.find(key(2), now=0.0) is not None
    remembered.keep(key(3), answer(10), now=0.0)
    assert remembered.find(key(2), now=0.0) is None
    assert remembered.size_bytes == 10


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, MAX_BYTES), st.floats(0, REMEMBER_S)),
        max_size=20,
    )
)
def test_what_is_counted_is_what_is_held(kept: list[tuple[int, int, float]]) -> None:
    remembered = Remembered()
    now = 0.0
    for number, size_bytes, pause_s in kept:
        now += pause_s
        remembered.keep(key(number), answer(size_bytes), now)
        held = [known for n in range(10) if (known := remembered.find(key(n), now)) is not None]
        assert remembered.find(key(number), now) == answer(size_bytes)
        assert remembered.size_bytes == sum(known.size_bytes for known in held) <= MAX_BYTES
