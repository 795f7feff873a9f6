"""The Train page as a person uses it, in a real browser, with a worker that trains."""

from __future__ import annotations

import re

import psutil
import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from cka_core.base.store import Store
from cka_core.jobs import cluster, records, trainings
from cka_core.jobs.trainings import Training
from scripts.running import running_app
from tests.browser.test_compare import settled
from tests.clusters import wait_for

SMALL = "/train?depth=8&share=0.0625&minibatch=64&heldout=0.05"
LONG = 180_000  # milliseconds: a busy machine imports TensorFlow in half a minute


def card(page: Page) -> Locator:
    return page.locator("[class*=st-key-card]").first


def button(place: Page | Locator, name: str) -> Locator:
    """Ours: Streamlit has a Stop of its own. Older versions of it put the icon's name before the label."""
    if isinstance(place, Page):
        place = place.locator("[data-testid=stMain]")
    return place.get_by_role("button", name=re.compile(rf"^(\w+ ?)?{name}$"))


LATER = r"(?:[2-9]|\d\d+)"
"""An epoch after the first; a busy page may miss any one of them."""


def epoch(page: Page, number: str, of: int) -> Locator:
    return card(page).get_by_text(re.compile(rf"^epoch {number} of {of} · image [\d,]+ of 18\d"))


def the_training(store: Store) -> Training:
    [training] = trainings.trainings(store)
    return training


def worker_of(store: Store) -> psutil.Process:
    """The process that trains."""
    record = records.record(the_training(store).key, store)
    assert record is not None
    return psutil.Process(record["process"])


def servers() -> list[psutil.Process]:
    """The Streamlit servers that this test started, the last one at the end."""
    children = psutil.Process().children(recursive=True)
    found = [child for child in children if child.is_running() and "streamlit" in " ".join(child.cmdline())]
    return sorted(found, key=lambda process: process.create_time())


def curve(page: Page) -> list[float]:
    """The training loss as it is drawn."""
    chart = "document.querySelector('[class*=st-key-loss] .js-plotly-plot')"
    page.wait_for_function(f"{chart} && {chart}.data")
    return list(page.evaluate(f"Array.from({chart}.data[0].y)"))


def test_from_the_button_to_the_comparison(page: Page, app: str, tmp_path):
    page.goto(f"{app}{SMALL}&epochs=24")  # the first this server hears
    expect(page.get_by_role("link", name="Compare")).to_be_visible()
    expect(page.get_by_role("link", name="widgets")).to_have_count(0)
    expect(page.get_by_text("trained before: an example")).to_be_visible()
    other = page.context.new_page()
    other.goto(f"{app}/train")
    button(page, "Train").click()
    expect(epoch(page, r"\d+", 24)).to_be_visible(timeout=LONG)
    expect(epoch(page, LATER, 24)).to_be_visible(timeout=LONG)

    button(card(page), "Stop").click()
    for tab in (page, other):
        expect(card(tab).get_by_text(re.compile(r"Stopped\. \d+ of 24 epochs are kept"))).to_be_visible(timeout=LONG)
    assert 0 < the_training(Store(tmp_path / "store")).epochs_done < 24
    button(page, "Resume").first.click()
    expect(epoch(page, r"\d+", 24)).to_be_visible(timeout=LONG)
    page.reload()
    for tab in (page, other):
        expect(card(tab).get_by_text(re.compile(r"\d+ % ±\d+ of 1,000 test images right"))).to_be_visible(timeout=LONG)
    assert len(curve(page)) == 24
    expect(page.locator("[class*=st-key-confusion] .heatmaplayer image")).to_be_visible()
    assert not [row for row in servers()[-1].memory_maps() if "tensorflow" in row.path], "the server stays small"
    other.close()

    card(page).get_by_role("combobox").first.click()
    card(page).get_by_role("combobox").first.fill("8x1 · untrained")  # the list draws only what fits into it
    page.get_by_role("option", name="8x1 · untrained", exact=True).click()
    expect(page.get_by_role("heading", name="ResNet 8x1 × ResNet 8x1, untrained")).to_be_visible()
    assert "a=cifar-resnet-8x1-cifar10-mini-0.0625-s0" in page.url
    button(page, "Compare").click()
    expect(page.locator(".st-key-map .heatmaplayer image")).to_be_visible(timeout=LONG)


