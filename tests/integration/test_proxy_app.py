"""What the proxy answers without an engine, and whom it answers."""

from __future__ import annotations

import asyncio
import gc

from tests.support.http_caller import calling, fetch
from tests.support.loops import on_both_loops
from tests.support.proxied import (
    BODY,
    CHAT,
    MODEL,
    STREAM_BODY,
    error_of,
    proxied,
)
from tests.support.proxy_server import ORIGIN
from tests.support.upstream_server import (
    STREAM_HEAD,
    answering,
    whole,
)


@on_both_loops
async def test_health_and_models() -> None:
    async with proxied(answering(whole(b""))) as proxy:
        for path in ("/health", "/healthz"):
            health = await fetch(proxy.address, "GET", path)
            assert (health.status, health.json()) == (200, {"status": "ok"})
        row = {
            "id": MODEL,
            "object": "model",
            "created": 1_700_000_000,
            "owned_by": "llamacpp",
            "path": "",
            "aliases": [],
            "status": {"value": "loaded"},
        }
        models = await fetch(proxy.address, "GET", "/v1/models")
        assert (models.status, models.json()) == (200, {"object": "list", "data": [row]})
        for path in ("/v1/models/team/tiny", "/v1/models/team%2Ftiny"):
            assert (await fetch(proxy.address, "GET", path)).json() == row
        unknown = error_of(await fetch(proxy.address, "GET", "/v1/models/tiny"), 404)
        assert unknown["code"] == "model_not_found"
        assert "`team/tiny`" in (unknown["message"] or "")
        assert not proxy.engine.requests


@on_both_loops
async def test_other_paths_and_methods() -> None:
    async with proxied(answering(whole(b""))) as proxy:
        nothing = error_of(await fetch(proxy.address, "POST", "/v1/chat"), 404)
        assert CHAT in (nothing["message"] or "")
        wrong = await fetch(proxy.address, "GET", CHAT)
        assert error_of(wrong, 405)["code"] == "method_not_allowed"
        assert wrong.headers[b"allow"] == b"POST, OPTIONS"
        wrong = await fetch(proxy.address, "DELETE", "/v1/models")
        assert wrong.headers[b"allow"] == b"GET, HEAD, OPTIONS"
        asked = await fetch(proxy.address, "OPTIONS", CHAT)
        assert (asked.status, asked.headers[b"allow"]) == (204, b"POST, OPTIONS")


@on_both_loops
async def test_pages_from_elsewhere_are_refused() -> None:
    async with proxied(answering(whole(b"{}"))) as proxy:
        for origin in ("http://evil.example", "null"):
            refused = await proxy.post(
                BODY, CHAT, ("Origin", origin), ("Content-Type", "text/plain")
            )
            assert error_of(refused, 403)["code"] == "origin_not_allowed"
            assert b"access-control-allow-origin" not in refused.headers
            headers = [("Origin", origin), ("Access-Control-Request-Method", "POST")]
            preflight = await fetch(proxy.address, "OPTIONS", CHAT, headers=headers)
            assert preflight.status == 403
            assert b"access-control-allow-methods" not in preflight.headers
        rebound = await fetch(proxy.address, "GET", "/v1/models", host="evil.example")
        assert error_of(rebound, 403)["code"] == "host_not_allowed"
        assert not proxy.engine.requests


@on_both_loops
async def test_the_dashboards_pages_may_call() -> None:
    async with proxied(answering(whole(b"{}"))) as proxy:
        headers = [("Origin", ORIGIN), ("Access-Control-Request-Method", "POST")]
        preflight = await fetch(proxy.address, "OPTIONS", CHAT, headers=headers)
        assert preflight.status == 204
        assert preflight.headers[b"access-control-allow-origin"] == ORIGIN.encode()
        assert preflight.headers[b"access-control-allow-methods"] == b"POST, OPTIONS"
        assert b"authorization" in preflight.headers[b"access-control-allow-headers"]
        for result in (
            await proxy.post(BODY, CHAT, ("Origin", ORIGIN)),
            await proxy.post(b"[]", CHAT, ("Origin", ORIGIN)),
        ):
            assert result.headers[b"access-control-allow-origin"] == ORIGIN.encode()
            assert result.headers[b"vary"] == b"origin"


@on_both_loops
async def test_two_hosts_are_refused() -> None:
    async with proxied(answering(whole(b"{}"))) as proxy:
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()


@on_both_loops
async def test_requests_leave_nothing_for_the_garbage_collector() -> None:
    stream = answering(STREAM_HEAD + STREAM_BODY)
    async with proxied(stream) as proxy, calling(proxy.address) as caller:
        await caller.request("POST", CHAT, BODY)
        gc.collect()
        gc.disable()
        try:
            for _ in range(200):
                await caller.request("POST", CHAT, BODY)
            unreachable = gc.collect()
        finally:
            gc.enable()
        assert unreachable < 100
