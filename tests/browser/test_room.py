"""A chart has the room that its words take: plotly finds out by drawing where it has not, and draws it once more."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.test_compare import settled

SHORT_OF_ROOM = """
[...document.querySelectorAll('.js-plotly-plot')].flatMap((chart) => {
  const { margin, _size: taken, width, height } = chart._fullLayout;
  const name = chart.closest('[class*=st-key-]').className.match(/st-key-(\\S+)/)[1];
  return ['l', 'r', 't', 'b'].filter((side) => taken[side] > Math.ceil(margin[side]))
    .map((side) => `${name} (${width} x ${height}): ${side} ${margin[side]}, taken ${taken[side]}`);
})
"""
CUT = """
[...document.querySelectorAll('.js-plotly-plot')].flatMap((chart) => {
  const place = chart.closest('.stElementContainer');
  return chart.offsetHeight > place.offsetHeight + 1 ? `${place.className}: ${chart.offsetHeight}` : [];
})
"""
CHARTS = {"": 2, "train": 3, "atlas": 8, "atlas?view=Two+networks": 7, "atlas?view=Wide+against+deep": 8}


@pytest.mark.parametrize("size", [(1280, 720), (1400, 900), (1920, 1080)])
@pytest.mark.parametrize("address", CHARTS)
def test_charts_have_the_room_that_their_words_take(page: Page, reader: str, address: str, size: tuple[int, int]):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{reader}/{address}")
    page.wait_for_function(f"document.querySelectorAll('.js-plotly-plot .cartesianlayer').length >= {CHARTS[address]}")
    settled(page)
    assert page.evaluate(SHORT_OF_ROOM) == []
    assert page.evaluate(CUT) == []
