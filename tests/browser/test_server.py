"""Under the server's content policy every page works, and no script runs that is not the server's own."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import is_error

PAGES = {
    "/": ".js-plotly-plot .heatmaplayer image",
    "/train": "button",
    "/atlas": ".st-key-large",
    "/library": "[data-testid=stDataFrame]",
    "/learn": ".tour",
}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_works_and_is_refused_nothing_it_needs(browser: Browser, reader: str, path: str):
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if is_error(message) else None)
    page.goto(reader + path)
    expect(page.locator(PAGES[path]).first).to_be_visible()
    page.evaluate("document.body.appendChild(document.createElement('script')).text = 'window.injected = true'")
    assert page.evaluate("window.injected === undefined")
    refused = [problem for problem in problems if "Content Security Policy" in problem]
    assert len(refused) == 1 and "inline script" in refused[0]  # the one that this test tried
    assert problems == refused
    page.context.close()
