"""Overview's charts of queue and latency, and what it says of a machine without GPU."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from common.devices import NVML
from tests.support.browser import assert_accessible, watched_page
from tests.support.stack import Stack


def open_overview(page: Page) -> None:
    page.goto("/")
    expect(page.locator("[data-connection=connected]")).to_be_visible()


def test_a_chat_moves_the_charts(page: Page, stack: Stack) -> None:
    open_overview(page)
    section = page.get_by_role("region", name="Queue and latency")
    expect(section.locator("canvas")).to_have_count(4)
    assert stack.cli("load", "atlas-7b").returncode == 0
    assert stack.cli("chat", "atlas-7b", "hello").returncode == 0
    latency = section.locator("figure").filter(has_text="Latency")
    expect(latency.locator("figcaption")).to_contain_text("ms")
    expect(section).not_to_contain_text("at most 0.00 tok/s")


@pytest.mark.skipif(bool(NVML.gpus()), reason="this host has a GPU")
def test_a_machine_without_gpu_says_so(page: Page) -> None:
    open_overview(page)
    expect(page.get_by_text("No GPU is measured here")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_sections_are_accessible(browser: Browser, stack: Stack, theme: str) -> None:
    with watched_page(browser, stack.gateway_url, theme=theme) as (page, _watched):
        open_overview(page)
        expect(
            page.get_by_role("region", name="Queue and latency").locator("canvas")
        ).to_have_count(4)
        assert_accessible(page)
