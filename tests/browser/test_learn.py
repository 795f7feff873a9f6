"""The Learn page as a person uses it, in a real browser: its steps, its figures under the pointer, its addresses."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from cka_core.atlas.result import Atlas
from cka_core.claims.lesson import of_the_bundle
from cka_core.measures.chance import chance
from pages.parts.learn import lesson
from tests.browser.test_compare import settled

FOURTH, FIFTH = lesson.figures("4"), lesson.figures("5")
assert FOURTH is not None and FIFTH is not None
NAMED = len(FOURTH["maps"])
STEPS = {1: 7, 2: 10, 3: 5, 4: NAMED + len(FOURTH["story"]["steps"]), 5: len(FIFTH["steps"])}
"""How many steps each chapter has; those of the last two follow the atlas."""
LAST = (5, STEPS[5])

# The frame


def open_chapter(page: Page, reader: str, chapter: int = 1, step: int = 1, more: str = "") -> None:
    page.goto(f"{reader}/learn?chapter={chapter}&step={step}{more}")
    expect(page.locator(".tour")).to_be_visible()
    settled(page)


def sentence(page: Page) -> Locator:
    return page.locator(".sentence")


def number(page: Page, name: str) -> float:
    return float(page.locator(f"[data-number={name}]").inner_text().replace("−", "-"))


def test_next_tours_every_step_of_every_chapter_and_back_returns(page: Page, reader: str):
    page.goto(f"{reader}/learn")
    expect(page.get_by_role("heading", level=1)).to_have_text("Eight images to one number")
    expect(page.get_by_role("button", name="Back", exact=True)).to_be_disabled()
    seen = [sentence(page).inner_text()]
    for chapter, steps in STEPS.items():
        expect(page.get_by_role("heading", level=1)).to_have_text(lesson.CHAPTERS[str(chapter)])
        for step in range(1, steps + 1):
            expect(page.locator(".tour .count")).to_have_text(f"{step} of {steps}")
            seen.append(sentence(page).inner_text())
            if (chapter, step) != LAST:
                page.locator(".next").click()
    assert len(set(seen)) == sum(STEPS.values())
    expect(page.locator(".next")).to_be_hidden()
    assert "chapter=5" in page.url and f"step={LAST[1]}" in page.url
    for step in range(LAST[1] - 1, 0, -1):
        page.get_by_role("button", name="Back", exact=True).click()
        expect(page.locator(".tour .count")).to_have_text(f"{step} of {LAST[1]}")
    page.get_by_role("button", name="Back", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Name the map")


def test_an_address_opens_its_chapter_and_step_and_the_browsers_back_leads_there(page: Page, reader: str):
    open_chapter(page, reader, 2, 5)
    expect(page.locator(".tour .count")).to_have_text("5 of 10")
    page.get_by_role("link", name="Chapter 3: Noise against noise").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Noise against noise")
    assert re.search(r"/learn\?chapter=3$", page.url), page.url
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("What changes it?")
    expect(page.locator(".tour .count")).to_have_text("5 of 10")


@pytest.mark.parametrize("elsewhere", ["/learn?chapter=2&step=4", "/train", "/learn?step=2"])
def test_a_chapter_that_is_left_writes_nothing_into_the_address_of_the_next_page(
    page: Page, reader: str, elsewhere: str
):
    """The address changes first; until the server has answered, the chapter is still there and at work."""
    open_chapter(page, reader, 3, 2)
    page.evaluate("(to) => window.history.pushState(window.history.state, '', to)", elsewhere)
    page.get_by_label("Images", exact=True).press("Home")
    expect(page.locator(".shape")).to_contain_text("8 images")
    assert page.url == reader + elsewhere


def test_on_a_phone_what_is_said_comes_into_sight(page: Page, reader: str):
    page.set_viewport_size({"width": 390, "height": 844})
    open_chapter(page, reader, 1, STEPS[1] - 1)
    main = page.locator("[data-testid=stMain]")
    for chapter, press in [(1, ".next"), (1, ".next"), (2, ".next"), (4, "[data-name=planted]")]:
        if chapter == 4:
            open_chapter(page, reader, chapter)
        before = sentence(page).inner_text()
        main.evaluate("(m) => m.scrollTo(0, m.scrollHeight)")
        expect(sentence(page)).not_to_be_in_viewport()
        page.locator(press).click()
        expect(sentence(page)).not_to_have_text(before)
        expect(sentence(page)).to_be_in_viewport(ratio=1)
        below_the_bar = page.locator("[data-testid=stHeader]").bounding_box()
        assert below_the_bar is not None
        box = sentence(page).bounding_box()
        assert box is not None and box["y"] >= below_the_bar["y"] + below_the_bar["height"]


@pytest.mark.parametrize(
    ("asked", "opened"),
    [
        ("chapter=2&step=2.7", (2, 2)),
        ("chapter=2&step=-3", (2, 1)),
        ("chapter=2&step=1e9", (2, 10)),
        ("chapter=2&step=x&present=0", (2, 1)),
        ("chapter=constructor&step=Infinity", (1, 7)),
        ("chapter=1&chapter=2&step=9&step=4", (2, 4)),
    ],
    ids=str,
)
def test_whatever_step_an_address_asks_for_one_is_shown_and_the_next_is_said_there(
    page: Page, reader: str, asked: str, opened: tuple[int, int]
):
    chapter, step = opened
    page.goto(f"{reader}/learn?{asked}")
    expect(page.locator(".tour .count")).to_have_text(f"{step} of {STEPS[chapter]}")
    settled(page)
    if step < STEPS[chapter]:
        page.locator(".next").click()
        assert page.url.endswith(f"step={step + 1}") or f"step={step + 1}&" in page.url, page.url


def test_who_leafs_through_the_chapters_quickly_arrives_at_the_last_one(page: Page, reader: str):
    """Where the browser has thrown away what a run refers to, it hears nothing any more (config.toml)."""
    open_chapter(page, reader)
    hurry = random.Random(10)
    for _ in range(60):
        page.locator("a.chapter").nth(hurry.randrange(5)).click()
        page.wait_for_timeout(hurry.choice([20, 60, 120, 250]))  # as fingers do; nothing is waited for
    for chapter, title in lesson.CHAPTERS.items():
        page.locator("a.chapter").nth(int(chapter) - 1).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page.get_by_text("Connection error")).to_have_count(0)


def test_dots_and_arrow_keys_move_one_step(page: Page, reader: str):
    open_chapter(page, reader, 2)
    page.get_by_role("link", name="Chapter 1: Eight images to one number").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Eight images to one number")
    page.get_by_role("button", name="Step 4: Centring").click()
    expect(page.locator(".tour .count")).to_have_text("4 of 7")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tour .count")).to_have_text("5 of 7")
    page.keyboard.press("PageUp")
    expect(page.locator(".tour .count")).to_have_text("4 of 7")


@pytest.mark.parametrize(
    ("chapter", "step", "presses", "goes_on"),
    [
        (1, 4, ["Step"] * 4, "Step back"),
        (1, 4, ["Step", "Step back"], "Play"),
        (2, 2, ["It stays"], "Start again"),
        (2, 2, ["It stays", "Start again"], "It stays"),
        (4, 1, ["planted by hand", "Guess again"], "not trained at all"),
        (2, 2, ["Chapter 4: Name the map"], "Chapter 4: Name the map"),
    ],
    ids=str,
)
def test_who_presses_by_keys_goes_on_where_what_was_pressed_is_gone(
    page: Page, reader: str, chapter: int, step: int, presses: list[str], goes_on: str
):
    open_chapter(page, reader, chapter, step)
    place = page.locator(".lesson")
    for name in presses:
        of = place.get_by_role("link" if name.startswith("Chapter") else "button", name=name, exact=True)
        of.focus()
        page.keyboard.press("Enter")
    focused = place.locator(":focus")
    expect(focused).to_have_accessible_name(goes_on)
    expect(focused).to_be_enabled()


@pytest.mark.parametrize(
    ("chapter", "point"),
    [(1, ".lane[data-lane=A] .entry[data-i='2'][data-j='5']"), (4, ".heat-box"), (5, ".paper-figure, .questions")],
    ids=str,
)
def test_a_step_asks_nothing_of_the_server(page: Page, reader: str, chapter: int, point: str):
    open_chapter(page, reader, chapter)
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(frame)))
    page.reload()
    expect(page.locator(".tour")).to_be_visible()
    settled(page)
    before = len(frames)
    assert before > 0
    for step in range(2, STEPS[chapter] + 1):
        page.locator(".next").click()
        expect(page.locator(".tour .count")).to_have_text(f"{step} of {STEPS[chapter]}")
        if page.locator(point).first.is_visible():
            page.locator(point).first.hover()
    if chapter == 1:
        page.get_by_label("Layer A", exact=True).select_option("pixels")
    assert len(frames) == before


def test_a_term_is_explained_where_it_first_appears(page: Page, reader: str):
    open_chapter(page, reader, 1, 3)
    page.locator(".term", has_text="Gram matrix").hover()
    expect(page.get_by_role("tooltip")).to_contain_text("one row and one column an image")
    page.mouse.move(5, 700)
    expect(page.locator(".hint")).to_be_hidden()
    page.locator(".term", has_text="Gram matrix").focus()
    expect(page.get_by_role("tooltip")).to_be_visible()


def test_presenting_hides_the_toolbar_and_enlarges_the_type_at_the_same_step(page: Page, reader: str):
    open_chapter(page, reader, 1, 5)
    small = sentence(page).evaluate("(one) => parseFloat(getComputedStyle(one).fontSize)")
    page.get_by_role("button", name="Present", exact=True).click()
    expect(page.get_by_role("button", name="Leave presenting")).to_be_visible()
    expect(page.locator("[data-testid=stHeader]")).to_be_hidden()
    expect(page.locator(".tour .count")).to_have_text("5 of 7")
    assert "present=1" in page.url and "step=5" in page.url
    assert sentence(page).evaluate("(one) => parseFloat(getComputedStyle(one).fontSize)") > 1.1 * small
    page.get_by_role("link", name=re.compile("Chapter 2")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What changes it?")
    assert "present=1" in page.url
    page.get_by_role("button", name="Leave presenting").click()
    expect(page.locator("[data-testid=stHeader]")).to_be_visible()
    assert "present" not in page.url


def test_presenting_leaves_the_figure_as_the_reader_made_it(page: Page, reader: str):
    def present() -> None:
        page.get_by_role("button", name="Present", exact=True).click()
        expect(page.get_by_role("button", name="Leave presenting")).to_be_visible()
        settled(page)

    open_chapter(page, reader, 1, 4)
    page.get_by_role("button", name="Step", exact=True).click()
    present()
    expect(page.get_by_role("radio", name="diagonal out")).to_have_attribute("aria-checked", "true")
    open_chapter(page, reader, 2, 7)
    guess(page, "It changes")
    page.get_by_role("slider", name="Noise").fill("0.3")
    dot = page.locator("[data-cloud=B] .dot").nth(2)
    dot.press("ArrowRight")
    before = page.locator(".stage").inner_text(), dot.get_attribute("aria-label")
    present()
    assert (page.locator(".stage").inner_text(), dot.get_attribute("aria-label")) == before
    open_chapter(page, reader, 3, 2, "&width=16&images=128")
    present()
    expect(page.locator(".shape")).to_have_text("128 images, 16 features each, all of it noise")
    assert "width=16" in page.url and "images=128" in page.url
    open_chapter(page, reader, 5, 2)
    page.get_by_role("slider", name="Epoch").fill("0")
    page.locator("summary").click()
    present()
    expect(page.locator(".readout")).to_contain_text("after epoch 0")
    expect(page.locator("details p")).to_be_visible()


def test_the_pages_are_turned_by_enter_alone_from_chapter_to_chapter(page: Page, reader: str):
    open_chapter(page, reader, 2, STEPS[2] - 1)
    page.locator(".next").focus()
    for chapter, step in ((2, STEPS[2]), (3, 1), (3, 2)):
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(lesson.CHAPTERS[str(chapter)])
        expect(page.locator(".tour .count")).to_have_text(f"{step} of {STEPS[chapter]}")
        expect(page.locator(".next")).to_be_focused()
    open_chapter(page, reader, LAST[0], LAST[1] - 1)
    page.locator(".next").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".next")).to_be_hidden()
    expect(page.get_by_role("button", name="Back", exact=True)).to_be_focused()


@pytest.mark.parametrize(
    ("size", "present"),
    [((1280, 720), ""), ((1280, 720), "&present=1"), ((1400, 900), ""), ((390, 844), "")],
    ids=["projector", "presented", "laptop", "phone"],
)
def test_the_whole_lesson_fits_the_window(browser: Browser, reader: str, size: tuple[int, int], present: str):
    context = browser.new_context(
        bypass_csp=True, viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce"
    )
    page = context.new_page()
    for chapter, steps in STEPS.items():
        open_chapter(page, reader, chapter, 1, present)
        for step in range(1, steps + 1):
            if chapter == 2 and step < 10:
                page.get_by_role("button", name="It changes").click()
                expect(page.locator(".verdict")).to_contain_text("CKA")
            if chapter == 4 and step <= NAMED:
                page.locator("[data-name=planted]").click()
            if chapter == 5 and step < steps:
                page.locator("summary").click()
            main = page.locator("[data-testid=stMain]").evaluate(
                "(m) => [m.scrollWidth - m.clientWidth, m.scrollHeight - m.clientHeight]"
            )
            assert main[0] <= 0, (chapter, step)
            if size[0] > 900:
                assert main[1] <= 0, (chapter, step)
                out = page.locator(".stage").evaluate("""(stage) => {
                  const edge = stage.getBoundingClientRect();
                  return [...stage.querySelectorAll('*')].filter((one) => {
                    const box = one.getBoundingClientRect();
                    return box.width && !one.closest('svg')
                      && (box.bottom > edge.bottom + 3 || box.top < edge.top - 3 || box.right > edge.right + 3);
                  }).map((one) => `${one.tagName} ${one.className}`);
                }""")  # fmt: skip
                assert out == [], (chapter, step)
            if step < steps:
                page.locator(".next").click()
    context.close()


def test_on_a_phone_the_maps_of_a_row_are_in_line_whatever_their_captions_are(page: Page, reader: str):
    page.set_viewport_size({"width": 390, "height": 844})
    open_chapter(page, reader, 5, 1)
    captions = page.locator(".paper-grid figcaption").evaluate_all(
        "(all) => all.slice(0, 5).map((c) => c.clientHeight)"
    )
    tops = page.locator(".paper-grid .heat-box").evaluate_all(
        "(all) => all.slice(0, 5).map((box) => box.getBoundingClientRect().top)"
    )
    assert len(set(captions)) > 1 and max(tops) - min(tops) < 1


# Chapter 1


def test_pointing_at_an_entry_lights_its_pictures_its_rows_and_its_term(page: Page, reader: str):
    open_chapter(page, reader, 1, 3)
    page.locator(".lane[data-lane=B] .entry[data-i='1'][data-j='4']").hover()
    for lane in ("A", "B"):
        lit = page.locator(f".lane[data-lane={lane}] .image.lit")
        assert lit.evaluate_all("(rows) => rows.map((row) => row.dataset.image)") == ["1", "4"]
        heads = page.locator(f".lane[data-lane={lane}] .heads img.lit")
        assert heads.evaluate_all("(rows) => rows.map((row) => row.dataset.image)") == ["1", "4"]
    expect(page.locator(".body figcaption")).to_have_text(["2, ship", "5, horse"])
    expect(page.locator(".equation .part.lit").first).to_have_text("L25")
    raw = page.locator(".lane[data-lane=B] .entry[data-i='1'][data-j='4']").get_attribute("aria-label") or ""
    expect(page.locator(".equation b")).to_have_text(raw.rsplit(": ", 1)[1])


def test_pointing_at_a_feature_puts_its_product_into_the_equation(page: Page, reader: str):
    open_chapter(page, reader, 1, 3)
    before = page.locator(".equation").nth(1).inner_text()
    page.locator(".wide .value[data-term=feature9]").first.hover()
    expect(page.locator(".wide .value.lit")).to_have_count(3)
    assert page.locator(".equation").nth(1).inner_text() != before


def test_centring_is_stepped_forth_and_back_and_ends_where_rows_sum_to_zero(page: Page, reader: str):
    open_chapter(page, reader, 1, 4)

    def entries(lane: str) -> np.ndarray:
        labels = page.locator(f".lane[data-lane={lane}] .entry").evaluate_all(
            "(all) => all.map((one) => one.ariaLabel)"
        )
        values = [0.0 if "left out" in one else float(one.rsplit(": ", 1)[1].replace("−", "-")) for one in labels]
        return np.array(values).reshape(8, 8)

    raw = entries("B")
    assert (raw > 0).all()
    step, back = page.get_by_role("button", name="Step", exact=True), page.get_by_role("button", name="Step back")
    expect(back).to_be_disabled()
    for at, (name, term) in enumerate(
        [("diagonal out", None), ("row means out", "row"), ("column means out", "column"), ("grand mean back", "all")],
        1,
    ):
        step.click()
        expect(page.get_by_role("radio", name=name)).to_have_attribute("aria-checked", "true")
        if term:
            expect(page.locator(f".stepwise .part.lit[data-term={term}]")).to_have_count(2)
        assert (np.diag(entries("B")) == 0).all(), at
    assert np.abs(entries("B").sum(axis=1)).max() < 0.05  # the labels have two digits
    expect(step).to_be_disabled()
    back.click()
    expect(page.get_by_role("radio", name="column means out")).to_have_attribute("aria-checked", "true")
    page.get_by_role("radio", name="as it is").click()
    assert (entries("B") == raw).all()


def numbers_of(text: str) -> list[float]:
    """The numbers of a sum, each with the sign before it."""
    return [float(one.replace("−", "-").replace(" ", "")) for one in re.findall(r"[−+]? ?\d+\.\d+", text)]


@pytest.mark.parametrize("images", ["pairs", "kinds", "cars"])
def test_who_adds_up_the_parts_of_the_centred_entry_finds_it(page: Page, reader: str, images: str):
    open_chapter(page, reader, 1, 4, f"&set={images}")
    page.get_by_role("radio", name="grand mean back").click()
    for lane in ("A", "B"):
        for i, j in ((0, 1), (5, 6), (7, 3), (2, 4)):
            page.locator(f".lane[data-lane={lane}] .entry[data-i='{i}'][data-j='{j}']").hover()
            *parts, shown = numbers_of(page.locator(".body .so").inner_text())
            assert len(parts) == 4 and sum(parts) == pytest.approx(shown, abs=0.0071)


def test_who_divides_what_the_layers_give_with_each_other_finds_cka(page: Page, reader: str):
    open_chapter(page, reader, 1, 6)
    for a, b in (("stage3_block2_relu2 trained", "head_logits untrained"), ("pixels", "head_logits trained")):
        page.get_by_label("Layer A", exact=True).select_option(a)
        page.get_by_label("Layer B", exact=True).select_option(b)
        both, one, other = (
            float(part) for part in page.locator(".ratio .equation").nth(1).locator(".part").all_inner_texts()
        )
        assert both / (one * other) ** 0.5 == pytest.approx(number(page, "cka"), abs=0.01)


def test_play_ends_at_the_centred_matrix(page: Page, reader: str):
    open_chapter(page, reader, 1, 4)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_role("button", name="Play again")).to_be_visible()
    expect(page.get_by_role("radio", name="grand mean back")).to_have_attribute("aria-checked", "true")


def test_pointing_at_hsic_shows_the_product_of_two_entries(page: Page, reader: str):
    open_chapter(page, reader, 1, 5)
    page.locator("[data-matrix=P] .entry[data-i='0'][data-j='6']").hover()
    text = page.locator(".so").inner_text()
    one, other, result = (float(part.replace("−", "-")) for part in re.findall(r"[−-]?\d+\.\d+", text))
    assert one * other == pytest.approx(result, abs=0.002)
    expect(page.locator(".lane[data-lane=A] .entry.lit")).to_have_attribute("data-j", "6")
    expect(page.locator(".lane[data-lane=B] .entry.lit")).to_have_attribute("data-i", "0")


def test_the_number_at_the_end_is_the_cka_of_the_two_layers(page: Page, reader: str):
    open_chapter(page, reader, 1, 6)
    assert number(page, "cka") == 0.78
    page.get_by_label("Layer A", exact=True).select_option("stage3_block2_relu2 trained")
    assert number(page, "cka") == 1
    page.get_by_role("radio", name="eight cars").click()
    page.get_by_label("Layer A", exact=True).select_option("stage1_block2_relu2 trained")
    assert number(page, "cka") == 0.23
    assert "set=cars" in page.url and "layer_a" not in page.url


def test_the_arrow_keys_walk_through_a_matrix(page: Page, reader: str):
    open_chapter(page, reader, 1, 3)
    page.locator(".lane[data-lane=A] .entry[data-i='1'][data-j='1']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".lane[data-lane=A] .entry.lit")).to_have_attribute("data-i", "2")
    expect(page.locator(".lane[data-lane=A] .entry.lit")).to_have_attribute("data-j", "2")
    expect(page.locator(".tour .count")).to_have_text("3 of 7")


def test_a_click_on_the_matrix_of_the_overview_goes_on_to_it(page: Page, reader: str):
    open_chapter(page, reader)
    page.locator(".lane[data-lane=A] .entry[data-i='3'][data-j='1']").click()
    expect(page.locator(".tour .count")).to_have_text("3 of 7")
    expect(page.locator(".equation .part.lit").first).to_have_text("K42")


def test_a_square_of_the_map_chooses_both_layers_and_the_way_out_opens_it(page: Page, reader: str):
    open_chapter(page, reader, 1, 7)
    page.get_by_role("gridcell", name="stage 2, trained, output, trained: CKA").click()
    row = page.get_by_role("row").filter(has=page.locator(".pair[aria-current]"))
    expect(row.get_by_role("rowheader")).to_have_text("stage 2, trained")  # A goes up the side, as in the app
    expect(page.get_by_label("Layer A", exact=True)).to_have_value("stage2_block2_relu2 trained")
    expect(page.get_by_label("Layer B", exact=True)).to_have_value("head_logits trained")
    page.locator(".way-out").click()
    page.wait_for_selector(".st-key-map .heatmaplayer image")
    assert "la=stage2_block2_relu2" in page.url and "lb=head_logits" in page.url


# Chapter 2


def guess(page: Page, text: str) -> None:
    page.get_by_role("button", name=text).click()
    expect(page.locator(".verdict")).to_contain_text("→")


@pytest.mark.parametrize(
    ("step", "changes"), list(enumerate([False, False, False, False, True, True, True, True, True], 1)), ids=str
)
def test_a_guess_reveals_what_changes_and_why(page: Page, reader: str, step: int, changes: bool):
    open_chapter(page, reader, 2, step)
    question = sentence(page).inner_text()
    before = number(page, "unbiased")
    guess(page, "It stays")
    after = number(page, "unbiased")
    assert (abs(after - before) > 0.05) == changes
    if not changes:
        assert after == number(page, "biased") == number(page, "procrustes") == 1
    expect(page.locator(".verdict")).to_contain_text("You said it stays." if changes else "As you said.")
    expect(sentence(page)).not_to_have_text(question)
    expect(sentence(page)).to_contain_text(re.compile("^It (changes|rises)" if changes else "^It stays"))
    expect(page.locator(".way").nth(step - 1)).to_contain_text("changes" if changes else "stays")


def test_a_dragged_point_changes_the_numbers_and_a_key_moves_it_too(page: Page, reader: str):
    open_chapter(page, reader, 2)
    assert number(page, "unbiased") == 1
    dot = page.locator("[data-cloud=B] .dot").nth(2)
    box = dot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] - 90, steps=6)
    during = number(page, "unbiased")
    page.mouse.up()
    assert during < 0.97
    moved = dot.bounding_box()
    assert moved is not None and moved["y"] < box["y"] - 60
    for key in ("ArrowLeft", "ArrowDown"):
        at = dot.get_attribute("aria-label")
        dot.press(key)
        expect(dot).not_to_have_attribute("aria-label", at or "")
    expect(page.locator(".tour .count")).to_have_text("1 of 10")
    assert number(page, "unbiased") != during


def test_the_amount_moves_the_numbers_and_start_again_asks_again(page: Page, reader: str):
    open_chapter(page, reader, 2, 7)
    guess(page, "It changes")
    much = number(page, "unbiased")
    page.get_by_role("slider", name="Noise").fill("0.2")
    assert number(page, "unbiased") > much
    page.get_by_role("button", name="Start again").click()
    expect(page.get_by_role("button", name="It stays")).to_be_visible()
    assert number(page, "unbiased") == 1


def test_who_moves_the_amount_at_once_is_told_what_came_of_the_guess(page: Page, reader: str):
    open_chapter(page, reader, 2, 7)
    page.get_by_role("button", name="It changes").click()
    page.get_by_role("slider", name="Noise").fill("0.2")  # while the change is still shown
    expect(page.locator(".verdict")).to_contain_text("As you said. CKA 1.00 → 0.70.")
    expect(sentence(page)).to_contain_text("It changes:")
    expect(page.locator(".way").nth(6)).to_contain_text("changes")
    assert page.get_by_role("slider", name="Noise").input_value() == "0.2"


def test_an_amount_is_read_aloud_as_it_is_written(page: Page, reader: str):
    for step, amount, said in ((1, "Angle", "110°"), (3, "Swapped", "yes"), (6, "Shear", "−2.0")):
        open_chapter(page, reader, 2, step)
        guess(page, "It stays")
        expect(page.get_by_role("slider", name=amount)).to_have_attribute("aria-valuetext", said)


def test_a_point_far_out_is_drawn_over_as_few_lines_as_one_near_by(page: Page, reader: str):
    open_chapter(page, reader, 2, 8)
    dot = page.locator("[data-cloud=B] .dot").nth(7)
    dot.focus()
    for _ in range(120):
        page.keyboard.press("ArrowRight")
    expect(dot).to_have_attribute("aria-label", re.compile(r"at 888\.\d"))
    assert page.locator("[data-cloud=B] .lines line").count() < 50


def test_pointing_at_an_image_shows_it_in_both_clouds(page: Page, reader: str):
    open_chapter(page, reader, 2, 9)
    page.locator("[data-cloud=A] .dot").nth(4).hover()
    expect(page.locator("[data-cloud=B] .dot.lit")).to_have_attribute("data-point", "4")


# Chapter 3


def test_biased_cka_climbs_with_the_width_and_unbiased_stays(page: Page, reader: str):
    open_chapter(page, reader, 3)
    width = page.get_by_role("slider", name="Features of each layer")
    curve = page.locator("[data-chart=count] .curve")
    expect(page.locator("[data-number=biased]")).to_have_text(re.compile("0[.]"))
    page.wait_for_function(
        "(() => { for (const one of document.querySelectorAll('*')) if (one.shadowRoot?.querySelector('.stage3'))"
        " return one.shadowRoot.querySelectorAll('[data-chart=width] .seen').length === 120; })()"
    )  # fmt: skip
    biased, drawn = [], []
    for at in (0, 5, 10, 15, 19):
        width.fill(str(at))
        biased.append(number(page, "biased"))
        drawn.append(curve.get_attribute("d"))
        assert abs(number(page, "unbiased")) < 0.12
    assert biased == sorted(biased) and biased[0] < 0.15 and biased[-1] > 0.9
    assert len(set(drawn)) == 5
    page.get_by_role("slider", name="Images").fill("10")
    assert number(page, "biased") < biased[-1]
    assert "width=1024" in page.url and "images=256" in page.url


def test_a_chart_is_pointed_at_to_choose_a_width(page: Page, reader: str):
    open_chapter(page, reader, 3)
    box = page.locator("[data-chart=width]").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.5)
    expect(page.locator(".knobs output").first).to_have_text(re.compile("^(4|6|8)$"))


def test_chance_is_said_for_the_number_of_images(page: Page, reader: str):
    open_chapter(page, reader, 3, 4)
    page.get_by_role("slider", name="Images").fill("0")
    expect(page.locator(".below .equation b")).to_have_text("0.22")
    expect(page.locator(".number.unbiased small")).to_contain_text("±0.45")


def test_what_chance_reaches_in_the_app_is_what_the_line_above_its_map_says(page: Page, reader: str):
    deviation = chance([256] * 3)
    open_chapter(page, reader, 3, 5)
    assert f"{2 * deviation:.3f}" in sentence(page).inner_text()
    expect(page.locator(".note.below")).to_contain_text(f"Two standard deviations are {2 * deviation:.4f}.")
    expect(page.locator(".note.below")).to_contain_text(f"allows five, {5 * deviation:.3f}")
    page.locator(".way-out").click()
    page.wait_for_selector(".st-key-map .heatmaplayer image")
    expect(page.get_by_text("3 minibatches of 256")).to_contain_text(f"chance reaches {5 * deviation:.2g}")
    open_chapter(page, reader, 1, 6)
    expect(page.locator(".body .note")).to_contain_text(f"±{2 * deviation:.3f}")


def test_the_steps_play_their_slider_to_its_end(page: Page, reader: str):
    open_chapter(page, reader, 3)
    page.locator(".next").click()
    expect(page.locator(".knobs output").first).to_have_text("1,024")
    page.locator(".next").click()
    expect(page.locator(".knobs output").nth(1)).to_have_text("256")
    expect(page.locator(".knobs output").first).to_have_text("256")


# Chapter 4


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return of_the_bundle()


def test_a_map_is_named_then_told_and_thumbs_remember(page: Page, reader: str):
    open_chapter(page, reader, 4)
    question = sentence(page).inner_text()
    expect(page.locator(".outline")).to_have_count(0)
    page.locator("[data-name=deep]").click()
    expect(page.locator(".verdict")).to_have_text("You said: deep.")
    expect(page.locator(".naming.right")).to_contain_text("trained well")
    expect(sentence(page)).to_contain_text("Trained well")
    assert sentence(page).inner_text() != question
    expect(page.get_by_role("button", name="map 1: trained")).to_have_attribute("aria-current", "step")
    page.locator("[data-name=wide]").click(force=True)  # the first guess stays
    expect(page.locator(".verdict")).to_have_text("You said: deep.")
    page.get_by_role("button", name="map 3, not named yet").click()
    expect(page.locator(".tour .count")).to_have_text(re.compile("^3 of"))
    page.get_by_role("button", name="map 1: trained").click()
    expect(page.locator(".verdict")).to_have_text("You said: deep.")
    page.get_by_role("button", name="Guess again").click()
    expect(sentence(page)).to_have_text(question)


def test_all_six_are_named_by_keys_alone_and_counted(page: Page, reader: str):
    open_chapter(page, reader, 4)
    for number, one in enumerate(FOURTH["maps"], 1):
        expect(page.locator(".tour .count")).to_have_text(re.compile(f"^{number} of"))
        name = page.locator(f"[data-name={one['answer']}]")
        name.focus()
        page.keyboard.press("Enter")
        expect(page.locator(".verdict")).to_contain_text("As you said.")
        expect(name).to_be_focused()
        if number < NAMED:
            page.keyboard.press("ArrowRight")
    expect(page.locator(".verdict")).to_contain_text("6 of 6 named at the first guess.")


def test_the_map_under_the_pointer_and_under_the_arrow_keys_is_the_atlass(page: Page, reader: str, atlas: Atlas):
    open_chapter(page, reader, 4, NAMED + 1)
    matrix = atlas.map("cifar-resnet-38x1-plain-s0")
    box = page.locator(".heat-box").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.501, box["y"] + box["height"] * 0.25)
    readout = page.locator(".readout")
    expect(readout).to_contain_text("CKA")
    said = re.fullmatch(r"layer (\d+) and layer (\d+): CKA (\d\.\d\d)", readout.inner_text())
    assert said is not None, readout.inner_text()
    row, column = int(said[1]), int(said[2])
    assert row > column  # up is the first, and the input is at the bottom left
    assert float(said[3]) == pytest.approx(max(matrix[row, column], 0), abs=0.0071)
    expect(page.locator(".curves .now")).to_have_attribute("visibility", "visible")  # the curve shows where
    page.mouse.move(5, 5)
    expect(readout).to_have_text("38x1, seed 0: as it is")
    page.locator(".heat-box").focus()
    for key in ("ArrowUp", "Shift+ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    expect(readout).to_have_text(f"layer 10 and layer 1: CKA {matrix[10, 1]:.2f}")
    expect(page.locator(".tour .count")).to_have_text(re.compile(f"^{NAMED + 1} of"))


def test_pointing_at_the_curve_shows_the_layer_in_the_map(page: Page, reader: str):
    open_chapter(page, reader, 4, NAMED + 1)
    box = page.locator(".chart.curves").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    expect(page.locator(".readout")).to_contain_text(re.compile(r"layer (\d+) and layer \1: CKA 1\.00"))


def test_the_first_component_is_taken_out_and_the_map_changes(page: Page, reader: str):
    open_chapter(page, reader, 4, NAMED + 2)
    pixels = "(canvas) => canvas.toDataURL()"
    before = page.locator(".main-map canvas").evaluate(pixels)
    page.get_by_role("radio", name="without it").click()
    expect(page.locator(".readout")).to_have_text("38x1, seed 0: without it")
    assert page.locator(".main-map canvas").evaluate(pixels) != before
    page.get_by_role("radio", name="|cos| of first components").click()
    page.locator(".heat-box").hover()
    expect(page.locator(".readout")).to_contain_text("|cos|")


# Chapter 5


def test_an_answer_is_folded_until_it_is_asked_for(page: Page, reader: str):
    open_chapter(page, reader, 5)
    answer = page.locator("details p")
    expect(answer).to_be_hidden()
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(answer).to_contain_text("A block:")
    page.locator(".next").click()
    expect(answer).to_be_hidden()


def test_the_training_is_gone_through_by_slider_by_thumb_and_by_play(page: Page, reader: str):
    open_chapter(page, reader, 5, 2)
    told = page.locator(".readout")
    expect(told).to_contain_text("after epoch 25")  # the first picture is complete
    page.get_by_role("slider", name="Epoch").fill("0")
    expect(told).to_contain_text("after epoch 0: test 10 %, no block")
    page.get_by_role("button", name="epoch 10", exact=True).click()
    expect(told).to_contain_text("after epoch 10")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(told).to_contain_text("after epoch 25")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_role("slider", name="Epoch").fill("1")  # who takes the slider stops it
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_the_last_step_leads_to_the_new_networks(page: Page, reader: str):
    open_chapter(page, reader, *LAST)
    page.locator(".way-out").last.click()
    expect(page.get_by_text("Trained after it was fixed")).to_be_visible()


@pytest.mark.parametrize("chapter, step", [(2, 10), (3, 5), (4, 5), (5, 6)])
def test_every_chapter_ends_in_the_app(page: Page, reader: str, chapter: int, step: int):
    open_chapter(page, reader, chapter, step)
    if chapter == 4:
        page.locator("[data-name=seeds]").click()
    page.locator(".way-out").click()
    page.wait_for_selector(".st-key-map .heatmaplayer image" if chapter == 3 else ".cell canvas")
    settled(page)
    expect(page.get_by_text("which cannot be had here")).to_have_count(0)
    if chapter == 4:
        expect(page.get_by_role("tab", name="Two networks")).to_have_attribute("aria-selected", "true")


# Those who asked for no motion


def test_nothing_moves_where_motion_is_not_wanted(browser: Browser, reader: str):
    context = browser.new_context(bypass_csp=True, reduced_motion="reduce", viewport={"width": 1280, "height": 720})
    page = context.new_page()
    open_chapter(page, reader, 1, 4)
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Step", exact=True).click()
    running = page.locator(".lesson").evaluate("(root) => root.getAnimations({ subtree: true }).length")
    assert running == 0
    open_chapter(page, reader, 2, 1)
    page.get_by_role("button", name="It stays").click()
    assert page.get_by_role("slider", name="Angle").input_value() == "110"  # at once
    open_chapter(page, reader, 3, 2)
    assert page.get_by_role("slider", name="Features of each layer").input_value() == "19"
    open_chapter(page, reader, 4)
    page.locator("[data-name=deep]").click()
    assert page.locator(".lesson").evaluate("(root) => root.getAnimations({ subtree: true }).length") == 0
    open_chapter(page, reader, 5, 2)
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_hidden()
    context.close()
