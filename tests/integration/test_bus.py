from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from functools import partial

import msgpack
import pytest
import zmq

from common.api.base import Change, Command, Event, Role, Struct
from common.bus import bus as bus_module
from common.bus import wire
from common.bus.addresses import Addresses
from common.bus.bus import Bus, Superseded
from common.bus.tables import Mirror
from common.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    ServerError,
    Unavailable,
    UnknownCommand,
)
from tests.support.bus import Joiner, hear_late
from tests.support.waiting import until
from workers.backplane.backplane import Backplane


class Say(Struct, frozen=True):
    text: str


class Row(Struct, frozen=True):
    text: str
    number: int = 0


ECHO = Command("test:echo", Say, Say, Role.VIEWER, "Echo.", internal=True)
ROW = Event("test:row", Change[Row], "A row.", stream="test", internal=True)


OTHER_ROW = Event("test:other", Change[Row], "Another row.", stream="other", internal=True)


async def echo(request: Say) -> Say:
    return request


def put_what_is_said(owner: Bus) -> None:
    """The owner's one row is what it was asked last."""
    table = owner.table(ROW)

    async def put(request: Say) -> Say:
        table.put("key", Row(text=request.text))
        return request

    owner.serve(ECHO, put)


class Flood:
    """An owner that publishes rows faster than its reader can take them."""

    def __init__(self, bus: Bus) -> None:
        self.table = bus.table(ROW)

    def publish(self, numbers: range) -> None:
        for number in numbers:
            self.table.put(f"key-{number % 10}", Row(text="x" * 200, number=number))


async def test_a_request_is_answered(joiner: Joiner) -> None:
    caller, answerer = joiner.create("caller"), joiner.create("answerer")
    answerer.serve(ECHO, echo)
    await joiner.start(caller, answerer)
    assert await caller.call("answerer", ECHO, Say(text="hello")) == Say(text="hello")


async def test_a_process_can_ask_itself(joiner: Joiner) -> None:
    bus = joiner.create("alone")
    bus.serve(ECHO, echo)
    await joiner.start(bus)
    assert await bus.call("alone", ECHO, Say(text="hello")) == Say(text="hello")


async def test_errors_arrive_as_they_were_raised(joiner: Joiner) -> None:
    async def refuse(request: Say) -> Say:
        raise ModelNotFound(f"no {request.text}", {"id": request.text})

    caller, answerer = joiner.create("caller"), joiner.create("answerer")
    answerer.serve(ECHO, refuse)
    await joiner.start(caller, answerer)
    with pytest.raises(ModelNotFound, match="no qwen") as caught:
        await caller.call("answerer", ECHO, Say(text="qwen"))
    assert caught.value.details == {"id": "qwen"}


async def test_an_unexpected_exception_leaves_as_server_error_without_its_text(
    joiner: Joiner,
) -> None:
    async def fail(request: Say) -> Say:
        raise RuntimeError(f"secret {request.text}")

    caller, answerer = joiner.create("caller"), joiner.create("answerer")
    answerer.serve(ECHO, fail)
    await joiner.start(caller, answerer)
    with pytest.raises(ServerError) as caught:
        await caller.call("answerer", ECHO, Say(text="x"))
    assert "secret" not in caught.value.message


async def test_a_command_that_nobody_serves_is_named(joiner: Joiner) -> None:
    caller, answerer = joiner.create("caller"), joiner.create("answerer")
    await joiner.start(caller, answerer)
    with pytest.raises(UnknownCommand, match="test:echo"):
        await caller.call("answerer", ECHO, Say(text="x"))


async def test_an_absent_target_is_unavailable(joiner: Joiner) -> None:
    caller = joiner.create("caller")
    await joiner.start(caller)
    with pytest.raises(Unavailable, match="nobody"):
        await caller.call("nobody", ECHO, Say(text="x"), timeout_s=5)


