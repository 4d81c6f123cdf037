"""Random kills, stops, loads, unloads and chats; what must always hold is checked all along.

`make soak MINUTES=10`, or `python -m tests.soak MINUTES [SEED]`. Prints the seed first, so that a
run that failed can be made again (as far as a machine does the same twice).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_for

MODELS = ["a", "b", "c", "d"]
KINDS = ["backplane", "controller", "runner", "metrics", "logs", "gateway", "proxy"]
MAX_MODELS = 3
RIGHT_AGAIN_S = 40.0
STOPPED_S = 5.0
MAX_FDS_MORE = 30
MAX_RSS_FACTOR = 1.6


@dataclass
class Soak:
    """One run on one stack. `chance` decides everything."""

    stack: Stack
    chance: random.Random
    done: dict[str, int]

    def step(self) -> None:
        """One random thing, then what must hold."""
        action: Callable[[], None] = self.chance.choices(
            [self.kill, self.stop, self.kill_engine, self.load, self.unload, self.chat],
            weights=[2, 1, 1, 4, 3, 4],
        )[0]
        self.done[action.__name__] = self.done.get(action.__name__, 0) + 1
        action()

    def kill(self) -> None:
        kind = self.chance.choice(KINDS)
        process = self.process(kind)
        if process is not None:
            os.kill(process["pid"], signal.SIGKILL)
            wait_for(lambda: self.replaced(kind, process["pid"]), RIGHT_AGAIN_S)
        self.right_again()

    def stop(self) -> None:
        process = self.process(self.chance.choice([kind for kind in KINDS if kind != "gateway"]))
        if process is None:
            return
        os.kill(process["pid"], signal.SIGSTOP)
        try:
            time.sleep(STOPPED_S * self.chance.random())
        finally:
            os.kill(process["pid"], signal.SIGCONT)
        self.right_again()

    def kill_engine(self) -> None:
        engines = self.stack.engines()
        if engines:
            victim = self.chance.choice(engines)
            victim.kill()
            wait_for(lambda: not victim.is_running(), RIGHT_AGAIN_S)
        self.right_again()

    def load(self) -> None:
        self.stack.cli("load", self.chance.choice(MODELS))
        self.right_again()

    def unload(self) -> None:
        self.stack.cli("unload", self.chance.choice(MODELS))
        self.right_again()

    def chat(self) -> None:
        body = {"model": self.chance.choice(MODELS), "messages": []}
        url = f"{self.stack.proxy_url}/v1/chat/completions"
        answer = requests.post(url, json=body, timeout=30)
        # No room, or an engine in its pause: that is said, and not left hanging.
        assert answer.status_code in (200, 502, 503), answer.text

    def replaced(self, kind: str, pid: int) -> bool:
        process = self.process(kind)
        return process is not None and process["pid"] != pid

    def process(self, kind: str) -> dict[str, Any] | None:
        return next((p for p in self.status().get("processes", []) if p["kind"] == kind), None)

    def status(self) -> dict[str, Any]:
        told = self.stack.cli("status", "--json")
        return json.loads(told.stdout) if told.returncode == 0 else {}

    def right_again(self) -> None:
        """All processes run, no model is on its way, and what is shown is what is real."""
        seen: list[str] = []

        def right() -> bool:
            seen[:] = [self.wrong()]
            return not seen[0]

        try:
            wait_for(right, RIGHT_AGAIN_S)
        except AssertionError:
            raise AssertionError(seen[0]) from None

    def wrong(self) -> str:
        status = self.status()
        if not status:
            return "the gateway does not answer"
        running = {p["kind"] for p in status["processes"] if p["status"] == "running"}
        if running != set(KINDS):
            return f"not running: {set(KINDS) - running}"
        rows = {row["id"]: row for row in status["models"] if row["id"] in MODELS}
        on_their_way = [i for i, row in rows.items() if row["status"] in ("loading", "unloading")]
        if on_their_way:
            return f"on their way: {on_their_way}"
        shown = sorted(i for i, row in rows.items() if row["status"] == "loaded")
        real = sorted(alias(engine.cmdline()) for engine in self.stack.engines())
        return "" if shown == real else f"loaded are shown {shown}, real engines are {real}"


def alias(command_line: list[str]) -> str:
    """The model that an engine was started for."""
    return command_line[command_line.index("--alias") + 1]


def usage(stack: Stack) -> dict[str, tuple[int, int]]:
    """Open files and resident bytes by program."""
    used = {}
    for process in stack.processes():
        words = process.cmdline()
        if "--name" in words:
            used[words[words.index("--name") + 1]] = (process.num_fds(), process.memory_info().rss)
    return used


def main() -> None:
    """Soak for so many minutes."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    sys.stdout.write(f"soak of {minutes:g} minutes, seed {seed}\n")
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        directory = Path(name)
        settings = {
            "LLAMA__SERVER_PATH": write_fake_llama_server(directory),
            "LLAMA__MAX_MODELS": MAX_MODELS,
            "LLAMA__DRAIN_TIMEOUT_SECONDS": 1,
            "LLAMA__QUEUE_TIMEOUT": 10,
            "RUNNER__STOP_GRACE_SECONDS": 1,
        }
        with running_stack(directory, settings) as stack:
            models = stack.home / "models"
            for model in MODELS:
                shutil.copy(models / "babble-demo.gguf", models / f"{model}.gguf")
            soak = Soak(stack, random.Random(seed), {})
            wait_for(lambda: len(soak.status().get("models", [])) > len(MODELS))
            before = usage(stack)
            ends = time.monotonic() + minutes * 60
            while time.monotonic() < ends:
                soak.step()
            after = usage(stack)
    for program, (fds, rss) in sorted(after.items()):
        fds_before, rss_before = before[program]
        sys.stdout.write(
            f"  {program}: {fds_before} -> {fds} open files, "
            f"{rss_before / 1e6:.0f} -> {rss / 1e6:.0f} MB\n"
        )
        assert fds <= fds_before + MAX_FDS_MORE, program
        assert rss <= rss_before * MAX_RSS_FACTOR, program
    sys.stdout.write(f"  done: {soak.done}; everything held\n")


if __name__ == "__main__":
    main()
