from __future__ import annotations

import json
from pathlib import Path

from common.bus.addresses import Addresses
from common.home import Home
from tests.support.node import run_script
from tests.support.stack import Stack
from tests.support.waiting import wait_for


def test_wrong_requests_are_answered_and_the_server_lives_on(stack: Stack) -> None:
    told = run_script("bad_input.mjs", stack.gateway_url)
    invalid = {
        "none",
        "string",
        "list",
        "number",
        "null",
        "two",
        "wrongType",
        "missingField",
        "unknownField",
        "deep",
        "binary",
    }
    for command, answers in told["answers"].items():
        for name, answer in answers.items():
            assert answer["success"] is False, (command, name)
            assert set(answer) == {"success", "error", "timestamp"}
            expected = "INVALID_REQUEST" if name in invalid else "MODEL_NOT_FOUND"
            assert answer["error"]["code"] == expected, (command, name, answer)
            assert answer["error"]["message"]
    assert told["listUnknownField"]["error"]["code"] == "INVALID_REQUEST"
    assert told["listNothing"]["error"]["code"] == "INVALID_REQUEST"
    assert told["unknownEvent"]["error"]["code"] == "UNKNOWN_COMMAND"
    assert told["internal"]["error"]["code"] == "UNKNOWN_COMMAND"
    assert told["afterwards"]["success"] is True


def test_what_went_wrong_without_acknowledgement_is_in_the_log(stack: Stack) -> None:
    run_script("bad_input.mjs", stack.gateway_url)
    wait_for(
        lambda: "models:dance" in (stack.home / "logs" / "gateway.log").read_text(), timeout_s=10
    )


def test_a_faulty_file_says_what_is_wrong_with_it(stack: Stack) -> None:
    models = stack.home / "models"
    demo = (models / "babble-demo.gguf").read_bytes()
    faulty = {
        "empty": b"",
        "garbage": b"this is no model" * 100,
        "truncated": demo[: len(demo) // 2],
    }
    try:
        for name, content in faulty.items():
            (models / f"{name}.gguf").write_bytes(content)

        def rows() -> dict[str, dict[str, str]]:
            shown = json.loads(stack.cli("models", "--json").stdout)
            return {row["id"]: row for row in shown["models"]}

        wait_for(lambda: all(rows().get(n, {}).get("status") == "error" for n in faulty), 30)
        for name in faulty:
            assert rows()[name]["reason"]
            told = stack.cli("load", name)
            assert told.returncode == 1
            assert "MODEL_LOAD_FAILED" in told.stderr
            assert "last lines" in told.stderr
    finally:
        for name in faulty:
            (models / f"{name}.gguf").unlink(missing_ok=True)
    wait_for(lambda: set(rows()) == {"babble-demo"}, 30)


def test_sockets_are_private(stack: Stack) -> None:
    run = Home(stack.home).run
    assert run.stat().st_mode & 0o777 == 0o700
    requests = Addresses.in_directory(run).requests.removeprefix("ipc://")
    assert Path(requests).is_socket()
