"""Every path of the proxy, each in its caller's dialect, and the wait for a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import openai
import pytest

from common.errors import Busy, ModelLoadFailed
from gateway.proxy.body_filters import BodyFilter
from gateway.proxy.endpoints import PATHS, Action
from gateway.proxy.errors import TooManyRequests
from gateway.proxy.routing import ModelEntry
from tests.support.http_caller import Answer, calling, fetch
from tests.support.proxy_server import TableRouter, proxying
from tests.support.upstream_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Script,
    ScriptedUpstream,
    answer,
    answering,
    chunk,
    in_turn,
    scripted_upstream,
    whole,
)
from tests.support.waiting import until

MODEL = "team/tiny"
JSON = ("Content-Type", "application/json")
BODY = msgspec.json.encode({"model": MODEL})
STREAMING = msgspec.json.encode({"model": MODEL, "stream": True})
EVENTS = b'data: {"n": 1}\n\ndata: [DONE]\n\n'
STREAM = in_turn([answer(STREAM_HEAD + chunk(EVENTS) + LAST_CHUNK)])

Address = tuple[str, int]


@asynccontextmanager
async def proxied(
    script: Script, comment_every_s: float = 60
) -> AsyncIterator[tuple[Address, TableRouter, ScriptedUpstream]]:
    router = TableRouter()
    async with (
        scripted_upstream(script) as engine,
        proxying(router, comment_every_s=comment_every_s) as address,
    ):
        router.add(MODEL, engine.host, engine.port)
        yield address, router, engine


async def post(address: Address, path: str, body: bytes = BODY) -> Answer:
    return await fetch(address, "POST", path, body, [JSON])


# Paths.


@pytest.mark.parametrize(
    "path",
    [
        path
        for path, at in PATHS.items()
        if at.action is Action.FORWARD and "POST" in at.methods and not at.takes_form
    ],
)
async def test_every_inference_path_reaches_the_engine(path: str) -> None:
    async with proxied(answering(whole(b'{"ok":1}'))) as (address, _, engine):
        assert (await post(address, path)).json() == {"ok": 1}
        (request,) = engine.requests
        assert (request.method, request.target, request.body) == ("POST", path, BODY)


@pytest.mark.parametrize("path", ["/props", "/slots", "/lora-adapters"])
async def test_a_get_names_its_model_in_the_query(path: str) -> None:
    async with proxied(answering(whole(b"[]"))) as (address, _, engine):
        target = f"{path}?model=team%2Ftiny"
        assert (await fetch(address, "GET", target)).json() == []
        assert [request.target for request in engine.requests] == [target]
        missing = await fetch(address, "GET", path)
        assert (missing.status, missing.json()["error"]["code"]) == (400, "missing_model")


async def test_a_list_as_body_has_its_model_in_the_query() -> None:
    async with proxied(answering(whole(b"{}"))) as (address, _, engine):
        body = b'[{"id": 0, "scale": 0.5}]'
        assert (await post(address, "/lora-adapters?model=team/tiny", body)).status == 200
        assert engine.requests[0].body == body


async def test_two_models_are_one_too_many() -> None:
    async with proxied(answering(whole(b"{}"))) as (address, _, engine):
        for target in ("/v1/completions?model=other", "/props?model=a&model=b"):
            method = "GET" if target.startswith("/props") else "POST"
            refused = await fetch(address, method, target, BODY, [JSON])
            assert refused.status == 400
            assert "name" in refused.json()["error"]["message"]
        assert (await post(address, f"/v1/completions?model={MODEL}")).status == 200
        assert len(engine.requests) == 1


async def test_upstream_passes_any_request_of_any_kind() -> None:
    async with proxied(answering(whole(b"<html>", b"text/html"))) as (address, _, engine):
        page = await fetch(address, "GET", "/upstream/team/tiny/index.html?x=%20")
        assert (page.body, page.headers[b"content-type"]) == (b"<html>", b"text/html")
        body = b"\x00 anything"
        await fetch(address, "PUT", "/upstream/team%2Ftiny/a%20b", body, [("Content-Type", "x/y")])
        assert [(r.method, r.target, r.body) for r in engine.requests] == [
            ("GET", "/index.html?x=%20", b""),
            ("PUT", "/a%20b", body),
        ]
        assert engine.requests[1].header(b"content-type") == b"x/y"
        moved = await fetch(address, "GET", "/upstream/team/tiny")
        assert (moved.status, moved.headers[b"location"]) == (308, b"/upstream/team/tiny/")
        unknown = await fetch(address, "GET", "/upstream/team/other/props")
        assert (unknown.status, unknown.json()["error"]["code"]) == (404, "model_not_found")


async def test_tools_and_calls_of_tools_pass_through_openais_sdk() -> None:
    call = {"name": "get_weather", "arguments": '{"city":"Bern"}'}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
    }
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    reply = {"id": "1", "object": "chat.completion", "created": 1, "model": MODEL}
    script = answering(whole(msgspec.json.encode({**reply, "choices": [choice]})))
    schema: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}}
    async with (
        proxied(script) as ((host, port), _, engine),
        openai.AsyncOpenAI(base_url=f"http://{host}:{port}/v1", api_key="unused") as client,
    ):
        answered = await client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "The weather in Bern?"}],
            tools=[{"type": "function", "function": {"name": "get_weather", "parameters": schema}}],
        )
        (called,) = answered.choices[0].message.tool_calls or []
        assert called.type == "function"
        assert called.function.arguments == call["arguments"]
        (asked,) = msgspec.json.decode(engine.requests[0].body)["tools"]
        assert asked["function"] == {"name": "get_weather", "parameters": schema}


# Dialects.


async def test_anthropics_errors_have_anthropics_shape() -> None:
    async with proxied(answering(whole(b"{}"))) as (address, router, _):
        unknown = await post(address, "/v1/messages", b'{"model":"teeny"}')
        assert unknown.status == 404
        assert unknown.json()["type"] == "error"
        assert unknown.json()["error"]["type"] == "not_found_error"
        router.failure = Busy("No room within 60 s.")
        busy = await post(address, "/v1/messages")
        assert (busy.status, busy.json()["error"]["type"]) == (503, "overloaded_error")
        nothing = await post(address, "/v1/messages/nothing")
        assert (nothing.status, nothing.json()["type"]) == (404, "error")


def ended(stream: bytes) -> tuple[str, dict[str, Any]]:
    """The name and the data of a stream's last event."""
    *_, last, end = stream.split(b"\n\n")
    assert end == b""
    name, _, data = last.rpartition(b"data: ")
    decoded: dict[str, Any] = msgspec.json.decode(data)
    return name.decode().strip(), decoded


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("/v1/chat/completions", "", ("error", "server_error")),
        ("/v1/messages", "event: error", ("error", "api_error")),
        ("/v1/responses", "event: error", ("type", "error")),
    ],
)
async def test_a_stream_that_is_cut_ends_in_the_callers_protocol(
    path: str, name: str, kind: tuple[str, str]
) -> None:
    cut = in_turn([answer(STREAM_HEAD + chunk(b'data: {"n": 1}\n\n'), then="close")])
    async with proxied(cut) as (address, _, _):
        result = await post(address, path, STREAMING)
        shown, error = ended(result.body)
        assert shown == name
        field, expected = kind
        assert (error[field]["type"] if field == "error" else error[field]) == expected
        assert b"[DONE]" not in result.body


