"""kill -9 of the process that stores the records of requests, while they are delivered."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from tests.support import shown
from tests.support.chats import Chats
from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.socketio_caller import SocketIoCaller, socketio_caller
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_for

DEMO = "babble-demo"
KILLS = 4
CALLERS = 4
DELIVERED_S = 20.0


def kill_logs(stack: Stack) -> None:
    """Kill -9; returns once its successor runs."""
    pid = shown.by_program(shown.status(stack.gateway_url))["logs"].pid
    os.kill(pid, signal.SIGKILL)

    def succeeded() -> bool:
        found = shown.by_program(shown.status(stack.gateway_url)).get("logs")
        return found is not None and found.pid != pid and found.status == "running"

    wait_for(succeeded)


async def history(caller: SocketIoCaller) -> list[str]:
    """The ids of all records."""
    ids: list[str] = []
    more = True
    while more:
        wanted = {"limit": 1000} | ({"before": ids[-1]} if ids else {})
        answer = await caller.ask("requests:history", wanted)
        assert answer["success"], answer
        ids += [told["id"] for told in reversed(answer["data"]["requests"])]
        more = answer["data"]["more"]
    return ids


async def test_no_record_is_lost_or_doubled_by_kill_9_of_logs(tmp_path: Path) -> None:
    settings = {"LLAMA__SERVER_PATH": write_fake_llama_server(tmp_path)}
    with running_stack(tmp_path, settings) as stack:
        assert stack.cli("load", DEMO).returncode == 0
        callers = [Chats(stack.proxy_url, DEMO) for _ in range(CALLERS)]
        for number in range(KILLS):
            for chats in callers:
                chats.go_on()
            # A batch leaves every 0.2 s: at different moments of that.
            await asyncio.sleep(number * 0.05)
            kill_logs(stack)
        for chats in callers:
            chats.go_on()
            chats.close()
            assert not chats.failures, chats.failures
        answered = sum(chats.answered for chats in callers)
        async with socketio_caller(("127.0.0.1", stack.gateway_port)) as caller:
            ids = await history(caller)
            async with asyncio.timeout(DELIVERED_S):
                while len(ids) < answered:
                    await asyncio.sleep(0.1)
                    ids = await history(caller)
            assert len(ids) == len(set(ids)) == answered
