from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.api.logs import AppendLines, Line
from common.bus import wire
from common.delivery import Goods, Outbox
from common.logging import LINES, LineOutbox

SMALL = replace(LINES, max_kept=10, max_batch=4)


def line(sequence: int, message: str = "text") -> Line:
    return Line(sequence=sequence, time=1.0, level="info", source="a", message=message)


def lines(*sequences: int) -> list[Line]:
    return [line(sequence) for sequence in sequences]


def outbox(goods: Goods[Line, AppendLines] = LINES) -> LineOutbox:
    return Outbox(goods, "sender", 1, lambda: None)


def sequences(batch: AppendLines | None) -> list[int]:
    return [line.sequence for line in batch.lines] if batch is not None else []


def test_an_empty_outbox_has_no_batch() -> None:
    empty = outbox()
    assert empty.empty
    assert empty.batch() is None


def test_lines_go_out_in_order_and_stay_until_acknowledged() -> None:
    box = outbox()
    box.put(lines(1, 2))
    box.put(lines(3))
    batch = box.batch()
    assert batch == AppendLines(sender="sender", epoch=1, lines=tuple(lines(1, 2, 3)))
    assert box.batch() == batch
    box.acknowledge(2, 0)
    assert sequences(box.batch()) == [3]
    assert not box.empty
    box.acknowledge(3, 0)
    assert box.empty


def test_sequences_may_have_gaps_as_byte_offsets_do() -> None:
    box = outbox()
    box.put(lines(0, 80, 117))
    box.acknowledge(80, 0)
    assert sequences(box.batch()) == [117]


def test_a_batch_holds_so_many_lines() -> None:
    box = outbox(SMALL)
    box.put(lines(*range(1, 8)))
    assert sequences(box.batch()) == [1, 2, 3, 4]
    box.acknowledge(4, 0)
    assert sequences(box.batch()) == [5, 6, 7]


def test_a_batch_holds_so_much_text_and_one_line_at_least() -> None:
    box = outbox(replace(LINES, max_batch_bytes=1000))
    for sequence, length in enumerate((300, 300, 300, 5000, 10), start=1):
        box.put([line(sequence, "x" * length)])
    for expected in ([1, 2], [3], [4], [5]):
        batch = box.batch()
        assert sequences(batch) == expected
        box.acknowledge(expected[-1], 0)


def test_beyond_the_bound_the_oldest_are_dropped_and_counted() -> None:
    box = outbox(SMALL)
    box.put(lines(*range(1, 14)))
    batch = box.batch()
    assert batch is not None
    assert (sequences(batch), batch.dropped) == ([4, 5, 6, 7], 3)
    box.put(lines(14, 15))
    box.acknowledge(7, batch.dropped)
    batch = box.batch()
    assert batch is not None
    assert (sequences(batch), batch.dropped) == ([8, 9, 10, 11], 2)
    box.acknowledge(11, batch.dropped)
    batch = box.batch()
    assert batch is not None
    assert (sequences(batch), batch.dropped) == ([12, 13, 14, 15], 0)


def test_text_has_a_bound_too() -> None:
    box = outbox(replace(LINES, max_kept_bytes=1000))
    for sequence in range(1, 6):
        box.put([line(sequence, "x" * 300)])
    batch = box.batch()
    assert batch is not None
    assert (sequences(batch), batch.dropped) == ([4, 5], 3)


def test_filling_and_closing_are_told() -> None:
    told = []
    box = Outbox(LINES, "sender", 1, lambda: told.append(True))
    box.put(lines(1))
    assert (len(told), box.closed) == (1, False)
    box.close()
    assert (len(told), box.closed) == (2, True)
    assert sequences(box.batch()) == [1]


@pytest.mark.parametrize(
    "message",
    ["\ud800 as in the name of an odd file", "x" * 50_000_000, "€" * 10_000_000],
    ids=["lone surrogate", "long", "long in bytes"],
)
def test_no_line_is_unfit_to_travel(message: str) -> None:
    box = outbox()
    box.put([line(1, message), line(2)])
    batch = box.batch()
    assert sequences(batch) == [1, 2]
    assert len(wire.encode(batch)) < wire.MAX_MESSAGE_BYTES


def test_a_cut_line_says_so_and_how_long_it_was() -> None:
    box = outbox()
    box.put([line(1, "x" * 1_000_000)])
    batch = box.batch()
    assert batch is not None
    assert batch.lines[0].message.startswith("xxxx")
    assert "1,000,000" in batch.lines[0].message


def test_what_odd_characters_there_were_can_still_be_read() -> None:
    box = outbox()
    box.put([line(1, "wörter \udcff.gguf")])
    batch = box.batch()
    assert batch is not None
    assert batch.lines[0].message == "wörter \\udcff.gguf"


class Logs:
    """Stores what is new, as the `logs` process does."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.told_lost = 0

    def append(self, batch: AppendLines) -> int:
        last = self.stored[-1] if self.stored else 0
        self.stored += [sequence for sequence in sequences(batch) if sequence > last]
        return self.stored[-1]


@given(
    st.lists(
        st.one_of(
            st.integers(1, 9),  # so many lines are put
            st.sampled_from(["deliver", "lose the answer", "put meanwhile", "fail"]),
        )
    )
)
def test_every_line_is_stored_once_and_in_order_or_counted_as_lost(
    steps: list[int | str],
) -> None:
    box, logs = outbox(SMALL), Logs()
    numbers = iter(range(1, 10_000))
    put = 0

    def fill(count: int) -> None:
        nonlocal put
        put += count
        box.put(lines(*(next(numbers) for _ in range(count))))

    def deliver(what: str) -> None:
        batch = box.batch()
        if batch is None or what == "fail":
            return
        last = logs.append(batch)
        if what == "put meanwhile":
            fill(8)
        if what != "lose the answer":
            logs.told_lost += batch.dropped
            box.acknowledge(last, batch.dropped)

    for step in steps:
        if isinstance(step, int):
            fill(step)
        else:
            deliver(step)
    fill(1)
    while not box.empty:
        deliver("deliver")
    assert logs.stored == sorted(set(logs.stored))
    # What is dropped before its acknowledgement has come counts as lost, though it was stored.
    assert put - len(logs.stored) <= logs.told_lost
    if not {"lose the answer", "put meanwhile"} & set(steps):
        assert put - len(logs.stored) == logs.told_lost


def test_it_may_be_filled_from_any_thread() -> None:
    box = outbox()
    numbers = iter(range(1, 100_000))
    lock = threading.Lock()

    def fill() -> None:
        for _ in range(500):
            with lock:  # who numbers lines keeps them in order, as a logging handler does
                box.put(lines(next(numbers)))

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    stored = list(_drained(box, 2000))
    for thread in threads:
        thread.join()
    assert stored == list(range(1, 2001))
    assert box.empty


def _drained(box: LineOutbox, count: int) -> Iterator[int]:
    taken = 0
    while taken < count:
        batch = box.batch()
        if batch is not None:
            yield from sequences(batch)
            taken += len(batch.lines)
            box.acknowledge(batch.lines[-1].sequence, batch.dropped)
