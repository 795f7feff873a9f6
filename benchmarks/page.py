"""How fast the app is on screen, how much it sends, and what it costs while nobody looks: all in one run.

    python benchmarks/page.py

In a real browser: seconds to the first heatmap (server just started; server in use and browser never here; browser once
more), from a filter to the map drawn again, from a click to the cell's card and to the cell opened, from a key to the
next cell, from a press of Compare or Train to its answer, from one page to another, to the Atlas's grid; bytes over the
wire on a first visit; layout shift. Of the server: memory, and the share of a core that it and an idle cluster take.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil  # noqa: E402
from playwright.sync_api import Page, Position, sync_playwright  # noqa: E402

from scripts.browser import find  # noqa: E402
from scripts.running import AT_REST, BROWSER_OPTIONS, running_app  # noqa: E402

MAP = ".st-key-map .heatmaplayer image"
CHART = "document.querySelector('.st-key-map .js-plotly-plot')"
IDLE_SECONDS = 20
SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: 'layout-shift', buffered: true });
"""


def measure() -> dict[str, float]:
    """Seconds, bytes, shares of a core (see the module's text), by name."""
    with tempfile.TemporaryDirectory() as store, running_app(store) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=list(BROWSER_OPTIONS))
        first = _visits(browser, address)[0]
        figures = {"first": first} | dict(zip(("new", "again"), _visits(browser, address), strict=True))
        context = browser.new_context(bypass_csp=True, viewport={"width": 1400, "height": 900})
        figures |= _on_the_page(context.new_page(), address)
        figures |= _a_cell(context.new_page(), address)
        figures |= _presses(context.new_page(), address)
        context.close()
        figures |= _first_visit(browser, address)
        server = next(p for p in psutil.Process().children(recursive=True) if "streamlit" in " ".join(p.cmdline()))
        browser.close()
        figures["memory"] = float(server.memory_info().rss)
        figures["idle server"] = share_of_a_core([server])
        figures["idle cluster"] = _idle_cluster(store)
    return figures


def _visits(browser: Any, address: str) -> list[float]:
    """Seconds to the heatmap on the first and on the second visit of a browser with an empty cache."""
    context = browser.new_context(bypass_csp=True, viewport={"width": 1400, "height": 900})
    seconds = []
    for _ in range(2):
        page = context.new_page()
        seconds.append(_timed(partial(page.goto, address), partial(page.wait_for_selector, MAP)))
        page.close()
    context.close()
    return seconds


def _on_the_page(page: Page, address: str) -> dict[str, float]:
    """Medians of three: a filter, a click on a cell, the way to another page, the Atlas."""
    page.goto(address)
    page.wait_for_selector(MAP)
    _settled(page)
    rows = page.evaluate(f"{CHART}.data[0].y.length")
    filters: list[float] = []
    clicks: list[float] = []
    for index in range(3):
        for name, changed in (("block outputs", f"!== {rows}"), ("every layer", f"=== {rows}")):
            page.get_by_role("combobox", name="Layers").click()
            option = page.get_by_role("option", name=name, exact=True)
            drawn = partial(page.wait_for_function, f"{CHART}?.data?.[0]?.y.length {changed}")
            filters.append(_timed(option.click, drawn))
            _settled(page)
        area = page.locator(".st-key-map .nsewdrag")
        area.scroll_into_view_if_needed()
        box = area.bounding_box()
        assert box is not None
        at: Position = {"x": box["width"] * (0.3 + 0.2 * index), "y": box["height"] * 0.4}
        before = page.url
        clicks.append(
            _timed(
                partial(area.click, position=at),
                partial(
                    page.wait_for_function,
                    "(before) => location.href !== before && "
                    "document.querySelector('[data-testid=stMetricValue]')?.textContent",
                    arg=before,
                ),
            )
        )
        _settled(page)
    switches = []
    for _ in range(3):
        for name, there in (("Library", "[data-testid=stDataFrame]"), ("Compare", MAP)):
            link = page.get_by_role("link", name=name).first
            switches.append(_timed(link.click, partial(page.wait_for_selector, there)))
            _settled(page)
    grids = []
    for _ in range(3):
        grids.append(_timed(partial(page.goto, f"{address}/atlas"), partial(page.wait_for_selector, ".cell canvas")))
        page.wait_for_selector("[data-testid=stTabs]")
        _settled(page)
    names = ("filter", "click", "switch", "atlas")
    return dict(zip(names, map(statistics.median, (filters, clicks, switches, grids)), strict=True))


