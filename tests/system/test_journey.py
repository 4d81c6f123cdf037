"""The main job: list, load, chat, unload, by the stock JavaScript client and curl."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

from common.api.models import ListModels, ModelInfo, ModelRow, ModelStatusChange
from tests.support.node import run_script
from tests.support.stack import Stack

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DEMO = "babble-demo"


JSON = "Content-Type: application/json"


def curl(url: str, *arguments: str) -> Any:
    done = subprocess.run(
        ["curl", "--silent", "--max-time", "60", "--header", JSON, *arguments, url],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("form", "transport"), [("namespace", "websocket"), ("path", "polling"), ("both", "websocket")]
)
def test_list_load_chat_unload(stack: Stack, form: str, transport: str) -> None:
    told = run_script(
        "journey.mjs", stack.gateway_url, stack.proxy_url, form, transport, timeout_s=90
    )

    listed = told["list"]
    assert set(listed) == {"success", "data", "timestamp"}
    assert listed["success"] is True
    assert TIMESTAMP.fullmatch(listed["timestamp"])
    (row,) = listed["data"]["models"]
    assert listed["data"]["total"] == 1
    model_file = stack.home / "models" / f"{DEMO}.gguf"
    assert row == {
        "id": DEMO,
        "name": f"{DEMO}.gguf",
        "path": str(model_file),
        "size": model_file.stat().st_size,
        "status": "unloaded",
        "parameters": None,
    }

    load = told["load"]
    assert load["success"] is True, load
    assert set(load["data"]) == {"id", "status", "memoryUsage", "loadedAt"}
    assert load["data"]["status"] == "loaded"
    assert load["data"]["memoryUsage"] > 1_000_000
    assert TIMESTAMP.fullmatch(load["data"]["loadedAt"])
    assert told["loadedAgain"]["data"] == load["data"]
    assert told["listLoaded"]["data"]["models"] == [row | {"status": "loaded"}]

    info = told["info"]["data"]
    assert {key: info[key] for key in ("id", "name", "path", "size")} == {
        key: row[key] for key in ("id", "name", "path", "size")
    }
    assert info["status"] == "loaded"
    assert info["memoryUsage"] == load["data"]["memoryUsage"]
    assert info["loadedAt"] == load["data"]["loadedAt"]
    assert set(info["parameters"]) == {"General", "Model", "Tokenizer"}
    assert "llama" in info["parameters"]["General"].values()

    (known,) = told["details"]["data"]["models"]
    assert known["id"] == DEMO
    assert known["architecture"] == "llama"
    assert known["quantization"] == "F16"
    assert known["contextLength"] == info["parameters"]["Model"]["context_length"]
    assert known["parameterCount"] > 1_000
    assert known["runner"].startswith("runner-")
    assert known["memoryUsage"] == info["memoryUsage"]
    assert known["loadedAt"] == info["loadedAt"]
    (unloaded,) = told["unloadedDetails"]["data"]["models"]
    gone = {"runner": None, "memoryUsage": None, "loadedAt": None, "preset": None}
    assert unloaded == known | gone

    chatted = told["chatted"]
    assert chatted["status"] == 200
    assert chatted["type"].startswith("text/event-stream")
    assert chatted["events"][-1] == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in chatted["events"][:-1]]
    words = "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]
    )
    assert words.strip()

    unload = told["unload"]
    assert set(unload["data"]) == {"id", "status", "unloadedAt"}
    assert unload["data"]["status"] == "unloaded"
    assert TIMESTAMP.fullmatch(unload["data"]["unloadedAt"])

    statuses = [r["payload"]["status"] for r in told["heard"] if r["event"] == "models:status"]
    assert list(dict.fromkeys(statuses)) == ["loading", "loaded", "unloading", "unloaded"]
    for heard in told["heard"]:
        if heard["event"] == "models:status":
            assert set(heard["payload"]) - {"progress"} == {*row, "reason"}
        else:
            assert heard["payload"] == {"modelId": DEMO}
    names = [r["event"] for r in told["heard"]]
    assert names.count("models:loaded") == 1
    assert names.count("models:unloaded") == 1

    kinds = {process["kind"] for process in told["status"]["data"]["processes"]}
    assert kinds == {
        "backplane",
        "controller",
        "runner",
        "metrics",
        "logs",
        "gateway",
        "proxy",
    }
    assert told["status"]["data"]["models"] == [row]


def test_every_form_and_transport_hears_each_event_once(stack: Stack) -> None:
    hands = run_script("handshake.mjs", stack.gateway_url)
    assert len(hands) == 9
    for hand in hands:
        assert hand["acknowledgement"]["success"] is True
        assert hand["greetings"] == 1, hand


def test_curl_lists_models_and_gets_an_answer_on_demand(stack: Stack) -> None:
    models = curl(f"{stack.proxy_url}/v1/models")
    assert [model["id"] for model in models["data"]] == [DEMO]
    assert curl(f"{stack.proxy_url}/v1/models/{DEMO}")["id"] == DEMO
    body = {
        "model": DEMO,
        "max_tokens": 8,
        "messages": [{"role": "user", "content": "hello"}],
    }
    answer = curl(f"{stack.proxy_url}/v1/chat/completions", "--data", json.dumps(body))
    assert answer["choices"][0]["message"]["content"].strip()
    text = curl(
        f"{stack.proxy_url}/v1/completions",
        "--data",
        json.dumps({"model": DEMO, "max_tokens": 8, "prompt": "the"}),
    )
    assert text["choices"][0]["text"]
    assert curl(f"{stack.gateway_url}/healthz") == {"status": "ok"}
    stack.cli("unload", DEMO)


def test_an_unknown_model_is_404_in_openai_shape(stack: Stack) -> None:
    error = curl(
        f"{stack.proxy_url}/v1/chat/completions",
        "--data",
        json.dumps({"model": "babble", "messages": []}),
    )["error"]
    assert error["code"] == "model_not_found"
    assert DEMO in error["message"]


def test_pages_of_other_sites_get_nothing(stack: Stack) -> None:
    for url in (
        f"{stack.gateway_url}/socket.io/?EIO=4&transport=polling",
        f"{stack.proxy_url}/v1/models",
    ):
        for header in ("Origin: http://evil.example", "Host: evil.example"):
            done = subprocess.run(
                ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", header, url],
                capture_output=True,
                text=True,
                check=True,
            )
            assert done.stdout in ("400", "403"), (url, header)


def test_the_contract_says_what_the_stack_answers() -> None:
    # The journey compares with the page's literal fields; this keeps the structs in step.
    assert ListModels.__struct_fields__ == ()
    assert set(ModelRow.__struct_encode_fields__) - {"reason"} < set(
        ModelInfo.__struct_encode_fields__
    )
    assert set(ModelRow.__struct_encode_fields__) < set(ModelStatusChange.__struct_encode_fields__)
