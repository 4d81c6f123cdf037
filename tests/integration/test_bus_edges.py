from __future__ import annotations

import asyncio

import pytest

from common.api.base import Change, Command, Event, Role, Struct
from common.bus import presence, rpc, wire
from common.bus.rpc import MAX_CALLS_IN_FLIGHT
from common.bus.wire import WireError
from common.errors import Busy, InvalidRequest, ModelLoadFailed, ServerError
from tests.support.bus import Joiner
from tests.support.waiting import until


class Say(Struct, frozen=True):
    text: str


ECHO = Command("test:echo", Say, Say, Role.VIEWER, "Echo.", internal=True)
ROW = Event("test:row", Change[Say], "A row.", stream="test", internal=True)

ODD = "\ud800"  # a lone surrogate, which UTF-8 has no form for


async def echo(request: Say) -> Say:
    return request


@pytest.mark.parametrize("text", [ODD, "x" * (wire.MAX_MESSAGE_BYTES + 1)], ids=["odd", "long"])
async def test_a_request_that_cannot_be_sent_is_the_callers_mistake(
    joiner: Joiner, text: str
) -> None:
    bus = joiner.create("alone")
    bus.serve(ECHO, echo)
    await joiner.start(bus)
    request = Say(text=text)
    with pytest.raises(InvalidRequest, match="test:echo"):
        await bus.call("alone", ECHO, request)


async def test_requests_that_were_not_sent_do_not_count_as_under_way(joiner: Joiner) -> None:
    bus = joiner.create("alone")
    bus.serve(ECHO, echo)
    await joiner.start(bus)
    for _ in range(MAX_CALLS_IN_FLIGHT):
        with pytest.raises(InvalidRequest):
            await bus.call("alone", ECHO, Say(text=ODD))
    assert await bus.call("alone", ECHO, Say(text="hi")) == Say(text="hi")


async def test_so_many_calls_may_be_under_way_and_no_more(joiner: Joiner) -> None:
    release = asyncio.Event()

    async def hold(request: Say) -> Say:
        await release.wait()
        return request

    bus, target = joiner.create("caller"), joiner.create("target")
    target.serve(ECHO, hold)
    await joiner.start(bus, target)
    request = Say(text="hi")
    async with asyncio.TaskGroup() as tasks:
        held = [
            tasks.create_task(bus.call("target", ECHO, request)) for _ in range(MAX_CALLS_IN_FLIGHT)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="target"):
            await bus.call("target", ECHO, request)
        release.set()
    assert [task.result() for task in held] == [request] * MAX_CALLS_IN_FLIGHT
    assert await bus.call("target", ECHO, request) == request


async def test_a_reply_that_cannot_be_sent_is_an_error_for_its_caller_only(
    joiner: Joiner,
) -> None:
    async def answer(request: Say) -> Say:
        return Say(text=ODD if request.text == "odd" else request.text)

    bus = joiner.create("alone")
    bus.serve(ECHO, answer)
    await joiner.start(bus)
    with pytest.raises(ServerError, match="cannot be sent"):
        await bus.call("alone", ECHO, Say(text="odd"))
    assert await bus.call("alone", ECHO, Say(text="hi")) == Say(text="hi")


async def test_a_failure_arrives_whatever_its_text(joiner: Joiner) -> None:
    async def refuse(request: Say) -> Say:
        raise ModelLoadFailed(f"no file {ODD} for {request.text}", {"path": ODD})

    bus = joiner.create("alone")
    bus.serve(ECHO, refuse)
    await joiner.start(bus)
    for text in ("a", "b"):
        with pytest.raises(ModelLoadFailed, match=rf"no file \\ud800 for {text}"):
            await bus.call("alone", ECHO, Say(text=text))


async def test_a_row_that_cannot_be_sent_leaves_the_table_as_it_was(joiner: Joiner) -> None:
    owner, early, late = (joiner.create(name) for name in ("owner", "early", "late"))
    table, early_copy, late_copy = owner.table(ROW), early.mirror(ROW), late.mirror(ROW)
    await joiner.start(owner, early)
    table.put("a", Say(text="1"))
    await until(lambda: early_copy.rows("owner"))
    gaps = early.gaps
    with pytest.raises(WireError):
        table.put("a", Say(text=ODD))
    with pytest.raises(WireError):
        table.put("b", Say(text=ODD))
    table.put("c", Say(text="3"))
    expected = {"a": Say(text="1"), "c": Say(text="3")}
    await until(lambda: early_copy.rows("owner") == expected)
    assert early.gaps == gaps
    await joiner.start(late)
    await until(lambda: late_copy.rows("owner") == expected)


async def test_a_faulty_listener_ends_the_process_and_is_not_taken_for_garbage(
    joiner: Joiner,
) -> None:
    owner, reader = joiner.create("owner"), joiner.create("reader")
    table, copy = owner.table(ROW), reader.mirror(ROW)

    def fail(*_: object) -> None:
        raise ValueError("a mistake of ours")

    copy.on_change(fail)
    await joiner.start(owner, reader)
    table.put("a", Say(text="1"))
    with pytest.raises(ExceptionGroup) as caught:
        await joiner.tasks.pop(reader)
    reader.close()
    assert caught.group_contains(ValueError, match="a mistake of ours")


async def test_rows_come_back_with_an_owner_that_only_seemed_gone(
    joiner: Joiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.bus.bus.BEAT_S", 0.05)
    owner, reader = joiner.create("owner"), joiner.create("reader")
    table, copy = owner.table(ROW), reader.mirror(ROW, forget_with_owner=True)
    await joiner.start(owner, reader)
    table.put("a", Say(text="1"))
    await until(lambda: copy.rows("owner"))
    with monkeypatch.context() as silence:
        silence.setattr(presence, "GONE_AFTER_S", 0.0)
        await until(lambda: not copy.rows("owner"))
    await until(lambda: copy.rows("owner") == {"a": Say(text="1")})


async def test_a_target_that_is_started_anew_during_a_long_call_is_reached(
    joiner: Joiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "REPEAT_S", 0.05)
    monkeypatch.setattr(rpc, "UNAVAILABLE_PATIENCE_S", 0.1)
    never = asyncio.Event()

    async def hang(request: Say) -> Say:
        await never.wait()
        return request

    caller, first, second = (joiner.create(name) for name in ("caller", "target", "target"))
    first.serve(ECHO, hang)
    second.serve(ECHO, echo)
    await joiner.start(caller, first)
    loop = asyncio.get_running_loop()
    asked_at = loop.time()
    answer = asyncio.create_task(caller.call("target", ECHO, Say(text="hi"), timeout_s=20))
    await until(lambda: loop.time() - asked_at > rpc.UNAVAILABLE_PATIENCE_S)
    # From now on a start may take its time: patience begins when the target is first missed.
    monkeypatch.setattr(rpc, "UNAVAILABLE_PATIENCE_S", 10.0)
    await joiner.stop(first)
    await joiner.start(second)
    assert await answer == Say(text="hi")
