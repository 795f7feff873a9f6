"""The Atlas page as Streamlit runs it, without a browser, on an atlas whose numbers are known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cka_core.atlas.result import listed
from cka_core.base import shipped
from cka_core.base.store import Store
from cka_core.measures.blocks import RULE
from tests import synthetic_atlas
from tests.synthetic_atlas import name

APP = Path(__file__).parent.parent.parent / "app.py"
WIDE, DEEP = name("14x4"), name("38x1")
BUNDLED = shipped.ATLAS
DRAWN = {"drawn": True}
"""What the browser says once the grid is on screen."""


@pytest.fixture(autouse=True)
def only_ours(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The synthetic atlas in the store, and none that is bundled."""
    monkeypatch.setattr(shipped, "ATLAS", Path(store.root) / "nothing")
    synthetic_atlas.save(store.root)


def open_page(**address: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60).run()
    for key, value in address.items():
        page.query_params[key] = value
    page.session_state["atlas_grid"] = DRAWN
    page.switch_page("pages/atlas.py").run()
    assert not page.exception, page.exception
    return page


def texts(page: AppTest) -> str:
    shown = [*page.markdown, *page.caption, *page.info, *page.warning, *page.error]
    return "\n".join(element.value for element in shown).replace("\\", "")


def grid(page: AppTest) -> dict[str, Any]:
    """What the browser is told to draw."""
    protos = [element.proto for element in page.get("bidi_component")]
    found: dict[str, Any] = next(json.loads(p.json) for p in protos if p.component_name.endswith("atlas_grid"))
    return found


def chart(page: AppTest, key: str) -> dict[str, Any]:
    found = [one.proto for one in page.get("plotly_chart") if one.proto.id.endswith(key)]
    assert len(found) == 1, [one.proto.id for one in page.get("plotly_chart")]
    spec: dict[str, Any] = json.loads(found[0].spec)
    return spec


def button(page: AppTest, label: str) -> Any:
    return next(one for one in page.button if one.label == label)


def test_the_network_that_is_open_stays_open_while_another_tab_is(store):
    page = open_page(network=WIDE)
    for tab in ("Two networks", "One network", "Wide against deep", "One network"):
        page.session_state["view"] = tab
        page.run()
        assert page.session_state["network"] == WIDE and not page.exception
    assert page.selectbox(key="network shown").value == WIDE
    page.selectbox(key="network shown").set_value(DEEP).run()
    assert page.session_state["network"] == DEEP


def test_from_a_damaged_atlas_another_can_be_chosen(store):
    other = Path(store.root) / "atlases" / "broken"
    other.mkdir(parents=True)
    (other / "atlas.json").write_text("[1, 2]")
    (other / "maps.npz").write_bytes(b"")
    page = open_page(atlas="broken")
    assert "is damaged" in texts(page) and "Build it again" in texts(page)
    good = next(option for option in page.selectbox(key="atlas").options if option != "broken")
    page.selectbox(key="atlas").set_value(good).run()
    assert not page.error and not page.exception and grid(page)["cells"]


def test_each_network_stands_at_its_depth_and_width_with_its_accuracies_and_its_block_in_words():
    shown = grid(open_page())
    assert shown["columns"] == ["depth 14", "depth 38"]
    assert shown["rows"] == ["width ×1", "width ×2", "width ×4"]
    cells = {cell["size"]: cell for cell in shown["cells"]}
    assert {size: (cell["row"], cell["column"]) for size, cell in cells.items()} == {
        "14×1": (0, 0), "14×2": (1, 0), "14×4": (2, 0), "38×1": (0, 1)
    }  # fmt: skip
    last = cells["38×1"]["frames"]["10"]
    assert (last["test"], last["train"], last["fitted"]) == ("60 % ±3", "70 %", False)
    assert last["blocks"] == "layers 44–110, 0.95"
    assert cells["14×4"]["frames"]["10"]["fitted"]
    assert cells["14×1"]["frames"]["10"]["blocks"] == "no block"


def test_the_grid_comes_first_and_all_else_when_the_browser_has_drawn_it():
    page = AppTest.from_file(APP, default_timeout=60).run()
    page.switch_page("pages/atlas.py").run()
    assert grid(page)["cells"] and not page.get("plotly_chart")
    page.session_state["atlas_grid"] = DRAWN
    page.run()
    assert grid(page)["cells"] and len(page.get("plotly_chart")) == 7


def test_every_kept_epoch_is_in_the_grid_and_the_last_is_shown_first():
    shown = grid(open_page())
    assert shown["epochs"] == [0, 5, 10]
    assert shown["epoch"] == 10
    assert all(set(cell["frames"]) == {"0", "5", "10"} for cell in shown["cells"])
    assert grid(open_page(epoch="5"))["epoch"] == 5