def _a_cell(page: Page, address: str) -> dict[str, float]:
    """From a click to the first cell opened, and to others with the images that make them (median of three). From a
    key to the next frame that shows the next cell, in the browser alone (median of ten)."""
    page.goto(address)
    page.wait_for_selector(MAP)
    _settled(page)
    area = page.locator(".st-key-map .nsewdrag")
    box = area.bounding_box()
    assert box is not None
    opened: list[float] = []
    for index in range(4):
        at: Position = {"x": box["width"] * (0.2 + 0.2 * index), "y": box["height"] * 0.4}
        page.evaluate("document.querySelector('.nsewdrag').scrollIntoView({ block: 'center' })")
        there = ".cell-view:visible .makers:not(.old) .pick" if index else ".cell-view:visible .value"
        opened.append(_timed(partial(area.click, position=at), partial(page.wait_for_selector, there)))
        _settled(page)
        page.wait_for_timeout(500)
    steps = [
        page.evaluate("""(key) => new Promise((done) => {
          const map = document.querySelector('.st-key-map .js-plotly-plot'), from = performance.now();
          map.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
          requestAnimationFrame(() => setTimeout(() => done((performance.now() - from) / 1000), 0));
        })""", key)
        for key in ("ArrowUp", "ArrowRight") * 5
    ]  # fmt: skip
    return {"opened": opened[0], "opened again": statistics.median(opened[1:]), "step": statistics.median(steps)}


def _presses(page: Page, address: str) -> dict[str, float]:
    """From a press of Compare and of Train to progress in its place, in the browser's own time; Stop ends both."""
    views = {"Compare": "/?a=cifar-resnet-14x1&b=cifar-resnet-20x1&n=1000", "Train": "/train?depth=14&epochs=100"}
    found = {}
    for name, view in views.items():
        page.goto(address + view)
        page.get_by_role("button", name=name, exact=True).and_(page.locator(":enabled")).wait_for()
        _settled(page)
        found[name] = page.evaluate("""(name) => new Promise((done) => {
          const from = performance.now();
          new MutationObserver((_, observer) => {
            if (!document.querySelector('[data-testid=stProgress], [class*=st-key-card]')) return;
            observer.disconnect();
            done((performance.now() - from) / 1000);
          }).observe(document.body, { childList: true, subtree: true });
          [...document.querySelectorAll('button')].find((button) => button.innerText.trim() === name).click();
        })""", name)  # fmt: skip
        page.locator(".st-key-stop, [class*=st-key-card]").get_by_role("button", name="Stop").first.click()
        page.get_by_text("Stopped").or_(page.get_by_text("stopped")).first.wait_for(timeout=120_000)
    return found


def _first_visit(browser: Any, address: str) -> dict[str, float]:
    """Bytes over the wire and layout shift, of a browser with an empty cache."""
    context = browser.new_context(bypass_csp=True, viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.add_init_script(SHIFTS)
    sent: list[float] = []
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    page.goto(address)
    page.wait_for_selector(MAP)
    _settled(page)
    found = {"bytes": float(sum(sent)), "shift": float(page.evaluate("window.shifted"))}
    context.close()
    return found


def _idle_cluster(store: str) -> float:
    """Share of a core that all processes of a cluster take that has nothing to do."""
    from cka_core.base.store import Store
    from cka_core.jobs import cluster

    started = cluster.start(Store(store))
    process = psutil.Process(started.pid)
    return share_of_a_core([process, *process.children(recursive=True)])


def share_of_a_core(processes: list[psutil.Process], seconds: float = IDLE_SECONDS) -> float:
    """The processor time that some processes take together, over a while, as a share of one core."""

    def used() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    time.sleep(3)  # what starting left to do
    before = used()
    time.sleep(seconds)
    return (used() - before) / seconds


def _timed(act: Callable[[], object], there: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    there()
    return time.perf_counter() - started


def _settled(page: Page) -> None:
    page.wait_for_selector(AT_REST)


ROWS = (
    ("first", "first heatmap, server just started, browser never here", "{:.2f} s", ""),
    ("new", "first heatmap, server in use, browser never here", "{:.2f} s", "2.0 s"),
    ("again", "first heatmap, browser once more", "{:.2f} s", "1.2 s"),
    ("filter", "filter to map drawn again", "{:.2f} s", "0.25 s"),
    ("click", "click to card", "{:.2f} s", "0.25 s"),
    ("opened", "click to the first cell opened", "{:.2f} s", "1 s"),
    ("opened again", "click to another cell, its images counted", "{:.2f} s", "1 s"),
    ("step", "key to the next cell, in the browser", "{:.3f} s", "0.1 s"),
    ("Compare", "press of Compare to its answer", "{:.2f} s", "0.1 s"),
    ("Train", "press of Train to its answer", "{:.2f} s", "0.1 s"),
    ("switch", "one page to another", "{:.2f} s", "0.5 s"),
    ("atlas", "the Atlas's grid", "{:.2f} s", "2.0 s"),
    ("bytes", "over the wire on a first visit", "{:,.0f} B", "3,000,000 B"),
    ("shift", "layout shift on a first visit", "{:.3f}", "0.1"),
    ("memory", "memory of the server", "{:,.0f} B", ""),
    ("idle server", "idle server, share of a core", "{:.2%}", "1 %"),
    ("idle cluster", "idle cluster, share of a core", "{:.2%}", "1 %"),
)


def show(figures: dict[str, float]) -> None:
    for name, words, form, wanted in ROWS:
        print(f"    {words:<58}{form.format(figures[name]):>14}{f'   wanted at most {wanted}' if wanted else ''}")


if __name__ == "__main__":
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    show(measure())
