"""Engines that fail before or within an answer."""

from __future__ import annotations

import socket

import h11
import pytest

from tests.support.http_caller import calling
from tests.support.loops import on_both_loops
from tests.support.proxied import (
    BODY,
    CHAT,
    MODEL,
    error_of,
    proxied,
)
from tests.support.upstream_server import (
    STREAM_HEAD,
    answer,
    answering,
    chunk,
    in_turn,
    whole,
)


@pytest.mark.parametrize("reply", [whole(b'{"n": 1}'), STREAM_HEAD], ids=["json", "stream"])
@on_both_loops
async def test_an_engine_that_fails_before_its_answer_is_a_502(reply: bytes) -> None:
    head = reply[: reply.index(b"\r\n\r\n") + 3]
    # Each request is sent a second time, to an engine that fails in the same way.
    replies = [answer(head[: cut // 2], then="close") for cut in range(2 * len(head))]
    async with proxied(in_turn(replies)) as proxy, calling(proxy.address) as caller:
        for _ in head:
            error = error_of(await caller.request("POST", CHAT, BODY), 502)
            assert (error["type"], error["code"]) == ("server_error", "engine_failed")


@on_both_loops
async def test_a_request_is_sent_again_when_an_engine_dies_before_its_answer() -> None:
    replies = [answer(STREAM_HEAD[:20], then="close"), answer(whole(b'{"n": 1}'))]
    async with proxied(in_turn(replies)) as proxy:
        result = await proxy.post()
        assert (result.status, result.body) == (200, b'{"n": 1}')
        assert len(proxy.router.suspects) == 1
        assert proxy.router.in_flight.uses()[0].in_flight == 0


@pytest.mark.parametrize(
    "reply",
    [
        whole(b'{"choices": []}')[:-1],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b'{"choices":'),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\n{}garbage",
    ],
    ids=["length", "chunked", "garbage"],
)
@on_both_loops
async def test_a_body_that_is_cut_short_is_never_taken_for_whole(reply: bytes) -> None:
    async with proxied(answering(reply, then="close")) as proxy:
        with pytest.raises(h11.RemoteProtocolError):
            await proxy.post()


@on_both_loops
async def test_garbage_is_a_502() -> None:
    async with proxied(answering(b"SSH-2.0-OpenSSH_9.2\r\n", then="hang")) as proxy:
        error = error_of(await proxy.post(), 502)
        assert "Expected HTTP" in (error["message"] or "")


@on_both_loops
async def test_an_engine_that_is_not_there_is_a_502() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with proxied(answering(whole(b""))) as proxy:
            proxy.router.add(MODEL, *unused.getsockname())
            error = error_of(await proxy.post(), 502)
            assert "Connection refused" in (error["message"] or "")


@on_both_loops
async def test_a_key_that_the_engine_refuses_is_not_the_callers_fault() -> None:
    async with proxied(answering(whole(b"{}", status=401))) as proxy:
        assert error_of(await proxy.post(), 502)["code"] == "engine_failed"
