"""No page breaks a rule of axe-core, light and dark, on a desk and on a phone."""

from __future__ import annotations

import itertools
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from scripts.running import AT_REST
from tests.browser.test_compare import settled

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

FIND = f"""async () => {{
  const app = document.querySelector("[data-testid=stApp]");
  let ran = !app.matches("{AT_REST}");
  const watching = new MutationObserver(() => {{ ran = true; }});
  watching.observe(app, {{attributeFilter: ["data-test-script-state"]}});
  const {{violations}} = await axe.run(document, {{resultTypes: ["violations"]}});
  watching.disconnect();
  return ran ? null : violations.flatMap((rule) => rule.nodes.map((node) => {{
    const path = [].concat(...node.target);
    let root = document, found = null;
    for (const step of path) {{ found = root.querySelector(step); root = found?.shadowRoot ?? found; }}
    const around = [];
    for (let at = found; at; at = at.parentElement) around.push(at.dataset?.testid ?? "");
    return [rule.id, around.join(" "), node.html.slice(0, 200), node.failureSummary];
  }}));
}}"""
"""What is wrong with the page: rule, what is around, element and why. Null if the page ran again meanwhile."""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_everybody(page: Page, reader: str, name: str):
    title, drawn = PAGES[name]
    page.goto(f"{reader}/{'' if name == 'home' else name}")
    page.wait_for_selector(drawn)
    settled(page)
    expect(page).to_have_title(f"{title} · CKA Explorer")
    page.evaluate(AXE)
    for width in (1400, 390):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(700)  # for the colours to change: a transition has no end to wait for
            found = [one for one in _found_at_rest(page) if not _is_streamlits(one[0], one[1])]
            assert found == [], (width, scheme)


def _found_at_rest(page: Page) -> list[list[str]]:
    """What axe-core finds on a page that does not run again meanwhile, as one does that has just become narrow: while
    it runs, Streamlit draws its own word "Stop" above it, half transparent for as long as it comes and goes."""
    while True:
        page.wait_for_selector(f"{AT_REST}:not(:has([data-testid=stStatusWidget]))")
        found = page.evaluate(FIND)
        if found is not None:
            return found


def _is_streamlits(rule: str, around: str) -> bool:
    return any(rule == known and part in around for known, part in DRAWN_BY_STREAMLIT)


def test_the_headings_of_a_page_make_a_list_of_what_is_on_it(page: Page, reader: str):
    for name in ("home", "train", "atlas", "library", "learn"):
        page.goto(f"{reader}/{'' if name == 'home' else name}")
        page.wait_for_selector(PAGES[name][1])
        settled(page)
        headings = page.get_by_role("heading").all()
        levels = [int(heading.evaluate("e => e.ariaLevel ?? e.localName.slice(1)")) for heading in headings]
        assert levels[0] == 1 and levels.count(1) == 1, (name, levels)
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), (name, levels)


CONTRASTS = """() => {
  const luminance = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0.05);
  const ground = luminance(getComputedStyle(document.querySelector("[data-testid=stApp]")).backgroundColor);
  return [...document.querySelectorAll(".js-plotly-plot text:not(.heatmap-label text)")].map((word) => {
    const ink = luminance(getComputedStyle(word).fill);
    return [word.textContent, Math.max(ink, ground) / Math.min(ink, ground)];
  });
}"""
"""The words of charts, which axe-core does not look at, and how well they stand out: WCAG 2's relative luminance."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_words_of_a_chart_can_be_read(page: Page, reader: str, scheme: str):
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for path in ("/", "/train", "/atlas"):
        page.goto(reader + path)
        page.wait_for_selector(".js-plotly-plot .xtick text")
        settled(page)
        found = page.evaluate(CONTRASTS)
        assert len(found) > 5 and not [one for one in found if one[1] < 4.5], (path, found)
