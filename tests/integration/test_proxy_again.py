"""Requests and answers whose heads the proxy has had before: what it remembers must not show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from common.api.base import Role
from gateway.auth import Access
from gateway.http_protocol import HttpProtocol
from gateway.known_head import KnownHead
from gateway.proxy.known_answer import KnownAnswer, WholeAnswer
from tests.support.access import SECRETS, TokenTable, everyone, token
from tests.support.http_caller import Answer, Caller, calling
from tests.support.loops import on_both_loops
from tests.support.proxied import CHAT, EVENTS, MODEL, STREAM_BODY, Proxied, proxied
from tests.support.proxy_server import TableRouter, proxying
from tests.support.upstream_server import (
    STREAM_HEAD,
    Exchange,
    ScriptedAnswer,
    answer,
    answering,
    chunk,
    in_turn,
    scripted_upstream,
    whole,
)
from tests.support.waiting import until

JSON = [("Content-Type", "application/json")]
WARM = 3
"""From the third on, a request's head is known to all who read it."""

OK = whole(b'{"ok": true}')


@pytest.fixture(autouse=True)
def recognised(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In each of these tests requests and answers are."""
    recognise, recall = HttpProtocol._recognise, KnownAnswer.recall
    requests, answers = [], []

    def seen(protocol: HttpProtocol, known: KnownHead, body: bytes) -> None:
        requests.append(known.kept)
        recognise(protocol, known, body)

    def recalled(known: KnownAnswer, data: bytes) -> WholeAnswer | None:
        found = recall(known, data)
        if found is not None:
            answers.append(found)
        return found

    monkeypatch.setattr(HttpProtocol, "_recognise", seen)
    monkeypatch.setattr(KnownAnswer, "recall", recalled)
    yield
    assert any(requests), "none was answered by what was kept for its head"
    assert answers


def ask(text: str = "") -> bytes:
    return b'{"model": "%b", "prompt": "%b"}' % (MODEL.encode(), text.encode())


@asynccontextmanager
async def known(*then: ScriptedAnswer) -> AsyncIterator[tuple[Proxied, Caller]]:
    """A caller whose head, and that of the answers to it, are known."""
    answers = [*[answer(OK)] * WARM, *then]
    async with proxied(in_turn(answers)) as proxy, calling(proxy.address) as caller:
        for number in range(WARM):
            answered = await caller.request("POST", CHAT, ask("x" * number), JSON)
            assert (answered.status, answered.body) == (200, b'{"ok": true}')
        assert proxy.engine.accepted == 1
        yield proxy, caller


@on_both_loops
async def test_each_body_reaches_the_engine_and_each_answer_its_caller() -> None:
    lengths = [0, 1, 9, 10, 99, 100, 1_000, 20_000, 300_000, 5]
    answers = [answer(whole(b"y" * length)) for length in reversed(lengths)]
    async with known(*answers) as (proxy, caller):
        for length in lengths:
            answered = await caller.request("POST", CHAT, ask("z" * length), JSON)
            expected = proxy.engine.requests[-1]
            assert expected.body == ask("z" * length)
            assert expected.header(b"content-length") == b"%d" % len(expected.body)
            assert expected.header(b"content-type") == b"application/json"
            assert answered.headers[b"content-length"] == b"%d" % len(answered.body)
        assert proxy.engine.accepted == 1
        assert [len(request.body) - len(ask()) for request in proxy.engine.requests[WARM:]] == (
            lengths
        )


@pytest.mark.parametrize(
    ("pieces", "status", "body"),
    [
        ([OK[:10], OK[10:]], 200, b'{"ok": true}'),
        ([OK[:-1], OK[-1:]], 200, b'{"ok": true}'),
        ([whole(b"sorry", status=500)], 500, b"sorry"),
        ([whole(b"text", b"text/plain")], 200, b"text"),
        ([whole(b"")], 200, b""),
        ([STREAM_HEAD + STREAM_BODY], 200, b"".join(EVENTS)),
        ([STREAM_HEAD, STREAM_BODY], 200, b"".join(EVENTS)),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b""),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" + OK], 200, b'{"ok": true}'),
    ],
)
@on_both_loops
async def test_an_answer_of_another_kind_is_passed_on_as_it_is(
    pieces: Sequence[bytes], status: int, body: bytes
) -> None:
    async with known(answer(*pieces), answer(OK)) as (_, caller):
        answered = await caller.request("POST", CHAT, ask(), JSON)
        assert (answered.status, answered.body) == (status, body)
        again = await caller.request("POST", CHAT, ask(), JSON)
        assert (again.status, again.body) == (200, b'{"ok": true}')


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (answer(b"garbage\r\n\r\n"), "engine_failed"),
        (answer(OK.replace(b"200", b"20x")), "engine_failed"),
        (answer(OK[:30], then="close"), "engine_failed"),
        (answer(whole(b"{}", status=401)), "engine_failed"),
    ],
)
@on_both_loops
async def test_an_engine_that_answers_badly_is_told_of(bad: ScriptedAnswer, code: str) -> None:
    async with known(bad, bad, answer(OK)) as (_, caller):
        answered = await caller.request("POST", CHAT, ask(), JSON)
        assert answered.status in (502, 503)
        assert answered.json()["error"]["code"] == code


@pytest.mark.parametrize("then", ["close", "reset"])
@on_both_loops
async def test_a_kept_connection_that_was_closed_is_made_anew(then: str) -> None:
    gone = ScriptedAnswer((), then)  # type: ignore[arg-type]
    async with known(gone, answer(OK)) as (proxy, caller):
        answered = await caller.request("POST", CHAT, ask(), JSON)
        assert (answered.status, answered.body) == (200, b'{"ok": true}')
        assert proxy.engine.accepted == 2
        assert proxy.engine.requests[-1].body == ask()


@on_both_loops
async def test_more_than_one_answer_spoils_the_connection_and_not_the_next_answer() -> None:
    async with known(answer(OK + b"HTTP/1.1 200 OK\r\n"), answer(OK)) as (proxy, caller):
        for _ in range(2):
            answered = await caller.request("POST", CHAT, ask(), JSON)
            assert (answered.status, answered.body) == (200, b'{"ok": true}')
        assert proxy.engine.accepted == 2


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_body"),
        (b'{"model": "nothing"}', 404, "model_not_found"),
        (b"{}", 400, "missing_model"),
        (b'{"model": "%b", "x": "%b"}' % (MODEL.encode(), b"x" * 2_000), 413, "body_too_large"),
    ],
)
@on_both_loops
async def test_each_body_is_judged(body: bytes, status: int, code: str) -> None:
    async with (
        proxied(answering(OK), max_body_bytes=1_000) as proxy,
        calling(proxy.address) as caller,
    ):
        for _ in range(WARM):
            assert (await caller.request("POST", CHAT, ask(), JSON)).status == 200
        refused = await caller.request("POST", CHAT, body, JSON)
        assert (refused.status, refused.json()["error"]["code"]) == (status, code)
        if status != 413:
            assert (await caller.request("POST", CHAT, ask(), JSON)).status == 200


@on_both_loops
async def test_a_model_that_is_not_ready_any_more_is_waited_for() -> None:
    async with known(answer(OK)) as (proxy, caller):
        proxy.router.loading = asyncio.Event()
        await caller.send("POST", CHAT, ask("later"), JSON)
        await until(lambda: proxy.router.waiting == 1)
        assert len(proxy.engine.requests) == WARM
        proxy.router.loading.set()
        assert (await caller.answer()).status == 200
        assert proxy.engine.requests[-1].body == ask("later")


@pytest.mark.parametrize("sent", [[], [OK[:20]], [STREAM_HEAD], [STREAM_HEAD, chunk(EVENTS[0])]])
@on_both_loops
async def test_a_caller_that_leaves_frees_the_engine(sent: list[bytes]) -> None:
    left = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if len(exchange.server.requests) <= WARM:
            await exchange.send(OK)
            return
        for piece in sent:
            await exchange.send(piece)
        await exchange.left()
        left.set()

    async with proxied(script) as proxy, calling(proxy.address) as caller:
        for _ in range(WARM):
            await caller.request("POST", CHAT, ask(), JSON)
        await caller.send("POST", CHAT, ask(), JSON)
        await until(lambda: len(proxy.engine.requests) > WARM)
        assert proxy.in_flight() == 1
        caller.leave()
        async with asyncio.timeout(5):
            await left.wait()
        await until(lambda: proxy.in_flight() == 0)


@on_both_loops
async def test_a_slow_caller_gets_all_of_what_it_asked_for_again() -> None:
    content = b"y" * 30_000
    async with proxied(answering(whole(content)), send_buffer_bytes=4_096) as proxy:
        sock = calling(proxy.address, receive_buffer_bytes=4_096)
        async with sock as caller:
            for _ in range(WARM + 5):
                await caller.send("POST", CHAT, ask(), JSON)
                await asyncio.sleep(0.01)
                assert (await caller.answer()).body == content


def bearer(secret: str) -> list[tuple[str, str]]:
    return [*JSON, ("Authorization", f"Bearer {secret}")]


@asynccontextmanager
async def guarded(table: TokenTable) -> AsyncIterator[tuple[Caller, Callable[[], int]]]:
    """A caller of a proxy that knows these tokens, and how often the engine was asked."""
    router = TableRouter()
    access = Access(table.mirror, public=False)
    async with (
        scripted_upstream(answering(OK)) as engine,
        proxying(router, access=access) as address,
        calling(address) as caller,
    ):
        router.add(MODEL, engine.host, engine.port)
        table.tell(*everyone())
        yield caller, lambda: len(engine.requests)


async def again(caller: Caller, path: str, headers: list[tuple[str, str]]) -> Answer:
    for _ in range(WARM):
        answered = await caller.request("POST", path, ask(), headers)
    return answered


@on_both_loops
async def test_a_revoked_token_opens_nothing_any_more() -> None:
    table = TokenTable()
    async with guarded(table) as (caller, asked):
        mine = bearer(SECRETS[Role.INFERENCE])
        assert (await again(caller, CHAT, mine)).status == 200
        table.tell(*everyone()[1:])
        assert everyone()[0].role is Role.INFERENCE
        refused = await again(caller, CHAT, mine)
        assert (refused.status, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert asked() == WARM
        table.tell(*everyone())
        assert (await again(caller, CHAT, mine)).status == 200


@on_both_loops
async def test_a_role_that_was_taken_away_is_asked_for_again() -> None:
    table = TokenTable()
    async with guarded(table) as (caller, asked):
        mine = bearer(SECRETS[Role.ADMIN])
        assert (await again(caller, "/lora-adapters", mine)).status == 200
        table.tell(token("demoted", Role.INFERENCE, SECRETS[Role.ADMIN]))
        refused = await again(caller, "/lora-adapters", mine)
        assert (refused.status, refused.json()["error"]["code"]) == (403, "permission_denied")
        assert asked() == WARM
        assert (await again(caller, CHAT, mine)).status == 200


@on_both_loops
async def test_two_callers_of_one_connection_are_two() -> None:
    async with guarded(TokenTable()) as (caller, asked):
        for _ in range(2):
            assert (await again(caller, CHAT, bearer(SECRETS[Role.VIEWER]))).status == 200
            assert (await again(caller, CHAT, bearer("lap_wrong"))).status == 401
        assert asked() == 2 * WARM


@on_both_loops
async def test_the_answer_to_head_has_no_body_to_wait_for() -> None:
    head = whole(b"x" * 50)[:-50]
    surplus = answer(head + b"x")
    async with (
        proxied(in_turn([*[answer(head)] * WARM, surplus, answer(head)])) as proxy,
        calling(proxy.address) as caller,
    ):
        for _ in range(WARM):
            answered = await caller.request("HEAD", f"/props?model={MODEL}")
            assert (answered.status, answered.body) == (200, b"")
            assert answered.headers[b"content-length"] == b"50"
        assert proxy.engine.accepted == 1
        for _ in range(2):
            assert (await caller.request("HEAD", f"/props?model={MODEL}")).status == 200
        assert proxy.engine.accepted == 2
        # And for what comes again.
    async with known(answer(OK)) as (_, asking):
        assert (await asking.request("POST", CHAT, ask(), JSON)).status == 200
