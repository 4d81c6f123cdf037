"""One visit from end to end: load a model, chat with it, and see what that left behind."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.support.stack import Stack

MODEL = "birch-1b"


def go(page: Page, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def test_load_chat_and_see_its_traces(page: Page, stack: Stack) -> None:
    stack.cli("unload", MODEL)
    page.goto("/")
    expect(page.locator("[data-connection=connected]")).to_be_visible()

    go(page, "Models")
    model = page.get_by_role("row").filter(has_text=MODEL)
    page.get_by_role("button", name=f"Load {MODEL}").click()
    page.get_by_role("dialog").get_by_role("button", name="Load", exact=True).click()
    expect(model).to_contain_text("loaded")
    expect(model.get_by_role("button", name=f"Unload {MODEL}")).to_be_visible()

    model.get_by_role("link", name=MODEL).click()
    page.get_by_role("dialog").get_by_role("link", name="Chat with it").click()
    expect(page.get_by_role("heading", level=1, name="Playground")).to_be_visible()
    page.get_by_label("Max tokens").fill("12")
    page.get_by_label("Message", exact=True).fill("Who are you?")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    page.get_by_label("Message", exact=True).press("Enter")
    figures = page.locator("[data-figures]").last
    expect(figures).to_contain_text("End")
    # At most 12: what babbles may end at any word.
    (tokens,) = re.findall(r"Tokens out\s*(\d+)", figures.inner_text())

    go(page, "Requests")
    history = page.get_by_role("group", name="History")
    ended = history.get_by_role("row").filter(has_text=MODEL).first
    expect(ended).to_contain_text("done")
    expect(ended.get_by_role("cell", name=tokens, exact=True).first).to_be_visible()

    go(page, "Logs")
    page.get_by_label("Source").select_option(f"engine:{MODEL}")
    expect(page.locator("[data-line]").filter(has_text="eval time").first).to_be_visible()

    go(page, "Overview")
    latency = page.get_by_role("region", name="Queue and latency").locator("figure")
    expect(latency.filter(has_text="Latency").locator("figcaption")).to_have_text(
        re.compile(r"whole answer\s*[\d.]+ m?s")
    )
    go(page, "Models")
    expect(model.locator("time")).to_have_text(re.compile("now|s ago"))
