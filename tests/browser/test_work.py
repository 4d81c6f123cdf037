"""Models, Requests and Logs do their work on a real stack."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.conftest import ENDLESS
from tests.support.browser import PHONE, WIDE, assert_accessible, watched_page
from tests.support.stack import Stack


@pytest.fixture(autouse=True, scope="module")
def used(stack: Stack) -> None:
    """One model has answered, so that there is something to see."""
    assert stack.cli("load", "atlas-7b").returncode == 0
    assert stack.cli("chat", "atlas-7b", "hello").returncode == 0


def open_page(page: Page, name: str, path: str | None = None) -> None:
    page.goto(f"/#/{path or name.lower()}")
    expect(page.locator("[data-connection=connected]")).to_be_visible()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def row(page: Page, table: str, text: str) -> Any:
    return page.get_by_role("group", name=table).get_by_role("row").filter(has_text=text)


def ask(stack: Stack, model: str, **more: object) -> Any:
    """A chat's answer, whose body is still to be read."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}
    request = urllib.request.Request(  # noqa: S310 - http, ours
        f"{stack.proxy_url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    return urllib.request.urlopen(request, timeout=30)  # noqa: S310


def test_models_are_found_loaded_and_unloaded(page: Page) -> None:
    open_page(page, "Models")
    expect(row(page, "Models", "broken")).to_contain_text("error")
    page.keyboard.press("/")
    page.keyboard.type("birch")
    expect(row(page, "Models", "atlas")).to_have_count(0)
    page.get_by_role("button", name="Load birch-1b").click()
    dialog = page.get_by_role("dialog", name="Load birch-1b")
    dialog.get_by_label("Preset").select_option("low-memory")
    dialog.get_by_role("button", name="Load", exact=True).click()
    expect(row(page, "Models", "birch-1b")).to_contain_text("loaded", timeout=20_000)
    page.get_by_role("button", name="Unload birch-1b").click()
    expect(row(page, "Models", "birch-1b")).to_contain_text("unloaded", timeout=20_000)


def test_all_of_a_models_row_fits_on_a_phone(browser: Browser, stack: Stack) -> None:
    with watched_page(browser, stack.gateway_url, size=PHONE) as (page, _):
        open_page(page, "Models")
        birch = row(page, "Models", "birch-1b")
        expect(birch.get_by_text("unloaded").locator("visible=true")).to_be_in_viewport(ratio=1)
        button = birch.get_by_role("button", name="Load birch-1b")
        expect(button).to_be_in_viewport(ratio=1)


def test_several_models_at_once(page: Page, stack: Stack) -> None:
    open_page(page, "Models")
    for name in ("birch-1b", ENDLESS):
        page.get_by_label(f"Select {name}").check()
    page.get_by_role("button", name="Load 2").click()
    page.get_by_role("dialog").get_by_role("button", name="Load", exact=True).click()
    expect(page.get_by_role("button", name="Unload 2")).to_be_enabled(timeout=20_000)
    page.get_by_role("button", name="Unload 2").click()
    expect(page.get_by_role("button", name="Load 2")).to_be_enabled(timeout=20_000)
    assert {engine for engine in stack.cli("models").stdout.splitlines() if " loaded" in engine}


def test_a_model_tells_all_about_its_file(page: Page) -> None:
    asked: list[str] = []

    def sent(frame: str | bytes) -> None:
        if "models:info" in str(frame):
            asked.append(str(frame))

    page.on("websocket", lambda opened: opened.on("framesent", sent))
    open_page(page, "Models")
    page.get_by_role("link", name="atlas-7b").click()
    drawer = page.get_by_role("dialog", name="atlas-7b")
    expect(drawer.get_by_text("Atlas 7B")).to_be_visible()
    drawer.get_by_role("tab", name="Arguments").click()
    expect(drawer.get_by_role("link", name="default")).to_be_visible()
    drawer.get_by_role("tab", name="Log").click()
    expect(drawer.get_by_role("listitem").first).to_be_visible()
    assert len(asked) == 1, "the answer itself must not be a reason to ask again"
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("#/models$"))


def test_a_request_is_seen_and_cancelled(page: Page, stack: Stack) -> None:
    open_page(page, "Requests")
    with ask(stack, ENDLESS, stream=True, max_tokens=100_000):
        expect(row(page, "In flight", ENDLESS)).to_contain_text("answering", timeout=20_000)
        page.get_by_role("button", name=f"Cancel the request to {ENDLESS}").click()
        page.get_by_role("button", name="Cancel the request", exact=True).click()
        expect(row(page, "In flight", ENDLESS)).to_have_count(0)
    expect(row(page, "History", ENDLESS).first).to_contain_text("cancelled")
    page.get_by_role("button", name=f"Details of the request to {ENDLESS}").first.click()
    expect(page.get_by_role("dialog").get_by_text("It was cancelled from outside.")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_label("End").select_option("done")
    expect(row(page, "History", ENDLESS)).to_have_count(0)
    expect(row(page, "History", "atlas-7b").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith("id,startedAt,model")
    assert all(",done," in line for line in lines[1:])
    assert len(lines) > 1


def test_the_log_is_followed_and_searched(page: Page, stack: Stack) -> None:
    open_page(page, "Logs")
    line = page.locator("[data-line]")
    expect(line.first).to_be_visible()
    assert stack.cli("load", "no-such-model").returncode == 1
    expect(line.filter(has_text="no-such-model").first).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    assert stack.cli("load", "nor-this-one").returncode == 1
    expect(page.get_by_role("button", name=re.compile(r"\d+ new"))).to_be_visible()
    expect(line.filter(has_text="nor-this-one")).to_have_count(0)
    page.get_by_role("button", name=re.compile(r"\d+ new")).click()
    expect(line.filter(has_text="nor-this-one").first).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("NO-SUCH-MODEL")
    expect(line.filter(has_text="nor-this-one")).to_have_count(0)
    expect(line.filter(has_text="no-such-model").first).to_be_visible()
    page.get_by_label("Source").select_option("engine:")
    expect(page.get_by_text("No line matches")).to_be_visible()


LEAVE_AND_SCROLL = """async () => {
  const log = document.querySelector("[role=log]");
  location.hash = "#/models";
  while (log.isConnected) await new Promise(requestAnimationFrame);
  log.dispatchEvent(new Event("scroll"));
}"""


def test_a_log_that_was_scrolled_as_it_was_left_does_not_mind(page: Page) -> None:
    open_page(page, "Logs")
    expect(page.locator("[data-line]").first).to_be_visible()
    page.evaluate(LEAVE_AND_SCROLL)


def test_a_warning_leads_to_its_place_in_the_log(page: Page, stack: Stack) -> None:
    assert stack.cli("load", "odd-one-out").returncode == 1
    open_page(page, "Overview")
    page.get_by_role("link").filter(has_text="odd-one-out").first.click()
    expect(page.get_by_role("heading", level=1, name="Logs")).to_be_visible()
    marked = page.locator("[data-line].bg-primary\\/15")
    expect(marked).to_contain_text("odd-one-out")
    expect(marked).to_be_in_viewport()
    page.get_by_role("button", name="Follow").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


@pytest.mark.parametrize(("theme", "size"), [("light", WIDE), ("dark", PHONE)])
@pytest.mark.parametrize("name", ["Models", "Requests", "Logs"])
def test_everybody_can_use_it(
    browser: Browser, stack: Stack, theme: str, size: ViewportSize, name: str
) -> None:
    with watched_page(browser, stack.gateway_url, theme=theme, size=size) as (page, _):
        open_page(page, name)
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        assert_accessible(page)
        wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert page.evaluate(wider) is False
