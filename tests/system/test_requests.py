"""What the proxies do, on the whole stack: under way, cancelled, and afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from common.api.requests import RequestRecord
from tests.support.socketio_caller import SocketIoCaller, socketio_caller
from tests.support.stack import Stack
from tests.support.streaming_stack import ENDLESS, streaming_stack, write_models

DEMO = "babble-demo"
CHAT = "/v1/chat/completions"
WITHIN_S = 20.0


async def data_of(caller: SocketIoCaller, name: str, payload: dict[str, Any]) -> Any:
    answer = await caller.ask(name, payload)
    assert answer["success"], answer
    return answer["data"]


async def soon(
    caller: SocketIoCaller,
    name: str,
    payload: dict[str, Any],
    found: Callable[[dict[str, Any]], bool],
) -> dict[str, Any]:
    """The first request of the answer that is as it should be."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            for told in (await data_of(caller, name, payload))["requests"]:
                if found(told):
                    request: dict[str, Any] = told
                    return request
            await asyncio.sleep(0.05)


def body(model_id: str, *, stream: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": "hello"}]
    asked = {"model": model_id, "messages": messages, "max_tokens": 8, "stream": stream}
    # What babbles may end at any word.
    return asked | {"ignore_eos": True}


async def test_a_chat_is_in_the_history_with_what_it_took(stack: Stack) -> None:
    async with socketio_caller(("127.0.0.1", stack.gateway_port)) as caller:
        before = await data_of(caller, "requests:history", {"model": DEMO, "limit": 1000})
        known = {told["id"] for told in before["requests"]}
        for stream in (False, True):
            sent = body(DEMO, stream=stream)
            answer = await asyncio.to_thread(
                requests.post, stack.proxy_url + CHAT, json=sent, timeout=60
            )
            assert answer.status_code == 200
            told = await soon(
                caller,
                "requests:history",
                {"model": DEMO, "limit": 1000},
                lambda told: told["id"] not in known,
            )
            known.add(told["id"])
            assert set(told) == set(RequestRecord.__struct_encode_fields__)
            assert (told["status"], told["end"]) == (200, "done")
            assert (told["caller"], told["endpoint"]) == ("everybody", CHAT)
            assert told["bytesIn"] == len(json.dumps(sent))
            assert told["bytesOut"] == len(answer.content)
            assert told["promptTokens"] >= 1
            assert told["completionTokens"] == 8
            assert told["tokensPerSecond"] > 0
            assert 0 < told["firstTokenMs"] <= told["durationMs"]


async def test_a_stream_is_listed_and_cancelled_from_outside(tmp_path: Path) -> None:
    write_models(tmp_path)
    with streaming_stack(tmp_path) as stack:
        made = stack.cli("token", "create", "--name", "alice", "--role", "operator")
        token = made.stdout.strip()
        async with socketio_caller(("127.0.0.1", stack.gateway_port), token) as caller:
            model_id = ENDLESS[0]
            reading = asyncio.create_task(asyncio.to_thread(read_stream, stack, token, model_id))
            told = await soon(
                caller, "requests:list", {}, lambda told: told["state"] == "answering"
            )
            assert (told["model"], told["caller"], told["status"]) == (model_id, "alice", 200)
            await data_of(caller, "requests:cancel", {"id": told["id"]})
            assert (await data_of(caller, "requests:list", {}))["requests"] == []
            last = await reading
            assert last["error"]["code"] == "request_cancelled"
            listed = {"caller": "alice"}
            ended = await soon(
                caller, "requests:history", listed, lambda each: each["id"] == told["id"]
            )
            assert (ended["end"], ended["status"]) == ("cancelled", 200)
            again = await caller.ask("requests:cancel", {"id": told["id"]})
            assert again["error"]["code"] == "REQUEST_NOT_FOUND"


def read_stream(stack: Stack, token: str, model_id: str) -> dict[str, Any]:
    """The last event of a stream."""
    answer = requests.post(
        stack.proxy_url + CHAT,
        json=body(model_id, stream=True),
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    *_, last = answer.text.strip().split("\n\n")
    event: dict[str, Any] = json.loads(last.removeprefix("data: "))
    return event