# The wait for a model.


async def test_a_stream_is_told_of_its_wait_and_then_gets_its_answer() -> None:
    async with proxied(STREAM, comment_every_s=0.01) as (address, router, _):
        router.loading = asyncio.Event()
        async with calling(address) as caller:
            await caller.send("POST", "/v1/chat/completions", STREAMING, [JSON])
            head = await caller.head()
            assert (head.status_code, dict(head.headers)[b"content-type"]) == (
                200,
                b"text/event-stream",
            )
            told = await caller.next_data()
            assert told.startswith(b": the model is loading, 25%, position 1\n\n")
            router.loading.set()
            stream = told + await caller.rest()
        lines = [line for line in stream.split(b"\n\n") if not line.startswith(b":")]
        assert b"\n\n".join(lines) == EVENTS


async def test_a_failure_after_a_comment_is_an_error_event() -> None:
    async with proxied(STREAM, comment_every_s=0.01) as (address, router, engine):
        router.loading = asyncio.Event()
        async with calling(address) as caller:
            await caller.send("POST", "/v1/chat/completions", STREAMING, [JSON])
            await caller.head()
            await caller.next_data()
            router.failure = ModelLoadFailed("Bad file.", {"reason": "corrupt"})
            router.loading.set()
            name, error = ended(await caller.rest())
        assert (name, error["error"]["code"]) == ("", "model_load_failed")
        assert not engine.requests


async def test_an_engines_own_refusal_after_a_comment_is_an_event_too() -> None:
    refusal = b'{"error":{"code":400,\n"message":"no"}}'
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
    reply = head + b"Content-Length: %d\r\n\r\n" % len(refusal) + refusal
    async with proxied(answering(reply), comment_every_s=0.01) as (address, router, _):
        router.loading = asyncio.Event()
        async with calling(address) as caller:
            await caller.send("POST", "/v1/messages", STREAMING, [JSON])
            await caller.head()
            await caller.next_data()
            router.loading.set()
            name, error = ended(await caller.rest())
        assert (name, error["error"]["message"]) == ("event: error", "no")


