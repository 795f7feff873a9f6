"""How long the page takes to show its first heatmap in a real browser, and how much memory its server needs."""

from __future__ import annotations

import tempfile
import time

import psutil
from playwright.sync_api import sync_playwright

from scripts.browser import find
from scripts.running import BROWSER_OPTIONS, running_app


def measure() -> dict[str, float]:
    """Seconds to the first heatmap, and the server's bytes.

    ``first``: a server that just started, a browser that was never here. ``new``: a server in use, such a browser.
    ``again``: the same browser once more.
    """
    with tempfile.TemporaryDirectory() as store, running_app(store) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=list(BROWSER_OPTIONS))
        first, _ = seconds_to_heatmap(browser, address)
        new, again = seconds_to_heatmap(browser, address)
        server = next(p for p in psutil.Process().children(recursive=True) if "streamlit" in " ".join(p.cmdline()))
        memory = float(server.memory_info().rss)
        browser.close()
    return {"first": first, "new": new, "again": again, "memory": memory}


def seconds_to_heatmap(browser, address: str) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Of the first and of the second visit of a browser with an empty cache."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    seconds = []
    for _ in range(2):
        page = context.new_page()
        started = time.perf_counter()
        page.goto(address)
        page.wait_for_selector(".js-plotly-plot .heatmaplayer image")
        seconds.append(time.perf_counter() - started)
        page.close()
    context.close()
    return seconds[0], seconds[1]
