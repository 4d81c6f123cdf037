"""Requests that go no further than the proxy."""

from __future__ import annotations

import asyncio
import logging

import pytest

from common.errors import Busy, ModelLoadFailed, ProxyError
from tests.support.loops import on_both_loops
from tests.support.proxied import (
    BODY,
    CHAT,
    error_of,
    proxied,
)
from tests.support.upstream_server import (
    answering,
    chunk,
    whole,
)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b'{"model": ', "invalid_json"),
        (b'["team/tiny"]', "invalid_body"),
        (b'{"messages": []}', "missing_model"),
        (b'{"model": 1}', "invalid_model"),
        (b'{"model": null}', "invalid_model"),
        (b'{"model": ["team/tiny"]}', "invalid_model"),
        (b'{"model": {"model": "team/tiny"}}', "invalid_model"),
        (b'{"x": {"model": "team/tiny"}}', "missing_model"),
        (b'{"model": "team/tiny", "model": "other"}', "two_models"),
        (b'{"model": "other", "x": {"model": 1}, "model": "team/tiny"}', "two_models"),
        (b'{"mod\\u0065l": "other", "model": "team/tiny"}', "two_models"),
        (b'{"model": "team/tiny", "\\u006Dodel": "other"}', "two_models"),
        (b'{"model": "team/tiny", "x": "\xff"}', "invalid_json"),
        (b'{"model": "\xff"}', "invalid_json"),
        (b'\xef\xbb\xbf{"model": "team/tiny"}', "invalid_json"),
    ],
)
@on_both_loops
async def test_a_body_that_names_no_model_is_a_400(body: bytes, code: str) -> None:
    async with proxied(answering(whole(b""))) as proxy:
        assert error_of(await proxy.post(body), 400)["code"] == code
        assert not proxy.engine.requests


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "team/tiny", "tools": [{"model": 1}, {"model": 2}], "x": "model"}',
        b'{"messages": [{"content": "\\u0065 \\"model\\": \\"other\\""}], "model": "team/tiny"}',
        '{"model": "team/tiny", "x": "ünïcode 😀"}'.encode(),
        b'{"model": "team\\u002ftiny", "x": "\\u006d"}',
    ],
)
async def test_what_only_looks_like_a_second_model_is_none(body: bytes) -> None:
    async with proxied(answering(whole(b"{}"))) as proxy:
        assert (await proxy.post(body)).status == 200
        assert proxy.engine.requests[0].body == body


@on_both_loops
async def test_an_unknown_model_is_a_404_that_names_the_nearest() -> None:
    async with proxied(answering(whole(b""))) as proxy:
        error = error_of(await proxy.post(b'{"model": "team/tny"}'), 404)
        assert (error["type"], error["param"], error["code"]) == (
            "invalid_request_error",
            "model",
            "model_not_found",
        )
        assert "`team/tiny`" in (error["message"] or "")


@on_both_loops
async def test_a_compressed_body_is_a_415() -> None:
    async with proxied(answering(whole(b""))) as proxy:
        error = error_of(await proxy.post(b"\x1f\x8b", CHAT, ("Content-Encoding", "gzip")), 415)
        assert "uncompressed" in (error["message"] or "")


@on_both_loops
async def test_a_body_announced_too_large_is_refused_before_it_is_read() -> None:
    async with proxied(answering(whole(b"")), max_body_bytes=1000) as proxy:
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n")
        writer.write(b"Content-Type: application/json\r\nContent-Length: 1001\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()
        assert (await proxy.post(BODY)).status == 200


@on_both_loops
async def test_a_chunked_body_that_grows_too_large_is_refused() -> None:
    async with proxied(answering(whole(b"")), max_body_bytes=1000) as proxy:
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n")
        writer.write(b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(chunk(bytes(1001)))
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()
        assert not proxy.engine.requests


@pytest.mark.parametrize(
    ("failure", "status", "code", "retry_after"),
    [
        (ModelLoadFailed("Bad file.", {"reason": "corrupt"}), 503, "model_load_failed", False),
        (Busy("No room within 60 s."), 503, "busy", True),
    ],
)
@on_both_loops
async def test_a_model_that_cannot_serve_is_a_503(
    failure: ProxyError, status: int, code: str, retry_after: bool
) -> None:
    async with proxied(answering(whole(b""))) as proxy:
        proxy.router.failure = failure
        result = await proxy.post()
        error = error_of(result, status)
        assert error["code"] == code
        assert failure.message in (error["message"] or "")
        assert (b"retry-after" in result.headers) == retry_after


@on_both_loops
async def test_a_failure_nobody_expected_is_logged_and_a_500(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with proxied(answering(whole(b"{}"))) as proxy:
        proxy.router.failure = RuntimeError("secret detail")
        with caplog.at_level(logging.ERROR):
            result = await proxy.post()
        assert error_of(result, 500)["code"] == "server_error"
        assert b"secret detail" not in result.body
        assert "secret detail" in caplog.text
        proxy.router.failure = None
        assert (await proxy.post()).status == 200
