"""The Atlas page as a person uses it, in a real browser, on a small atlas whose blocks are planted."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from cka_core.atlas import result
from cka_core.atlas.grid import grid
from cka_core.atlas.views import epochs
from cka_core.claims.cards import claims
from scripts.running import running_app
from tests import synthetic_atlas
from tests.browser.test_compare import SHIFTS, settled
from tests.synthetic_atlas import name

ADDRESS = "/atlas?atlas=synthetic"
"""From the request to the grid, where the browser and the server know the app already."""


@pytest.fixture(scope="module")
def atlas_app(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("atlas")
    synthetic_atlas.save(folder / "store")
    with running_app(folder / "store", folder / "log.txt") as address:
        yield address + ADDRESS


def cell(page: Page, size: str) -> Locator:
    return page.locator(f".cell[data-name='{name(size)}']")


def open_atlas(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector(".cell canvas")
    page.wait_for_selector("[data-testid=stTabs]")  # all else follows the grid
    settled(page)


def watch_epochs(page: Page, pause_at: str = "") -> None:
    """Keep every epoch that is shown from now on, however short, in `shown`; at `pause_at`, press what Play became."""
    page.locator("output").evaluate(
        """(output, pauseAt) => {
          window.shown = [];
          new MutationObserver(() => {
            if (window.shown.at(-1) !== output.textContent) window.shown.push(output.textContent);
            if (output.textContent === pauseAt) {
              pauseAt = null;
              const play = output.getRootNode().querySelector('.play');
              window.pressed = play.getAttribute('aria-label');
              play.click();
            }
          }).observe(output, { childList: true, characterData: true, subtree: true });
        }""",
        pause_at,
    )


def bright(page: Page, size: str) -> float:
    """Share of a small map's pixels that are brighter than the middle of the scale."""
    return float(
        cell(page, size).locator("canvas").evaluate(
            """(canvas) => {
              const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
              let bright = 0;
              for (let at = 0; at < pixels.length; at += 4) bright += pixels[at + 1] > 150;
              return bright / (pixels.length / 4);
            }"""
        )
    )  # fmt: skip


def wait_for_large(page: Page, title: str) -> None:
    page.wait_for_function(
        "(title) => document.querySelector('.st-key-map .js-plotly-plot')?.layout.xaxis.title.text.includes(title)",
        arg=title,
    )


def test_depth_runs_across_and_width_down(page: Page, atlas_app: str):
    open_atlas(page, atlas_app)
    labels = [label.bounding_box() for label in page.locator(".st-key-switches [data-testid=stWidgetLabel]").all()]
    assert len(labels) == 5 and len({label["y"] for label in labels}) == 1
    at = {size: cell(page, size).bounding_box() for size in ("14x1", "14x2", "14x4", "38x1")}
    assert at["14x1"]["y"] < at["14x2"]["y"] < at["14x4"]["y"]
    assert at["38x1"]["y"] == at["14x1"]["y"] and at["38x1"]["x"] > at["14x1"]["x"]
    assert cell(page, "14x4").get_attribute("aria-label") == (
        "14×4 test 60 % ±3 epoch 10, training 95 % layers 16–35, 0.95: ResNet 14x4, seed 0"
    )


def test_playing_shows_the_blocks_form_and_ends_at_the_last_epoch(page: Page, atlas_app: str):
    open_atlas(page, atlas_app)
    last = bright(page, "38x1")
    watch_epochs(page, pause_at="0")  # a busy machine shows the first epoch for less than a look at it takes
    page.get_by_role("button", name="Play the training").click()
    expect(page.locator("output")).to_have_text("0")
    expect(page.get_by_text("As it is, after epoch 0")).to_be_visible()
    assert page.evaluate("window.pressed") == "Pause"
    assert bright(page, "38x1") < last
    expect(cell(page, "38x1")).to_contain_text("no block")
    page.get_by_role("button", name="Play the training").click()
    expect(page.locator("output")).to_have_text("10")
    assert page.evaluate("window.shown") == ["0", "5", "10"]
    expect(page.get_by_role("button", name="Play the training")).to_be_visible()
    expect(cell(page, "38x1")).to_contain_text("layers 44–110, 0.95")


def test_the_large_view_follows_the_slider_and_so_does_the_address(page: Page, atlas_app: str):
    open_atlas(page, atlas_app)
    last = bright(page, "38x1")
    page.get_by_role("slider", name="Training epoch").press("ArrowLeft")
    expect(page.get_by_text("As it is, after epoch 5")).to_be_visible()
    assert bright(page, "38x1") < last
    assert "epoch=5" in page.url
    page.reload()
    expect(page.locator("output")).to_have_text("5")