async def test_a_target_that_comes_within_a_second_is_reached(joiner: Joiner) -> None:
    caller, late = joiner.create("caller"), joiner.create("late")
    late.serve(ECHO, echo)
    await joiner.start(caller)
    answer = asyncio.create_task(caller.call("late2", ECHO, Say(text="x")))
    late2 = joiner.create("late2")
    late2.serve(ECHO, echo)
    await joiner.start(late2, late)
    assert await answer == Say(text="x")


async def test_no_answer_in_time_is_an_error_of_its_own(joiner: Joiner) -> None:
    never = asyncio.Event()

    async def hang(request: Say) -> Say:
        await never.wait()
        return request

    caller, answerer = joiner.create("caller"), joiner.create("answerer")
    answerer.serve(ECHO, hang)
    await joiner.start(caller, answerer)
    with pytest.raises(DeadlineExceeded):
        await caller.call("answerer", ECHO, Say(text="x"), timeout_s=0.1)


async def test_a_repeated_request_is_carried_out_once(joiner: Joiner) -> None:
    calls = itertools.count(1)
    release = asyncio.Event()

    async def count(request: Say) -> Say:
        number = next(calls)
        await release.wait()
        return Say(text=f"{request.text} {number}")

    caller, answerer = joiner.create("caller"), joiner.create("answerer")
    answerer.serve(ECHO, count)
    await joiner.start(caller, answerer)
    # The handler holds its answer for longer than the pause after which a caller repeats.
    answer = asyncio.create_task(caller.call("answerer", ECHO, Say(text="x"), timeout_s=5))
    asyncio.get_running_loop().call_later(1.3, release.set)
    assert await answer == Say(text="x 1")
    assert next(calls) == 2


async def test_a_wrong_request_is_refused_with_its_field(joiner: Joiner) -> None:
    class Wrong(Struct, frozen=True):
        number: int

    wrong = Command("test:echo", Wrong, Say, Role.VIEWER, "Echo.", internal=True)
    caller, answerer = joiner.create("caller"), joiner.create("answerer")
    answerer.serve(ECHO, echo)
    await joiner.start(caller, answerer)
    with pytest.raises(InvalidRequest, match="number"):
        await caller.call("answerer", wrong, Wrong(number=1))


async def test_a_reply_above_the_size_limit_is_an_error_for_its_caller_only(
    joiner: Joiner,
) -> None:
    async def huge(request: Say) -> Say:
        return Say(text=request.text * (wire.MAX_MESSAGE_BYTES + 1)) if request.text else request

    caller, answerer = joiner.create("caller"), joiner.create("answerer")
    answerer.serve(ECHO, huge)
    await joiner.start(caller, answerer)
    with pytest.raises(ServerError, match="limit"):
        await caller.call("answerer", ECHO, Say(text="x"))
    assert await caller.call("answerer", ECHO, Say(text="")) == Say(text="")


async def test_rows_reach_a_mirror_and_a_late_mirror(joiner: Joiner) -> None:
    owner, early, late = (joiner.create(name) for name in ("owner", "early", "late"))
    table = owner.table(ROW)
    early_copy, late_copy = early.mirror(ROW), late.mirror(ROW)
    await joiner.start(owner, early)
    table.put("a", Row(text="1"))
    table.put("b", Row(text="2"))
    table.remove("a")
    await until(lambda: early_copy.rows("owner") == {"b": Row(text="2")})
    await joiner.start(late)
    await until(lambda: late_copy.rows("owner") == {"b": Row(text="2")})


async def test_a_mirror_hears_of_every_change_once(joiner: Joiner) -> None:
    owner, reader = joiner.create("owner"), joiner.create("reader")
    table, copy = owner.table(ROW), reader.mirror(ROW)
    heard: list[tuple[str, str | None, str | None]] = []
    copy.on_change(
        lambda _, key, before, after: heard.append(
            (key, before.text if before else None, after.text if after else None)
        )
    )
    await joiner.start(owner, reader)
    await until(lambda: copy.knows("owner"))
    table.put("a", Row(text="1"))
    table.put("a", Row(text="1"))
    table.put("a", Row(text="2"))
    table.remove("a")
    await until(lambda: len(heard) >= 3)
    assert heard == [("a", None, "1"), ("a", "1", "2"), ("a", "2", None)]


