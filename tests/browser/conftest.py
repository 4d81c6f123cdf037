from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.browser import Watched, launch, watched_page
from tests.support.stack import Stack, running_stack
from tests.support.tiny_gguf import write_garbage, write_llama

ENDLESS = "endless"
"""A model that babbles until it is stopped."""


# For this package alone: while Playwright is there, its event loop runs in this thread, and no test
# that has one of its own could.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = launch(playwright)
        yield running
        running.close()


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack with several small models and one broken file, for all tests of the page."""
    directory = tmp_path_factory.mktemp("page")
    models = directory / "models"
    models.mkdir()
    write_llama(models / "atlas-7b.gguf", name="Atlas 7B")
    write_llama(models / "birch-1b.gguf", name="Birch 1B")
    write_llama(models / f"{ENDLESS}.gguf", name="Endless", ends=False)
    write_garbage(models / "broken.gguf")
    with running_stack(directory, {"LLAMA__MODELS_DIR": str(models)}) as running:
        yield running


@pytest.fixture(scope="package")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for tests of access tokens: the first token shuts everybody else out."""
    with running_stack(tmp_path_factory.mktemp("guarded"), {}) as running:
        assert running.cli("load", "babble-demo").returncode == 0
        yield running


@pytest.fixture
def watched_and_page(browser: Browser, stack: Stack) -> Iterator[tuple[Page, Watched]]:
    with watched_page(browser, stack.gateway_url) as opened:
        yield opened


@pytest.fixture
def page(watched_and_page: tuple[Page, Watched]) -> Page:
    """A wide page in light colours; the test fails on console errors and foreign requests."""
    return watched_and_page[0]


@pytest.fixture
def watched(watched_and_page: tuple[Page, Watched]) -> Watched:
    """What `page` has done that it must not."""
    return watched_and_page[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.system)
