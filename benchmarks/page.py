"""How long the page takes to show its first heatmap in a real browser, and how much memory its server needs."""

from __future__ import annotations

import tempfile
import time

import psutil
from playwright.sync_api import sync_playwright

from scripts.browser import find
from scripts.running import BROWSER_OPTIONS, running_app


def measure() -> dict[str, float]:
    """Seconds to the first heatmap of a server that just started and of one in use, and the server's bytes."""
    with tempfile.TemporaryDirectory() as store, running_app(store) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=list(BROWSER_OPTIONS))
        first, again = (seconds_to_heatmap(browser, address) for _ in range(2))
        server = next(p for p in psutil.Process().children(recursive=True) if "streamlit" in " ".join(p.cmdline()))
        memory = float(server.memory_info().rss)
        browser.close()
    return {"first": first, "again": again, "memory": memory}


def seconds_to_heatmap(browser, address: str) -> float:  # type: ignore[no-untyped-def]
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    started = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(".js-plotly-plot .heatmaplayer image")
    seconds = time.perf_counter() - started
    context.close()
    return seconds
