"""The page around the pages, and Overview, in a real browser on a real stack."""

from __future__ import annotations

import os
import re
import signal
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.support.browser import PHONE, WIDE, Watched, assert_accessible, watched_page
from tests.support.stack import Stack, command_line_of

PAGES = ["Overview", "Models", "Playground", "Requests", "Presets", "Logs", "Settings"]


@pytest.fixture(scope="module", autouse=True)
def loaded_model(stack: Stack) -> None:
    assert stack.cli("load", "atlas-7b").returncode == 0
    assert stack.cli("chat", "atlas-7b", "hello").returncode == 0


def open_page(page: Page, path: str = "/") -> None:
    page.goto(path)
    expect(page.locator("[data-connection=connected]")).to_be_visible()


def row(page: Page, table: str, name: str) -> Any:
    return page.get_by_role("group", name=table).get_by_role("row").filter(has_text=name)


def test_overview_shows_what_runs(page: Page) -> None:
    open_page(page)
    expect(page).to_have_title("Overview · llama-async-proxy")
    expect(row(page, "Running models", "atlas-7b")).to_contain_text("loaded")
    expect(page.get_by_text(re.compile("[1-4] of 4 models"))).to_be_visible()
    for process in ("controller", "gateway", "metrics", "logs", "proxy", "backplane"):
        expect(row(page, "Processes", process)).to_contain_text("running")
    expect(page.get_by_text("Processor")).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()


def test_a_change_shows_within_a_second(page: Page, stack: Stack) -> None:
    open_page(page)
    expect(row(page, "Running models", "atlas-7b")).to_be_visible()
    assert stack.cli("load", "birch-1b").returncode == 0
    expect(row(page, "Running models", "birch-1b")).to_contain_text("loaded", timeout=1_000)
    page.get_by_role("button", name="Unload birch-1b").click()
    expect(row(page, "Running models", "birch-1b")).to_have_count(0)


def test_every_page_opens_by_mouse_and_by_keys(page: Page) -> None:
    open_page(page)
    for name in PAGES:
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
    for key, name in zip("omprels", PAGES, strict=True):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()


def test_the_theme_is_chosen_and_kept_without_a_flash(page: Page) -> None:
    open_page(page)
    theme = page.get_by_role("button", name="Theme")
    for chosen in ("light", "dark"):
        theme.click()
        expect(page.locator("html")).to_have_attribute("data-theme", chosen)
    page.reload(wait_until="commit")
    page.wait_for_selector("html[data-theme=dark]", state="attached")
    theme.click()
    expect(page.locator("html")).not_to_have_attribute("data-theme", "dark")


def test_a_killed_gateway_is_told_and_comes_back(
    page: Page, watched: Watched, stack: Stack
) -> None:
    watched.expect("WebSocket connection to", "Failed to load resource")
    open_page(page)
    expect(row(page, "Running models", "atlas-7b")).to_be_visible()
    for process in stack.processes():
        if command_line_of(process)[1:3] == ["-m", "gateway"]:
            os.kill(process.pid, signal.SIGKILL)
    expect(page.locator("[data-banner]")).to_be_visible()
    expect(page.locator("main")).to_have_attribute("data-stale", "true")
    expect(row(page, "Running models", "atlas-7b")).to_be_visible()
    expect(page.locator("[data-banner]")).to_be_hidden(timeout=20_000)
    expect(row(page, "Processes", "gateway")).to_contain_text("running")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_everybody_can_use_it(
    browser: Browser, stack: Stack, theme: str, size: ViewportSize
) -> None:
    with watched_page(browser, stack.gateway_url, theme=theme, size=size) as (page, _):
        open_page(page)
        expect(row(page, "Running models", "atlas-7b")).to_be_visible()
        expect(row(page, "Processes", "controller")).to_be_visible()
        assert_accessible(page)
        wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert page.evaluate(wider) is False


def test_the_page_is_fenced_in(stack: Stack) -> None:
    with urllib.request.urlopen(stack.gateway_url) as answer:  # noqa: S310 - http, ours
        fence = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in fence
    assert f"http://127.0.0.1:{stack.proxy_port}" in fence
