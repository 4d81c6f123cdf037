"""Which engines the next `up` leaves to its runners, and which nobody would adopt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from common import environment
from common.home import Home
from common.settings import Settings
from deploy.leftovers import take_over
from deploy.supervisord import sweep

RUNNER = "runner-cpu@here"


class Leftovers:
    """A home with engines and run-files in it, and no runner."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.home.prepare(Settings())
        self.engines: dict[str, subprocess.Popen[bytes]] = {}

    def engine(self, instance: str, home: Path | None = None) -> None:
        tag = f"{home or self.home.root}:{instance}"
        process = subprocess.Popen(
            [sys.executable, "-c", "import signal; print(flush=True); signal.pause()"],
            env={**os.environ, environment.ENGINE: tag},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        self.engines[instance] = process

    def run_file(self, instance: str, text: str) -> None:
        (self.home.engines / f"{instance}.run.json").write_text(text)

    def output(self, instance: str) -> None:
        (self.home.engines / f"{instance}.log").write_text("last words")

    def alive(self) -> set[str]:
        return {name for name, process in self.engines.items() if process.poll() is None}

    def files(self) -> set[str]:
        return {path.name.partition(".")[0] for path in self.home.run_files()}


@pytest.fixture
def left(short_path: Path) -> Iterator[Leftovers]:
    left = Leftovers(short_path)
    yield left
    for process in left.engines.values():
        process.kill()
        process.communicate()


def test_only_engines_of_present_runners_are_left_to_be_adopted(left: Leftovers) -> None:
    for instance in ("ours", "other-runners", "broken", "no-file"):
        left.engine(instance)
    left.engine("other-homes", left.home.root / "elsewhere")
    left.run_file("ours", json.dumps({"runner": RUNNER}))
    left.run_file("ours-but-ended", json.dumps({"runner": RUNNER}))
    left.run_file("other-runners", json.dumps({"runner": "runner-0@here"}))
    left.run_file("broken", '{"runner')
    take_over(left.home, {RUNNER})
    assert left.alive() == {"ours", "other-homes"}
    # What belongs to an engine that has ended meanwhile is its runner's to see.
    assert left.files() == {"ours", "ours-but-ended"}


def test_an_engine_is_ended_whose_pid_another_process_had_before(
    left: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    left.engine("no-file")
    pid = left.engines["no-file"].pid
    (cached,) = (process for process in psutil.process_iter() if process.pid == pid)
    # As psutil would have remembered the other one, had this process asked for all earlier.
    monkeypatch.setattr(cached, "_ident", (pid, 1.0))
    take_over(left.home, {RUNNER})
    assert left.alive() == set()


def test_only_what_present_runners_will_deliver_stays_of_the_output(left: Leftovers) -> None:
    for instance in ("ours", "other-runners", "no-file"):
        left.output(instance)
    left.run_file("ours", json.dumps({"runner": RUNNER}))
    left.run_file("other-runners", json.dumps({"runner": "runner-0@here"}))
    take_over(left.home, {RUNNER})
    assert [path.stem for path in left.home.engine_outputs()] == ["ours"]


def test_a_sweep_ends_them_all_and_leaves_only_last_words(left: Leftovers) -> None:
    left.engine("ours")
    left.engine("stopped")
    left.engine("other-homes", left.home.root / "elsewhere")
    left.run_file("ours", json.dumps({"runner": RUNNER}))
    left.run_file("to-be-delivered", json.dumps({"runner": RUNNER}))
    left.output("to-be-delivered")
    for socket in ("requests.sock", "supervisord.sock.1"):
        (left.home.run / socket).touch()
    left.home.supervisord_pid_file.touch()
    psutil.Process(left.engines["stopped"].pid).suspend()
    sweep(left.home)
    assert left.alive() == {"other-homes"}
    assert left.files() == {"to-be-delivered"}
    assert [path.stem for path in left.home.engine_outputs()] == ["to-be-delivered"]
    assert list(left.home.run.iterdir()) == []
