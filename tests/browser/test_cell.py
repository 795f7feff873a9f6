"""A cell opened in a real browser: walked to, pointed at, and its map without a few images."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
from playwright.sync_api import Page, expect

from tests.browser.test_compare import MAP, PAIR, at, open_map, settled
from tests.browser.test_library import button

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
    for _ in range(4):  # not to the layer that a map opens with, which the address leaves out
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


def test_a_cell_of_few_images_and_a_map_one_layer_high(page: Page, app: str, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "one.npz", only=rng.standard_normal((8, 5)))
    many = {f"block.{i:02}": rng.standard_normal((8, 5)) for i in range(60)}
    np.savez(tmp_path / "many.npz", **many, zero=np.zeros((8, 5)))
    page.goto(f"{app}/library")
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    page.locator("input[type=file]").set_input_files([tmp_path / "one.npz", tmp_path / "many.npz"])
    expect(page.get_by_text("many is in the library")).to_be_visible()
    page.goto(f"{app}/?a=one&b=many&lb=block.07")
    settled(page)
    button(page, "Compare").click()
    page.wait_for_selector(MAP)

    adds = page.locator(".makers .pick small")
    expect(adds).to_have_count(8)
    told = adds.all_inner_texts()
    assert all(re.fullmatch(r"[+−]0\.\d{3}", one) for one in told), told
    assert {one[0] for one in told} == {"+", "−"}
    value = re.search(rf"CKA ({NUMBER})", page.locator(".cell-view .value").inner_text())
    assert value
    assert abs(sum(float(one.replace("−", "-")) for one in told) - float(value[1].replace("−", "-"))) < 0.005

    # 4 of 8 can go, not 5; the maps of one row can be seen and pointed at.
    count = page.get_by_role("slider", name="How many of the most influential images")
    expect(count).to_have_attribute("max", "4")
    expect(page.locator(".left-out .ask output")).to_have_text("4")
    settled(page)
    page.get_by_role("button", name="Leave out the most influential").click()
    expect(page.locator(".left-out .words")).to_contain_text("Without the 4 most influential of 8 images")
    difference = page.locator(".maps canvas").nth(2)
    box = difference.bounding_box()
    assert box and box["height"] >= 48
    difference.hover(position={"x": box["width"] * 30.5 / 61, "y": box["height"] / 2})
    expect(page.locator(".hovered")).to_contain_text(re.compile(rf"A only · B block\.30: before {NUMBER}, after"))

    # Of a layer that says nothing there is no number; the other's images stay.
    page.goto(f"{app}/?a=one&b=many&la=only&lb=zero")
    page.wait_for_selector(MAP)
    expect(page.locator(".cell-view .value")).to_contain_text("No CKA: no variance")
    expect(page.locator(".dimensions")).to_contain_text(re.compile(rf"Effective dimension: A {NUMBER}, B none\."))
    near = page.locator(".strip .row")
    expect(near.nth(0).locator(".pick")).to_have_count(7)
    expect(near.nth(1)).to_have_text("This layer says nothing of these images.")
