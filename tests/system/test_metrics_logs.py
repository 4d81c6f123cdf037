"""Metrics and logs on a whole stack, by the stock JavaScript client."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import requests
import socketio

from common.api.metrics import DEFAULT_INTERVAL_MS, HISTORY_SECONDS
from common.settings import Host
from tests.support.node import run_script
from tests.support.stack import Stack, command_line_of, running_stack
from tests.support.waiting import wait_for

DEMO = "babble-demo"


def check_figures(figures: dict[str, Any]) -> None:
    """The shape that the API page shows, with what is true on any machine."""
    assert set(figures) == {"system", "llama", "gpu", "timestamp", "hosts"}
    system = figures["system"]
    assert set(system) == {"cpu", "memory", "disk"}
    assert 0 <= system["cpu"]["usage"] <= 100
    assert system["cpu"]["cores"] >= 1
    for space in (system["memory"], system["disk"]):
        assert 0 < space["used"] <= space["total"]
    assert set(figures["llama"]) == {
        "activeConnections",
        "requestsProcessed",
        "averageResponseTime",
    }
    for gpu in figures["gpu"]:
        assert set(gpu) == {"host", "name", "usage", "memoryUsed", "memoryTotal", "uuid"}
    (host,) = figures["hosts"]
    assert host == {
        "host": Host().resolved_name(),
        "system": system,
        "timestamp": figures["timestamp"],
    }


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_metrics_and_logs_as_a_dashboard_uses_them(stack: Stack, transport: str) -> None:
    told = run_script("metrics_logs.mjs", stack.gateway_url, transport, timeout_s=60)

    assert told["early"]["data"] == {"intervalMs": DEFAULT_INTERVAL_MS}
    for figures in (told["earlyUpdate"], told["got"]["data"], told["update"]):
        check_figures(figures)
    assert told["tooFast"]["error"]["code"] == "INVALID_REQUEST"
    assert "intervalMs" in told["tooFast"]["error"]["message"]
    assert told["subscribed"]["data"] == {"intervalMs": 250}
    assert told["heardByOther"] <= 1
    assert told["unsubscribed"]["data"] == {"intervalMs": DEFAULT_INTERVAL_MS}

    (host,) = told["history"]["data"]["hosts"]
    columns = [host[name] for name in ("timesMs", "cpuUsage", "memoryUsed", "diskUsed")]
    assert {len(column) for column in columns} == {len(host["timesMs"])}
    assert host["timesMs"] == sorted(host["timesMs"])
    assert 1 <= len(host["timesMs"]) <= 61
    assert told["tooLong"]["error"]["code"] == "INVALID_REQUEST"
    assert str(HISTORY_SECONDS) in told["tooLong"]["error"]["message"]

    entry = told["entry"]["entry"]
    assert set(entry) == {"id", "timestamp", "level", "source", "message"}
    assert (entry["level"], entry["source"]) == ("warn", f"gateway@{Host().resolved_name()}")
    assert told["muted"]["data"] == {}
    assert told["errorsOnly"]["data"] == {"level": "error", "sources": []}
    assert told["ofEngines"]["data"] == {"level": "debug", "sources": ["engine:"]}
    assert told["ofGateways"]["data"] == {"level": "warn", "sources": ["gateway"]}
    assert told["otherHeard"] == ["first-mark"]
    assert told["actorHeard"] == ["first-mark", "fourth-mark"]
    found = told["logs"]["data"]
    assert found["total"] >= 3
    assert ["third-mark" in found["logs"][0]["message"], len(found["logs"])] == [True, 2]
    assert "fourth-mark" in found["logs"][1]["message"]


def test_requests_are_counted_and_the_count_survives_the_proxy(stack: Stack) -> None:
    with socketio.SimpleClient() as client:
        client.connect(stack.gateway_url, namespace="/llamaproxws", transports=["websocket"])

        def llama() -> dict[str, Any]:
            figures: dict[str, Any] = client.call("metrics:get", {}, timeout=10)["data"]["llama"]
            return figures

        before = llama()["requestsProcessed"]
        for _ in range(3):
            chat(stack)
        wait_for(lambda: llama()["requestsProcessed"] == before + 3)
        wait_for(lambda: llama()["activeConnections"] == 0)
        assert llama()["averageResponseTime"] > 0
        (proxy,) = (
            process for process in stack.processes() if "gateway.proxy" in command_line_of(process)
        )
        proxy.kill()
        proxy.wait(10)
        assert llama()["requestsProcessed"] == before + 3
        wait_for(lambda: chats(stack), 30)
        wait_for(lambda: llama()["requestsProcessed"] == before + 4)
        client.call("models:unload", {"id": DEMO}, timeout=60)


def chat(stack: Stack) -> None:
    body = {"model": DEMO, "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}
    url = f"{stack.proxy_url}/v1/chat/completions"
    answer = requests.post(url, json=body, timeout=60)
    answer.raise_for_status()


def chats(stack: Stack) -> bool:
    """Whether a chat comes through, which a proxy that is starting refuses."""
    try:
        chat(stack)
    except requests.RequestException:
        return False
    return True


def test_sending_log_lines_writes_none(tmp_path: Path) -> None:
    with (
        running_stack(tmp_path, {"LOGGING__LEVEL": "debug"}) as stack,
        socketio.SimpleClient() as client,
    ):
        client.connect(stack.gateway_url, namespace="/llamaproxws", transports=["websocket"])

        def total() -> int:
            count: int = client.call("logs:get", {"limit": 1}, timeout=10)["data"]["total"]
            return count

        client.call("metrics:subscribe", {"intervalMs": 250}, timeout=10)
        began = time.monotonic()
        updates = 0
        first = total()
        while updates < 12:
            updates += client.receive(timeout=10)[0] == "metrics:update"
        # Each of these frames, reported and sent on in a frame, would have become many by now.
        assert total() - first < 12, f"{time.monotonic() - began:.1f} s"
