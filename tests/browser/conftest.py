"""A browser that is installed, and apps on free ports, each with a store of its own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from scripts.browser import find
from scripts.running import BROWSER_OPTIONS, running_app
from tests.outgoing import only_loopback as only_loopback  # the server and its workers go nowhere
from tests.outgoing import outgoing as outgoing
from tests.outgoing import refused as refused
from tests.outgoing import watched

# A busy machine may take long: a first comparison begins with the start of a cluster and of TensorFlow.
expect.set_options(timeout=120_000)

VIEWPORT = {"width": 1400, "height": 900}
FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    path = find()
    return {"args": list(BROWSER_OPTIONS)} | ({"executable_path": path} if path else {})


@pytest.fixture(scope="session")
def browser_context_args() -> dict[str, object]:
    # Playwright waits for a condition by running text, which the server forbids; test_server.py goes without this.
    return {"viewport": VIEWPORT, "bypass_csp": True}


@pytest.fixture(scope="session")
def reader(tmp_path_factory, refused) -> Iterator[str]:
    """The address of an app that is only looked at: what it shows is bundled."""
    folder = tmp_path_factory.mktemp("reader")
    with contextlib.ExitStack() as running:
        with watched(refused):  # while it starts: it keeps to that
            address = running.enter_context(running_app(folder / "store", folder / "log.txt"))
        yield address


@pytest.fixture
def app(tmp_path) -> Iterator[str]:
    """The address of an app with an empty store, which may compute."""
    with running_app(tmp_path / "store", tmp_path / "log.txt") as address:
        yield address


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.CallInfo, None]:
    """Say what stood on the page when a test failed: a locator that found nothing does not tell why."""
    outcome = yield
    report = outcome.get_result()
    page = getattr(item, "funcargs", {}).get("page")
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    if report.when == "call" and report.failed and page is not None and not page.is_closed():
        with contextlib.suppress(Exception):
            report.sections.append((f"{page.url} reads", page.locator("body").inner_text(timeout=5_000)))
        with contextlib.suppress(OSError):
            log = (item.funcargs["tmp_path"] / "log.txt").read_text(errors="replace")
            report.sections.append(("the server's log ends", log[-3000:]))


@pytest.fixture(scope="session")
def tabs() -> list[Page]:
    """The tab that goes from test to test, if there is one. Of what a page costs a new tab, more than half is compiling
    what this one has compiled."""
    return []


@pytest.fixture
def page(
    request: pytest.FixtureRequest, browser: Browser, browser_context_args: dict, tabs: list[Page], reader: str
) -> Iterator[Page]:
    """A page on which nothing may go wrong unnoticed. What a test may change of its tab is put back. A test that is
    marked ``own_tab`` has one that saw no page before, as one needs that runs scripts before those of a page, holds
    answers back or slows the processor; so has the first test after one that failed."""
    own = request.node.get_closest_marker("own_tab") is not None
    page = browser.new_context(**browser_context_args).new_page() if own or not tabs else tabs.pop()
    goes_on = False
    try:
        with nothing_goes_wrong(page):
            yield page
        goes_on = not (own or page.is_closed() or request.node.stash.get(FAILED, False))
    finally:
        if not goes_on:
            page.context.close()
    if goes_on:
        put_back(page, reader)
        tabs.append(page)


def put_back(page: Page, address: str) -> None:
    if page.url.startswith("http"):
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
    page.goto(f"{address}/_stcore/health")  # a word, from the same host: another one has another process of the browser
    page.set_viewport_size(VIEWPORT)
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    page.mouse.move(0, 0)
    page.context.clear_cookies()


@contextlib.contextmanager
def nothing_goes_wrong(page: Page) -> Iterator[None]:
    """No error on the console, none in a script, nothing from afar."""
    problems: list[str] = []
    listeners = {
        "console": lambda message: problems.append(message.text) if is_error(message) else None,
        "pageerror": lambda error: problems.append(str(error)),
        "request": lambda request: problems.append(request.url) if is_remote(request.url) else None,
    }
    for event, listener in listeners.items():
        page.on(event, listener)
    page.set_default_timeout(120_000)
    try:
        yield
        assert problems == []
    finally:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)


def is_error(message: ConsoleMessage) -> bool:
    """Streamlit looks for itself below the address of a page first, and finds nothing there."""
    looks = re.search(r"/\w+/_stcore/(health|host-config)$", str(message.location.get("url")))
    return message.type == "error" and not looks


def is_remote(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "blob:", "data:", "file:", "about:"))