def test_another_seed_shows_its_networks_and_leaves_the_other_places_empty():
    page = open_page()
    page.segmented_control(key="network_seed").set_value("1").run()
    assert {cell["name"] for cell in grid(page)["cells"]} == {name("38x1", 1), name("14x4", 1)}
    assert len(grid(page)["rows"]) == 3
    assert grid(page)["missing"]["0 0"] == "trained once" and grid(page)["missing"]["2 1"] == "not trained"
    assert page.selectbox(key="network shown").value == name("38x1", 1)


def test_a_link_to_another_training_opens_what_it_was_copied_from():
    page = open_page()
    page.segmented_control(key="network_seed").set_value("1").run()
    link = dict(page.query_params)
    assert link == {"network_seed": "1", "network": name("38x1", 1)}
    page = open_page(**link)
    assert page.segmented_control(key="network_seed").value == "1"
    assert {cell["name"] for cell in grid(page)["cells"]} == {name("38x1", 1), name("14x4", 1)}
    assert not page.warning


def test_without_the_first_component_the_maps_of_the_last_epoch_are_shown_without_blocks():
    page = open_page(component="without")
    shown = grid(page)
    assert shown["epochs"] == [10]
    assert {cell["frames"]["10"]["blocks"] for cell in shown["cells"]} == {"no block"}


def test_the_layer_filter_holds_for_the_grid_and_the_large_view():
    page = open_page(layers="block outputs")
    sides = {cell["size"]: cell["frames"]["10"]["side"] for cell in grid(page)["cells"]}
    assert sides == {"14×1": 6, "14×2": 6, "14×4": 6, "38×1": 18}
    assert len(chart(page, "map")["data"][0]["y"]) == 18


def test_the_network_with_the_longest_block_is_open_and_another_one_can_be():
    page = open_page()
    assert page.selectbox(key="network shown").value == DEEP
    said = texts(page)
    assert "60 % ±3" in said and "not fitted" in said and "Block: layers 44–110, 0.95." in said
    assert "first component holds 80 %" in said
    page.selectbox(key="network shown").set_value(WIDE).run()
    assert page.query_params["network"] == WIDE
    assert "Block: layers 16–35, 0.95." in texts(page) and "not fitted**" not in texts(page)


def test_the_map_beside_it_is_without_what_was_chosen():
    assert "Without each layer’s first component: no block; before: layers 44–110" in texts(open_page())
    said = texts(open_page(without="influential images"))
    assert "Without 2 influential images: layers 44–110, 0.95; before: layers 44–110, 0.95" in said


def test_the_images_behind_the_block_are_those_with_the_largest_scores():
    page = open_page()
    captions = [image.proto.imgs[0].caption for image in page.get("image")][:10]
    assert all("✕" in caption and "49." in caption for caption in captions[:2])
    assert "A few images stand for it" in texts(page)


def test_two_seeds_agree_outside_the_block_and_not_inside():
    page = open_page(view="Two networks")
    assert (page.selectbox(key="one").value, page.selectbox(key="other").value) == (DEEP, name("38x1", 1))
    assert [(one.label, one.value) for one in page.metric] == [("inside", "0.30"), ("outside", "0.90")]
    assert "blocks are each network’s own" in texts(page)


def test_what_is_open_on_the_page_compare_is_not_what_the_atlas_opens():
    page = AppTest.from_file(APP, default_timeout=60).run()
    page.selectbox(key="b").set_value(name("14x1")).run()
    page.session_state["atlas_grid"] = DRAWN
    page.switch_page("pages/atlas.py").run()
    page.session_state["view"] = page.query_params["view"] = "Two networks"
    page.run()
    assert page.selectbox(key="other").value == name("38x1", 1)


@pytest.mark.parametrize("over, pairs", [("mean over seeds", 4), ("spread over seeds", 4)])
def test_over_seeds_every_pair_of_them_counts(over, pairs):
    page = open_page(view="Two networks", one=WIDE, other=DEEP, over=over)
    assert f"{over.capitalize()}: {pairs} pairs" in texts(page)
    assert not page.info


def test_one_pair_of_seeds_has_no_spread_and_that_is_said():
    assert "no spread" in texts(open_page(view="Two networks", over="spread over seeds"))


def test_wide_against_deep_says_how_often_they_differ_and_how_often_seeds_do():
    page = open_page(view="Wide against deep")
    assert "different answers for **40 %**" in texts(page)
    assert "for **0 %**" in texts(page)
    table = page.table[0].value
    assert list(table.columns) == ["ResNet 14x4 × ResNet 38x1", "two seeds of ResNet 14x4", "two seeds of ResNet 38x1"]
    assert list(table.loc["Different class"]) == ["40 %", "0 %", "0 %"]
    assert list(table.loc["Only one is right"])[0] == "40 %" and "Hellinger distance" in table.index
    assert len(chart(page, "classes")["data"]) == 2
    points = chart(page, "examples")["data"]
    assert [trace["name"] for trace in points] == [
        "both right: 400", "both wrong: 200", "only ResNet 14x4 right: 200", "only ResNet 38x1 right: 200"
    ]  # fmt: skip