def test_a_click_opens_the_network_large_and_scrolls_to_it(page: Page, atlas_app: str):
    open_atlas(page, atlas_app)
    wait_for_large(page, "ResNet 38x1")
    for size in ("14x4", "14x2"):
        cell(page, size).click()
        wait_for_large(page, f"ResNet {size}")
        assert cell(page, size).get_attribute("aria-pressed") == "true"
        assert f"network={name(size)}" in page.url
        expect(page.get_by_role("tab", name="One network")).to_be_in_viewport()


@pytest.mark.parametrize("asked", ["network={}", "view=Two+networks", "without=first+component"])
def test_a_link_to_what_is_below_the_grid_leads_there(page: Page, atlas_app: str, asked: str):
    page.set_viewport_size({"width": 1280, "height": 720})
    open_atlas(page, f"{atlas_app}&{asked.format(name('14x4'))}")
    expect(page.get_by_role("tab", name="One network")).to_be_in_viewport()
    open_atlas(page, atlas_app)  # and one to the grid stays there
    expect(page.get_by_role("tab", name="One network")).not_to_be_in_viewport()


def test_the_open_network_is_still_open_after_a_look_at_another_tab(page: Page, atlas_app: str):
    open_atlas(page, atlas_app)
    cell(page, "14x4").click()
    wait_for_large(page, "ResNet 14x4")
    page.get_by_role("tab", name="Two networks").click()
    page.wait_for_selector(".st-key-pair .heatmaplayer image")
    mean = "mean over seeds"
    page.get_by_role("radio", name=mean).or_(page.get_by_role("button", name=mean)).click()
    expect(page.get_by_text(re.compile("Mean over seeds: [0-9]+ pair"))).to_be_visible()
    page.get_by_role("tab", name="One network").click()
    wait_for_large(page, "ResNet 14x4")
    assert f"network={name('14x4')}" in page.url
    assert cell(page, "14x4").get_attribute("aria-pressed") == "true"


def test_the_strips_are_aligned_with_the_map(page: Page, atlas_app: str):
    open_atlas(page, atlas_app)
    page.wait_for_selector(".st-key-map .heatmaplayer image")
    boxes = page.evaluate(
        """[...document.querySelectorAll('.st-key-map .nsewdrag')]
             .map((one) => one.getBoundingClientRect()).map((box) => [box.left, box.right])"""
    )
    left, right = zip(*boxes, strict=True)
    assert len(boxes) == 4  # the map, the blocks, the first components, the probes
    assert max(left) - min(left) < 1 and max(right) - min(right) < 1


def test_two_seeds_are_one_click_away(page: Page, atlas_app: str):
    open_atlas(page, atlas_app)
    page.get_by_role("button", name="Show two seeds of ResNet 38x1").click()
    page.wait_for_selector(".st-key-pair .heatmaplayer image")
    expect(page.locator("[data-testid=stMetricValue]")).to_have_text(["0.30", "0.90"])
    expect(page.get_by_role("tab", name="Two networks")).to_be_in_viewport()


def test_pointing_at_an_example_shows_its_picture_and_a_click_keeps_it(page: Page, atlas_app: str):
    open_atlas(page, f"{atlas_app}&view=Wide+against+deep")
    chart = page.locator(".st-key-examples")
    chart.scroll_into_view_if_needed()
    page.wait_for_selector(".st-key-examples .scatterlayer .point")
    page.wait_for_selector(".atlas-picture", state="attached")
    point = chart.locator(".scatterlayer .trace").nth(2).locator(".point").last
    settled(page)
    box = point.bounding_box()
    where = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(where[0] + 30, where[1] + 30)
    page.mouse.move(*where)
    picture = page.locator(".atlas-picture")
    expect(picture).to_be_visible()
    position = picture.get_attribute("data-image")
    page.mouse.click(*where)
    expect(page.get_by_text(re.compile(rf"\w+, test image {position}$"))).to_be_visible()
    expect(page.get_by_text("ResNet 14x4, seed 1:")).to_be_visible()


