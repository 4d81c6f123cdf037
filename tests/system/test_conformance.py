"""The API page, line by line, by the stock JavaScript client in all three ways to connect.

What is proved lies in `tests/js/conformance`: the page's code blocks as files, and a test for each,
written in JavaScript. Here each of them becomes a test of its own in each way.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.node import SCRIPTS_DIR, run_script
from tests.support.page_stack import page_stack
from tests.support.repository import ROOT

WAYS = ("namespace", "path", "both")
SUITE = SCRIPTS_DIR / "conformance"
RUN_S = 600.0

PAGE = json.loads((SUITE / "page.json").read_text())
BLOCKS = [block["block"] for block in PAGE["blocks"]]
TESTS = BLOCKS + PAGE["errorCodes"]


Results = dict[str, str | None]
"""What is wrong, by test; null for what passed."""


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    """What came out in each way to connect. A run mostly waits for what comes every ten seconds, so
    all of them go on at once, each with a stack of its own.
    """

    def run(way: str, directory: Path) -> Results:
        # What a user has who did what the page says: a `qwen-7b`, and settings in the file.
        with page_stack(directory) as stack:
            results: Results = run_script(
                "conformance/run.mjs", stack.gateway_url, way, str(stack.home), timeout_s=RUN_S
            )
        return results

    directories = [tmp_path_factory.mktemp(way) for way in WAYS]
    with ThreadPoolExecutor(len(WAYS)) as pool:
        return dict(zip(WAYS, pool.map(run, WAYS, directories), strict=True))


@pytest.mark.timeout(RUN_S)
@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize("way", WAYS)
def test_page(proved: dict[str, Results], way: str, name: str) -> None:
    results = proved[way]
    assert name in results, f"nothing in {SUITE.name}/sections proves {name}"
    assert results[name] is None, results[name]


def test_every_test_proves_something_that_is_on_the_page(proved: dict[str, Results]) -> None:
    assert set(proved[WAYS[0]]) == set(TESTS)


def test_the_list_of_blocks_is_the_list_of_files() -> None:
    files = [path.name.rsplit(".", 1)[0] for path in (SUITE / "blocks").iterdir()]
    assert sorted(files) == sorted(BLOCKS)
    assert len(set(BLOCKS)) == len(BLOCKS)


def test_the_documents_that_the_page_names_are_there() -> None:
    for name in ("INSTALL.md", "USAGE.md", "docs/ARCHITECTURE.md"):
        assert (ROOT / name).is_file()
