"""A class in real browsers: a student, another one, and the teacher, each with what their own browser keeps."""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser, Page, expect

from cka_core.base import visitors
from cka_core.base.store import Store
from cka_core.jobs import records, submit
from scripts.running import free_port, running_app
from tests.browser.conftest import is_error
from tests.browser.test_compare import MAP, settled
from tests.browser.test_train import button

TEACHERS_KEY = "a teacher's long key"
KEPT = "localStorage.getItem('cka-explorer-visitor')"
LONG = "/train?depth=14&width=1&epochs=40"


@pytest.fixture
def class_app(tmp_path, monkeypatch) -> Iterator[str]:
    monkeypatch.setenv("CKA_MODE", "class")
    monkeypatch.setenv("CKA_TEACHER_KEY", TEACHERS_KEY)
    with running_app(tmp_path / "store", tmp_path / "log.txt") as address:
        yield address


def someone(browser: Browser) -> Page:
    """A browser that was never here."""
    page = browser.new_context(bypass_csp=True, viewport={"width": 1400, "height": 900}).new_page()
    page.set_default_timeout(120_000)
    page.on("console", lambda message: problems.append(message.text) if is_error(message) else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    return page


problems: list[str] = []


def test_the_benchmark_of_a_class_tells_right_selections_from_wrong_ones(class_app, tmp_path):
    bench = importlib.import_module("benchmarks.class")
    bench.keep_one_for_each(2, Store(tmp_path / "store"))

    async def of(number: int) -> tuple[bool, str, list[str]]:
        session = bench.Session(class_app, number)
        await session.open()
        whole = session.map_text
        await bench.look_at_ones_own(session)
        own = session.map_text
        await bench.filter_layers(session)
        filtered = session.map_text
        assert not bench.is_right(session, whole, filtered)
        await bench.click_a_cell(session)
        assert own != whole
        await session.socket.close()
        return bench.is_right(session, whole, filtered), own, session.errors

    with ThreadPoolExecutor(1) as apart:  # from Playwright, whose own loop runs in this thread
        found = [apart.submit(asyncio.run, of(number)).result() for number in range(2)]
    assert [right for right, _, _ in found] == [True, True]
    assert found[0][1] != found[1][1]
    assert [errors for _, _, errors in found] == [[], []]


def test_a_lesson_that_is_presented_to_a_class_needs_no_scrolling(browser, class_app):
    problems.clear()
    page = someone(browser)
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{class_app}/learn?present=1")
    expect(page.locator(".tour")).to_be_visible()
    settled(page)
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("(m) => m.scrollHeight - m.clientHeight") <= 0
    page.context.close()
    assert problems == []


def test_who_comes_back_to_a_server_that_has_forgotten_the_visit_goes_on(browser, tmp_path, monkeypatch):
    """As a phone does that slept for more than two minutes; here the server begins anew."""
    monkeypatch.setenv("CKA_MODE", "class")
    monkeypatch.setenv("CKA_TEACHER_KEY", TEACHERS_KEY)
    port = free_port()
    reads, trains = someone(browser), someone(browser)
    with running_app(tmp_path / "store", tmp_path / "log.txt", port) as address:
        reads.goto(f"{address}/learn?chapter=2&step=3")
        expect(reads.locator(".tour")).to_be_visible()
        trains.goto(f"{address}/train?depth=20")
        expect(button(trains, "Train")).to_be_enabled()
        settled(reads)
        settled(trains)
    with running_app(tmp_path / "store", tmp_path / "log.txt", port):
        for page in (reads, trains):
            expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-connection-state", "CONNECTED")
            settled(page)
        reads.get_by_role("link", name="Chapter 4").click()
        expect(reads.get_by_role("heading", level=1)).to_have_text("Name the map")
        expect(button(trains, "Train")).to_be_enabled()
        trains.get_by_role("link", name="Teacher").click()
        trains.get_by_label("The teacher’s key").fill(TEACHERS_KEY)
        button(trains, "Open").click()
        expect(trains.get_by_text("Nobody is at work.")).to_be_visible()
        for page in (reads, trains):
            page.context.close()


def test_who_stops_what_others_asked_for_too_is_told_that_it_goes_on(browser, class_app):
    problems.clear()
    both = [someone(browser), someone(browser)]
    for page in both:
        page.goto(class_app + LONG)
        button(page, "Train").click()
        expect(button(page, "Stop")).to_be_visible()
    button(both[1], "Stop").click()
    expect(both[1].get_by_text("Others asked for it, too: it goes on for them")).to_be_visible()
    expect(button(both[1], "Stop")).to_have_count(0)
    expect(button(both[0], "Stop")).to_be_visible()
    for page in both:
        page.context.close()
    assert problems == []


def test_a_class_with_its_teacher(browser, class_app, tmp_path):
    problems.clear()
    store = Store(tmp_path / "store")
    student, other, teacher = someone(browser), someone(browser), someone(browser)

    # A student opens the page: the browser has a key, and the address has none of it.
    student.goto(class_app)
    student.wait_for_selector(MAP)
    settled(student)
    key = student.evaluate(KEPT)
    assert visitors.KEY.fullmatch(key) and key not in student.url
    student.goto(class_app + LONG)
    button(student, "Train").click()
    expect(student.get_by_text(re.compile("^Number 1 in the queue|^epoch |^starting")).first).to_be_visible()
    (job,) = records.all_keys(store)
    assert visitors.owners(job, store) == [visitors.owner_of(key)]

    # Another one sees that somebody is at work, and nothing to press.
    other.goto(class_app + "/train?depth=20&width=1")
    expect(other.get_by_text("1 of others at work or waiting.")).to_be_visible()
    for name in ("Stop", "Take out of the queue", "Resume"):
        expect(button(other, name)).to_have_count(0)
    assert other.evaluate(KEPT) != key

    # The teacher's key opens the teacher's page, which stops it.
    teacher.goto(class_app)
    teacher.wait_for_selector(MAP)
    settled(teacher)
    teacher.get_by_role("link", name="Teacher").click()
    told = teacher.get_by_label("The teacher’s key")
    told.fill("a wrong long key")
    button(teacher, "Open").click()
    expect(teacher.get_by_text("This is not the teacher’s key.")).to_be_visible()
    told.fill(TEACHERS_KEY)
    button(teacher, "Open").click()
    expect(teacher.get_by_text(f"visitor {visitors.owner_of(key)[:6]}")).to_be_visible()
    expect(teacher.locator("[data-testid=stImage] img")).to_be_visible()
    button(teacher, "Stop").click()
    expect(teacher.get_by_text("Nobody is at work.")).to_be_visible(timeout=120_000)
    assert submit.status(job, store).state == "stopped"
    expect(other.get_by_text("1 of others at work or waiting.")).to_have_count(0)  # without being asked to look again

    # The student sees that, after a reload too, and takes it along to another device.
    student.reload()
    expect(button(student, "Resume")).to_be_visible()
    student.goto(class_app + "/library")
    button(student, "Go on at another device").click()
    student.get_by_role("button", name="Make a link").click()  # its window is drawn outside of the page's own place
    link = student.locator("[data-testid=stCode] code").inner_text().strip()
    device = someone(browser)
    device.goto(link)
    button(device, "Take it").click()
    expect(button(device, "Take it")).to_have_count(0)
    settled(device)
    device.wait_for_function(f"{KEPT} === {key!r}")
    assert "device" not in device.url and key not in device.url
    device.get_by_role("link", name="Train").click()
    expect(button(device, "Resume")).to_be_visible()
    late = someone(browser)
    late.goto(link)
    expect(late.get_by_text("This link was used before")).to_be_visible()
    assert late.evaluate(KEPT) != key

    for page in (student, other, teacher, device, late):
        page.context.close()
    assert problems == []
