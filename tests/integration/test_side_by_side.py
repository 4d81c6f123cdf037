"""Tests of one file run in one process, whatever versions of pytest and pytest-xdist are here."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.support.repository import ROOT

TESTS = """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(6))
def test_says_where_it_runs(number):
    with pathlib.Path("where").open("a") as file:
        file.write(f"{pathlib.Path(__file__).stem} {os.environ['PYTEST_XDIST_WORKER']}\\n")
"""


def test_the_tests_of_a_file_stay_together(tmp_path: Path) -> None:
    files = ["test_one", "test_two", "test_survival", "test_down", "test_page", "test_other_page"]
    browser = tmp_path / "tests" / "browser"
    browser.mkdir(parents=True)
    for file in files:
        directory = browser if "page" in file else tmp_path
        (directory / f"{file}.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-n", "2", "-q", "-p", "tests.support.side_by_side"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", "/dev/null", "."],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    workers = defaultdict(set)
    for line in (tmp_path / "where").read_text().splitlines():
        file, worker = line.split()
        workers[file].add(worker)
    assert {file: len(workers[file]) for file in files} == dict.fromkeys(files, 1)
    assert workers["test_survival"] == workers["test_down"]
    assert workers["test_page"] == workers["test_other_page"]
    assert len(set.union(*workers.values())) == 2
