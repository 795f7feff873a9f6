"""A cell opened on the Compare page, as Streamlit runs it, without a browser."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cka_core.base import deployment
from cka_core.base.store import Store
from cka_core.comparing.kept_grams import KeptGrams
from cka_core.jobs import records
from cka_core.results import views
from cka_core.results.comparison import find
from pages.parts.cell import cell as opened
from pages.parts.compare import the_map
from tests.pages.test_compare import BLOCK, PAIR, A, B, button, keep, open_page, spec, texts
from tests.synthetic import comparison

CELL = {"la": "stage2_block3_add", "lb": "stage2_block1_add"}
OTHER = {"a": A, "b": B, "la": "stage1_block1_add", "lb": "stage1_block1_add"}


def view(page: AppTest) -> dict[str, Any]:
    """What the browser is told of the cell."""
    found = [one.proto for one in page.get("bidi_component") if one.proto.component_name == "cell_view"]
    assert len(found) == 1
    return json.loads(found[0].json)


def sent(page: AppTest) -> list[str]:
    """Which large things are sent to the browser."""
    return [one.proto.component_name for one in page.get("bidi_component") if one.proto.bytes]


def test_nothing_is_sent_until_a_cell_is_chosen():
    page = open_page(**PAIR)
    told = view(page)
    assert (told["cell"], told["here"], sent(page)) == (None, None, [])
    assert (len(told["rows"]), len(told["columns"])) == (134, 50), "but the keys know where they may go"


def test_the_cell_that_the_page_opens_with_is_one_click_from_being_opened():
    page = open_page()
    assert (view(page)["cell"], sent(page)) == (None, [])
    button(page, "Look into this cell").click().run()
    told = view(page)
    layers = find(spec(BLOCK, BLOCK), Store()).layers_a
    assert [layers[at].name for at in told["cell"]] == [page.selectbox(key=key).value for key in ("la", "lb")]
    assert told["here"] and sent(page) == ["cell_first", "cell_overview"]
    assert "Look into this cell" not in [one.label for one in page.button]


def test_the_cell_in_the_address_is_open_and_its_images_are_counted():
    page = open_page(**PAIR, **CELL)
    told = view(page)
    assert told["here"] and sent(page) == ["cell_first", "cell_overview"], "one cell at once, then all layers"
    assert told["detail"]["cell"] == told["cell"] and len(told["detail"]["images"]) == 12
    assert told["detail"]["words"].startswith("Together these 12 of 64 images add ")
    assert "Look at all 768 images, not only 64" in button(page, page.button(key="open the cell").label).label


def test_keys_walk_over_the_layers_that_the_map_shows():
    told = view(open_page(**PAIR, kinds="block outputs"))
    layers = comparison("cifar-resnet-38x1", "cifar-resnet-14x4")
    for own, positions in ((layers.layers_a, told["rows"]), (layers.layers_b, told["columns"])):
        assert [bool(one) for one in views.layer_mask(own, "block outputs")] == [
            i in positions for i in range(len(own))
        ]


def test_images_left_out_make_a_second_thing_to_send():
    page = open_page(**PAIR, **CELL)
    of = {"name": view(page)["name"]}
    page.session_state["left out"] = of | {"images": 3, "count of asking": 1}
    page.run()
    told = view(page)
    assert told["left"] and not told["problem"] and sent(page) == ["cell_first", "cell_left_out", "cell_overview"]
    page.session_state["left out"] = of | {"images": list(range(40)), "count of asking": 2}
    page.run()
    told = view(page)
    assert "from 1 to 32 images to leave out, got 40" in told["problem"] and not told["left"]


def test_of_a_map_of_several_passes_it_is_said_that_these_are_the_minibatches_of_the_first():
    kept = KeptGrams(96, [slice(0, 96)], True, None, "", False, lambda _: None, lambda _: None, passes=3)
    assert opened._of_passes(kept) == " This is of the first of 3 passes over the images, the map of all of them."
    assert opened._of_passes(replace(kept, passes=1)) == opened._of_passes(replace(kept, n=64, whole=False)) == ""


def test_where_nothing_is_kept_one_button_has_it_computed(store):
    wanted = spec()
    keep(store, wanted)
    page = open_page(**OTHER)
    assert view(page)["here"] is False and "the Gram matrices of both networks are needed once more" in texts(page)
    assert page.button(key="open the cell").label.startswith("Open this cell (≈ ")
    attempt = records.write_new(wanted.key, "compare", asdict(wanted), "a pair", store, cluster="")
    records.finish(wanted.key, attempt, "failed", "No room is left.", store)
    page.run()
    assert "No room is left" in texts(page) and page.button(key="open the cell")


def test_where_one_only_looks_it_says_that_it_cannot(store, monkeypatch):
    keep(store, spec())
    monkeypatch.setenv("CKA_MODE", deployment.READ_ONLY)
    page = open_page(**OTHER)
    assert "The Gram matrices behind this map are not kept. This is to be looked at only" in texts(page)
    with pytest.raises(KeyError):
        page.button(key="open the cell")


@pytest.mark.parametrize(
    "at", [None, "ab", [], [0], [0, 2], [-1, 0], ["0", "1"], [0.5, 1], [0, 1, 0], {"0": 1}, [1e300, 0]]
)
def test_a_cell_that_is_none_is_not_chosen_whatever_a_browser_sends(at):
    names = ["conv", "relu"], ["conv", "relu"]
    assert the_map.layers_at([1, 0], names) == ("relu", "conv")
    assert the_map.layers_at(at, names) is None