def test_the_steps_lead_to_what_they_say():
    page = open_page()
    button(page, "Show two seeds of ResNet 38x1").click().run()
    assert not page.exception and page.session_state["view"] == "Two networks"
    assert grid(page)["scrolls"] == 1


def test_every_claim_is_a_card_with_its_figure_and_its_caveat():
    page = open_page()
    said = texts(page)
    assert said.count("*The claim.*") == said.count("*This atlas.*") == 5
    assert said.count("Caveat:") == 6  # one a card: the claims', and that of what the paper does not say
    assert said.count("Seen in 6 networks") == 1
    keys = ("block-structure", "first-component", "probes-and-deletion", "outside-and-inside", "errors")
    assert all(chart(page, f"figure {key}") for key in keys)


def test_how_it_is_decided_stands_beside_the_cards_word_for_word():
    said = " ".join(texts(open_page()).split())
    assert RULE in said and "2 points of accuracy for deleting a residual block" in said


def test_the_bundled_atlas_says_what_the_paper_does_not(monkeypatch):
    monkeypatch.setattr(shipped, "ATLAS", BUNDLED)
    page = open_page(atlas="bundled")
    said = texts(page)
    assert "**What we found that the paper does not say**" in said and "**Kinds of block**" in said
    assert "removing each layer's first principal component does not remove the block" in said
    assert "38x1 seed 0 with 56x1 seed 0 at CKA 0.92" in said and "One of its kind: 26x1 seed 35, layers 46–66" in said
    assert said.count("**Kind 1**") == said.count("**Kind 2**") == 1
    assert "block and stage are confounded" in said and "625 updates" in said
    assert len([image for image in page.get("image") if image.proto.imgs[0].caption]) == 10 + 2 * 6
    assert chart(page, "figure beyond")


@pytest.mark.parametrize(
    "key, bad, view",
    [
        ("network_seed", "7", "One network"),
        ("epoch", "6", "One network"),
        ("epoch", "x", "One network"),
        ("network", "<script>", "One network"),
        ("component", "both", "One network"),
        ("without", "everything", "One network"),
        ("one", "nobody", "Two networks"),
        ("over", "everything", "Two networks"),
        ("wide", "nobody", "Wide against deep"),
        ("view", "Nothing", "One network"),
    ],
)
def test_what_a_link_asks_for_in_vain_is_said_and_the_page_works(key, bad, view):
    page = open_page(**({"view": view} | {key: bad}))
    notes = [warning.value for warning in page.warning if "The link asks for" in warning.value]
    assert len(notes) == 1 and f"`{bad}" in notes[0]
    assert grid(page)["cells"]


def test_without_an_atlas_the_page_says_how_to_build_one(store, monkeypatch):
    monkeypatch.setenv("CKA_STORE", str(Path(store.root).parent / "empty"))
    page = open_page()
    assert "python -m cka_core atlas build STUDY.toml" in texts(page)


def test_a_damaged_atlas_is_said_and_not_an_error(store):
    (Path(store.root) / "atlases" / "synthetic" / "atlas.json").write_text("{")
    assert "damaged" in texts(open_page())


def test_opening_and_using_the_page_imports_neither_tensorflow_nor_dask():
    code = (
        "import sys; from streamlit.testing.v1 import AppTest;"
        f"page = AppTest.from_file({str(APP)!r}, default_timeout=60).run();"
        "page.session_state['atlas_grid'] = {'drawn': True};"
        "page.switch_page('pages/atlas.py').run();"
        "assert not page.exception, page.exception;"
        "[page.query_params.__setitem__('view', view) or page.run() for view in ('Two networks', 'Wide against deep')];"
        "assert not page.exception, page.exception;"
        "print([m for m in ('tensorflow', 'keras', 'distributed', 'dask') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("view", ["One network", "Two networks", "Wide against deep"])
@pytest.mark.parametrize("members", [1, 2])
def test_an_atlas_of_one_or_two_networks_has_every_view(store, members, view):
    synthetic_atlas.build(members).save(Path(store.root) / "atlases" / "synthetic")
    assert len(grid(open_page(view=view))["cells"]) == members


def test_a_link_to_an_atlas_that_is_not_here_says_so_and_which_is_shown(store):
    page = open_page(atlas="no-such-atlas")
    assert "The link asks for the atlas `no-such-atlas`, which cannot be had here: `" in texts(page)
    assert grid(page) == grid(open_page()) and "atlas" not in page.query_params
    known = next(iter(listed(store)))
    assert "cannot be had here" not in texts(open_page(atlas=known))
