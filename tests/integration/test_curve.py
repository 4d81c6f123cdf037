"""Two hosts on one backplane: who may join, who may speak for whom, and what a wrong clock does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from common.api.base import Change, Command, Event, Role, Struct
from common.api.bus import BEAT, Beat
from common.bus import wire
from common.bus.addresses import Addresses
from common.bus.bus import Bus, Identity
from common.bus.events import topic
from common.bus.security import Credentials, KeyPair
from common.bus.wire import Kind
from common.errors import Busy, DeadlineExceeded, Unavailable
from tests.support.bus import Joiner, joined
from tests.support.ports import free_ports
from tests.support.second_host import MainHost, running_main_host
from tests.support.waiting import until
from workers.backplane.backplane import Backplane

HOUR_S = 3600.0


class Say(Struct, frozen=True):
    text: str


ECHO = Command("test:echo", Say, Say, Role.VIEWER, "Say it again.", internal=True)
ROW = Event("test:row", Change[Say], "A row.", stream="test-rows", internal=True)


async def echo(request: Say) -> Say:
    return request


@pytest.fixture
def running(short_path: Path) -> Iterator[tuple[MainHost, Backplane]]:
    with running_main_host(short_path) as both:
        yield both


@pytest.fixture
def main_host(running: tuple[MainHost, Backplane]) -> MainHost:
    return running[0]


@pytest.fixture
def backplane(running: tuple[MainHost, Backplane]) -> Backplane:
    return running[1]


@pytest.fixture
async def local(main_host: MainHost) -> AsyncIterator[Joiner]:
    async with joined(main_host.local) as joiner:
        yield joiner


def bus(name: str, addresses: Addresses, clock_ahead_s: float = 0.0) -> Bus:
    identity = Identity.new(name, "runner", name.partition("@")[2] or "main")
    return Bus(identity, addresses, lambda: time.time() + clock_ahead_s)


async def test_hosts_ask_each_other_and_see_each_others_facts(
    main_host: MainHost, local: Joiner
) -> None:
    controller = local.create("controller")
    runner = bus("runner-0@far", main_host.addresses_for("far"))
    for one in (controller, runner):
        one.serve(ECHO, echo)
    near_rows, far_rows = controller.table(ROW), runner.table(ROW)
    near_view, far_view = controller.mirror(ROW), runner.mirror(ROW)
    far_rows.put("before", Say(text="told before anybody listened"))
    await local.start(controller, runner)
    assert await controller.call("runner-0@far", ECHO, Say(text="out")) == Say(text="out")
    assert await runner.call("controller", ECHO, Say(text="in")) == Say(text="in")
    near_rows.put("n", Say(text="near"))
    far_rows.put("f", Say(text="far"))
    await until(lambda: far_view.rows("controller") == {"n": Say(text="near")})
    await until(lambda: len(near_view.rows("runner-0@far")) == 2)
    with pytest.raises(Unavailable):
        await runner.call("runner-9@far", ECHO, Say(text="?"))
    with pytest.raises(Unavailable):
        await controller.call("runner-9@far", ECHO, Say(text="?"))


async def test_two_joined_hosts_reach_each_other(main_host: MainHost, local: Joiner) -> None:
    one = bus("runner-0@one", main_host.addresses_for("one"))
    two = bus("runner-0@two", main_host.addresses_for("two"))
    two.serve(ECHO, echo)
    await local.start(one, two)
    assert await one.call("runner-0@two", ECHO, Say(text="hi")) == Say(text="hi")


async def test_a_successor_takes_its_name_over(main_host: MainHost, local: Joiner) -> None:
    addresses = main_host.addresses_for("far")
    controller = local.create("controller")
    first = bus("runner-0@far", addresses)
    first.serve(ECHO, echo)
    await local.start(controller, first)
    await local.stop(first)
    second = bus("runner-0@far", addresses)
    second.serve(ECHO, echo)
    await local.start(second)
    assert await controller.call("runner-0@far", ECHO, Say(text="hi")) == Say(text="hi")


async def test_only_allowed_keys_and_the_right_main_host_connect(
    main_host: MainHost, local: Joiner
) -> None:
    controller = local.create("controller")
    await local.start(controller)
    stranger = KeyPair.new()
    known = main_host.addresses_for("far")
    assert known.credentials is not None
    for addresses in (
        main_host.addresses_with(stranger, main_host.own.public),
        main_host.addresses_with(known.credentials.own, stranger.public),
        main_host.tcp,  # in plain
    ):
        outsider = bus("runner-0@far", addresses)
        trying = asyncio.create_task(outsider.run())
        with pytest.raises((Busy, DeadlineExceeded)):
            await outsider.call("controller", ECHO, Say(text="?"), timeout_s=1.0)
        assert outsider.members == []
        trying.cancel()
        await asyncio.wait([trying])
        outsider.close()
    assert {beat.name for beat in controller.members} == {"controller"}
    # Allowed later, the same key is admitted without a restart.
    main_host.allowed[stranger.public] = "late"
    late = bus("runner-0@late", main_host.addresses_with(stranger, main_host.own.public))
    await local.start(late)


class Rogue:
    """An admitted host that sends what it likes."""

    def __init__(self, addresses: Addresses) -> None:
        assert addresses.credentials is not None
        self.context = zmq.asyncio.Context()
        self.requests = self.context.socket(zmq.DEALER)
        self.events = self.context.socket(zmq.PUB)
        self.requests.setsockopt(zmq.ROUTING_ID, b"controller")
        addresses.credentials.apply(self.requests)
        addresses.credentials.apply(self.events)
        self.requests.connect(addresses.requests)
        self.events.connect(addresses.events_in)

    async def say(self, *frames: bytes) -> None:
        async with asyncio.timeout(5):
            await self.requests.send_multipart(frames)

    async def publish(self, stream: str, publication: wire.Publication) -> None:
        await self.events.send_multipart([topic(stream), wire.encode_publication(publication)])

    def close(self) -> None:
        for socket in (self.requests, self.events):
            socket.close(linger=0)
        self.context.term()


@pytest.fixture
def rogue(main_host: MainHost) -> Iterator[Rogue]:
    rogue = Rogue(main_host.addresses_for("rogue"))
    yield rogue
    rogue.close()


def a_request() -> tuple[bytes, bytes]:
    body = wire.encode(wire.Request("test:echo", time.time() + 5, wire.raw(Say(text="hi"))))
    return wire.pack_head(Kind.REQUEST, b"1"), body


@pytest.mark.parametrize(
    "claimed", ["controller", "runner-0@main", "x@rogue@main", "@rogue", "", "rogue", "x@ROGUE"]
)
async def test_a_host_cannot_ask_in_anothers_name(
    backplane: Backplane, local: Joiner, rogue: Rogue, claimed: str
) -> None:
    controller, caller = local.create("controller"), local.create("runner-0@main", "runner")
    asked: list[Say] = []

    async def note(request: Say) -> Say:
        asked.append(request)
        return request

    controller.serve(ECHO, note)
    await local.start(controller, caller)
    await rogue.say(claimed.encode(), b"controller", *a_request())
    await until(lambda: backplane.refused_frames)
    assert "rogue" in backplane.last_refused[0]
    assert asked == []
    # Nor does it get what is sent to that name: its routing id changes nothing.
    assert await caller.call("controller", ECHO, Say(text="hi")) == Say(text="hi")
    await rogue.say(b"x@rogue", b"controller", *a_request())
    sender, head, _ = await asyncio.wait_for(rogue.requests.recv_multipart(), 5)
    assert (sender, wire.unpack_head(head).kind) == (b"controller", Kind.REPLY)


async def test_a_host_cannot_publish_in_anothers_name(
    backplane: Backplane, local: Joiner, rogue: Rogue
) -> None:
    controller = local.create("controller")
    view = controller.mirror(ROW)
    await local.start(controller)

    def row(process: str) -> wire.Publication:
        body = wire.raw(Change(key="k", value=Say(text="forged")))
        return wire.Publication(process, 1, ROW.stream, 1, ROW.name, body)

    def beat(process: str, name: str, host: str) -> wire.Publication:
        told = Beat(name=name, kind="runner", host=host, pid=1, epoch=1, started_at=0, streams={})
        return wire.Publication(process, 1, BEAT.stream, 0, BEAT.name, wire.raw(told))

    async def reaches_us() -> bool:
        await rogue.publish(BEAT.stream, beat("x@rogue", "x@rogue", "rogue"))
        return "x@rogue" in {member.name for member in controller.members}

    async with asyncio.timeout(10):
        while not await reaches_us():
            await asyncio.sleep(0.05)
    forged = [
        (ROW.stream, row("controller")),
        (ROW.stream, row("runner-0@main")),
        (BEAT.stream, row("x@rogue")),  # under another topic
        (BEAT.stream, beat("controller", "controller", "main")),
        (BEAT.stream, beat("x@rogue", "controller", "rogue")),
        (BEAT.stream, beat("x@rogue", "x@rogue", "main")),
    ]
    for stream, publication in forged:
        await rogue.publish(stream, publication)
    await rogue.events.send_multipart([b"presence\0", b"garbage"])
    await rogue.events.send_multipart([b"presence\0", b"too", b"many"])
    await until(lambda: backplane.refused_frames == len(forged) + 2)
    assert {member.name for member in controller.members} == {"controller", "x@rogue"}
    assert view.rows("controller") == {}
    assert backplane.alive


@pytest.mark.parametrize("ahead_s", [-HOUR_S, HOUR_S])
async def test_a_clock_that_is_an_hour_off_changes_no_deadline(
    main_host: MainHost, local: Joiner, ahead_s: float
) -> None:
    keeper, controller = local.create("backplane", "backplane"), local.create("controller")
    runner = bus("runner-0@far", main_host.addresses_for("far"), ahead_s)
    for one in (controller, runner):
        one.serve(ECHO, echo)
    await local.start(keeper, controller, runner)
    hi = Say(text="hi")
    assert await controller.call("runner-0@far", ECHO, hi, timeout_s=2) == hi
    assert await runner.call("controller", ECHO, hi, timeout_s=2) == hi


@pytest.mark.parametrize("ahead_s", [-HOUR_S, 0, HOUR_S])
async def test_a_stale_request_is_not_carried_out_whatever_the_clock_says(
    main_host: MainHost, local: Joiner, rogue: Rogue, ahead_s: float
) -> None:
    keeper = local.create("backplane", "backplane")
    runner = bus("runner-0@far", main_host.addresses_for("far"), ahead_s)
    asked: list[Say] = []

    async def note(request: Say) -> Say:
        asked.append(request)
        return request

    runner.serve(ECHO, note)
    await local.start(keeper, runner)
    assert await keeper.call("runner-0@far", ECHO, Say(text="known by now")) is not None
    asked.clear()
    for text, deadline in (("stale", time.time() - 0.5), ("fresh", time.time() + 30)):
        body = wire.encode(wire.Request("test:echo", deadline, wire.raw(Say(text=text))))
        head = wire.pack_head(Kind.REQUEST, text.encode())
        await rogue.say(b"x@rogue", b"runner-0@far", head, body)
    await until(lambda: asked)
    assert asked == [Say(text="fresh")]


async def test_what_is_asked_while_there_is_no_connection_fails_soon() -> None:
    requests, events_in, events_out = (f"tcp://127.0.0.1:{port}" for port in free_ports(3))
    nobody = Addresses(requests, events_in, events_out)
    credentials = Credentials(KeyPair.new(), KeyPair.new().public)
    runner = bus("runner-0@far", replace(nobody, credentials=credentials))
    running = asyncio.create_task(runner.run())
    with pytest.raises(Busy, match="cut"):
        await runner.call("controller", ECHO, Say(text="?"), timeout_s=10)
    running.cancel()
    await asyncio.wait([running])
    runner.close()
