"""The Compare page as a person uses it, in a real browser."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from cka_core.results import html_page, report
from scripts.running import AT_REST, PHONE
from tests import synthetic
from tests.browser.conftest import nothing_goes_wrong

OLD = ":not([data-retained])"  # Streamlit keeps what is replaced in the page, unseen, until the run ends
MAP = f".st-key-map{OLD} .heatmaplayer image"
CHART = "document.querySelector('.st-key-map .js-plotly-plot')"
PAIR = "/?a=cifar-resnet-38x1-cifar10-mini-s0&b=cifar-resnet-14x4-cifar10-mini-s0"
TWO_SMALL = "/?a=cifar-resnet-8x1&b=cifar-resnet-8x1:1&n=16&batch=32"
TWO_LARGE = "/?a=cifar-resnet-8x8&b=cifar-resnet-8x8:1&n=1000"  # quickly built, and at work for half a minute

LATE_ANSWERS = """
(() => { // the answer that everything of a run has arrived waits until a test lets it go
  const [later, never, waiting] = [setTimeout, clearTimeout, new Map()];
  window.setTimeout = (call, after, ...rest) => {
    if (!String(call).includes("'heard'")) return later(call, after, ...rest);
    waiting.set(-1 - waiting.size, call);
    return -waiting.size;
  };
  window.clearTimeout = (id) => waiting.has(id) ? waiting.set(id, null) : never(id);
  window.unanswered = () => [...waiting.values()].filter(Boolean).length;
  window.answerNow = () => [...waiting].forEach(([id, call]) => { waiting.set(id, null); call?.(); });
})()
"""  # fmt: skip

SENT_AGAIN = """
(() => { // what was sent last, of a part of the page, is sent once more a moment after what is sent next
  const send = WebSocket.prototype.send;
  let last = null, moment = null;
  window.sendAgain = (after) => { moment = after; };
  WebSocket.prototype.send = function(data) {
    send.call(this, data);
    if (moment === null) { last = data; return; }
    setTimeout((before) => send.call(this, before), moment, last);
    moment = null;
  };
})()
"""


def open_map(page: Page, address: str) -> Locator:
    page.goto(address)
    page.wait_for_selector(MAP)
    settled(page)
    return page.locator(f".st-key-map{OLD} .nsewdrag")


def settled(page: Page) -> None:
    page.wait_for_selector(AT_REST)


def at(area: Locator, across: float, up: float) -> dict[str, float]:
    box = area.bounding_box()
    assert box is not None
    return {"x": box["width"] * across, "y": box["height"] * (1 - up)}


def hover_text(page: Page) -> str:
    page.wait_for_selector(".st-key-map .hoverlayer .hovertext")
    return page.locator(".st-key-map .hoverlayer").text_content() or ""


def rows_of_map(page: Page) -> int:
    """Rows of the map; it may be drawn again at this very moment."""
    return int(page.wait_for_function(f"{CHART}?.data?.[0]?.y.length").json_value())


def untrained(page: Page) -> Locator:
    return page.get_by_role("heading", name="ResNet 38x1, untrained × itself")


def card(page: Page) -> Locator:
    return page.locator("[data-testid=stMetricValue]")


def stop_button(page: Page) -> Locator:
    """Ours: Streamlit has one of its own in the corner while a page is being drawn."""
    return page.locator(".st-key-stop").get_by_role("button", name="Stop")


SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: 'layout-shift', buffered: true });
"""

SLOWLY = """
(() => { // what the server sends arrives piece by piece, each is drawn before the next, and what moves then is told
  const listen = WebSocket.prototype.addEventListener, pieces = [];
  let busy = false;
  window.edges = new Set();
  const next = () => {
    const edge = document.querySelector(".st-key-result")?.getBoundingClientRect().left;
    if (edge !== undefined) window.edges.add(Math.round(edge));
    busy = pieces.length > 0;
    if (busy) { pieces.shift()(); setTimeout(next, 20); }
  };
  WebSocket.prototype.addEventListener = function(kind, hear, how) {
    if (kind !== "message") return listen.call(this, kind, hear, how);
    return listen.call(this, kind, (event) => { pieces.push(() => hear.call(this, event)); busy || next(); }, how);
  };
})()
"""