async def test_a_successor_replaces_what_its_predecessor_told(joiner: Joiner) -> None:
    first, reader = joiner.create("owner"), joiner.create("reader")
    table, copy = first.table(ROW), reader.mirror(ROW)
    await joiner.start(first, reader)
    table.put("old", Row(text="1"))
    await until(lambda: copy.rows("owner"))
    await joiner.stop(first)
    await until(lambda: "owner" not in {beat.name for beat in reader.members})
    assert copy.rows("owner") == {"old": Row(text="1")}
    second = joiner.create("owner")
    second.table(ROW).put("new", Row(text="2"))
    await joiner.start(second)
    await until(lambda: copy.rows("owner") == {"new": Row(text="2")})


def shows(copy: Mirror[Row], rows: dict[str, Row]) -> bool:
    return copy.rows("owner") == rows


async def test_who_changes_a_fact_has_heard_of_it_before_the_answer(joiner: Joiner) -> None:
    owner, reader = joiner.create("owner"), joiner.create("reader")
    put_what_is_said(owner)
    copy = reader.mirror(ROW)
    await joiner.start(owner, reader)
    hear_late(reader, 1)
    await reader.change("owner", ECHO, Say(text="first"), ROW)
    assert shows(copy, {"key": Row(text="first")})
    await reader.call("owner", ECHO, Say(text="second"))
    assert shows(copy, {"key": Row(text="first")})
    await reader.change("owner", ECHO, Say(text="third"), ROW)
    assert shows(copy, {"key": Row(text="third")})


async def test_no_other_stream_holds_a_change_up(
    joiner: Joiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "HEAR_S", 60)
    owner, reader = joiner.create("owner"), joiner.create("reader")
    put_what_is_said(owner)
    owner.table(OTHER_ROW, asyncio.Event())  # of which nothing is known yet
    copy, _ = reader.mirror(ROW), reader.mirror(OTHER_ROW)
    await joiner.start(owner, reader)
    async with asyncio.timeout(30):
        await reader.change("owner", ECHO, Say(text="first"), ROW)
    assert shows(copy, {"key": Row(text="first")})


async def test_news_that_do_not_come_hold_no_change_up_for_ever(
    joiner: Joiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "HEAR_S", 0.1)
    owner, reader = joiner.create("owner"), joiner.create("reader")
    put_what_is_said(owner)
    copy = reader.mirror(ROW)
    await joiner.start(owner, reader)
    await until(lambda: copy.knows("owner"))
    hear_late(reader, 60)
    assert await reader.change("owner", ECHO, Say(text="first"), ROW) == Say(text="first")
    assert shows(copy, {})


async def test_lost_events_are_healed_by_a_snapshot(joiner: Joiner) -> None:
    owner, reader = joiner.create("owner"), joiner.create("reader")
    flood, copy = Flood(owner), reader.mirror(ROW)
    await joiner.start(owner, reader)
    for turn in range(10):  # how much is lost is up to the threads of libzmq
        # Far more than all high-water marks together, published while the reader cannot run.
        numbers = range(turn * 150_000, (turn + 1) * 150_000)
        flood.publish(numbers)
        last = {f"key-{n % 10}": Row(text="x" * 200, number=n) for n in numbers[-10:]}
        await until(partial(shows, copy, last), timeout_s=30)
        if reader.gaps:
            break
    assert reader.gaps > 0


