"""The Playground chats with real engines through the real proxy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from tests.browser.conftest import ENDLESS
from tests.support.browser import PHONE, WIDE, assert_accessible, watched_page
from tests.support.stack import Stack
from tests.support.tiny_gguf import write_bert
from tests.support.waiting import wait_for

NASTY = 'it\'s "quoted" $HOME `id`\n\\n Grüße 👋'


@pytest.fixture(autouse=True, scope="module")
def loaded(stack: Stack) -> Iterator[None]:
    """Two models that answer at once; at the end the stack is left as it was found."""
    for model in ("atlas-7b", ENDLESS):
        assert stack.cli("load", model).returncode == 0
    yield
    for model in ("birch-1b", ENDLESS):
        stack.cli("unload", model)


def open_page(page: Page, model: str = "") -> None:
    page.goto("/#/playground" + (f"?model={model}" if model else ""))
    expect(page.locator("[data-connection=connected]")).to_be_visible()
    expect(page.get_by_role("heading", level=1, name="Playground")).to_be_visible()


def say(page: Page, text: str) -> None:
    field = page.get_by_label("Message", exact=True)
    field.fill(text)
    expect(
        page.get_by_role("button", name="Send", exact=True)
    ).to_be_enabled()  # what it needs has come
    field.press("Enter")


def answer(page: Page, model: str) -> Locator:
    return page.get_by_role("article", name=f"Answer of {model}").last


def began(given: Locator) -> None:
    """Return once its first words are there."""
    expect(given.locator("[data-figures]")).to_contain_text("First token", timeout=20_000)


def test_a_model_that_is_not_loaded_answers(page: Page, stack: Stack) -> None:
    assert stack.cli("unload", "birch-1b").returncode in (0, 1)
    open_page(page, "birch-1b")
    expect(page.get_by_text("It is loaded with your first message")).to_be_visible()
    page.get_by_label("Temperature").fill("0,5")
    expect(page.get_by_text("One of the parameters is not valid")).to_be_visible()
    page.get_by_label("Temperature").fill("0")
    page.get_by_label("Max tokens").fill("12")
    page.get_by_label("System prompt").fill("Be brief.")
    say(page, "hello")
    given = answer(page, "birch-1b")
    expect(given.locator("[data-waiting]")).to_be_visible()
    figures = given.locator("[data-figures]")
    expect(figures).to_contain_text("End", timeout=20_000)
    expect(figures).to_contain_text(re.compile(r"First token after.*Speed.*tok/s.*Tokens out"))
    text = given.inner_text()
    page.get_by_role("button", name="Answer again").click()
    expect(figures).to_contain_text("End")
    assert given.inner_text().splitlines()[1] == text.splitlines()[1], "a temperature of 0"
    # What was said stays while one is elsewhere.
    page.get_by_role("navigation").get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", level=1, name="Models")).to_be_visible()
    page.get_by_role("navigation").get_by_role("link", name="Playground").click()
    expect(given).to_be_visible()
    expect(page).to_have_url(re.compile("model=birch-1b"))
    # Put differently.
    page.get_by_role("button", name="Edit and send again").click()
    page.get_by_label("Your message, edited").fill("good bye")
    page.get_by_role("button", name="Send instead").click()
    expect(page.get_by_role("article", name="Your message")).to_have_text("good bye")
    expect(answer(page, "birch-1b").locator("[data-figures]")).to_contain_text("End")
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("Say something to birch-1b")).to_be_visible()


def test_stop_ends_the_request(page: Page) -> None:
    open_page(page, ENDLESS)
    for by_key in (True, False):
        say(page, "go on")
        given = answer(page, ENDLESS)
        began(given)
        if by_key:
            page.keyboard.press("Escape")
        else:
            page.get_by_role("button", name="Stop").click()
        expect(given.locator("[data-figures]")).to_contain_text("stopped by you")
        # On a busy machine so much has been said by then that a second answer has no room left.
        page.get_by_role("button", name="Clear").click()
    page.get_by_role("navigation").get_by_role("link", name="Requests").click()
    expect(page.get_by_text("Nothing is under way")).to_be_visible()


def test_it_follows_only_while_the_end_is_in_view(page: Page) -> None:
    open_page(page, ENDLESS)
    messages = page.get_by_role("group", name="Messages")
    top = "element => element.scrollTop"
    say(page, "go on")
    wait_for(lambda: messages.evaluate(top) > 100)
    messages.hover()
    page.mouse.wheel(0, -2_000)
    to_end = page.get_by_role("button", name="To the end")
    expect(to_end).to_be_visible()
    before = messages.evaluate("element => [element.scrollTop, element.scrollHeight]")
    wait_for(lambda: messages.evaluate("element => element.scrollHeight") > before[1] + 100)
    assert messages.evaluate(top) == before[0]
    to_end.click()
    expect(to_end).to_be_hidden()
    wait_for(lambda: messages.evaluate(top) > before[1] - 800)
    page.keyboard.press("Escape")


def test_an_engine_that_dies_is_told_and_tried_again(page: Page, stack: Stack) -> None:
    open_page(page, ENDLESS)
    say(page, "go on")
    given = answer(page, ENDLESS)
    began(given)
    (engine,) = (one for one in stack.engines() if f"{ENDLESS}.gguf" in " ".join(one.cmdline()))
    engine.kill()
    expect(given.get_by_role("alert")).to_contain_text("engine failed")
    expect(given.get_by_role("paragraph").first).to_contain_text(" ")
    given.get_by_role("button", name="Try again").click()
    expect(given.get_by_role("alert")).to_have_count(0)
    began(given)
    page.keyboard.press("Escape")
    expect(given.locator("[data-figures]")).to_contain_text("stopped by you")


def test_the_request_as_code_does_the_same(page: Page, stack: Stack, tmp_path: Path) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(page, "atlas-7b")
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_label("Top k").fill("40")
    page.get_by_label("Message", exact=True).fill(NASTY)
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_text("Copied as curl")).to_be_attached()
    command = page.evaluate("navigator.clipboard.readText()")
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30)
    assert "data: [DONE]" in ran.stdout, ran.stderr
    page.get_by_role("button", name="Copy as Python").click()
    expect(page.get_by_text("Copied as Python")).to_be_attached()
    given = python_arguments(page.evaluate("navigator.clipboard.readText()"), tmp_path)
    assert given["base_url"] == f"{stack.proxy_url}/v1"
    assert given["messages"][-1] == {"role": "user", "content": NASTY}
    assert given["extra_body"] == {"top_k": 40}
    page.get_by_role("button", name="Look at the code").click()
    expect(page.get_by_role("dialog").get_by_text("OpenAI's SDK")).to_be_visible()
    assert_accessible(page)


def python_arguments(script: str, directory: Path) -> Any:
    """What a script gives to OpenAI's SDK, for which one that only tells stands in."""
    (directory / "openai.py").write_text(
        "import json\n"
        "class OpenAI:\n"
        "    def __init__(self, **given): self.given = given\n"
        "    chat = completions = property(lambda self: self)\n"
        "    def create(self, **given):\n"
        "        print(json.dumps(self.given | given))\n"
        "        return []\n"
    )
    path = directory / "script.py"
    path.write_text(script)
    ran = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, check=True, timeout=30
    )
    return json.loads(ran.stdout.splitlines()[0])


