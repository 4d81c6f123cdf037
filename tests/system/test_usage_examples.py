"""Every `bash` and `javascript` block of USAGE.md is run, from top to bottom, on one stack.

The page's addresses become the stack's, and `llama-proxy` its command line. What a block says about
its output is compared: `console.log(…); // this` prints `this`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.api import metrics
from deploy.client import ANSWER_S, Client
from tests.support import shown
from tests.support.fenced import Block, fenced_blocks
from tests.support.node import SCRIPTS_DIR, find_node
from tests.support.page_stack import page_stack
from tests.support.repository import ROOT
from tests.support.stack import Stack
from tests.support.waiting import wait_for

PAGE = ROOT / "USAGE.md"
BLOCKS = [block for block in fenced_blocks(PAGE) if block.language in ("bash", "javascript")]
CONNECT = next(block for block in BLOCKS if block.language == "javascript")
"""How to connect; every other block in JavaScript goes on from it."""

BLOCK_S = 90.0

RESTART = '"system:restart", { process: "metrics" }'
"""Whoever reads the page does not come to its next block while this still goes on."""
RESTART_S = 30.0

# curl's exit code says nothing of what a server answered, unless it is asked to.
CURL = 'curl() { command curl --silent --show-error --fail-with-body --max-time 60 "$@"; }\n'
TOLD = re.compile(r"console\.log\(.*\); // (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with page_stack(tmp_path_factory.mktemp("usage")) as running:
        yield running


@pytest.fixture(scope="module")
def failed() -> list[Block]:
    """Blocks go on from those before them, so after one that failed the others say nothing."""
    return []


@pytest.mark.timeout(BLOCK_S + 60)
@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_example_does_what_the_page_says(
    stack: Stack, tmp_path: Path, failed: list[Block], block: Block
) -> None:
    if failed:
        pytest.skip(f"{failed[0]} failed")
    failed.append(block)
    before = started_at(stack)
    if block.language == "bash":
        run_bash(block, stack, tmp_path)
    else:
        printed, told = run_javascript(block, stack), TOLD.findall(block.code)
        assert [line for line in printed if line in told] == told, printed
    if RESTART in block.code:
        wait_for(lambda: remembers(stack, before), RESTART_S)
    failed.remove(block)


def started_at(stack: Stack) -> str:
    """When the metrics process began; empty while it is not there."""
    process = shown.by_program(shown.status(stack.gateway_url)).get("metrics")
    return process.started_at if process is not None and process.status == "running" else ""


def remembers(stack: Stack, than: str) -> bool:
    """Whether a metrics process that began later than that has figures to show."""
    if started_at(stack) <= than:
        return False
    with Client(stack.gateway_url) as client:
        told = client.call(metrics.HISTORY, metrics.GetHistory(), ANSWER_S)
    return any(host.times_ms for host in told.hosts)


def test_some_examples_are_found() -> None:
    assert {block.language for block in BLOCKS} == {"bash", "javascript"}


def run_bash(block: Block, stack: Stack, directory: Path) -> None:
    program = directory / "bin" / "llama-proxy"
    program.parent.mkdir()
    command = shlex.join([sys.executable, "-m", "deploy.cli"])
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", CURL + at_the_stack(block.code, stack)],
        env={
            **os.environ,
            **stack.environment,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "LLAMA_PROXY_HOME": str(stack.home),
        },
        cwd=stack.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BLOCK_S,
        check=False,
    )
    assert done.returncode == 0, f"{block}:\n{done.stdout}\n{done.stderr}"


def run_javascript(block: Block, stack: Stack) -> list[str]:
    """The lines that the block prints."""
    parts = [CONNECT.code] if block is CONNECT else [CONNECT.code, block.code]
    done = subprocess.run(
        [find_node(), "--input-type=module"],
        input=at_the_stack("\n".join([*parts, "socket.close();\n"]), stack),
        cwd=SCRIPTS_DIR,
        capture_output=True,
        text=True,
        timeout=BLOCK_S,
        check=False,
    )
    assert done.returncode == 0, f"{block}:\n{done.stdout}\n{done.stderr}"
    return done.stdout.splitlines()


def at_the_stack(code: str, stack: Stack) -> str:
    """The code with the stack's addresses instead of the page's."""
    return code.replace("localhost:3000", stack.gateway_url.removeprefix("http://")).replace(
        "localhost:8080", stack.proxy_url.removeprefix("http://")
    )