def test_on_a_phone_three_widths_fit_and_can_be_read(page: Page, atlas_app: str):
    page.set_viewport_size({"width": 390, "height": 844})
    open_atlas(page, atlas_app)
    box = cell(page, "14x4").bounding_box()
    assert box["x"] + box["width"] <= 390
    assert cell(page, "14x4").locator("canvas").bounding_box()["width"] >= 88
    page.wait_for_function("document.querySelector('.st-key-map .js-plotly-plot')?.clientHeight < 600")
    settled(page)
    assert page.locator(".st-key-map .modebar").count() == 0, "no row of buttons over the strips"
    first, probe = (page.locator(f".st-key-map .{axis}title").bounding_box() for axis in ("y3", "y4"))
    assert probe["y"] + probe["height"] + 6 < first["y"], "what the strips are called is not read as one word"


@pytest.mark.own_tab
def test_on_a_projector_no_column_of_the_bundled_atlas_is_cut_off(page: Page, reader: str):
    page.set_viewport_size({"width": 1280, "height": 720})
    open_atlas(page, f"{reader}/atlas")
    over = page.locator(".maps").first.evaluate("maps => maps.scrollWidth - maps.clientWidth")
    assert over <= 0


def test_the_keyboard_opens_a_network(page: Page, atlas_app: str):
    open_atlas(page, atlas_app)
    cell(page, "14x1").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("location.search.includes('network=cifar-resnet-14x1')")


# The atlas that ships.


def test_of_an_epoch_that_was_not_kept_nothing_is_told(page: Page, reader: str):
    open_atlas(page, f"{reader}/atlas?epoch=15")
    for gone in page.locator(".cell[data-kept=no]").all():
        expect(gone.locator(".gap")).to_have_text("not kept")
        expect(gone.locator(".line").first).to_have_text(re.compile(r"^before it, epoch \d+$"))
        expect(gone.locator(".accuracy")).to_have_text("")
        expect(gone.locator(".blocks")).to_have_text("")
        assert "test" not in (gone.get_attribute("aria-label") or "")
    assert page.locator(".cell[data-kept=no]").count() and page.locator(".cell[data-kept=yes]").count()


@pytest.mark.own_tab
def test_on_a_phone_nothing_jumps_when_the_grid_comes(page: Page, reader: str):
    page.set_viewport_size({"width": 390, "height": 844})
    page.add_init_script(SHIFTS)
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 4})  # a phone's
    page.goto(f"{reader}/atlas")
    page.wait_for_selector(".st-key-atlas_grid canvas")
    settled(page)
    assert page.evaluate("window.shifted") < 0.1


@pytest.mark.own_tab
def test_on_a_phone_the_figures_of_the_claims_are_drawn_once(page: Page, reader: str):
    page.set_viewport_size({"width": 390, "height": 844})
    open_atlas(page, f"{reader}/atlas")
    figures = page.locator("[class*='st-key-figure'] .js-plotly-plot")
    page.wait_for_function("document.querySelectorAll(\"[class*='st-key-figure'] .js-plotly-plot\").length >= 6")
    settled(page)
    for figure in figures.all():
        page.wait_for_function("chart => chart._fullLayout?.width < 390", arg=figure.element_handle())
        given, found = figure.evaluate("chart => [chart.layout.margin, chart._fullLayout._size]")
        assert [found[side] for side in "lrtb"] == [round(given[side]) for side in "lrtb"], figure.text_content()


def test_the_bundled_atlas_from_the_grid_to_the_claims(page: Page, reader: str):
    """A teacher's minute: the grid, blocks forming, one network large, two seeds, wide against deep, the claims."""
    bundled = result.bundled()
    assert bundled is not None
    address = f"{reader}/atlas"
    open_atlas(page, address)
    sizes = {(one.depth, one.width) for one in bundled.studied.members}
    assert page.locator(".cell canvas").count() >= len(sizes) >= 7
    last = str(max(member.epochs[-1] for member in bundled.studied.members))
    expect(page.locator("output")).to_have_text(last)
    watch_epochs(page)
    page.get_by_role("button", name="Play the training").click()
    page.wait_for_function("last => window.shown.length > 1 && window.shown.at(-1) === last", arg=last)
    assert page.evaluate("window.shown") == [str(epoch) for epoch in epochs(bundled, grid(bundled, 0).along)]
    page.locator(".cell[data-name='cifar-resnet-38x2-plain-s0']").click()
    wait_for_large(page, "ResNet 38x2")
    page.get_by_role("tab", name="Two networks").click()
    page.wait_for_selector(".st-key-pair .heatmaplayer image")
    page.get_by_role("tab", name="Wide against deep").click()
    expect(page.get_by_text("Hellinger distance", exact=True)).to_be_visible()
    expect(page.get_by_text("By class", exact=True)).to_be_visible()
    for claim in claims(bundled):
        expect(page.get_by_text(claim.title).first).to_be_visible()
