"""A cell opened in a real browser: walked to, pointed at, and its map without a few images."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from tests.browser.test_compare import PAIR, at, open_map, settled

NUMBER = r"−?\d+\.\d+"


def test_a_cell_is_opened_walked_from_pointed_at_and_questioned(page: Page, reader: str):
    area = open_map(page, reader + PAIR)
    area.click(position=at(area, 0.5, 0.5))
    value = page.locator(".cell-view .value")
    expect(value).to_have_text(re.compile(rf"CKA {NUMBER} · 768 images · {NUMBER} on the first 64, which are shown"))
    settled(page)
    box, here = area.bounding_box(), page.locator(".cka-here").bounding_box()
    assert abs(here["x"] + here["width"] / 2 - box["x"] - 0.5 * box["width"]) < 14, "the mark is on the cell"
    assert abs(here["y"] + here["height"] / 2 - box["y"] - 0.5 * box["height"]) < 14

    # The keys move at once; the address, the card and the count of images follow.
    names = page.locator(".which code")
    before = names.nth(1).inner_text()
    page.locator(".st-key-map .js-plotly-plot").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    after = names.nth(1).inner_text()
    assert after != before
    page.wait_for_function("(layer) => location.search.includes('lb=' + layer)", arg=after)
    asked = parse_qs(urlsplit(page.url).query)
    assert (asked["la"], asked["lb"]) == ([names.nth(0).inner_text()], [after])
    expect(page.locator("[data-testid=stMetricValue]")).to_have_text(re.search(r"CKA (\S+)", value.inner_text())[1])
    expect(page.locator(".made .making")).to_contain_text(re.compile(r"Together these 12 of 64 images add 0\.\d+ of"))
    settled(page)
    page.wait_for_function("document.activeElement.classList.contains('js-plotly-plot')")

    # A pair of images, in both matrices; an image, in both clouds and with its neighbours.
    gram = page.locator(".gram").nth(0)
    gram.hover(position={"x": 30, "y": 90})
    expect(page.locator(".pointed")).to_contain_text(
        re.compile(rf"image \d+, \w+ and image \d+, \w+: A {NUMBER}, B {NUMBER}")
    )
    expect(page.locator(".pointed .picture")).to_have_count(2)
    page.locator(".cloud").nth(0).locator(".dot").nth(7).hover(force=True)
    lit = page.locator(".cloud").nth(1).locator(".dot.lit")
    expect(lit).to_have_attribute(
        "data-image", page.locator(".cloud").nth(0).locator(".dot.lit").get_attribute("data-image")
    )
    expect(page.locator(".strip").nth(0).locator(".pick")).to_have_count(8)
    expect(page.locator(".near .shared")).to_contain_text("of the 8 nearest are the same in both layers")

    # The map without the most influential images, and without one that is picked in a strip.
    page.get_by_role("button", name="Leave out the most influential").click()
    words = page.locator(".left-out .words")
    expect(words).to_contain_text("Without the 5 most influential of 64 images")
    expect(page.locator(".left-out .gone .picture")).to_have_count(5)
    page.locator(".maps canvas").nth(2).hover()
    told = page.locator(".hovered").inner_text()
    numbers = re.search(rf"before ({NUMBER}), after ({NUMBER}), difference ({NUMBER})$", told)
    assert numbers, told
    first, second, change = (float(one.replace("−", "-")) for one in numbers.groups())
    assert abs(second - first - change) < 0.0021
    page.locator(".makers .pick").nth(0).click()
    page.get_by_role("button", name="Leave out the 1 picked").click()
    expect(words).to_contain_text("Without these 1 of 64 images")
    settled(page)


def test_the_keys_reach_the_map_and_the_first_cell(page: Page, reader: str):
    open_map(page, f"{reader}{PAIR}&kinds=block+outputs")
    page.locator(".st-key-map .js-plotly-plot[tabindex='0']").focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_function("location.search.includes('_add')")
    expect(page.locator(".which code").nth(0)).to_have_text(re.compile("_add$"))
