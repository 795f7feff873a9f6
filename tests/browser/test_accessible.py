"""No page breaks a rule of axe-core, light and dark, on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

AXE = next(Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8")

PAGES = {
    "home": ("Compare", ".js-plotly-plot .heatmaplayer image"),
    "?la=stage2_block3_add&lb=stage2_block1_add": ("Compare", ".cell-view .makers:not(.old) .pick"),
    "train": ("Train", "button"),
    "atlas": ("Atlas", ".cell canvas"),
    "learn": ("Learn", "svg"),
    "learn?chapter=4": ("Learn", ".heat-box canvas"),
    "learn?chapter=4&step=7": ("Learn", ".chart.curves"),
    "learn?chapter=5": ("Learn", ".paper-grid canvas"),
    "learn?chapter=5&step=6": ("Learn", ".class-row"),
    "library": ("Library", "[data-testid=stFileUploaderDropzone]"),
}

DRAWN_BY_STREAMLIT = (
    ("presentation-role-conflict", "stFileUploaderDropzone"),  # its drop zone has a role and a name
    ("color-contrast", "stBaseButton-primary"),  # its primary buttons are white on the theme's colour, always
)
"""A rule, and what its element or one around it is called: what no setting of ours can change."""

FIND = """() => axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations.flatMap(
  (rule) => rule.nodes.map((node) => {
    const path = [].concat(...node.target);
    let root = document, found = null;
    for (const step of path) { found = root.querySelector(step); root = found?.shadowRoot ?? found; }
    const around = [];
    for (let at = found; at; at = at.parentElement) around.push(at.dataset?.testid ?? '');
    return [rule.id, around.join(' '), node.html.slice(0, 200), node.failureSummary];
  })))"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_everybody(page: Page, reader: str, name: str):
    title, drawn = PAGES[name]
    page.goto(f"{reader}/{'' if name == 'home' else name}")
    page.wait_for_selector(drawn)
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    expect(page).to_have_title(f"{title} · CKA Explorer")
    page.evaluate(AXE)
    for width in (1400, 390):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(700)  # for the colours to change: a transition has no end to wait for
            found = [one for one in page.evaluate(FIND) if not _is_streamlits(one[0], one[1])]
            assert found == [], (width, scheme)


def _is_streamlits(rule: str, around: str) -> bool:
    return any(rule == known and part in around for known, part in DRAWN_BY_STREAMLIT)
