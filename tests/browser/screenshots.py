"""Writes docs/images, one picture per page, from a real stack that serves small demo models.

`make screenshots` runs it. The models' names are made up; what the pictures say of them is true.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.browser import launch, watched_page
from tests.support.repository import ROOT
from tests.support.stack import Stack, running_stack
from tests.support.tiny_gguf import write_garbage, write_llama

IMAGES = ROOT / "docs" / "images"
PAGES = ("overview", "models", "playground", "requests", "presets", "logs", "settings")
MODELS = {
    "atlas-7b-q4_k_m": "Atlas 7B",
    "birch-1b-q8_0": "Birch 1B",
    "cedar-14b-q5_k_m": "Cedar 14B",
    "dune-coder-3b-q4_k_m": "Dune Coder 3B",
    "ember-8b-q6_k": "Ember 8B",
}
PRESET = """\
; name: Coding assistant
; description: Low temperature for coders, two requests at a time
version = 1

; For every model.
[*]
ctx-size = 4096
parallel = 2
flash-attn = auto
cache-reuse = 256

[dune-coder*]
temp = 0.2
"""
PATHS = {"presets": "presets/coding-assistant"}
"""Where a page is at its best, if that is not where its link leads."""
LOADED = tuple(MODELS)[:3]
TRAFFIC_S = 70.0
CALLERS = 3
SETTLE_MS = 1_500
"""Charts draw once a second."""


def main() -> int:
    """Start a stack, keep it busy for a while, and take the pictures meanwhile."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        models = Path(scratch) / "models"
        models.mkdir()
        for file, name in MODELS.items():
            write_llama(models / f"{file}.gguf", name=name, ends=False)
        write_garbage(models / "half-downloaded.gguf")
        with running_stack(Path(scratch), {"LLAMA__MODELS_DIR": str(models)}) as stack:
            (stack.home / "presets" / "coding-assistant.ini").write_text(PRESET)
            for model in LOADED:
                assert stack.cli("load", model).returncode == 0
            _take(stack)
    return 0


def _take(stack: Stack) -> None:
    until_s = time.monotonic() + TRAFFIC_S
    with ThreadPoolExecutor(CALLERS) as callers, sync_playwright() as playwright:
        busy = [callers.submit(_chat, stack, n, until_s) for n in range(CALLERS)]
        browser = launch(playwright)
        time.sleep(TRAFFIC_S / 2)  # a curve takes time to be one
        for name in PAGES:
            _picture(browser, stack, name, "light", name)
        _picture(browser, stack, "overview", "dark", "overview-dark")
        browser.close()
        for one in busy:
            one.result()


def _picture(browser: Browser, stack: Stack, name: str, theme: str, file: str) -> None:
    with watched_page(browser, stack.gateway_url, theme=theme) as (page, _watched):
        _open(page, name)
        path = IMAGES / f"{file}.png"
        page.screenshot(path=path)
        sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB\n")


def _open(page: Page, name: str) -> None:
    page.goto("/")
    expect(page.locator("[data-connection=connected]")).to_be_visible()
    heading = name.capitalize()
    page.get_by_role("navigation").get_by_role("link", name=heading).click()
    expect(page.get_by_role("heading", level=1, name=heading)).to_be_visible()
    if name in PATHS:
        page.goto(f"/#/{PATHS[name]}")
    if name == "settings":
        _change_a_setting(page)
    if name == "playground":
        _talk(page)
    page.wait_for_timeout(SETTLE_MS)


def _change_a_setting(page: Page) -> None:
    """A change that is ready to be reviewed; nothing is saved."""
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="llama").click()
    page.get_by_label("maxModels", exact=True).fill("6")
    expect(page.get_by_role("button", name="Review and save")).to_be_enabled()
    page.get_by_label("maxModels", exact=True).evaluate(
        "field => { field.blur(); field.scrollIntoView({block: 'center'}); }"
    )


def _talk(page: Page) -> None:
    """A short conversation, of which the second answer is the longer one."""
    page.get_by_label("System prompt").fill("You tell stories, and you keep them short.")
    page.get_by_label("Temperature").fill("0.7")
    ends = page.locator("[data-figures]").filter(has_text="length")
    for turn, (text, tokens) in enumerate(
        [("Who lives by the river?", 30), ("And what happens in the end?", 110)], 1
    ):
        page.get_by_label("Max tokens").fill(str(tokens))
        page.get_by_label("Message", exact=True).fill(text)
        page.get_by_label("Message", exact=True).press("Enter")
        expect(ends).to_have_count(turn, timeout=30_000)


def _chat(stack: Stack, number: int, until_s: float) -> None:
    model = LOADED[number % len(LOADED)]
    turn = 0
    while time.monotonic() < until_s:
        turn += 1
        body = {
            "model": model,
            "messages": [{"role": "user", "content": f"Tell me story {turn}"}],
            "max_tokens": 300 + 200 * (turn % 4),
            "stream": True,
        }
        asked = urllib.request.Request(  # noqa: S310 - our own
            f"{stack.proxy_url}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
                answer.read()
        except urllib.error.HTTPError as error:
            sys.stderr.write(f"{model}: {error}\n")
        time.sleep(0.2 + 0.15 * (turn % 5))


if __name__ == "__main__":
    sys.exit(main())