async def test_garbage_is_counted_and_everything_goes_on(
    joiner: Joiner, backplane: Backplane, addresses: Addresses
) -> None:
    bus = joiner.create("target")
    bus.serve(ECHO, echo)
    copy = bus.mirror(ROW)
    owner = joiner.create("owner")
    table = owner.table(ROW)
    await joiner.start(bus, owner)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer, publisher = context.socket(zmq.DEALER), context.socket(zmq.PUB)
    dealer.connect(addresses.requests)
    publisher.connect(addresses.events_in)
    deep = b"\x91" * 100_000
    for frames in (
        [b""],
        [b"target"],
        [b"target", b"\x01Q1"],
        [b"target", b"", b""],
        [b"target", b"\x02Q1", b""],
        [b"target", b"\x01Z1", b""],
        [b"target", b"\x01Q1", b"\xff\xff"],
        [b"target", b"\x01Q1", deep],
        [b"target", b"\x01R1", b""],
        [b"target", b"\x01Q" + b"x" * 1000, b""],
        [b"nobody", b"garbage", b"garbage"],
        [b"a", b"b", b"c", b"d", b"e"],
    ):
        dealer.send_multipart(frames)
    await until(lambda: backplane.garbage_frames >= 4 and bus.garbage_frames >= 6)
    topics = [b"test\0", b"presence\0"]
    while bus.garbage_frames < 15:  # a new publisher's first messages find no subscription yet
        for topic in topics:
            publisher.send_multipart([topic, b"\x01garbage"])
            publisher.send_multipart([topic, b"\x01" + deep])
            publisher.send_multipart([topic])
        await asyncio.sleep(0.01)
    table.put("a", Row(text="1"))
    await until(lambda: copy.rows("owner") == {"a": Row(text="1")})
    assert await owner.call("target", ECHO, Say(text="still here")) == Say(text="still here")
    dealer.close(linger=0)
    publisher.close(linger=0)
    context.term()


async def test_the_wire_is_plain_msgpack(joiner: Joiner, addresses: Addresses) -> None:
    bus = joiner.create("target")
    bus.serve(ECHO, echo)
    await joiner.start(bus)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.ROUTING_ID, b"foreign")
    dealer.connect(addresses.requests)
    body = msgpack.packb({"name": "test:echo", "deadline": 4e9, "body": {"text": "hi"}})
    dealer.send_multipart([b"target", b"\x01Q77", body])
    await until(lambda: dealer.poll(0))
    assert dealer.recv_multipart()[:2] == [b"target", b"\x01R77"]
    dealer.send_multipart([b"target", b"\x01Q77", body])
    await until(lambda: dealer.poll(0))
    assert msgpack.unpackb(dealer.recv_multipart()[2]) == {"text": "hi"}
    dealer.close(linger=0)
    context.term()


async def test_who_leaves_is_gone_at_once(joiner: Joiner) -> None:
    stays, leaves = joiner.create("stays"), joiner.create("leaves")
    await joiner.start(stays, leaves)
    changes: list[list[str]] = []
    stays.on_presence(lambda: changes.append([beat.name for beat in stays.members]))
    await joiner.stop(leaves)
    await until(lambda: changes == [["stays"]], timeout_s=2)


async def test_an_older_process_of_the_same_name_ends(joiner: Joiner) -> None:
    older, other = joiner.create("same"), joiner.create("other")
    await joiner.start(older, other)
    newer = joiner.create("same")
    running = joiner.tasks[older]
    await joiner.start_without_waiting(newer)
    with pytest.raises(ExceptionGroup) as ended:
        await asyncio.wait_for(running, 10)
    assert ended.group_contains(Superseded)
    joiner.give_up(older)


async def test_a_name_that_was_taken_for_a_while_is_regained(
    joiner: Joiner, addresses: Addresses
) -> None:
    target, caller = joiner.create("target"), joiner.create("caller")
    target.serve(ECHO, echo)
    await joiner.start(target, caller)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    thief = context.socket(zmq.DEALER)
    thief.setsockopt(zmq.ROUTING_ID, b"target")
    thief.connect(addresses.requests)
    thief.send_multipart([b"target", b"\x01R0", b"to myself"])
    await until(lambda: thief.poll(0))  # the switch takes it for the target by now
    with pytest.raises((DeadlineExceeded, Unavailable)):
        await caller.call("target", ECHO, Say(text="lost"), timeout_s=0.3)
    thief.close(linger=0)
    context.term()
    answer = None
    async with asyncio.timeout(15):
        while answer is None:
            with suppress(Unavailable):
                answer = await caller.call("target", ECHO, Say(text="back"))
    assert answer == Say(text="back")