def test_the_default_page_is_a_finished_map_with_its_block_named(page: Page, reader: str):
    open_map(page, reader)
    expect(page.get_by_role("heading", name="ResNet 38x1 × itself")).to_be_visible()
    expect(page.get_by_text("768 test images · unbiased CKA")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Layers \d+–\d+ represent the images almost alike"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"agree only at 0\.\d\d"))).to_be_visible()
    expect(page.get_by_role("button", name="Compare", exact=True)).to_be_disabled()
    expect(card(page)).to_have_text(re.compile(r"0\.\d{3}"))
    assert page.title() == "Compare · CKA Explorer"
    assert rows_of_map(page) == 134
    # The cell that is marked already is opened by a click like any other.
    mark = page.locator(".cka-here").bounding_box()
    assert mark
    page.mouse.click(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
    expect(page.locator(".cell-view .value")).to_have_text(re.compile(r"CKA 0\.\d{3} · 768 images"))


@pytest.mark.own_tab
def test_the_first_screen_holds_the_map_its_controls_its_sentence_and_the_button_and_nothing_jumps(
    page: Page, reader: str
):
    page.add_init_script(SHIFTS)
    heights = []
    for width, height in ((1280, 720), (1366, 768), (1400, 900), (1920, 1080), (1920, 1300)):
        page.set_viewport_size({"width": width, "height": height})
        open_map(page, reader)
        for part in (
            page.locator(".st-key-map .js-plotly-plot"),
            page.get_by_role("combobox", name="Layers"),
            page.get_by_role("button", name="Pin"),
            page.get_by_text("Layers 31–94 represent"),
            page.get_by_role("button", name="See the two together"),
            page.get_by_role("button", name="Compare", exact=True),
        ):
            box = part.bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= width, (width, part)
            assert box["y"] > 0 and box["y"] + box["height"] <= height, (height, part, box)
        header = page.locator("[data-testid=stHeader]").bounding_box()
        title = page.get_by_role("heading", name="ResNet 38x1 × itself").bounding_box()
        assert header and title and 12 <= title["y"] - header["y"] - header["height"] <= 24
        square, bar = (page.locator(f".st-key-map {part}").first.bounding_box() for part in (".nsewdrag", ".cbfill"))
        assert square and bar and abs(square["width"] - square["height"]) < 3
        assert bar["x"] - square["x"] - square["width"] < 90, "the colours stand beside the map"
        heights.append(page.locator(".st-key-map .js-plotly-plot").bounding_box()["height"])  # type: ignore[index]
        assert page.evaluate("window.shifted") < 0.1
    assert heights == sorted(heights) and heights[0] == 440 and heights[-1] == 900


@pytest.mark.own_tab
def test_nothing_jumps_however_slowly_the_page_arrives(page: Page, reader: str):
    page.add_init_script(SHIFTS)
    page.add_init_script(SLOWLY)
    for width, height in ((1400, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        open_map(page, reader)
        assert len(page.evaluate("[...window.edges]")) == 1, "the map's side has its place before the form is there"
        assert page.evaluate("window.shifted") < 0.1
    for link in (TWO_SMALL, "/?a=resnet152&b=resnet101"):  # there is no map of these
        page.goto(reader + link)
        page.get_by_text("is not compared yet").wait_for()
        settled(page)
        expect(page.get_by_role("button", name="Compare", exact=True)).to_be_visible()
        assert page.evaluate("window.shifted") < 0.1
    page.goto(f"{reader}/?tab=Two+maps")
    expect(page.get_by_role("tab", name="Two maps")).to_be_in_viewport()
    settled(page)
    assert page.evaluate("window.shifted") < 0.1


def test_the_input_is_at_the_bottom_left(page: Page, reader: str):
    area = open_map(page, reader + PAIR)
    area.hover(position=at(area, 0.005, 0.005))
    assert re.search(r"A\s+stem_conv · Conv2D · 32×32×16.*B\s+stem_conv · Conv2D · 32×32×64", hover_text(page))
    area.hover(position=at(area, 0.995, 0.005))
    expect(page.locator(".st-key-map .hoverlayer")).to_contain_text(re.compile(r"A\s+stem_conv.*B\s+head_logits"))


def test_hover_names_both_layers_their_kind_their_output_and_the_cka(page: Page, reader: str):
    area = open_map(page, reader + PAIR)
    area.hover(position=at(area, 0.5, 0.5))
    text = hover_text(page)
    assert re.search(r"A\s+stage2_block\d+_\w+ · \w+ · 16×16×32", text), text
    assert re.search(r"B\s+stage2_block\d+_\w+ · \w+ · 16×16×128", text), text
    assert re.search(r"CKA\s+[-−]?\d\.\d{3}", text), text


def test_a_click_opens_the_cell_and_a_second_click_another(page: Page, reader: str):
    area = open_map(page, reader + PAIR)
    seen = []
    for across, up in ((0.3, 0.7), (0.7, 0.3), (0.5, 0.5)):
        area.hover(position=at(area, across, up))
        hovered = re.search(r"A\s+(\w+) · .*B\s+(\w+) · .*CKA\s+([-−]?[\d.]+)", hover_text(page))
        assert hovered
        area.click(position=at(area, across, up))
        page.wait_for_function("(layer) => location.search.includes('la=' + layer + '&')", arg=hovered[1])
        expect(card(page)).to_have_text(hovered[3].replace("−", "-"))
        asked = parse_qs(urlsplit(page.url).query)
        assert (asked["la"], asked["lb"]) == ([hovered[1]], [hovered[2]])
        expect(page.get_by_text("Best match of A’s layer")).to_be_visible()
        settled(page)
        seen.append(hovered.groups())
    assert len(set(seen)) == 3


def test_the_best_match_is_one_click_away(page: Page, reader: str):
    open_map(page, f"{reader}/?la=stage2_block3_add&lb=stem_conv")
    match = page.get_by_role("button", name=re.compile(r"· 0\.\d{3}$")).first
    layer, value = (match.text_content() or "").split("arrow_forward")[-1].split(" · ")
    match.click()
    expect(card(page)).to_have_text(value.strip())
    assert parse_qs(urlsplit(page.url).query)["lb"] == [layer.strip()]


def test_the_layer_filter_applies_to_the_map_at_once(page: Page, reader: str):
    open_map(page, reader)
    choose(page, "Layers", "block outputs")
    page.wait_for_function(f"{CHART}?.data?.[0]?.y.length === 18")
    assert page.evaluate(f"{CHART}.data[0].y.every((name) => name.includes('_add · Add · '))")


def test_a_click_on_a_filtered_map_means_the_layer_one_sees(page: Page, reader: str):
    area = open_map(page, f"{reader}/?kinds=convolutions&search=stage3")
    area.click(position=at(area, 0.02, 0.02))
    page.wait_for_function("location.search.includes('la=stage3_block1_conv1&lb=')")  # one after the other
    assert parse_qs(urlsplit(page.url).query)["lb"] == ["stage3_block1_conv1"]


def test_a_copied_address_restores_the_view(page: Page, reader: str, browser: Browser):
    open_map(page, reader + PAIR)
    page.get_by_text("Show both untrained").click()
    expect(page.get_by_role("heading", name="ResNet 38x1, untrained × ResNet 14x4, untrained")).to_be_visible()
    page.get_by_role("textbox", name="Search").fill("stage2")
    page.get_by_role("textbox", name="Search").press("Enter")
    page.wait_for_function(f"{CHART}?.data?.[0]?.y.every((name) => name.startsWith('stage2'))")
    settled(page)
    area = page.locator(".st-key-map .nsewdrag")
    area.click(position=at(area, 0.3, 0.3))
    page.wait_for_function("location.search.includes('la=')")
    page.get_by_role("tab", name="Table").click()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    settled(page)

    context = browser.new_context(bypass_csp=True, viewport={"width": 1400, "height": 900})
    other = context.new_page()
    open_map(other, page.url)
    expect(other.get_by_role("heading", name="ResNet 38x1, untrained × ResNet 14x4, untrained")).to_be_visible()
    expect(other.get_by_role("textbox", name="Search")).to_have_value("stage2")
    expect(card(other)).to_have_text(card(page).text_content() or "")
    expect(other.get_by_test_id("stDataFrame")).to_be_visible()
    assert rows_of_map(other) == rows_of_map(page)
    context.close()


@pytest.mark.parametrize("tab", ["Estimators", "Table", "Download"])
def test_a_link_to_a_tab_below_the_map_leads_there(page: Page, reader: str, tab: str):
    page.set_viewport_size({"width": 1280, "height": 720})
    area = open_map(page, f"{reader}/?tab={tab}")
    expect(page.get_by_role("tab", name=tab)).to_be_in_viewport()
    area.click(position=at(area, 0.3, 0.6))  # once: who looks at the map again stays there
    page.wait_for_function("location.search.includes('la=')")
    settled(page)
    expect(page.locator(MAP)).to_be_in_viewport()
    open_map(page, reader)  # and a link to the map stays there
    expect(page.get_by_role("tab", name=tab)).not_to_be_in_viewport()


@pytest.mark.own_tab
def test_networks_of_a_link_stay_where_a_press_comes_before_their_boxes(page: Page, reader: str):
    held: list[Route] = []
    page.route(re.compile(r"/Selectbox\.\w+"), lambda route: held.append(route))  # slow to come: it draws them
    page.goto(reader + PAIR)
    page.wait_for_selector(MAP)
    settled(page)
    page.get_by_role("button", name="Pin", exact=True).click()
    unpin = page.get_by_role("button", name="Unpin", exact=True)
    expect(unpin).to_be_visible()
    assert held
    for route in held:
        route.continue_()
    network_a, network_b = (page.get_by_role("combobox", name=f"Network {side}") for side in "AB")
    expect(network_a).to_have_value(re.compile("^38x1 · paper recipe · seed 0"))
    expect(network_b).to_have_value(re.compile("^14x4 · paper recipe · seed 0"))
    unpin.click()
    expect(page.get_by_role("button", name="Pin", exact=True)).to_be_visible()
    expect(page).to_have_url(reader + PAIR)


def test_the_compare_page_is_found_by_its_name_too(page: Page, reader: str):
    page.goto(f"{reader}/compare?a=cifar-resnet-14x1-cifar10-mini-s0&b=cifar-resnet-14x4-cifar10-mini-s0")
    page.wait_for_selector(".js-plotly-plot .heatmaplayer image")
    expect(page.get_by_text("ResNet 14x1 × ResNet 14x4").first).to_be_visible()
    expect(page.get_by_text("Page not found")).to_have_count(0)
    assert "a=cifar-resnet-14x1-cifar10-mini-s0" in page.url


def test_each_sentence_under_the_map_leads_somewhere(page: Page, reader: str):
    open_map(page, reader + PAIR)
    page.get_by_text("Show a cell").click()
    expect(page.locator(".cell-view .value")).to_be_visible()
    page.get_by_text("Show ResNet 38x1 with itself").click()
    expect(page.get_by_role("heading", name="ResNet 38x1 × itself")).to_be_visible()
    page.get_by_text("Show both untrained").click()
    expect(untrained(page)).to_be_visible()
    page.get_by_text("Show both trained").click()
    expect(page.get_by_role("heading", name="ResNet 38x1 × itself")).to_be_visible()
    page.get_by_text("Back to ResNet 38x1 × ResNet 14x4").click()
    expect(page.get_by_role("heading", name="ResNet 38x1 × ResNet 14x4")).to_be_visible()


PRESSES = """([labels, wait]) => {
  const press = (label) => [...document.querySelectorAll('button')]
    .find((one) => one.innerText.includes(label)).click();
  press(labels[0]);
  setTimeout(() => press(labels[1]), wait);
}"""


@pytest.mark.parametrize("wait", [0, 20, 60, 150])  # milliseconds: before the server, or the browser, has heard
def test_of_two_quick_presses_none_is_lost(page: Page, reader: str, wait: int):
    open_map(page, reader + PAIR)
    page.evaluate(PRESSES, [["with itself", "Show a cell"], wait])
    expect(page.get_by_role("heading", name="ResNet 38x1 × itself")).to_be_visible()
    expect(page.locator(".cell-view .value")).to_be_visible()
    settled(page)
    page.wait_for_timeout(1000)  # nothing comes back
    expect(page.get_by_role("heading", name="ResNet 38x1 × itself")).to_be_visible()
    assert page.url.count("38x1-cifar10-mini-s0") == 2
    expect(page.get_by_role("combobox", name="Network B")).to_have_value(re.compile("38x1"))
    page.get_by_role("combobox", name="Network B").click()  # the network before can be chosen again
    page.get_by_role("combobox", name="Network B").fill("14x4")
    page.get_by_role("option", name=re.compile("14x4.*paper recipe")).click()
    expect(page.get_by_role("heading", name="ResNet 38x1 × ResNet 14x4")).to_be_visible()


def test_two_quick_swaps_are_none(page: Page, reader: str):
    open_map(page, reader + PAIR)
    page.evaluate(PRESSES, [["Swap A and B", "Swap A and B"], 30])
    page.wait_for_timeout(1000)
    settled(page)
    expect(page.get_by_role("heading", name="ResNet 38x1 × ResNet 14x4")).to_be_visible()
    assert re.search("a=cifar-resnet-38x1.*b=cifar-resnet-14x4", page.url)


def test_on_a_phone_the_map_comes_first_then_the_cell_and_the_form_is_folded(page: Page, reader: str):
    page.set_viewport_size({"width": 390, "height": 844})
    open_map(page, reader)
    # A browser says that it is narrow once the map is there; then the map is drawn for it.
    page.wait_for_function(f"document.querySelector('{MAP}')?.getBoundingClientRect().top < innerHeight / 2")
    settled(page)
    tops = [
        place.bounding_box()["y"]  # type: ignore[index]
        for place in (page.locator(MAP), page.get_by_text("Layers 31–94 represent"), card(page))
    ]
    assert tops == sorted(tops) and tops[0] < 844 / 2
    expect(page.get_by_role("combobox", name="Network A")).not_to_be_in_viewport()
    expect(page.get_by_role("button", name="Compare", exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    width = page.locator(".st-key-map .js-plotly-plot").bounding_box()["width"]  # type: ignore[index]
    assert width > 300


def test_on_a_phone_no_word_of_the_best_matches_is_cut_off(page: Page, reader: str):
    page.set_viewport_size({"width": 390, "height": 844})
    open_map(page, f"{reader}/?a=cifar-resnet-38x1&b=cifar-resnet-14x4")
    chart = page.locator("[data-testid=stPlotlyChart]", has_text="with the best match").last
    expect(chart.get_by_text("100%", exact=True)).to_be_visible()
    for side, name in (("A", "ResNet 38x1, untrained"), ("B", "ResNet 14x4, untrained")):
        expect(chart.locator(".legendtext", has_text=name)).to_have_text(re.compile(f"{side}\\s+{name}"))
    frame = chart.bounding_box()
    assert frame is not None
    for word in chart.locator("text").all():
        box = word.bounding_box()
        assert box is None or box["x"] + box["width"] <= frame["x"] + frame["width"] + 1, word.text_content()
    axis, legend = (chart.locator(part).bounding_box() for part in (".xtitle", ".legend"))
    assert axis and legend and axis["y"] + axis["height"] + 5 < legend["y"], "the axis' title is no line of the legend"
    assert as_laid_out(page, ".st-key-curve", "b"), "drawn once: its words have the room that was reserved"


def as_laid_out(page: Page, chart: str, side: str) -> bool:
    """Whether a chart has the margin that it was given; plotly enlarges one by drawing the chart once more."""
    given = f"document.querySelector('{chart} .js-plotly-plot')"
    return bool(page.evaluate(f"{given}._fullLayout._size.{side} === {given}.layout.margin.{side}"))


@pytest.mark.parametrize("path, chart", [("/", ".st-key-map .js-plotly-plot"), ("/atlas", ".cell canvas")])
def test_for_a_browser_that_says_it_is_a_phones_a_page_is_drawn_once(
    browser: Browser, reader: str, path: str, chart: str
):
    context = browser.new_context(bypass_csp=True, user_agent=PHONE, viewport={"width": 390, "height": 844})
    page = context.new_page()
    sent: list[bytes | str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.goto(reader + path)
    page.wait_for_selector(chart)
    page.wait_for_selector(MAP)
    settled(page)
    if path == "/":
        page.wait_for_function(f"{CHART}?._ev?.listeners('plotly_click').some((one) => one.ofMap)")
        assert page.evaluate(f"{CHART}.data[0].colorbar.orientation") == "h"
    settled(page)
    assert sent and not [frame for frame in sent if b"narrow" in (frame.encode() if isinstance(frame, str) else frame)]
    context.close()


def download_button(page: Page, name: str):
    """Older versions of Streamlit put the icon's name before the label."""
    return page.get_by_role("button", name=re.compile(rf"(^|\W){name}$"))


def test_downloads_hold_what_they_say(page: Page, reader: str):
    open_map(page, f"{reader}{PAIR}&tab=Download")
    for name, start in (("CSV", b'"layer","stem_conv"'), ("NPZ", b"PK"), ("PDF", b"%PDF"), ("HTML", b"<html")):
        with page.expect_download() as waiting:
            download_button(page, name).click()
        assert waiting.value.suggested_filename.endswith(f".{name.lower()}")
        assert start in waiting.value.path().read_bytes()[:200]
    expect(page.get_by_text("python -m cka_core compare cifar-resnet-38x1-cifar10-mini-s0")).to_be_visible()


def test_the_html_file_is_a_map_without_a_network(page: Page, reader: str, tmp_path):
    open_map(page, f"{reader}{PAIR}&tab=Download")
    with page.expect_download() as waiting:
        download_button(page, "HTML").click()
    waiting.value.save_as(tmp_path / "map.html")
    page.goto((tmp_path / "map.html").as_uri())
    page.wait_for_selector(".heatmaplayer image")
    expect(page.get_by_text("CKA of ResNet 38x1 and ResNet 14x4")).to_be_visible()


def test_the_browsers_back_is_back_in_the_app(page: Page, reader: str):
    open_map(page, reader + PAIR)
    page.get_by_text("Show ResNet 38x1 with itself").click()
    expect(page.get_by_role("heading", name="ResNet 38x1 × itself")).to_be_visible()
    settled(page)
    page.go_back()
    expect(page.get_by_role("heading", name="ResNet 38x1 × ResNet 14x4")).to_be_visible()


def test_a_page_that_was_left_opens_as_it_was_left(page: Page, reader: str):
    open_map(page, f"{reader}{PAIR}&kinds=convolutions")
    compared, width = urlsplit(page.url).query, page.get_by_role("spinbutton", name="Width")
    for shown in ("1", "3"):
        page.get_by_role("link", name="Train").click()
        expect(width).to_have_value(shown)
        settled(page)
        width.fill("3")
        width.press("Enter")
        page.wait_for_function("location.search === '?width=3'")
        settled(page)
        page.get_by_role("link", name="Compare").click()
        expect(page.get_by_role("heading", name="ResNet 38x1 × ResNet 14x4")).to_be_visible()
        settled(page)
        assert urlsplit(page.url).query == compared
    page.get_by_role("link", name="Library").click()  # leads to Compare, asking for something
    expect(page.get_by_role("heading", name="Library", exact=True)).to_be_visible()
    settled(page)
    page.locator("[data-testid=stDataFrame]").first.click(position={"x": 15, "y": 52})
    page.get_by_role("button", name="Compare with …").click()
    page.wait_for_function("location.pathname === '/' && location.search.startsWith('?a=')")
    settled(page)
    assert "b=" not in urlsplit(page.url).query, "what an address asks for is taken as it stands"


def test_the_browsers_back_leads_to_no_pair_that_was_never_chosen(page: Page, reader: str):
    open_map(page, reader)
    trained, untrained = (
        page.get_by_role("heading", name=f"ResNet 38x1{which} × itself", exact=True) for which in ("", ", untrained")
    )
    page.get_by_text("before training", exact=True).click()
    expect(untrained).to_be_visible()
    settled(page)
    page.get_by_text("a network and its block", exact=True).click()
    expect(trained).to_be_visible()
    settled(page)
    assert urlsplit(page.url).query == ""
    for heading, query in ((untrained, "a=cifar-resnet-38x1&b=cifar-resnet-38x1"), (trained, "")):
        page.go_back()
        expect(heading).to_be_visible()
        settled(page)
        assert urlsplit(page.url).query == query


@pytest.mark.own_tab  # a tab's history has 50 steps at most, which others may have made
def test_the_browsers_back_leads_to_no_cell_that_was_never_chosen(page: Page, reader: str):
    area = open_map(page, reader)
    first = card(page).text_content() or ""
    area.click(position=at(area, 0.6, 0.4))
    page.wait_for_function("location.search.includes('la=') && location.search.includes('lb=')")
    expect(page.locator(".cell-view .value")).to_be_visible()
    settled(page)
    query, chosen = urlsplit(page.url).query, card(page).text_content() or ""
    assert chosen != first
    page.go_back()
    expect(card(page)).to_have_text(first)
    settled(page)
    assert urlsplit(page.url).query == ""
    page.go_forward()
    expect(card(page)).to_have_text(chosen)
    settled(page)
    assert urlsplit(page.url).query == query

    steps = page.evaluate("history.length")
    page.get_by_text("before training", exact=True).click()
    expect(untrained(page)).to_be_visible()
    settled(page)
    assert page.evaluate("history.length") == steps + 1, "one press is one step"
    for cell, asked in ((chosen, query), (first, "")):
        page.go_back()
        expect(page.get_by_role("heading", name="ResNet 38x1 × itself", exact=True)).to_be_visible()
        expect(card(page)).to_have_text(cell)
        settled(page)
        assert urlsplit(page.url).query == asked


def test_the_browsers_back_leads_from_page_to_page_as_they_were_opened(page: Page, reader: str):
    open_map(page, reader)
    page.get_by_text("before training", exact=True).click()
    expect(untrained(page)).to_be_visible()
    settled(page)
    query = urlsplit(page.url).query
    atlas = page.get_by_role("heading", name="Do wide and deep networks learn the same things?")
    page.get_by_role("link", name="Atlas", exact=True).click()
    expect(atlas).to_be_visible()
    settled(page)
    page.get_by_role("link", name="Compare", exact=True).click()
    expect(untrained(page)).to_be_visible()  # it opens as it was left
    settled(page)
    page.go_back()
    expect(atlas).to_be_visible()
    settled(page)
    assert urlsplit(page.url)[2:4] == ("/atlas", "")
    page.go_back()
    expect(untrained(page)).to_be_visible()
    settled(page)
    assert urlsplit(page.url)[2:4] == ("/", query)


@pytest.fixture
def sending_again(browser: Browser, browser_context_args: dict, reader: str) -> Iterator[Page]:
    """A page that can send once more what it sent last (`SENT_AGAIN`), at the map of an untrained network."""
    page = browser.new_page(**browser_context_args)
    page.add_init_script(SENT_AGAIN)
    open_map(page, reader)
    page.get_by_text("before training", exact=True).click()
    expect(untrained(page)).to_be_visible()
    settled(page)
    yield page
    page.close()


def stays(place: Locator) -> None:
    """It comes, and is not taken away by what follows."""
    expect(place).to_be_visible()
    place.page.wait_for_timeout(1000)
    settled(place.page)
    expect(place).to_be_visible()


@pytest.mark.parametrize("moment", [0, 20, 60])
def test_a_press_in_the_bar_counts_whatever_the_page_sends_right_after_it(sending_again: Page, moment: int):
    page = sending_again
    page.wait_for_timeout(1000)  # until the page has answered
    page.evaluate("moment => sendAgain(moment)", moment)
    page.get_by_role("link", name="Library", exact=True).click()
    stays(page.get_by_role("heading", name="Library", exact=True))
    assert urlsplit(page.url).path == "/library"


@pytest.mark.parametrize("moment", [0, 20, 60])
def test_back_to_another_page_counts_whatever_is_sent_right_after_it(sending_again: Page, moment: int):
    page = sending_again
    query = urlsplit(page.url).query
    page.get_by_role("link", name="Atlas", exact=True).click()
    expect(page.get_by_role("heading", name="Do wide and deep networks learn the same things?")).to_be_visible()
    settled(page)
    page.wait_for_timeout(1000)  # until the page has answered
    page.evaluate("moment => sendAgain(moment)", moment)
    page.go_back()
    stays(untrained(page))
    assert urlsplit(page.url)[2:4] == ("/", query)


def test_the_cell_to_begin_with_is_opened_by_a_link_too(page: Page, reader: str):
    open_map(page, reader)
    opened = page.locator(".cell-view .value")
    button = page.get_by_role("button", name="Look into this cell")
    button.click()
    expect(opened).to_be_visible()
    settled(page)
    assert urlsplit(page.url).query == "open=yes"
    open_map(page, page.url)
    expect(opened).to_be_visible()
    expect(button).to_have_count(0)
    area = page.locator(f".st-key-map{OLD} .nsewdrag")
    area.click(position=at(area, 0.6, 0.4))
    page.wait_for_function("location.search.includes('la=') && !location.search.includes('open=')")
    settled(page)
    page.go_back()
    page.wait_for_function("location.search === '?open=yes'")
    expect(opened).to_be_visible()
    settled(page)
    assert urlsplit(page.url).query == "open=yes"


@pytest.mark.parametrize("what", ["a cell", "the cell to begin with", "a pair"])
def test_the_browsers_back_counts_before_the_page_has_answered(
    browser: Browser, browser_context_args: dict, reader: str, what: str
):
    page = browser.new_page(**browser_context_args)
    page.add_init_script(LATE_ANSWERS)
    area = open_map(page, reader)
    page.evaluate("answerNow()")
    settled(page)
    first, look = card(page).text_content() or "", page.get_by_role("button", name="Look into this cell")
    if what == "a cell":
        area.click(position=at(area, 0.6, 0.4))
    elif what == "a pair":
        page.get_by_text("before training", exact=True).click()
        expect(untrained(page)).to_be_visible()
    else:
        look.click()
    page.wait_for_function("location.search !== '' && unanswered() > 0")
    settled(page)
    page.go_back()
    page.evaluate("answerNow()")  # what the answer tells of the widgets may be from before Back
    expect(card(page)).to_have_text(first)
    expect(page.get_by_role("heading", name="ResNet 38x1 × itself", exact=True)).to_be_visible()
    expect(look).to_be_visible()  # no cell is opened
    settled(page)
    assert urlsplit(page.url).query == ""
    page.close()


def test_a_new_comparison_is_computed_and_appears(page: Page, app: str):
    page.goto(app + TWO_SMALL)
    button = page.get_by_role("button", name="Compare", exact=True)
    expect(page.get_by_text(re.compile(r"^≈ \d+ s$"))).to_be_visible()
    button.click()
    page.wait_for_selector(MAP, timeout=180_000)
    assert rows_of_map(page) == 29
    expect(button).to_be_disabled()
    area = page.locator(".st-key-map .nsewdrag")
    area.hover(position=at(area, 0.5, 0.5))
    assert "CKA" in hover_text(page)


def test_a_stopped_comparison_says_so_and_can_be_resumed(page: Page, app: str):
    page.goto(app + TWO_LARGE)
    page.get_by_role("button", name="Compare", exact=True).click()
    stop = stop_button(page)
    expect(stop).to_be_visible()
    page.goto("about:blank")  # leaving and coming back finds the same job
    page.goto(app + TWO_LARGE)
    stop.click()
    expect(page.get_by_text("Stopped.")).to_be_visible(timeout=120_000)
    expect(page.get_by_role("button", name="Resume")).to_be_enabled()


COUNT_MAPS = """() => {
  window.mostMaps = 1;
  const count = () => {
    const maps = [...document.querySelectorAll('.st-key-map')].filter((one) => one.checkVisibility());
    window.mostMaps = Math.max(window.mostMaps, maps.length);
  };
  new MutationObserver(count).observe(document.body, { childList: true, subtree: true });
}"""


def test_the_old_map_stays_until_the_new_one_is_there(page: Page, app: str):
    open_map(page, app)
    page.evaluate(COUNT_MAPS)
    page.get_by_role("combobox", name="Network B").click()
    page.get_by_role("combobox", name="Network B").fill("ResNet50")
    page.get_by_role("option", name=re.compile("ResNet50")).click()
    expect(page.get_by_text("is not compared yet: press Compare")).to_be_visible()
    expect(page.get_by_text("Still showing: 768 test images")).to_be_visible()
    assert rows_of_map(page) == 134
    page.get_by_role("button", name="Compare", exact=True).click()
    stop = stop_button(page)
    expect(stop).to_be_visible()
    expect(page.locator(MAP)).to_be_visible()
    stop.click()
    expect(page.get_by_text("Stopped.")).to_be_visible(timeout=120_000)
    expect(page.locator(MAP)).to_be_visible()
    assert page.evaluate("window.mostMaps") == 1  # it kept its place: it was never drawn anew beside itself


def test_the_server_is_healthy(reader: str):
    with urllib.request.urlopen(f"{reader}/_stcore/health") as answer:
        assert answer.read() == b"ok"


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()
    settled(page)


def bar_title(page: Page, title: str) -> None:
    page.wait_for_function(
        "([chart, title]) => eval(chart)?.data?.[0]?.colorbar?.title?.text === title", arg=[CHART, title]
    )


def test_a_reader_questions_the_opening_map_within_two_clicks_each_time(page: Page, reader: str):
    area = open_map(page, reader + PAIR)
    expect(page.get_by_text("at least 110 images decide")).to_be_visible()
    area.hover(position=at(area, 0.5, 0.5))
    told = hover_text(page)
    assert re.search(r"CKA\s+\d\.\d{3}\s+\[\d\.\d{3}, \d\.\d{3}\]", told), told
    assert "without pixels" in told and "untrained" in told

    choose(page, "Control", "minus untrained")
    bar_title(page, "CKA less untrained")
    area.hover(position=at(area, 0.5, 0.4))
    expect(page.locator(".st-key-map .hoverlayer")).to_contain_text("as it is")
    page.get_by_text("Untrained, with batch norm in train mode").click()
    page.wait_for_function("location.search.includes('bntrain=true')")
    settled(page)
    choose(page, "Control", "as it is")
    bar_title(page, "CKA")
    settled(page)  # of two choices in one run of the page one step is remembered
    choose(page, "Measure", "SVCCA")
    bar_title(page, "SVCCA")
    assert "measure=svcca" in page.url
    page.get_by_role("button", name="Undo").click()
    bar_title(page, "CKA")

    page.get_by_role("tab", name="All measures").click()
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible()
    page.get_by_role("tab", name="Estimators").click()
    page.wait_for_selector(".st-key-estimator-chart-sizes .js-plotly-plot")
    expect(page.get_by_text("biased, independent noise of").first).to_be_visible()


def test_two_maps_point_at_the_same_layers(page: Page, reader: str):
    open_map(page, f"{reader}{PAIR}&tab=Two+maps")
    page.get_by_role("combobox", name="Beside this map").click()
    page.get_by_role("combobox", name="Beside this map").fill("train mode")
    page.get_by_role("option", name=re.compile("14x4.*batch norm in train mode")).click()
    page.wait_for_selector(".st-key-two-difference .heatmaplayer image")
    settled(page)
    other = page.locator(".st-key-two-the-other .nsewdrag")
    other.hover(position=at(other, 0.5, 0.5))
    readout = page.locator(".readout")
    expect(readout).to_contain_text(re.compile(r"this  \d\.\d{3}   the other  \d\.\d{3}   difference  -?\d\.\d{3}"))
    expect(page.locator(".st-key-two-this .linked-cell")).to_be_visible()
    expect(page.locator(".st-key-two-the-other .linked-cell")).to_be_hidden()
    pointed = "{ points: [{ pointNumber: [97, 4] }] }"  # less than 0.0005 below 0
    page.evaluate(f"document.querySelector('.st-key-two-difference .js-plotly-plot').emit('plotly_hover', {pointed})")
    expect(readout).to_contain_text("difference  0.000")


def test_two_maps_of_networks_of_another_width_point_at_the_same_layers(page: Page, reader: str):
    narrow, wide = (f"cifar-resnet-14x{width}-cifar10-mini-s0" for width in (1, 4))
    open_map(page, f"{reader}/?a={narrow}&b={wide}&tab=Two+maps")
    page.get_by_role("combobox", name="Beside this map").click()
    page.get_by_role("combobox", name="Beside this map").fill(f"{wide} × itself")
    page.get_by_role("option").first.click()
    page.wait_for_selector(".st-key-two-difference .heatmaplayer image")
    settled(page)
    for which in ("this", "the-other", "difference"):
        area = page.locator(f".st-key-two-{which} .nsewdrag")
        area.hover(position=at(area, 0.5, 0.3))
        told = re.compile(
            r"^A stage\d_\w+ × B stage\d_\w+:  this  (\d\.\d+)   the other  (\d\.\d+)   difference  (-?\d\.\d+)$"
        )
        expect(page.locator(".readout")).to_have_text(told)
        found = told.search(page.locator(".readout").inner_text())
        assert found
        this, other, difference = map(float, found.groups())
        assert abs(this - other - difference) < 0.0016
        shown = [name for name in ("this", "the-other", "difference") if name != which]
        for name in shown:
            expect(page.locator(f".st-key-two-{name} .linked-cell")).to_be_visible()


def test_small_maps_of_several_networks_open_their_pairs(page: Page, reader: str):
    names = ",".join(f"cifar-resnet-{size}-cifar10-mini-s0" for size in ("14x1", "38x1", "14x4"))
    open_map(page, f"{reader}/?tab=Several+networks&networks={names}")
    expect(page.get_by_test_id("stImage")).to_have_count(6)
    page.get_by_role("button", name="ResNet 14x4 × ResNet 14x1").click()
    expect(page.get_by_role("heading", name="ResNet 14x4 × ResNet 14x1")).to_be_visible()


@pytest.mark.own_tab
@pytest.mark.parametrize("made", [report.to_html, html_page.to_html], ids=["report", "map"])
def test_a_page_of_its_own_fits_its_window(browser: Browser, tmp_path: Path, made: Callable[..., str]):
    path = tmp_path / "map.html"
    path.write_text(made(synthetic.comparison(), titles=("a name without a space " * 5, "x" * 90)), encoding="utf-8")
    for width in (390, 800, 1400):
        context = browser.new_context(viewport={"width": width, "height": 844}, is_mobile=width < 500)
        page = context.new_page()
        with nothing_goes_wrong(page):
            page.goto(path.as_uri())
            page.wait_for_selector(".heatmaplayer image")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            area = page.locator(".nsewdrag").bounding_box()
            assert area and area["width"] > 0.55 * min(width, 1000)
            bars = [bar.bounding_box() for bar in page.locator(".cbfill").all()]
            assert len(bars) == 1 and bars[0]
            below = bars[0]["y"] > area["y"] + area["height"]
            assert below == (width < 480), "on a phone the colours stand below the map"
        context.close()
