"""How soon does the dashboard show what is? Its first useful paint, and a change in an engine.

Reference: the promises, 1 s each (the second as p95 of 20). A change is an engine that is killed
and one that is started: from the moment at which its process is gone, or at which the gateway says
`models:loaded` to another client, to the moment at which Overview's table says so in Chromium.
"""

from __future__ import annotations

import asyncio
import queue
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import socketio
from playwright.async_api import Browser, Page, async_playwright

from benchmarks._report import allowed, heading, median
from tests.support.browser import FLAGS, chromium
from tests.support.stack import Stack, running_stack
from tests.support.tiny_gguf import write_llama

PAINTS = 10
KILLS = 20
BOUND_MS = 1_000.0
MODEL = "atlas-7b"

# Written down by the page itself, in its own clock, which is that of this machine (ms since 1970):
# asking it again and again would add the pace of the asking.
WATCH = """model => {
  window.seen = [];
  let before = null;
  const look = () => {
    const row = [...document.querySelectorAll("tr")].find(one => one.textContent.includes(model));
    const loaded = row !== undefined && /\\bloaded\\b/.test(row.textContent);
    const now = row === undefined ? "gone" : loaded ? "loaded" : "other";
    if (now !== before) window.seen.push({ at: Date.now(), state: now });
    before = now;
  };
  new MutationObserver(look).observe(document.body,
    { subtree: true, childList: true, characterData: true, attributes: true });
  look();
}"""


async def first_paint_ms(browser: Browser, url: str) -> float:
    """From the navigation, with an empty cache, until Overview's table has its row."""
    context = await browser.new_context()
    page = await context.new_page()
    began = time.monotonic()
    await page.goto(url, wait_until="commit")
    await page.get_by_role("row").filter(has_text=MODEL).first.wait_for()
    took_ms = (time.monotonic() - began) * 1000
    await context.close()
    return took_ms


async def seen_ms(page: Page, state: str, after_ms: float) -> float:
    """When the page first showed this state after that moment."""
    handle = await page.wait_for_function(
        "([state, after]) => window.seen.find(one => one.at >= after && (state === 'changed'"
        " ? one.state !== 'loaded' : one.state === state))?.at",
        arg=[state, after_ms],
        timeout=30_000,
    )
    return float(await handle.json_value())


async def changes_ms(browser: Browser, stack: Stack) -> tuple[list[float], list[float]]:
    """How late the page showed that the engine is gone, and that its successor is ready."""
    client = socketio.Client()
    loaded: queue.Queue[float] = queue.Queue()

    def hear(_payload: Any) -> None:
        loaded.put(time.time() * 1000)

    def ask(command: str) -> None:
        reply = client.call(command, {"id": MODEL}, namespace="/llamaproxws", timeout=60)
        assert reply["success"], reply

    client.on("models:loaded", hear, namespace="/llamaproxws")
    client.connect(stack.gateway_url, namespaces=["/llamaproxws"], transports=["websocket"])
    page = await browser.new_page()
    await page.goto(stack.gateway_url)
    await page.get_by_role("row").filter(has_text=MODEL).first.wait_for()
    await page.evaluate(WATCH, MODEL)
    gone, ready = [], []
    for _ in range(KILLS):
        (engine,) = stack.engines()
        killed_ms = time.time() * 1000
        engine.send_signal(signal.SIGKILL)
        gone.append(await seen_ms(page, "changed", killed_ms) - killed_ms)
        # By `models:unload` and `models:load`, since an engine that crashes often is given up.
        await asyncio.to_thread(ask, "models:unload")
        while not loaded.empty():
            loaded.get_nowait()
        asked_ms = time.time() * 1000
        await asyncio.to_thread(ask, "models:load")
        told_ms = await asyncio.to_thread(loaded.get, timeout=10)
        ready.append(max(0.0, await seen_ms(page, "loaded", asked_ms) - told_ms))
    client.disconnect()
    return gone, ready


def p95(values: list[float]) -> float:
    """Of 20: the 19th."""
    return sorted(values)[max(0, round(0.95 * len(values)) - 1)]


async def measure(stack: Stack) -> None:
    """Both figures, in one browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(), headless=True, args=FLAGS
        )
        await first_paint_ms(browser, stack.gateway_url)  # the first start of all is the browser's
        paints = [await first_paint_ms(browser, stack.gateway_url) for _ in range(PAINTS)]
        gone, ready = await changes_ms(browser, stack)
        await browser.close()
    allowed("first useful paint, median", median(paints), BOUND_MS, "ms")
    allowed("first useful paint, slowest", max(paints), BOUND_MS, "ms")
    allowed("a killed engine shows, p95", p95(gone), BOUND_MS, "ms")
    allowed("a loaded model shows, p95", p95(ready), BOUND_MS, "ms")


def main() -> None:
    """One stack with one small model, loaded."""
    heading("How soon does the dashboard show what is?", "playwright", "python-socketio")
    with tempfile.TemporaryDirectory() as scratch:
        models = Path(scratch) / "models"
        models.mkdir()
        write_llama(models / f"{MODEL}.gguf", name="Atlas 7B")
        with running_stack(Path(scratch), {"LLAMA__MODELS_DIR": str(models)}) as stack:
            assert stack.cli("load", MODEL).returncode == 0
            asyncio.run(measure(stack))


if __name__ == "__main__":
    main()
