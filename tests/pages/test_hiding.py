"""A teacher's link leaves out what is not today's topic, on Compare and on the Atlas, presented or not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cka_core.base.store import Store
from pages.parts import hiding
from pages.parts.compare.below import TABS
from tests import synthetic_atlas
from tests.pages.test_compare import has_map, open_page, texts

ROOT = Path(__file__).parents[2]


def labels(page: AppTest) -> set[str]:
    return {tab.label for tab in page.tabs} | {one.label for one in page.selectbox}


def open_atlas(**address: str) -> AppTest:
    page = AppTest.from_file(ROOT / "app.py", default_timeout=60).run()
    for key, value in address.items():
        page.query_params[key] = value
    page.session_state["atlas_grid"] = {"drawn": True}
    page.switch_page("pages/atlas.py").run()
    assert not page.exception, page.exception
    return page


def test_tabs_and_lenses_are_left_out_and_the_rest_stays():
    page = open_page(hide="table, Download,lenses,nonsense", present="1")
    shown = labels(page)
    assert not {"Table", "Download", "Measure", "Control"} & shown
    assert {"Two maps", "Estimators"} <= shown
    assert has_map(page)
    assert "nonsense" not in texts(page)
    assert page.query_params["hide"] == "table, Download,lenses,nonsense"


def test_a_link_may_have_hide_more_than_once():
    shown = labels(open_page(hide=["table", "download,lenses"]))
    assert not {"Table", "Download", "Measure", "Control"} & shown and "Estimators" in shown


def test_a_hidden_lens_still_takes_what_the_address_says():
    page = open_page(hide="lenses", measure="svcca")
    assert "SVCCA" in texts(page)


def test_without_a_word_in_the_address_everything_is_there():
    assert {*TABS, "Measure", "Control"} <= labels(open_page())


def test_every_tab_can_be_hidden():
    page = open_page(hide=",".join(map(hiding.name_of, TABS)))
    assert not page.tabs and has_map(page)


def test_no_button_leads_to_what_is_hidden(store: Store):
    def buttons(page: AppTest) -> set[str]:
        return {one.label for one in page.button}

    assert "Look into this cell" in buttons(open_page())
    assert "Look into this cell" not in buttons(open_page(hide="cell"))
    synthetic_atlas.save(store.root)
    whole = {"Open ResNet 38x1", "Show two seeds of ResNet 38x1", "Show wide against deep"}
    assert whole <= buttons(open_atlas(atlas="synthetic"))
    for tab, label in (("one-network", "Open"), ("two-networks", "Show two seeds"), ("wide-against-deep", "Show wide")):
        left = buttons(open_atlas(atlas="synthetic", hide=tab)) & whole
        assert len(left) == 2 and not any(one.startswith(label) for one in left)


def test_a_choice_outlives_what_is_hidden():
    page = open_page(hide="reading,cell")
    assert "A bright block" not in texts(page)
    page.text_input(key="search").set_value("add").run()
    assert not page.exception
    assert page.query_params["hide"] == "reading,cell" and "A bright block" not in texts(page)


@pytest.mark.parametrize(
    ("hide", "gone", "stays"),
    [
        ("tour", "4 · Do wide and deep", "What the paper claims"),
        ("claims", "What the paper claims", "4 · Do wide and deep"),
        ("beyond", "What we found that the paper", "What the paper claims"),
    ],
)
def test_the_atlas_leaves_out_what_stands_beside_and_below(store: Store, hide: str, gone: str, stays: str):
    synthetic_atlas.save(store.root)
    whole, page = open_atlas(atlas="synthetic"), open_atlas(atlas="synthetic", hide=hide, present="1")
    assert gone in texts(whole) and gone not in texts(page) and stays in texts(page)


def test_the_atlas_opens_the_first_tab_that_is_left(store: Store):
    synthetic_atlas.save(store.root)
    page = open_atlas(atlas="synthetic", hide="one-network,lenses", component="without")
    assert [tab.label for tab in page.tabs] == ["Two networks", "Wide against deep"]
    assert not any(one.label == "First component" for one in page.get("button_group"))
    assert "Inside the blocks against outside them" in texts(page)


def test_an_unknown_part_is_a_mistake_of_ours():
    with pytest.raises(ValueError, match="No part 'titel' can be hidden. There are: lenses"):
        hiding.hides("titel")


def test_the_lesson_plan_names_every_part_and_the_pages_hide_each():
    told = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "pages").rglob("*.py"))
    for part in hiding.PARTS:
        assert f"`{part}`" in told
        assert f'hides("{part}")' in code
    assert re.search(r"not\sknown is passed over", told)
