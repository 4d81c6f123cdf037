"""Debian's Chromium, driven by Playwright, and what every page of ours has to keep to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Playwright, ViewportSize

from tests.support.repository import ROOT

AXE = ROOT / "gateway" / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"

WIDE = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=390, height=844)

# Nothing of the browser's own on the network, and nothing of a desktop.
_QUIET = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

FLAGS = [*_QUIET, "--no-sandbox"] if os.geteuid() == 0 else _QUIET
"""What Chromium is started with; as root it has no sandbox."""

# WCAG 2.2 AA, which is what the dashboard promises.
_AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def chromium() -> str:
    """The browser's path; skips the test, and says how to get one, where there is none."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium")
    return found


def launch(playwright: Playwright) -> Browser:
    """A browser with an empty profile."""
    return playwright.chromium.launch(executable_path=chromium(), headless=True, args=FLAGS)


@dataclass
class Watched:
    """What a page must not do, as far as it has done it."""

    console: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    """Beginnings of console errors that the test itself brings about."""

    def expect(self, *beginnings: str) -> None:
        """Let such console errors pass: of a gateway that was killed, for example."""
        self.expected += beginnings

    def check(self) -> None:
        """Fail on errors in the console, and on requests that left this machine."""
        assert [text for text in self.console if not text.startswith(self.expected)] == []
        assert self.outside == []


@contextmanager
def watched_page(
    browser: Browser, url: str, *, size: ViewportSize = WIDE, theme: str = "light"
) -> Iterator[tuple[Page, Watched]]:
    """A page in a context of its own; at the end it must have been quiet."""
    context = browser.new_context(
        base_url=url,
        viewport=size,
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
        locale="en-GB",
    )
    context.set_default_timeout(10_000)
    page = context.new_page()
    watched = Watched()
    page.on(
        "console",
        lambda said: watched.console.append(said.text) if said.type == "error" else None,
    )
    page.on("pageerror", lambda error: watched.console.append(str(error)))
    page.on("request", lambda asked: _note(watched, asked.url))
    page.on("websocket", lambda opened: _note(watched, opened.url))
    try:
        yield page, watched
        watched.check()
    finally:
        context.close()


def _note(watched: Watched, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme in ("data", "blob"):
        return
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        watched.outside.append(url)


def assert_accessible(page: Page) -> None:
    """No violation of WCAG 2.2 AA that axe can see."""
    # By the debugger, which the page's Content-Security-Policy does not bind.
    page.evaluate(AXE.read_text(encoding="utf-8") + "\n;undefined")
    found: dict[str, Any] = page.evaluate(
        "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", _AXE_TAGS
    )
    violations = [
        f"{one['id']}: {one['help']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
    assert not violations, "\n".join(violations)


def screenshot(page: Page, directory: Path, name: str) -> Path:
    """The whole page as a PNG."""
    path = directory / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path