async def test_one_that_does_not_stream_waits_in_silence() -> None:
    async with proxied(answering(whole(b"{}")), comment_every_s=0.01) as (address, router, _):
        router.loading = asyncio.Event()
        async with calling(address) as caller:
            await caller.send("POST", "/v1/chat/completions", BODY, [JSON])
            await until(lambda: router.waiting == 1)
            router.loading.set()
            assert (await caller.answer()).status == 200


async def test_a_full_queue_says_when_to_come_back() -> None:
    async with proxied(answering(whole(b"{}"))) as (address, router, _):
        router.room.max_waiting = 1
        router.loading = asyncio.Event()
        async with calling(address) as first:
            await first.send("POST", "/v1/chat/completions", BODY, [JSON])
            await until(lambda: router.waiting == 1)
            full = await post(address, "/v1/chat/completions")
            assert (full.status, full.json()["error"]["code"]) == (503, "queue_full")
            assert full.json()["error"]["details"] == {"waiting": 1, "limit": 1}
            assert int(full.headers[b"retry-after"]) > 0
            router.loading.set()
            assert (await first.answer()).status == 200


# What the settings say of a model.


async def test_an_alias_reaches_the_model_and_the_body_stays_the_callers() -> None:
    async with proxied(answering(whole(b"{}"))) as (address, router, engine):
        router.aliases["gpt-4"] = MODEL
        body = b'{"model": "gpt-4", "n": 1}'
        assert (await post(address, "/v1/chat/completions", body)).status == 200
        assert (await fetch(address, "GET", "/props?model=gpt-4")).status == 200
        assert (await fetch(address, "GET", "/upstream/gpt-4/index.html")).status == 200
        assert [(r.target, r.body) for r in engine.requests] == [
            ("/v1/chat/completions", body),
            ("/props?model=gpt-4", b""),
            ("/index.html", b""),
        ]
        assert (await fetch(address, "GET", "/v1/models/gpt-4")).json()["id"] == MODEL
        assert (await post(address, "/v1/completions", b'{"model": "GPT-4"}')).status == 404


async def test_parameters_are_taken_out_and_set() -> None:
    async with proxied(answering(whole(b"{}"))) as (address, router, engine):
        router.filters[MODEL] = BodyFilter(strip=("top_p",), fixed={"n": 1, "x": {"y": [1]}})
        body = msgspec.json.encode({"model": MODEL, "top_p": 0.5, "n": 3, "prompt": "é"})
        assert (await post(address, "/v1/completions", body)).status == 200
        (request,) = engine.requests
        assert msgspec.json.decode(request.body) == {
            "model": MODEL,
            "n": 1,
            "prompt": "é",
            "x": {"y": [1]},
        }
        assert request.header(b"content-length") == b"%d" % len(request.body)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1/chat/completions", "rate_limit_error"), ("/v1/messages", "rate_limit_error")],
)
async def test_one_request_too_many_is_told_to_come_back(path: str, kind: str) -> None:
    async with proxied(answering(whole(b"{}"))) as (address, router, engine):
        router.full = TooManyRequests("As many as it may.", {"inFlight": 2, "limit": 2})
        refused = await post(address, path)
        assert (refused.status, refused.json()["error"]["type"]) == (429, kind)
        assert int(refused.headers[b"retry-after"]) > 0
        assert not engine.requests


# llama.cpp's router.


async def test_models_are_loaded_and_unloaded_as_at_llamas_router() -> None:
    async with proxied(answering(whole(b"{}"))) as (address, router, _):
        for verb in ("load", "unload"):
            assert (await post(address, f"/models/{verb}")).json() == {"success": True}
            assert (await fetch(address, "GET", f"/models/{verb}")).status == 405
        assert router.asked == [("load", MODEL), ("unload", MODEL)]


async def test_changes_are_told_as_llamas_router_tells_them() -> None:
    async with proxied(answering(whole(b"{}"))) as (address, router, _):
        async with calling(address) as caller:
            await caller.send("GET", "/models/sse", b"")
            await caller.head()
            await caller.next_data()
            (changed,) = router.listeners
            unloaded = ModelEntry(MODEL, 0, "unloaded")
            loading = ModelEntry(MODEL, 0, "loading", progress=0.5)
            changed(unloaded, loading)
            changed(loading, loading._replace(status="error"))
            changed(loading, None)
            stream = b""
            while stream.count(b"\n\n") < 3:
                stream += await caller.next_data()
        told = [msgspec.json.decode(line[6:]) for line in stream.split(b"\n\n") if line]
        stages = {"stages": ["text_model"], "current": "text_model", "value": 0.5}
        assert told == [
            {
                "model": MODEL,
                "event": "model_status",
                "data": {"status": "loading", "progress": stages},
            },
            {
                "model": MODEL,
                "event": "model_status",
                "data": {"status": "unloaded", "failed": True},
            },
            {"model": MODEL, "event": "model_remove"},
        ]
