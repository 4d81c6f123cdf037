"""Requests through a real proxy, over a real backplane: their records, their list, their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common import delivery as delivering
from common.api import requests
from common.api.base import Role
from common.api.requests import (
    CancelRequest,
    End,
    FinishedRequests,
    GetRequests,
    ListRequests,
    RequestInFlight,
    RequestList,
    RequestRecord,
)
from common.bus import rpc
from common.bus.bus import Bus
from common.delivery import Delivery
from common.errors import ModelLoadFailed, RequestNotFound
from gateway.auth import Access
from gateway.handlers import requests as handling
from gateway.handlers.requests import RequestHandlers
from gateway.proxy.activity import Activity
from gateway.proxy.metering import RECORDS, Metering
from tests.support.access import SECRETS, access_with, everyone
from tests.support.bus import Joiner
from tests.support.http_caller import Answer, calling, fetch
from tests.support.proxy_server import TableRouter, proxying
from tests.support.request_records import batch, made
from tests.support.upstream_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Exchange,
    Script,
    answer,
    answering,
    chunk,
    in_turn,
    scripted_upstream,
    whole,
)
from tests.support.waiting import until
from workers.logs.request_log import MAX_TOLD, RequestLog
from workers.logs.request_search import RequestSearch
from workers.logs.request_store import RequestStore

MODEL = "team/tiny"
CHAT = "/v1/chat/completions"
BODY = msgspec.json.encode({"model": MODEL})
STREAMING = msgspec.json.encode({"model": MODEL, "stream": True})
EVENT = b'data: {"n": 1}\n\n'
USAGE = b'{"usage":{"prompt_tokens":30,"completion_tokens":12}}'
PROXY = "proxy@testhost"

Address = tuple[str, int]


class LogProcess:
    """The part of `logs` that is about requests; it can go and come back."""

    def __init__(self, joiner: Joiner, path: Path) -> None:
        self._joiner = joiner
        self._path = path
        self.thread = ThreadPoolExecutor(1)
        self._running: tuple[Bus, RequestStore, RequestSearch] | None = None

    async def start(self) -> None:
        bus = self._joiner.create("logs", "logs")
        store = RequestStore(self._path, lambda: 0.0)  # no record is too old
        search = RequestSearch(self._path)
        RequestLog(bus, store, search, self.thread, self.thread)
        self._running = bus, store, search
        await self._joiner.start(bus)

    async def stop(self) -> None:
        if self._running is not None:
            bus, store, search = self._running
            self._running = None
            await self._joiner.stop(bus)
            # There, since a batch may still be being written.
            for connection in (search, store):
                await asyncio.get_running_loop().run_in_executor(self.thread, connection.close)


class World:
    """A proxy's metering and a gateway's handlers, and the log process."""

    def __init__(self, joiner: Joiner, logs: LogProcess) -> None:
        self.joiner = joiner
        self.logs = logs
        self.proxy_bus = joiner.create(PROXY, "proxy")
        self.gateway_bus = joiner.create("gateway@testhost", "gateway")
        self.handlers = RequestHandlers(self.gateway_bus)
        self.delivery = Delivery(self.proxy_bus)
        self.told: list[FinishedRequests] = []
        self.router = TableRouter()
        self.gateway_bus.listen(requests.FINISHED, self.told.append)
        self.metering = self.meter()

    def meter(self, max_kept: int = RECORDS.max_kept) -> Metering:
        goods = replace(RECORDS, max_kept=max_kept)
        outbox = self.delivery.open(goods, PROXY, 1)
        return Metering(PROXY, 1, Activity(), outbox)

    @asynccontextmanager
    async def proxied(
        self, script: Script, access: Access | None = None, comment_every_s: float = 60
    ) -> AsyncIterator[Address]:
        async with (
            scripted_upstream(script) as engine,
            proxying(
                self.router,
                access=access,
                metering=self.metering,
                comment_every_s=comment_every_s,
            ) as address,
        ):
            self.router.add(MODEL, engine.host, engine.port)
            yield address

    async def under_way(self) -> tuple[RequestInFlight, ...]:
        return (await self.handlers.list(ListRequests())).requests

    async def flowing(self) -> RequestInFlight:
        """The one request, once its answer flows."""
        async with asyncio.timeout(10):
            while True:
                found = await self.under_way()
                if found and found[0].state == "answering":
                    return found[0]

    async def cancel(self, request_id: str) -> None:
        assert (await self.handlers.cancel(CancelRequest(id=request_id))).id == request_id

    async def history(self, **wanted: Any) -> Sequence[RequestRecord]:
        await until(lambda: self.delivery.empty)
        return (await self.handlers.history(GetRequests(**wanted))).requests

    async def the_record(self) -> RequestRecord:
        """The only one, once it is there."""
        await until(lambda: not self.metering.count)
        (record,) = await self.history()
        return record


@pytest.fixture
async def world(
    joiner: Joiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    monkeypatch.setattr(delivering, "RETRY_PAUSE_S", 0.02)
    monkeypatch.setattr(rpc, "UNAVAILABLE_PATIENCE_S", 0.05)
    logs = LogProcess(joiner, tmp_path / "requests.sqlite")
    world = World(joiner, logs)
    world.metering.serve(world.proxy_bus)
    await logs.start()
    await joiner.start(world.proxy_bus, world.gateway_bus)
    task = asyncio.create_task(world.delivery.run())
    yield world
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await logs.stop()
    logs.thread.shutdown()


async def post(address: Address, body: bytes = BODY, path: str = CHAT) -> Answer:
    return await fetch(address, "POST", path, body)


# Records.


async def test_an_answered_request_has_a_record(world: World) -> None:
    secret = SECRETS[Role.INFERENCE]
    async with world.proxied(answering(whole(USAGE)), access_with(*everyone())) as address:
        bearer = ("Authorization", f"Bearer {secret}")
        assert (await fetch(address, "POST", CHAT, BODY, [bearer])).status == 200
        record = await world.the_record()
    assert (record.model, record.endpoint, record.proxy) == (MODEL, CHAT, PROXY)
    assert (record.caller, record.status, record.end) == ("inference", 200, "done")
    assert (record.bytes_in, record.bytes_out) == (len(BODY), len(USAGE))
    assert (record.prompt_tokens, record.completion_tokens) == (30, 12)
    assert record.first_token_ms is not None
    assert 0 < record.first_token_ms <= record.duration_ms


async def test_those_who_hear_of_it_hear_what_was_stored(world: World) -> None:
    async with world.proxied(answering(whole(USAGE))) as address:
        await post(address)
        record = await world.the_record()
    await until(lambda: world.told)
    assert world.told == [FinishedRequests(requests=(record,))]


@pytest.mark.parametrize(
    ("script", "end", "status"),
    [
        (answering(whole(b"{}", status=400)), "done", 400),
        (answering(then="close"), "failed", 502),
        (answering(whole(b"{}", status=401)), "failed", 502),
        (answering(STREAM_HEAD + chunk(EVENT), then="close"), "cut", 200),
    ],
    ids=["refused by the engine", "engine gone", "engine of another", "engine gone within"],
)
async def test_the_record_says_how_it_ended_and_what_the_caller_saw(
    world: World, script: Script, end: End, status: int
) -> None:
    async with world.proxied(script) as address:
        assert (await post(address)).status == status
        record = await world.the_record()
    assert (record.end, record.status) == (end, status)


async def test_a_refused_request_has_a_record_once_its_model_is_named(world: World) -> None:
    async with world.proxied(answering(whole(b"{}"))) as address:
        for body, path in (
            (b"{}", CHAT),
            (b"no json", CHAT),
            (BODY, "/nowhere"),
            (b'{"model": 5}', CHAT),
        ):
            assert (await post(address, body, path)).status in (400, 404)
        world.router.failure = ModelLoadFailed("it is broken")
        assert (await post(address)).status == 503
        record = await world.the_record()
    assert (record.model, record.end, record.status) == (MODEL, "refused", 503)


async def test_a_failure_within_a_stream_leaves_the_status_that_its_caller_has(
    world: World,
) -> None:
    async with world.proxied(answering(whole(b"{}")), comment_every_s=0.01) as address:
        world.router.loading = asyncio.Event()
        async with calling(address) as caller:
            await caller.send("POST", CHAT, STREAMING)
            assert (await caller.head()).status_code == 200
            assert (await caller.next_data()).startswith(b":")
            world.router.failure = ModelLoadFailed("it is broken")
            world.router.loading.set()
            assert b"it is broken" in await caller.rest()
        record = await world.the_record()
    assert (record.end, record.status) == ("refused", 200)


async def test_whoever_leaves_is_recorded_as_that(world: World) -> None:
    async with world.proxied(answering(STREAM_HEAD + chunk(EVENT), then="hang")) as address:
        async with calling(address) as caller:
            await caller.send("POST", CHAT, STREAMING)
            await caller.head()
            caller.leave()
        record = await world.the_record()
    assert (record.end, record.status) == ("left", 200)


async def test_nothing_is_lost_or_doubled_while_logs_comes_and_goes(world: World) -> None:
    async with world.proxied(answering(whole(USAGE))) as address, calling(address) as caller:
        for round_number in range(3):
            if round_number == 1:
                await world.logs.stop()
            for _ in range(20):
                assert (await caller.request("POST", CHAT, BODY)).status == 200
            if round_number == 1:
                await world.logs.start()
        await until(lambda: not world.metering.count)
        found = await world.history()
    assert len(found) == 60
    assert len({record.id for record in found}) == 60


async def test_a_batch_that_is_delivered_twice_is_stored_and_told_once(world: World) -> None:
    first, second = batch(made(1), made(2)), batch(made(1), made(2), made(3))
    for each in (first, first, second):
        reply = await world.proxy_bus.call("logs", requests.APPEND, each)
        assert reply.sequence == len(each.records)
    assert await world.history() == (made(1), made(2), made(3))
    await until(lambda: len(world.told) == 2)
    assert [told.requests for told in world.told] == [(made(1), made(2)), (made(3),)]


async def test_of_many_only_the_newest_are_told(world: World) -> None:
    records = [made(number) for number in range(MAX_TOLD + 5)]
    await world.proxy_bus.call("logs", requests.APPEND, batch(*records))
    await until(lambda: world.told)
    assert world.told == [FinishedRequests(requests=tuple(records[5:]), omitted=5)]


async def test_what_is_over_the_bound_is_counted_and_said(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.metering = world.meter(max_kept=3)
    await world.logs.stop()
    async with world.proxied(answering(whole(USAGE))) as address, calling(address) as caller:
        for _ in range(5):
            await caller.request("POST", CHAT, BODY)
        await until(lambda: not world.metering.count)
        await world.logs.start()
        # The first may have been on its way already.
        assert [record.id[-1] for record in await world.history()][-3:] == ["3", "4", "5"]
    assert f"2 records of requests of {PROXY} are lost" in caplog.text


# The list of those under way.


async def test_what_is_under_way_is_listed_until_it_ends(world: World) -> None:
    go_on = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + chunk(EVENT))
        await go_on.wait()
        await exchange.send(LAST_CHUNK)

    async with world.proxied(script) as address, calling(address) as caller:
        await caller.send("POST", CHAT, STREAMING)
        told = await world.flowing()
        assert (told.model, told.endpoint, told.caller) == (MODEL, CHAT, "everybody")
        assert (told.status, told.bytes_out, told.proxy) == (200, len(EVENT), PROXY)
        go_on.set()
        await caller.answer()
        await until(lambda: not world.metering.count)
        assert await world.under_way() == ()
        assert (await world.the_record()).id == told.id


async def test_a_proxy_that_hangs_is_named_and_holds_nobody_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handling, "LIST_TIMEOUT_S", 1.0)
    hung = world.joiner.create("proxy-1@testhost", "proxy")
    released = asyncio.Event()

    async def never(_request: ListRequests) -> RequestList:
        await released.wait()
        return RequestList(requests=())

    hung.serve(requests.LIST, never)
    await world.joiner.start(hung)
    script = answering(STREAM_HEAD + chunk(EVENT), then="hang")
    async with world.proxied(script) as address, calling(address) as caller:
        await caller.send("POST", CHAT, STREAMING)
        await caller.head()
        found = await world.handlers.list(ListRequests())
        assert len(found.requests) == 1
        assert found.silent == ("proxy-1@testhost",)
    released.set()


# Cancelling.


def hanging(left: asyncio.Event, *pieces: bytes) -> Script:
    """Sends these, and sees when the proxy goes."""

    async def script(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.send(piece)
        await exchange.left()
        left.set()

    return script


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (CHAT, b'data: {"error":'),
        ("/v1/messages", b'event: error\ndata: {"type":"error",'),
        ("/v1/responses", b"event: error\ndata: {"),
    ],
)
async def test_a_cancelled_stream_ends_with_an_error_in_its_callers_words(
    world: World, path: str, form: bytes
) -> None:
    left = asyncio.Event()
    half = b'data: {"n":'
    script = hanging(left, STREAM_HEAD + chunk(EVENT + half))
    async with world.proxied(script) as address, calling(address) as caller:
        await caller.send("POST", path, STREAMING)
        told = await world.flowing()
        await world.cancel(told.id)
        answered = await caller.answer()
        assert answered.body.startswith(EVENT + form)
        assert b"cancelled this request" in answered.body
        assert answered.body.endswith(b"}\n\n")
        assert b"[DONE]" not in answered.body
        async with asyncio.timeout(5):
            await left.wait()
        record = await world.the_record()
    assert (record.id, record.end, record.status) == (told.id, "cancelled", 200)


async def test_the_engine_is_free_when_the_cancel_is_answered(world: World) -> None:
    script = hanging(asyncio.Event(), STREAM_HEAD + chunk(EVENT))
    async with world.proxied(script) as address, calling(address) as caller:
        await caller.send("POST", CHAT, STREAMING)
        await world.cancel((await world.flowing()).id)
        instance = world.router.engines[MODEL].instance_id
        assert world.router.in_flight.count(instance) == 0
        assert await world.under_way() == ()


async def test_a_cancelled_request_without_an_answer_gets_an_error(world: World) -> None:
    left = asyncio.Event()
    async with world.proxied(hanging(left)) as address, calling(address) as caller:
        await caller.send("POST", CHAT, BODY)
        await until(lambda: world.metering.count)
        (told,) = await world.under_way()
        await world.cancel(told.id)
        answered = await caller.answer()
        assert (answered.status, answered.json()["error"]["code"]) == (499, "request_cancelled")
        await left.wait()
        record = await world.the_record()
        assert (record.end, record.status) == ("cancelled", 499)
        # The connection is as good as before.
        assert (await caller.request("GET", "/health")).status == 200


async def test_a_cancelled_answer_that_is_no_stream_is_cut(world: World) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    left = asyncio.Event()
    async with world.proxied(hanging(left, head)) as address, calling(address) as caller:
        await caller.send("POST", CHAT, BODY)
        assert (await caller.head()).status_code == 200
        await world.cancel((await world.flowing()).id)
        with pytest.raises(Exception, match="peer closed connection"):
            await caller.rest()
        await left.wait()
        assert (await world.the_record()).end == "cancelled"


@pytest.mark.parametrize("body", [BODY, STREAMING], ids=["whole", "stream"])
async def test_a_request_that_waits_for_its_model_can_be_cancelled(
    world: World, body: bytes
) -> None:
    world.router.loading = asyncio.Event()
    async with (
        world.proxied(answering(whole(b"{}")), comment_every_s=0.01) as address,
        calling(address) as caller,
    ):
        await caller.send("POST", CHAT, body)
        await until(lambda: world.router.waiting)
        (told,) = await world.under_way()
        assert told.state == "waiting"
        await world.cancel(told.id)
        assert world.router.waiting == 0
        assert b"request_cancelled" in (await caller.answer()).body
        assert (await world.the_record()).end == "cancelled"


async def test_a_request_whose_body_is_still_coming_can_be_cancelled(world: World) -> None:
    async with world.proxied(answering(whole(b"{}"))) as address:
        reader, writer = await asyncio.open_connection(*address)
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
        await until(lambda: world.metering.count)
        (told,) = await world.under_way()
        assert (told.state, told.model) == ("arriving", "")
        await world.cancel(told.id)
        assert (await reader.readline()).startswith(b"HTTP/1.1 499")
        writer.transport.abort()
    assert await world.history() == ()


async def test_cancelling_twice_at_once_is_one_cancel(world: World) -> None:
    script = hanging(asyncio.Event(), STREAM_HEAD + chunk(EVENT))
    async with world.proxied(script) as address, calling(address) as caller:
        await caller.send("POST", CHAT, STREAMING)
        request_id = (await world.flowing()).id
        both = [world.cancel(request_id), world.cancel(request_id)]
        first, second = await asyncio.gather(*both, return_exceptions=True)
        # The one that comes second may find that the request has ended.
        failures = [outcome for outcome in (first, second) if isinstance(outcome, BaseException)]
        assert len(failures) < 2
        assert all(isinstance(failure, RequestNotFound) for failure in failures)
        with pytest.raises(RequestNotFound):
            await world.cancel(request_id)
        assert (await caller.answer()).body.count(b"request_cancelled") == 1


@pytest.mark.parametrize("request_id", [f"{PROXY}/1-ffff", "elsewhere/1-1", "logs/1-1", "x"])
async def test_what_is_not_under_way_is_not_found(world: World, request_id: str) -> None:
    with pytest.raises(RequestNotFound):
        await world.cancel(request_id)


async def test_others_are_untouched_by_a_cancel(world: World) -> None:
    go_on = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + chunk(EVENT))
        waiting = asyncio.create_task(go_on.wait())
        leaving = asyncio.create_task(exchange.left())
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        waiting.cancel()
        await exchange.send(chunk(EVENT) + LAST_CHUNK)

    async with (
        world.proxied(script) as address,
        calling(address) as first,
        calling(address) as second,
    ):
        await first.send("POST", CHAT, STREAMING)
        cancelled = await world.flowing()
        await second.send("POST", CHAT, STREAMING)
        await second.head()
        await world.cancel(cancelled.id)
        assert b"request_cancelled" in (await first.answer()).body
        go_on.set()
        assert await second.rest() == EVENT * 2
        await until(lambda: not world.metering.count)
        assert sorted(record.end for record in await world.history()) == ["cancelled", "done"]


async def test_a_second_try_is_still_one_request(world: World) -> None:
    script = in_turn([answer(then="close"), answer(whole(USAGE))])
    async with world.proxied(script) as address:
        assert (await post(address)).status == 200
        assert (await world.the_record()).end == "done"
