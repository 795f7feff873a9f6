"""The Library as a person uses it, in a real browser, on a server that never sees TensorFlow."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Locator, Page, expect

from cka_core import Comparison
from cka_core.base.store import Store
from cka_core.comparing import extraction
from cka_core.images.sets import SampleSpec
from cka_core.library import catalogue
from cka_core.results import activation_sets
from tests.browser.test_compare import MAP, SHIFTS, settled

ROW, FIRST = 35, 52  # height of a table's row, and the middle of the first one, in pixels


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """Two activation sets of the same images and one of others, made in another store: on another machine."""
    folder = tmp_path_factory.mktemp("elsewhere")
    store = Store(folder / "store")
    made = {}
    for name, network, seed in (
        ("left", "cifar-resnet-8x1", 0),
        ("right", "cifar-resnet-8x1:1", 0),
        ("other", "cifar-resnet-8x1", 7),
    ):
        made[name] = folder / f"{name}.npz"
        spec = catalogue.find(network, store).spec
        extraction.extract(spec, SampleSpec("cifar10-mini", "test", 64, seed), 32, made[name], store, name=name)
    return made


def bring_in(page: Page, file: Path) -> None:
    """Drop a file, and wait for the sentence about this very one: the one before it may still have its own there."""
    page.locator("input[type=file]").set_input_files(file)
    expect(
        page.get_by_text(re.compile(rf"^{file.stem} is in the library|^The comparison is in the library"))
    ).to_be_visible()
    settled(page)


def table(page: Page, title: str) -> Locator:
    """The table under a heading; the tables stand in the order of their headings."""
    titles = [text for text in page.locator("h2").all_inner_texts() if not text.endswith(" 0")]
    return page.locator("[data-testid=stDataFrame]").nth([t.rsplit(" ", 1)[0] for t in titles].index(title))


def choose(page: Page, title: str, row: int = 0) -> None:
    """Click the box at the left of a row."""
    table(page, title).click(position={"x": 15, "y": FIRST + ROW * row})
    settled(page)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def server(address: str) -> psutil.Process:
    port = int(address.rsplit(":", 1)[1])
    for process in psutil.process_iter():
        try:
            if any(c.laddr.port == port and c.status == psutil.CONN_LISTEN for c in process.net_connections("tcp")):
                return process
        except psutil.Error:
            continue
    raise AssertionError(f"no process listens on {port}")


def test_sets_from_another_machine_are_brought_in_and_compared_without_tensorflow(page: Page, app: str, files):
    page.goto(f"{app}/library")
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    bring_in(page, files["right"])
    bring_in(page, files["left"])
    button(page, "Compare it").click()
    expect(page).to_have_url(re.compile(r"a=left"))
    page.goto(f"{app}/?a=left&b=right")
    expect(page.get_by_text("64 test images of cifar10-mini, seed 0, in minibatches of 32")).to_be_visible()
    settled(page)
    button(page, "Compare").click()
    page.wait_for_selector(MAP)
    expect(page.get_by_role("heading", name="left × right")).to_be_visible()
    maps = [mapped.path for mapped in server(app).memory_maps()]
    assert maps and not [path for path in maps if "tensorflow" in path or "keras" in path]


def test_a_set_of_other_images_refuses_and_says_which_each_used(page: Page, app: str, files):
    page.goto(f"{app}/library")
    bring_in(page, files["left"])
    bring_in(page, files["other"])
    page.goto(f"{app}/?a=left&b=other")
    expect(page.get_by_text("left: 64 test images of cifar10-mini (seed 0")).to_be_visible()
    expect(page.get_by_text("other: 64 test images of cifar10-mini (seed 7")).to_be_visible()
    expect(button(page, "Compare")).to_be_disabled()


def test_a_set_is_renamed_downloaded_deleted_and_put_back(page: Page, app: str, files, tmp_path):
    page.goto(f"{app}/library")
    bring_in(page, files["left"])
    choose(page, "Activation sets")
    button(page, "Rename").click()
    page.get_by_role("textbox", name="New name").fill("resnet50")
    page.locator("[data-testid=stForm]").get_by_role("button", name="Rename").click()
    expect(page.get_by_text("resnet50 is what the untrained network is called")).to_be_in_viewport()
    settled(page)
    button(page, "Rename").click()
    page.get_by_role("textbox", name="New name").fill("mine")
    page.locator("[data-testid=stForm]").get_by_role("button", name="Rename").click()
    expect(button(page, "Download")).to_have_count(0)  # a table with another name in it has no row chosen
    settled(page)
    choose(page, "Activation sets")
    with page.expect_download() as download:
        button(page, "Download").click()
    assert download.value.suggested_filename == "mine.npz"
    download.value.save_as(tmp_path / "mine.npz")
    saved = activation_sets.read(tmp_path / "mine.npz")
    activation_sets.check(saved)
    assert saved.name == "mine" and saved.digest == activation_sets.read(files["left"]).digest
    button(page, "Delete").click()
    expect(page.get_by_text("None yet. Where a network is")).to_be_visible()
    expect(page.get_by_text("Removed mine.")).to_be_in_viewport()
    expect(button(page, "Undo")).to_be_in_viewport()
    button(page, "Undo").click()
    expect(page.get_by_text("None yet. Where a network is")).to_have_count(0)
    settled(page)
    choose(page, "Activation sets")
    expect(button(page, "Compare with …")).to_be_visible()


def test_a_comparison_is_opened_and_downloaded(page: Page, reader: str):
    page.goto(f"{reader}/library")
    expect(page.get_by_role("heading", name="Comparisons")).to_be_visible()
    choose(page, "Comparisons")
    with page.expect_download() as download:
        button(page, "Download").click()
    assert Comparison.from_bytes(Path(download.value.path()).read_bytes()).matrix.size
    expect(page.get_by_text("it stays as it is")).to_be_visible()
    expect(button(page, "Delete")).to_have_count(0)
    button(page, "Open").click()
    page.wait_for_selector(MAP)
    expect(button(page, "Compare")).to_be_disabled()


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("net.keras", b"weights", "Expected a network as"),
        ("acts.pickle", b"cbuiltins\nprint\n.", "never read here"),
        ("photo.npz", b"something", "Expected activations"),
    ],
)
def test_what_is_no_activation_set_is_refused_kindly(page: Page, reader: str, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    page.goto(f"{reader}/library")
    page.locator("input[type=file]").set_input_files(tmp_path / name)
    expect(page.get_by_text(words)).to_be_visible()
    assert page.get_by_text("Traceback").count() == 0


def test_a_saved_comparison_is_brought_in_and_opened(page: Page, app: str, tmp_path):
    from tests.synthetic import comparison

    path = comparison("resnet50", "resnet101").save(tmp_path / "r.npz")
    page.goto(f"{app}/library")
    bring_in(page, path)
    button(page, "Open it").click()
    page.wait_for_selector(MAP)
    expect(page.get_by_text("Opened from the Library")).to_be_visible()
    expect(page.get_by_role("heading", name="resnet50 × resnet101")).to_be_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen(page: Page, reader: str):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{reader}/library")
    expect(page.get_by_role("heading", name="Comparisons")).to_be_visible()
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.own_tab
def test_nothing_jumps_while_the_library_arrives(page: Page, reader: str):
    page.add_init_script(SHIFTS)
    page.goto(f"{reader}/library")
    page.wait_for_selector("[data-testid=stDataFrame] canvas")
    settled(page)
    assert page.evaluate("window.shifted") < 0.02
