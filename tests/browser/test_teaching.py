"""The lesson plan: every link of it opens what it speaks of, with nothing left to compute."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from pages.parts.learn import lesson
from tests.browser.test_compare import settled

PLAN = (Path(__file__).parents[2] / "docs" / "teaching.md").read_text(encoding="utf-8")
LINKS = sorted(set(re.findall(r"\]\(http://127\.0\.0\.1:8501(/[^)]*)\)", PLAN)))
DRAWN = {"/": ".st-key-map .heatmaplayer image", "/atlas": ".cell canvas", "/learn": ".lesson .tour"}


def test_the_plan_links_into_every_page_it_speaks_of():
    assert {urlsplit(link).path for link in LINKS} == set(DRAWN)
    assert PLAN.count("](") == len(re.findall(r"\]\((http://127\.0\.0\.1:8501/|#)", PLAN))
    assert {parse_qs(urlsplit(link).query)["chapter"][0] for link in LINKS if "/learn" in link} == set(lesson.CHAPTERS)


@pytest.mark.parametrize("link", LINKS)
def test_a_link_opens_in_its_state(page: Page, reader: str, link: str):
    page.goto(reader + link)
    page.wait_for_selector(DRAWN[urlsplit(link).path])
    settled(page)
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
    expect(page.get_by_text("which cannot be had here")).to_have_count(0)
    expect(page.get_by_text("Not compared yet")).to_have_count(0)
    asked = parse_qs(urlsplit(link).query)
    if "chapter" in asked:
        (chapter,) = asked["chapter"]
        expect(page.get_by_role("heading", level=1)).to_have_text(lesson.CHAPTERS[chapter])
        expect(page.locator(".tour .count")).to_have_text(re.compile(f"^{asked.get('step', ['1'])[0]} of"))
    if asked.get("layer_a") == ["pixels"]:
        expect(page.get_by_label("Layer A", exact=True)).to_have_value("pixels")
    if asked.get("view") == ["Two networks"]:
        expect(page.get_by_role("tab", name="Two networks")).to_have_attribute("aria-selected", "true")
    for name, values in asked.items():  # the page took what it was asked for, and still says so
        assert parse_qs(urlsplit(page.url).query).get(name, values) == values