def test_a_model_that_does_not_chat_says_why_it_cannot_be_chosen(page: Page, stack: Stack) -> None:
    models = Path(stack.environment["LLAMA_PROXY_LLAMA__MODELS_DIR"])
    open_page(page, "broken")
    embedder = write_bert(models / "embedder.gguf")
    found = page.get_by_role("option", name=re.compile("^embedder: .*embeddings"))
    expect(found).to_be_disabled(timeout=20_000)
    embedder.unlink()
    expect(page.get_by_text(re.compile("^broken cannot be chosen: "))).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    page.get_by_label("Model").select_option("atlas-7b")
    expect(page.get_by_text("cannot be chosen")).to_have_count(0)
    expect(page.get_by_role("option", name=re.compile("^broken: .*GGUF"))).to_be_disabled()


@pytest.mark.parametrize(("theme", "size"), [("light", WIDE), ("dark", PHONE)])
def test_everybody_can_use_it(
    browser: Browser, stack: Stack, theme: str, size: ViewportSize
) -> None:
    with watched_page(browser, stack.gateway_url, theme=theme, size=size) as (page, _):
        open_page(page)
        expect(page.get_by_text("Say something to atlas-7b")).to_be_visible()
        say(page, "hello")
        expect(answer(page, "atlas-7b").locator("[data-figures]")).to_contain_text("End")
        assert_accessible(page)
        wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert page.evaluate(wider) is False
        if size is PHONE:
            page.get_by_role("button", name="Settings").click()
            dialog = page.get_by_role("dialog", name="Settings")
            expect(dialog.get_by_label("Temperature")).to_be_visible()


def test_a_token_is_shown_to_the_proxy_and_to_nobody_else(browser: Browser, guarded: Stack) -> None:
    made = guarded.cli("token", "create", "--name", "chatter", "--role", "viewer")
    found = re.search(r"lap_\S+", made.stdout)
    assert found is not None
    with watched_page(browser, guarded.gateway_url) as (page, watched):
        page.goto("/#/playground")
        page.get_by_label("Token", exact=True).fill(found.group())
        page.get_by_role("button", name="Connect").click()
        expect(page.get_by_text("Say something to babble-demo")).to_be_visible()
        # Each role includes the proxy: a viewer's token chats.
        say(page, "hello")
        figures = answer(page, "babble-demo").locator("[data-figures]")
        expect(figures).to_contain_text("End", timeout=20_000)
        page.get_by_role("button", name="Look at the code").click()
        code = page.get_by_role("dialog").get_by_role("group", name="curl")
        expect(code).to_contain_text("Bearer $LLAMA_PROXY_TOKEN")
        assert found.group() not in page.content()
        page.keyboard.press("Escape")
        # Without it the proxy refuses, and that is said.
        watched.expect("Failed to load resource: the server responded with a status of 401")
        page.evaluate("sessionStorage.setItem('token', 'lap_wrong')")
        say(page, "and now?")
        expect(answer(page, "babble-demo").get_by_role("alert")).to_contain_text("access token")
