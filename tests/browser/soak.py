"""The page under load for minutes: live metrics in one tab, 1,000 log lines a second in another.

`make soak-page MINUTES=5`. Prints each tab's frames per second and what it holds, and fails where
one has grown by more than `MAX_GROWTH_MB` after its first half minute.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from playwright.sync_api import Browser, CDPSession, Page, Playwright, expect, sync_playwright

from tests.support.browser import launch, watched_page
from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.stack import running_stack
from tests.support.tiny_gguf import write_llama

LINES_PER_S = 1_000
WARM_UP_S = 30.0
REPORTS = 10
MAX_GROWTH_MB = 30.0
TABS = {"Overview": "#/overview", "Logs": "#/logs?level=debug"}

COUNT_FRAMES = """() => {
  window.frames_drawn = 0;
  const next = () => { window.frames_drawn++; requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""


@dataclass
class Tab:
    """One page in a browser of its own, and what that draws with, after each look in MB."""

    name: str
    browser: Browser
    page: Page
    debugger: CDPSession
    held_mb: list[float] = field(default_factory=list)
    frames: int = 0

    def look(self, elapsed_s: float) -> None:
        """Say how fast it draws and what it holds."""
        drawn = int(self.page.evaluate("window.frames_drawn"))
        self.debugger.send("HeapProfiler.collectGarbage")
        heap = self.debugger.send("Runtime.getHeapUsage")["usedSize"] / 1e6
        self.held_mb.append(_renderers_mb(self.browser))
        said = " ".join(self.page.get_by_role("status").all_inner_texts()).split()
        sys.stdout.write(
            f"  {self.name}: {(drawn - self.frames) / elapsed_s:.1f} frames/s, process "
            f"{self.held_mb[-1]:.1f} MB, script {heap:.1f} MB; it says: {' '.join(said)}\n"
        )
        sys.stdout.flush()
        self.frames = drawn

    @property
    def growth_mb(self) -> float:
        """What it holds more now than after its first half minute."""
        return self.held_mb[-1] - self.held_mb[0]


def main() -> int:
    """Run for the given minutes; 1 where a tab has grown too much."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with tempfile.TemporaryDirectory() as scratch:
        models = Path(scratch) / "models"
        models.mkdir()
        write_llama(models / "loud.gguf", name="Loud")
        engine = write_fake_llama_server(Path(scratch), log_lines_per_s=LINES_PER_S)
        settings = {"LLAMA__MODELS_DIR": str(models), "LLAMA__SERVER_PATH": str(engine)}
        with running_stack(Path(scratch), settings) as stack, sync_playwright() as playwright:
            assert stack.cli("load", "loud").returncode == 0
            with ExitStack() as opened:
                tabs = [_open(opened, playwright, stack.gateway_url, name) for name in TABS]
                _run(tabs, minutes * 60)
    too_large = [tab.name for tab in tabs if tab.growth_mb > MAX_GROWTH_MB]
    for tab in tabs:
        sys.stdout.write(f"{tab.name} has grown by {tab.growth_mb:.1f} MB\n")
    return 1 if too_large else 0


def _open(opened: ExitStack, playwright: Playwright, url: str, name: str) -> Tab:
    browser = launch(playwright)
    opened.callback(browser.close)
    page, _watched = opened.enter_context(watched_page(browser, url))
    page.goto(f"/{TABS[name]}")
    expect(page.locator("[data-connection=connected]")).to_be_visible()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
    page.evaluate(COUNT_FRAMES)
    return Tab(name, browser, page, page.context.new_cdp_session(page))


def _renderers_mb(browser: Browser) -> float:
    """What the processes that draw pages hold for themselves alone."""
    told = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    pids = [int(one["id"]) for one in told["processInfo"] if one["type"] == "renderer"]
    return sum(float(psutil.Process(pid).memory_full_info().uss) for pid in pids) / 1e6


def _run(tabs: list[Tab], seconds: float) -> None:
    pause_s = (seconds - WARM_UP_S) / REPORTS
    for number in range(REPORTS + 1):
        length_s = WARM_UP_S if number == 0 else pause_s
        began_s = time.monotonic()
        tabs[0].page.wait_for_timeout(length_s * 1000)
        elapsed_s = time.monotonic() - began_s
        sys.stdout.write(f"after {WARM_UP_S + number * pause_s:.0f} s\n")
        for tab in tabs:
            tab.look(elapsed_s)


if __name__ == "__main__":
    sys.exit(main())