def test_nothing_is_lost_when_worker_cluster_or_server_is_killed(browser: Browser, tmp_path):
    store = Store(tmp_path / "store")
    context = browser.new_context(bypass_csp=True, viewport={"width": 1400, "height": 900})
    page = context.new_page()
    with running_app(store.root, tmp_path / "log.txt") as first:
        page.goto(f"{first}{SMALL}&epochs=400")
        button(page, "Train").click()
        expect(epoch(page, LATER, 400)).to_be_visible(timeout=LONG)

        done = the_training(store).epochs_done
        worker_of(store).kill()
        expect(card(page).get_by_text("Its worker process was killed and begun again.")).to_be_visible(timeout=LONG)
        wait_for(lambda: the_training(store).epochs_done > done)

        servers()[-1].kill()
        done = the_training(store).epochs_done
        with running_app(store.root, tmp_path / "log 2.txt") as second:
            page.goto(f"{second}/train")
            expect(epoch(page, r"\d+", 400)).to_be_visible(timeout=LONG)
            wait_for(lambda: the_training(store).epochs_done > done)

            [alive] = [found for found in cluster.status(store) if found.alive]
            psutil.Process(alive.pid).kill()
            expect(card(page).get_by_text(re.compile(r"Interrupted\..* \d+ of 400 epochs are kept"))).to_be_visible()
            done = the_training(store).epochs_done
            button(page, "Resume").first.click()
            wait_for(lambda: the_training(store).epochs_done > done)
            history = the_training(store).progress.history["loss"]  # type: ignore[union-attr]
            assert len(history) == the_training(store).epochs_done > done
    context.close()


def test_the_browsers_back_leads_to_the_preset_with_its_own_values(page: Page, reader: str):
    page.goto(f"{reader}/train")
    notebook, epochs = page.get_by_text("notebook", exact=True), page.get_by_label("Epochs", exact=True)
    notebook.click()
    expect(epochs).to_have_value("10")
    page.get_by_text("paper", exact=True).click()
    expect(epochs).to_have_value("40")
    page.wait_for_function("location.search === ''")
    page.go_back()
    expect(epochs).to_have_value("10")
    settled(page)
    assert page.url == f"{reader}/train?preset=notebook"
    page.go_back()
    expect(epochs).to_have_value("40")
    settled(page)
    assert page.url == f"{reader}/train"


@pytest.mark.own_tab
def test_what_is_pressed_before_the_page_is_whole_is_one_step_of_the_history(page: Page, reader: str):
    tabs: list[WebSocketRoute] = []
    held: list[bytes | str] = []
    passes: list[bool] = []

    def between(tab: WebSocketRoute) -> None:
        def answered(message: bytes | str) -> None:
            if not passes and (held or b"history.pushState.once" in message):  # type: ignore[operator]
                held.append(message)  # the script that counts presses, which comes last, and all after it
            else:
                tab.send(message)

        tabs.append(tab)
        tab.connect_to_server().on_message(answered)

    page.route_web_socket(re.compile("_stcore/stream"), between)
    page.goto(f"{reader}/train")
    notebook = page.get_by_text("notebook", exact=True)
    expect(notebook).to_be_visible()
    page.wait_for_timeout(1000)  # until the whole run is held
    steps, of_the_first_run = page.evaluate("history.length"), len(held)
    assert of_the_first_run and not page.evaluate("Boolean(history.pushState.once)")
    notebook.click()
    for message in held[:of_the_first_run]:
        tabs[0].send(message)
    page.wait_for_function("history.pushState.once")
    sent = of_the_first_run
    while sent < len(held):
        tabs[0].send(held[sent])
        sent += 1
    passes.append(True)
    page.wait_for_function("location.search === '?preset=notebook'")
    settled(page)
    assert page.evaluate("history.length") == steps + 1


def test_several_seeds_wait_in_turn_and_the_form_fits_a_phone(page: Page, app: str, tmp_path):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{app}{SMALL}&epochs=400&seeds=0-2")
    button(page, "Train").click()
    expect(epoch(page, r"\d+", 400)).to_be_visible(timeout=LONG)
    expect(page.get_by_text("Number 2 in the queue")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tops = [
        place.bounding_box()["y"]  # type: ignore[index]
        for place in (page.get_by_text("Family"), button(page, "Train"), card(page))
    ]
    assert tops == sorted(tops)
    button(page, "Take out of the queue").first.click()
    expect(page.get_by_text("Number 2 in the queue")).to_have_count(0)
    expect(page.get_by_text("ResNet 8x1, seed 1")).to_have_count(0)
    expect(page.get_by_text("ResNet 8x1, seed 2")).to_be_visible()
