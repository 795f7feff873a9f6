"""The pages as they are run by Streamlit, without a browser."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from cka_core.atlas.numbers import inside_and_outside
from cka_core.atlas.result import bundled as bundled_atlas
from cka_core.base.progress import Progress
from cka_core.base.store import Store
from cka_core.images import own
from cka_core.images.image_set import ImageSet
from cka_core.images.own_files import OwnImages
from cka_core.images.sets import SampleSpec, image_sets
from cka_core.jobs import records, submit
from cka_core.library import catalogue
from cka_core.measures.chance import BestMatchChance
from cka_core.measures.estimators import estimates
from cka_core.measures.jackknife import Jackknife
from cka_core.measures.registry import MEASURES
from cka_core.results import best_match, estimators, views
from cka_core.results.blocks import network_blocks
from cka_core.results.comparison import CompareSpec, find
from cka_core.results.spec import Several
from pages.parts.compare import reading
from tests.synthetic import comparison

APP = Path(__file__).parent.parent.parent / "app.py"
A, B = "cifar-resnet-20x1", "cifar-resnet-56x1"
"""Two networks of which no comparison is bundled."""

BLOCK, SEED_1 = "cifar-resnet-38x1-plain-s0", "cifar-resnet-38x1-plain-s1"
PAIR = {"a": "cifar-resnet-38x1-cifar10-mini-s0", "b": "cifar-resnet-14x4-cifar10-mini-s0"}
"""A deep and a wide network, compared in the bundle."""


def spec(a: str = A, b: str = B, **sample: Any) -> CompareSpec:
    store = Store()
    return CompareSpec(
        catalogue.find(a, store).spec,
        catalogue.find(b, store).spec,
        SampleSpec(**({"images": "cifar10-mini", "split": "test", "n": 768, "seed": 0} | sample)),
    )


def keep(store: Store, wanted: CompareSpec) -> None:
    """A finished comparison in the store, with made-up numbers."""
    result = comparison(wanted.a.architecture, wanted.b.architecture)
    networks = {"network_a": asdict(wanted.a), "network_b": asdict(wanted.b), "measure": wanted.measure}
    store.put("comparisons", wanted.key, replace(result, provenance=result.provenance | networks).to_bytes())


def open_page(**address: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    for key, value in address.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception, page.exception
    return page


def the_map(page: AppTest) -> dict[str, Any]:
    charts = [chart.proto for chart in page.get("plotly_chart")]
    specs = [json.loads(chart.spec) for chart in charts]
    maps = [chart for chart in specs if chart["data"][0]["type"] == "heatmap"]
    assert len(maps) == 1
    return maps[0]


def has_map(page: AppTest) -> bool:
    return any('"heatmap"' in chart.proto.spec for chart in page.get("plotly_chart"))


def numbers(array: Any) -> np.ndarray:
    """A plotly array, which may travel packed."""
    if not isinstance(array, dict):
        return np.array(array, float)
    values = np.frombuffer(base64.b64decode(array["bdata"]), array["dtype"])
    return values.reshape([int(side) for side in array["shape"].split(",")])


def texts(page: AppTest) -> str:
    shown = [*page.markdown, *page.caption, *page.title, *page.info, *page.warning, *page.error]
    return "\n".join(element.value for element in shown)


def button(page: AppTest, label: str) -> Any:
    found = [one for one in page.button if one.label == label]
    assert len(found) == 1, [one.label for one in page.button]
    return found[0]


def test_the_default_view_is_bundled_and_finished():
    page = open_page()
    assert page.title[0].value == "ResNet 38x1 × itself"
    assert "768 test images · unbiased CKA" in texts(page)
    assert button(page, "Compare").disabled
    assert "Nothing to compute" in texts(page)
    bundled = find(spec(BLOCK, BLOCK), Store())
    assert np.allclose(numbers(the_map(page)["data"][0]["z"]), bundled.matrix, atol=1e-6)


def test_the_default_view_names_its_block_and_what_the_second_seed_says_in_the_figures_that_are_kept():
    page = open_page()
    bundled = find(spec(BLOCK, BLOCK), Store())
    (block,) = network_blocks(bundled.matrix, bundled.layers_a)
    told = texts(page)
    assert f"Layers {block.start}–{block.stop - 1} represent the images almost alike" in told
    assert f"{block.strength:.2f}" in told and f"by {block.fall:.2f}" in told
    names = [shape.get("name") for shape in the_map(page)["layout"]["shapes"] if shape.get("name")]
    assert names and all(name.startswith(f"block layers {block.start}–{block.stop - 1}") for name in names)
    layers = views.unique_names(bundled.layers_a)
    assert (
        page.selectbox(key="la").value == layers[block.stop - 1]
        and page.selectbox(key="lb").value == layers[block.start]
    )
    assert page.metric[0].value == f"{bundled.matrix[block.stop - 1, block.start]:.3f}"
    assert not {"la", "lb"} & set(page.query_params), "what the page opens with is not in the address"

    atlas = bundled_atlas()
    seeds = {member.name: member for member in atlas.members}
    contrast = inside_and_outside(atlas, seeds[BLOCK], seeds[SEED_1]).contrast
    assert (
        seeds[SEED_1].final.blocks
        and f"agree only at {contrast.inside:.2f}, elsewhere at {contrast.outside:.2f}" in told
    )
    button(page, "See the two together").click().run()
    assert page.title[0].value == "ResNet 38x1, seed 0 × ResNet 38x1, seed 1"
    assert has_map(
        page
    ) and f"Both seeds have a block, and there the same layers of the two agree only at {contrast.inside:.2f}" in texts(
        page
    )


def test_each_scene_is_one_click_away_and_there_is_a_way_to_ones_own(store, monkeypatch):
    page = open_page(n="256", measure="svcca", kinds="convolutions")
    for scene, title in (
        ("before training", "ResNet 38x1, untrained × itself"),
        ("a second seed", "ResNet 38x1, seed 0 × ResNet 38x1, seed 1"),
        ("wide against deep", "ResNet 38x1 × ResNet 14x4"),
        ("a network and its block", "ResNet 38x1 × itself"),
    ):
        page.pills(key="scene").set_value(scene).run()
        assert not page.exception and page.title[0].value == title
        assert has_map(page) and button(page, "Compare").disabled and page.pills(key="scene").value == scene
    page.pills(key="scene").set_value("your own").run()
    assert page.title[0].value == "Library"


def test_the_way_to_ones_own_leads_there_whatever_was_chosen_before(store):
    """Streamlit leaves no page whose address holds what a widget wrote there, unless told what becomes of it."""
    page = open_page(n="256", la="stem_conv", colours="viridis")
    page.pills(key="scene").set_value("your own").run()
    assert not page.exception and page.title[0].value == "Library"


def test_another_map_begins_with_its_own_cell_unless_one_was_chosen(store):
    page = open_page(**PAIR)
    began = cell_of(page)
    button(page, "Swap A and B").click().run()
    fresh = open_page(a=PAIR["b"], b=PAIR["a"])
    assert cell_of(page) == cell_of(fresh) != began, "a link to it would show another cell"
    assert not {"la", "lb"} & set(page.query_params)
    page.selectbox(key="la").set_value("stem_conv").run()
    page.selectbox(key="lb").set_value("stage1_block2_add").run()
    page.query_params.update(la="stem_conv", lb="stage1_block2_add")  # as the browser does
    button(page, "Swap A and B").click().run()
    assert cell_of(page) == ("stage1_block2_add", "stem_conv"), "the chosen cell is turned with its map"


def cell_of(page: AppTest) -> tuple[str, str]:
    return page.selectbox(key="la").value, page.selectbox(key="lb").value


def test_a_chosen_cell_outlives_a_map_that_has_not_its_layers(store):
    cell = {"la": "stage2_block3_add", "lb": "stage2_block3_relu2"}
    page = open_page(**cell)
    value = page.metric[0].value
    page.selectbox(key="measure").set_value("procrustes").run()
    assert dict(page.query_params) == {**cell, "measure": "procrustes"} and not page.metric
    assert "B’s layer `stage2_block3_relu2` is not among the " in texts(page) and not page.exception
    page.selectbox(key="measure").set_value("cka").run()
    assert dict(page.query_params) == cell and cell_of(page) == tuple(cell.values()) and page.metric[0].value == value
    page = open_page(**cell, measure="procrustes")
    assert dict(page.query_params) == {**cell, "measure": "procrustes"} and not page.warning


def test_only_partners_are_offered_that_take_the_images(store):
    networks = catalogue.comparable(store)
    mine = replace(networks[A], spec=replace(networks[A].spec, name="tokens"), input_shape=(7,))
    tokens, grey = (ImageSet("mine", "Mine", {"all": 60}, False, shape=shape) for shape in ((7,), (28, 28)))
    assert reading.partner(mine, {"tokens": mine, **networks}, tokens) == ""
    other = replace(mine, spec=replace(mine.spec, name="other"))
    assert reading.partner(mine, {"tokens": mine, **networks, "other": other}, tokens) == "other"
    for images in (grey, image_sets(store)["cifar10-mini"]):
        assert reading.partner(networks[BLOCK], networks, images) == SEED_1


def test_the_six_maps_of_the_notebook_are_one_click_each(store, monkeypatch):
    submitted = []
    monkeypatch.setattr(submit, "submit", lambda *what: submitted.append(what))
    page = open_page()
    page.pills(key="scene").set_value("ResNet50, 101, 152").run()
    assert "with 256 images is not compared yet" in texts(page)
    (offer,) = [one for one in page.button if one.label.startswith("Compare all 6 that are not made yet · ≈ ")]
    offer.click().run()
    ((kind, wanted, *_),) = submitted
    assert kind == "several" and len(wanted.specs) == 6
    assert {(one.sample.split, one.sample.n, one.sample.seed) for one in wanted.specs} == {("train", 256, None)}
    for one in wanted.specs:
        keep(store, one)
    button(page, "ResNet50 × 152").click().run()
    assert page.title[0].value == "ResNet50, untrained × ResNet152, untrained" and has_map(page)
    assert page.pills(key="scene").value == "ResNet50, 101, 152"


def test_each_step_from_the_pair_is_bundled_too():
    page = open_page(**PAIR)
    for label, title in (
        ("Show both untrained", "ResNet 38x1, untrained × ResNet 14x4, untrained"),
        ("Show ResNet 38x1 with itself", "ResNet 38x1, untrained × itself"),
        ("Show both trained", "ResNet 38x1 × itself"),
        ("Back to ResNet 38x1 × ResNet 14x4", "ResNet 38x1 × ResNet 14x4"),
        ("Swap A and B", "ResNet 14x4 × ResNet 38x1"),
    ):
        button(page, label).click().run()
        assert not page.exception
        assert page.title[0].value == title
        assert has_map(page) and button(page, "Compare").disabled


def test_two_seeds_of_one_architecture_are_two_networks_before_training():
    page = open_page(a="cifar-resnet-38x1-plain-s0", b="cifar-resnet-38x1-plain-s1")
    button(page, "Show both untrained").click().run()
    assert not page.exception
    asked = [page.session_state[side] for side in "ab"]
    assert asked == ["cifar-resnet-38x1", "cifar-resnet-38x1:1"], "not one with itself"


def test_opening_and_using_the_page_imports_neither_tensorflow_nor_dask():
    code = (
        "import sys; from streamlit.testing.v1 import AppTest;"
        f"page = AppTest.from_file({str(APP)!r}, default_timeout=60).run();"
        "assert not page.exception, page.exception;"
        "[page.query_params.__setitem__('tab', tab) or page.run() for tab in ('Table', 'Download')];"
        "page.switch_page('pages/compare.py').run();"
        "assert not page.exception, page.exception;"
        "print([m for m in ('tensorflow', 'keras', 'distributed', 'dask') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stdout + done.stderr


def test_a_result_in_the_store_is_simply_shown(store):
    keep(store, spec())
    page = open_page(a=A, b=B)
    assert numbers(the_map(page)["data"][0]["z"]).shape == (71, 197)
    assert button(page, "Compare").disabled


def test_a_result_of_the_swapped_networks_is_shown_turned_round(store):
    keep(store, spec(B, A))
    page = open_page(a=A, b=B)
    assert numbers(the_map(page)["data"][0]["z"]).shape == (71, 197)


def test_without_a_result_the_one_action_is_to_compare_and_it_says_how_long():
    page = open_page(a=A, b=B)
    assert not has_map(page)
    assert not button(page, "Compare").disabled
    assert any(caption.value.startswith("≈ ") and caption.value.endswith(" s") for caption in page.caption)
    assert "is not compared yet: press Compare" in texts(page)


@pytest.mark.parametrize(
    "address, sample, batch_size",
    [
        ({"n": "256"}, {"n": 256}, 256),
        ({"n": "300"}, {"n": 300}, 256),
        ({"seed": "7"}, {"seed": 7}, 256),
        ({"draw": "first"}, {"seed": None}, 256),
        ({"split": "train", "n": "3125"}, {"split": "train", "n": 3125}, 256),
        ({"balanced": "true"}, {"balanced": True}, 256),
        ({"batch": "64"}, {}, 64),
        ({"passes": "10"}, {}, 256),
    ],
)
def test_the_address_carries_every_choice(store, address, sample, batch_size):
    keep(store, replace(spec(**sample), batch_size=batch_size, passes=int(address.get("passes", 1))))
    assert not has_map(open_page(a=A, b=B))
    page = open_page(a=A, b=B, **address)
    assert has_map(page)
    assert not page.warning


def test_the_address_names_a_network_that_is_in_no_list(store):
    keep(store, spec("cifar-resnet-8x1", "cifar-resnet-8x1:3"))
    page = open_page(a="cifar-resnet-8x1", b="cifar-resnet-8x1:3")
    assert has_map(page)
    assert page.title[0].value.count("ResNet 8x1") == 2


def test_what_is_chosen_is_written_into_the_address(store):
    keep(store, spec())
    page = open_page(a=A, b=B)
    page.selectbox(key="b").set_value("cifar-resnet-14x2").run()
    assert page.query_params["b"] == "cifar-resnet-14x2"
    page.selectbox(key="b").set_value(BLOCK).run()
    assert "b" not in page.query_params  # the default


@pytest.mark.parametrize(
    "key, bad",
    [
        ("a", "resnet51"),
        ("a", "/etc/passwd.keras"),
        ("b", "<script>alert(1)</script>"),
        ("images", "imagenet"),
        ("split", "validation"),
        ("n", "abc"),
        ("n", "999999999999999999999"),
        ("n", "3"),
        ("n", "-5"),
        ("seed", "-1"),
        ("seed", "9" * 40),
        ("seed", "x"),
        ("batch", "17"),
        ("passes", "3"),
        ("measure", "cosine"),
        ("control", "minus nothing"),
        ("draw", "last"),
        ("kinds", "poolings"),
        ("colours", "jet"),
        ("la", "no_such_layer"),
        ("lb", "![x](http://example.org/x.png)"),
        ("tab", "x"),
    ],
)
def test_what_a_link_asks_for_in_vain_is_said_and_the_page_works(store, key, bad):
    keep(store, spec())
    page = open_page(**({"a": A, "b": B} | {key: bad}))
    notes = [warning.value for warning in page.warning if "The link asks for" in warning.value]
    assert len(notes) == 1
    assert f"`{bad[:40]}" in notes[0]
    assert has_map(page) == (key not in ("a", "b"))


def test_a_note_goes_when_the_reader_chooses(store):
    keep(store, spec())
    page = open_page(a=A, b=B, batch="17")
    page.selectbox(key="colours").set_value("viridis").run()
    assert page.warning
    page.selectbox(key="batch").set_value("64").run()
    assert not page.warning


def test_the_layer_filter_works_on_the_stored_matrix(store):
    keep(store, spec())
    page = open_page(a=A, b=B, kinds="block outputs")
    shown = the_map(page)["data"][0]
    assert all("_add · Add" in name for name in shown["y"] + shown["x"])
    whole = comparison(A, B)
    rows = [i for i, layer in enumerate(whole.layers_a) if layer.kind == "Add"]
    columns = [i for i, layer in enumerate(whole.layers_b) if layer.kind == "Add"]
    assert np.allclose(numbers(shown["z"]), whole.matrix[np.ix_(rows, columns)], atol=1e-6)


def test_a_search_without_a_hit_is_said_and_every_layer_shown(store):
    keep(store, spec())
    page = open_page(a=A, b=B, search="nowhere")
    assert "nowhere" in texts(page) and "Every layer is shown" in texts(page)
    assert r"No layer with “nowhere” in its name or kind in" in texts(page)
    assert numbers(the_map(page)["data"][0]["z"]).shape == (71, 197)


def test_two_layer_pickers_open_the_cell(store):
    keep(store, spec())
    page = open_page(a=A, b=B)
    example = views.example_cell(comparison(A, B))
    assert page.metric[0].value == f"{comparison(A, B).matrix[example]:.3f}", "a cell worth looking at"
    page.selectbox(key="la").set_value("stage1_block2_add").run()
    page.selectbox(key="lb").set_value("stage3_block1_conv2").run()
    whole = comparison(A, B).to_frame()
    assert page.metric[0].value == f"{whole.loc['stage1_block2_add', 'stage3_block1_conv2']:.3f}"
    row, column = whole.loc["stage1_block2_add"], whole["stage3_block1_conv2"]
    for values in (row, column):
        label = rf"{values.idxmax()} · {values.max():.3f}".replace("_", r"\_")
        assert button(page, label)


def test_a_layer_the_other_network_lacks_is_forgotten_not_an_error(store):
    keep(store, spec())
    keep(store, spec(A, A))
    page = open_page(a=A, b=B, la="stem_conv", lb="stage1_block9_add")
    assert page.metric
    page.selectbox(key="b").set_value(A).run()
    assert not page.exception and page.selectbox(key="lb").value in views.unique_names(comparison(A, A).layers_b)
    assert page.selectbox(key="la").value == "stem_conv"


def test_the_table_which_can_be_taken_along_gives_a_spreadsheet_no_formula(store):
    wanted = spec()
    result = comparison(wanted.a.architecture, wanted.b.architecture)
    named = [replace(result.layers_a[0], name="=cmd()"), *result.layers_a[1:]]
    store.put("comparisons", wanted.key, replace(result, layers_a=named).to_bytes())
    page = open_page(a=A, b=B, tab="Table")
    assert list(page.dataframe[0].value["layer"])[0] == "'=cmd()"


def rows_of(page: AppTest) -> list[str]:
    return [option.content for option in page.segmented_control(key="rows").proto.options]


def test_the_table_of_a_network_with_itself_has_each_choice_once():
    page = open_page(tab="Table")
    assert rows_of(page) == ["best match of each layer of ResNet 38x1", "every pair"]
    assert page.segmented_control(key="rows").value == "a"


def test_the_tables_choice_of_rows_follows_the_pair(store):
    keep(store, spec())
    page = open_page(a=A, b=B, tab="Table")
    first, second, every = rows_of(page)
    assert first != second and every == "every pair"
    page.segmented_control(key="rows").set_value("b").run()
    deep = [layer.name for layer in comparison(A, B).layers_b]
    assert list(page.dataframe[0].value["layer"]) == deep
    page = open_page(tab="Table")
    page.session_state["rows"] = "b"  # as a pair that was shown before leaves it
    page.run()
    assert not page.exception and page.segmented_control(key="rows").value == "a"


def test_the_table_sorts_and_the_download_tells_the_command(store):
    keep(store, spec())
    page = open_page(a=A, b=B, tab="Table")
    assert list(page.dataframe[0].value["layer"])[0] == "stem_conv"
    page = open_page(a=A, b=B, tab="Download")
    code = "\n".join(block.value for block in page.code)
    assert f"python -m cka_core compare {A} {B} " in code
    assert 'Comparison.load("cka-' in code
    assert len(page.get("download_button")) == 9


def test_the_camera_saves_what_was_chosen_after_the_tab_is_left_too(store):
    keep(store, spec())

    def camera(page: AppTest) -> str:
        return json.loads(page.get("plotly_chart")[0].proto.config)["toImageButtonOptions"]["format"]

    page = open_page(a=A, b=B, tab="Download")
    assert camera(page) == "png"
    page.segmented_control(key="camera").set_value("svg").run()
    assert camera(page) == "svg"
    # What a click does: the tab's state and, through its binding, the address.
    page.session_state["tab"] = page.query_params["tab"] = "Table"
    page.run()
    assert page.dataframe and camera(page) == "svg"


def test_warnings_of_a_result_are_shown(store):
    warned = replace(comparison(A, B), warnings=("Image 12 is *far* larger than the rest.",))
    store.put("comparisons", spec().key, warned.to_bytes())
    assert r"Image 12 is \*far\* larger than the rest." in texts(open_page(a=A, b=B))


def test_the_full_cifar10_says_the_three_ways_to_get_it():
    said = texts(open_page(images="cifar10"))
    assert "Three ways" in said and "cifar10.npz" in said and "cifar-10-binary.tar.gz" in said


def test_a_damaged_result_is_computed_again_not_an_error(store):
    path = store.put("comparisons", spec().key, b"not a comparison")
    page = open_page(a=A, b=B)
    assert not has_map(page) and not button(page, "Compare").disabled
    assert path not in [entry.path for entry in store.entries("comparisons")]


def test_another_choice_keeps_the_last_map_and_says_so(store):
    keep(store, spec())
    page = open_page(a=A, b=B)
    page.selectbox(key="b").set_value("resnet152").run()
    assert numbers(the_map(page)["data"][0]["z"]).shape == (71, 197)
    assert the_map(page)["data"][0]["opacity"] < 1
    assert "Still showing" in texts(page) and "press Compare" in texts(page)
    assert not button(page, "Compare").disabled


def job(store: Store, state: str, wanted: CompareSpec | None = None, cluster: str = "tcp://elsewhere:1") -> str:
    """The record of a job, as a worker of that cluster would have left it. Returns its key."""
    wanted = wanted or spec()
    title = "ResNet 20x1 × ResNet 56x1"
    attempt = records.write_new(wanted.key, "compare", asdict(wanted), title, store, cluster)
    if state != "queued":
        records.begin(wanted.key, attempt, store)
        records.tell(wanted.key, attempt, AT_WORK, store)
    if state in ("done", "failed", "stopped"):
        records.finish(wanted.key, attempt, state, REASON if state == "failed" else None, store)
    return wanted.key


REASON = "Only 3 images: ask for more."
AT_WORK = Progress("comparing", 1, 4, "minibatch 1 of 3 · resnet20, layers 1 to 20 of 71")


def test_a_job_at_work_says_what_it_does_and_can_be_stopped(store):
    key = job(store, "running")
    page = open_page(a=A, b=B)
    line = page.get("progress")[0].proto
    assert line.value == 25
    assert "minibatch 1 of 3" in line.text
    assert "Compare" not in [one.label for one in page.button], "its place is taken by the progress"
    button(page, "Stop").click().run()
    assert submit.status(key, store).stopping
    assert button(page, "Stop").disabled


def test_leaving_and_coming_back_finds_the_same_job(store):
    job(store, "running")
    for address in ({"a": A, "b": B}, {"a": B, "b": A}):  # from the other side too
        assert len(open_page(**address).get("progress")) == 1
    page = open_page()
    assert not page.get("progress")
    button(page, "At work: ResNet 20x1 × ResNet 56x1").click().run()
    assert len(page.get("progress")) == 1
    assert (page.selectbox(key="a").value, page.selectbox(key="b").value) == (A, B)


def test_a_job_of_other_images_is_shown_with_all_its_choices(store):
    wanted = replace(spec(split="train", n=300, seed=5, balanced=True), batch_size=64)
    job(store, "running", wanted)
    page = open_page()
    button(page, "At work: ResNet 20x1 × ResNet 56x1").click().run()
    assert not page.exception and not page.warning
    assert len(page.get("progress")) == 1


def test_a_queued_job_says_that_it_waits(store):
    job(store, "queued")
    assert "waiting for a worker" in open_page(a=A, b=B).get("progress")[0].proto.text


def test_at_the_end_of_a_job_the_map_appears(store):
    key = job(store, "running")
    page = open_page(a=A, b=B)
    assert not has_map(page)
    keep(store, spec())
    records.finish(key, 1, "done", None, store)
    page.run()
    assert has_map(page) and not page.get("progress")


def test_while_a_job_is_at_work_the_old_map_stays(store):
    keep(store, spec(A, A))
    job(store, "running")
    page = open_page(a=A, b=A)
    page.selectbox(key="b").set_value(B).run()
    assert page.get("progress") and has_map(page)
    assert the_map(page)["data"][0]["opacity"] < 1
    assert "Still showing" in texts(page)


@pytest.mark.parametrize(
    "state, label, said",
    [
        ("failed", "Try again", r"Only 3 images\: ask for more."),
        ("stopped", "Resume", "What is finished so far is kept"),
        ("running", "Resume", "Interrupted"),
    ],
)
def test_an_ended_job_says_why_and_offers_to_go_on(store, monkeypatch, state, label, said):
    submitted = []
    monkeypatch.setattr(submit, "submit", lambda *what: submitted.append(what))
    job(store, state, cluster="here/gone/1")
    page = open_page(a=A, b=B)
    assert said in texts(page)
    assert not page.get("progress")
    button(page, label).click().run()
    assert [(kind, wanted.key) for kind, wanted, *_ in submitted] == [("compare", spec().key)]


def test_a_result_counts_more_than_what_its_job_says(store):
    keep(store, spec())
    job(store, "failed")
    page = open_page(a=A, b=B)
    assert has_map(page) and not page.error


def test_the_page_says_in_what_form_pixels_entered_and_why(store):
    wanted = spec()
    keep(store, wanted)
    assert "unbiased CKA" in texts(open_page(a=A, b=B)) and "pixels" not in texts(open_page(a=A, b=B))

    result = find(wanted, store)
    forms = ({"form": "none", "why": "a Rescaling of its own, rescale"}, {"form": "divide-by-255", "why": "asked for"})
    networks = {
        side: result.provenance[side] | {"preprocessing": form}
        for side, form in zip(("network_a", "network_b"), forms, strict=True)
    }
    for changed, words in ((networks, "pixels as each network expects them"),
                           (networks | {"network_b": networks["network_a"]}, "pixels as they are")):  # fmt: skip
        for entry in store.entries("comparisons"):
            store.remove(entry.path)
        store.put("comparisons", wanted.key, replace(result, provenance=result.provenance | changed).to_bytes())
        page = open_page(a=A, b=B)
        told = [caption for caption in (*page.markdown, *page.caption) if words in caption.value]
        assert len(told) == 1
        told_why = told[0].help.replace("\\", "")  # the names are escaped
        assert "as they are (a Rescaling of its own, rescale)." in told_why


def test_what_are_no_pictures_have_no_pixels(store):
    own.put("mine", OwnImages({"all": (np.arange(70).reshape(10, 7), np.zeros(10, np.int64))}, ()), "Mine", store)
    wanted = spec()
    keep(store, wanted)
    result = find(wanted, store)
    form = {side: result.provenance[side] | {"preprocessing": {"form": "none", "why": ""}} for side in
            ("network_a", "network_b")}  # fmt: skip
    for name, words in (("cifar10-mini", "pixels as they are"), ("mine", "inputs as they are")):
        of = {"images": result.provenance["images"] | {"images": name}}
        for entry in store.entries("comparisons"):
            store.remove(entry.path)
        store.put("comparisons", wanted.key, replace(result, provenance=result.provenance | form | of).to_bytes())
        assert words in texts(open_page(a=A, b=B))


def test_whole_numbers_that_no_network_here_takes_are_refused_before_compare_is_pressed(store):
    rows = np.arange(7000).reshape(1000, 7)
    own.put("rows", OwnImages({"all": (rows, np.zeros(1000, np.int64))}, ()), "rows.npz", store)
    page = open_page(a=A, b=B, images="rows")
    assert r"has whole numbers of another type (int64). Save them as one of these" in texts(page).replace("\\", "")
    assert button(page, "Compare").disabled


def test_a_measure_that_is_not_known_is_answered_with_the_title_of_the_one_taken():
    assert "the measure `foo`, which cannot be had here: unbiased CKA is taken." in texts(open_page(measure="foo"))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_images_that_are_too_few_are_refused_before_anything_is_asked_of_a_worker(store, count):
    few = OwnImages({"all": (np.zeros((count, 32, 32, 3), np.uint8), np.zeros(count, np.int64))}, ())
    own.put("few", few, "Few", store)
    page = open_page(a=A, b=B, images="few")
    assert button(page, "Compare").disabled == (count < 4)
    assert (f"CKA is defined for 4 images and more, and here are {count}" in texts(page)) == (count < 4)
    assert ("the reason stands in the form" in texts(page)) == (count < 4)


def test_a_bundled_result_says_how_its_pixels_entered():
    assert "pixels divided by 255" in texts(open_page())


def test_one_line_above_the_map_says_what_it_rests_on_and_marks_only_what_misleads():
    page = open_page(**PAIR)
    (line,) = [caption for caption in page.caption if "768 test images" in caption.value]
    for part in ("3 minibatches of 256", "batch norm at inference", r"chance reaches 0.016", "images decide"):
        assert part in line.value
    assert ":red" not in line.value
    button(page, "Show both untrained").click().run()
    assert ":red[**batch norm idle before training**]" in texts(page)


def test_every_cell_shows_its_interval_in_hover_card_table_and_exports():
    page = open_page(**PAIR, la="stage2_block3_add", lb="stage2_block1_add", tab="Table")
    result = find(spec("cifar-resnet-38x1-cifar10-mini-s0", "cifar-resnet-14x4-cifar10-mini-s0"), Store())
    frame, (low, high) = result.to_frame(), result.interval()
    row, column = frame.index.get_loc("stage2_block3_add"), frame.columns.get_loc("stage2_block1_add")
    told = f"[{low[row, column]:.3f}, {high[row, column]:.3f}]"
    assert f"95 % interval {told}" in texts(page).replace("\\", "")
    assert the_map(page)["data"][0]["text"][row][column] == told
    assert {"low", "high", "images deciding"} <= set(page.dataframe[0].value)


def test_a_result_kept_without_intervals_offers_them(store, monkeypatch):
    submitted = []
    monkeypatch.setattr(submit, "submit", lambda *what: submitted.append(what))
    keep(store, spec())
    page = open_page(a=A, b=B)
    (offer,) = [one for one in page.button if one.label.startswith("Compute the intervals · ≈ ")]
    offer.click().run()
    assert [(kind, wanted.key) for kind, wanted, *_ in submitted] == [("compare", spec().key)]
    job(store, "running")
    assert len(open_page(a=A, b=B).get("progress")) == 1


def test_another_measure_is_picked_above_the_map_and_is_in_the_address(store):
    keep(store, spec())
    keep(store, replace(spec(), measure="svcca"))
    page = open_page(a=A, b=B)
    page.selectbox(key="measure").set_value("svcca").run()
    assert page.query_params["measure"] == "svcca"
    assert button(page, "Compare").disabled
    assert "20 / (n - 1)" in page.selectbox(key="measure").help.replace("\\", "")
    page.selectbox(key="measure").set_value("ridge").run()
    assert r"is not compared yet by ridge" in texts(page) and not button(page, "Compare").disabled
    assert open_page(a=A, b=B, measure="svcca").selectbox(key="measure").value == "svcca"
    refused = open_page(a=A, b=B, measure="cosine")
    assert any("the measure" in warning.value for warning in refused.warning)


def test_one_cell_stands_under_all_measures_and_the_missing_ones_are_one_button_away(store, monkeypatch):
    submitted = []
    monkeypatch.setattr(submit, "submit", lambda *what: submitted.append(what))
    keep(store, spec())
    keep(store, replace(spec(), measure="svcca"))
    page = open_page(a=A, b=B, tab="All measures", la="stem_conv", lb="stem_conv")
    table, facts = (frame.value for frame in page.dataframe)
    assert list(table["measure"]) == ["unbiased CKA", "SVCCA"] and len(facts) == 9
    value = comparison(A, B).matrix[0, 0]
    assert table["value"][0] == pytest.approx(value)
    assert table["among all pairs"][0] == f"{(comparison(A, B).matrix > value).sum() + 1:,} of {71 * 197:,}"
    (offer,) = [one for one in page.button if one.label.startswith("Compute the 7 others · ≈ ")]
    offer.click().run()
    (kind, wanted, *_), *_ = submitted
    assert kind == "several" and {one.measure for one in wanted.specs} == {
        "cka-biased", "cka-rbf", "rsa-pearson", "rsa-spearman", "mutual-knn", "ridge", "procrustes",
    }  # fmt: skip


def test_what_is_missing_stays_at_work_while_a_part_of_it_comes(store, monkeypatch):
    keep(store, spec())
    measures = [replace(spec(), measure=name) for name in MEASURES if name != "cka"]
    wanted = Several(tuple(measures))
    attempt = records.write_new(wanted.key, "several", asdict(wanted), "all measures", store, "tcp://elsewhere:1")
    records.begin(wanted.key, attempt, store)
    records.tell(wanted.key, attempt, AT_WORK, store)
    for made in (None, *measures[:3]):
        if made is not None:
            keep(store, made)
        page = open_page(a=A, b=B, tab="All measures")
        assert "minibatch 1 of 3" in page.get("progress")[0].proto.text
        assert button(page, "Stop") and not [one for one in page.button if one.key == "measures"]
    button(page, "Stop").click().run()
    assert submit.status(wanted.key, store).stopping


def test_where_one_only_looks_it_is_said_that_nothing_can_be_computed(store, monkeypatch):
    monkeypatch.setenv("CKA_MODE", "read-only")
    page = open_page(a=A, b=B)
    assert "is not compared yet, and nothing can be computed here" in texts(page) and "press Compare" not in texts(page)
    assert button(page, "Compare").disabled
    assert "your own" not in page.pills(key="scene").options


def test_a_chosen_cell_that_the_filter_hides_is_mentioned(store):
    keep(store, spec())
    cell = {"la": "stage1_block2_add", "lb": "stage3_block1_conv2"}
    assert "The filter hides this cell" not in texts(open_page(a=A, b=B, **cell))
    assert "The filter hides this cell" in texts(open_page(a=A, b=B, **cell, kinds="block outputs"))


def test_names_of_layers_are_read_as_they_are_on_every_button(store):
    """They come from users' files, and the label of a button is Markdown."""
    name = "**y** :red[q] `c` [l](x) $a$"
    wanted = spec()
    keep(store, wanted)
    result = find(wanted, store)
    renamed = [replace(layer, name=f"{layer.name} {name}") for layer in result.layers_b]
    store.put("comparisons", wanted.key, replace(result, layers_b=renamed).to_bytes())
    page = open_page(a=A, b=B)
    label = page.button(key="match of A").label
    assert r"\*\*y\*\* \:red\[q\] \`c\` \[l\]\(x\) \$a\$ · " in label, label


def test_pressing_compare_answers_at_the_button_and_a_refusal_too(store, monkeypatch):
    keep(store, spec(A, A))
    page = open_page(a=A, b=A)
    page.selectbox(key="b").set_value(B).run()

    def refuse(*what: Any) -> None:
        raise ValueError("The queue is *full*.")

    monkeypatch.setattr(submit, "submit", refuse)
    button(page, "Compare").click().run()
    assert [error.value for error in page.error] == [r"The queue is \*full\*\."] or "full" in page.error[0].value
    assert not button(page, "Compare").disabled and has_map(page), "to be tried again, and the old map stays"


def test_where_one_only_looks_nothing_is_offered(store, monkeypatch):
    keep(store, spec())
    monkeypatch.setenv("CKA_MODE", "read-only")
    page = open_page(a=A, b=B, tab="All measures")
    assert not [one for one in page.button if one.label.startswith("Compute")]
    assert "Compute the 8 others? This is to be looked at only" in texts(page)


PLAIN_A, PLAIN_B = "cifar-resnet-14x1-plain-s0", "cifar-resnet-38x1-plain-s0"
"""Two trained networks, with another seed of each in the library."""

FEWER = {"n": 512}
"""On so many images no comparison of theirs is bundled."""


def test_one_switch_shows_the_map_under_each_control_and_the_hover_all_that_are_there(store):
    base = spec(PLAIN_A, PLAIN_B, **FEWER)
    untrained = spec("cifar-resnet-14x1", "cifar-resnet-38x1", **FEWER)
    other = spec("cifar-resnet-14x1-plain-s1", "cifar-resnet-38x1-plain-s1", **FEWER)
    keep(store, base)
    made = comparison("cifar-resnet-14x1", "cifar-resnet-38x1").matrix
    for wanted, factor in ((untrained, 0.5), (other, 0.25), (replace(base, without="pixels"), 0.75)):
        result = comparison("cifar-resnet-14x1", "cifar-resnet-38x1")
        store.put("comparisons", wanted.key, replace(result, matrix=made * factor).to_bytes())
    page = open_page(a=PLAIN_A, b=PLAIN_B, n="512", la="stem_conv", lb="stem_conv")
    template = the_map(page)["data"][0]["hovertemplate"]
    for word in ("without pixels", "untrained", "another seed"):
        assert f"<br>{word}  %{{customdata[" in template
    assert f"untrained: {made[0, 0] / 2:.3f}" in texts(page) and f"another seed: {made[0, 0] / 4:.3f}" in texts(page)
    for choice, factor in (("minus untrained", 0.5), ("another seed", 0.25), ("without what the pixels explain", 0.75)):
        page.selectbox(key="control").set_value(choice).run()
        assert not page.exception
        assert np.allclose(numbers(the_map(page)["data"][0]["z"]), made * factor, atol=1e-6)
        assert f"as it is: {made[0, 0]:.3f}" in texts(page)
        difference = choice == "minus untrained"  # of which 0 is not "not at all"
        assert ("how much more alike two layers became by training: above 0 more" in texts(page)) == difference
        assert ("0 not at all" in texts(page)) != difference


def test_a_range_of_colours_is_that_of_the_map_under_the_control_and_a_difference_is_white_at_zero(store):
    base = spec(PLAIN_A, PLAIN_B, **FEWER)
    result = comparison("cifar-resnet-14x1", "cifar-resnet-38x1")
    keep(store, base)
    for wanted, factor in (
        (spec("cifar-resnet-14x1", "cifar-resnet-38x1", **FEWER), 1.5),
        (replace(base, without="pixels"), 0.5),
    ):
        store.put("comparisons", wanted.key, replace(result, matrix=result.matrix * factor).to_bytes())
    page = open_page(a=PLAIN_A, b=PLAIN_B, n="512", range="this map's")

    def shown(control: str) -> tuple[float, float]:
        trace = the_map(page.selectbox(key="control").set_value(control).run())["data"][0]
        return trace["zmin"], trace["zmax"]

    low, high = result.matrix.min(), result.matrix.max()
    assert shown("without what the pixels explain") == (np.floor(50 * low) / 100, np.ceil(50 * high) / 100)
    most = np.ceil(50 * max(high, -low)) / 100
    assert shown("minus untrained") == (-most, most)
    for range_of_values in ("0.5 to 1", "0.9 to 1", "all values"):
        page.selectbox(key="range").set_value(range_of_values).run()
        assert shown("minus untrained") == (-1, 1)
        assert ("A difference is shown from −1 to 1" in texts(page)) == (range_of_values != "all values")
    page.selectbox(key="range").set_value("0.5 to 1").run()
    assert shown("as it is") == (0.5, 1)


def test_a_block_is_said_to_be_outlined_in_the_map_that_outlines_it(store):
    page = open_page(a=BLOCK, b=BLOCK)

    def outlines() -> bool:
        return any((shape.get("name") or "").startswith("block") for shape in the_map(page)["layout"]["shapes"])

    assert "That is a block, outlined in the map." in texts(page) and outlines()
    for control in ("minus untrained", "without what the pixels explain", "another seed"):
        page.selectbox(key="control").set_value(control).run()
        assert "Layers 31–94 represent" in texts(page) and "That is a block of the map as it is." in texts(page), (
            control
        )
    page.selectbox(key="control").set_value("minus untrained").run()
    assert not outlines()


def test_a_control_that_is_missing_is_one_button_away(store, monkeypatch):
    submitted = []
    monkeypatch.setattr(submit, "submit", lambda *what: submitted.append(what))
    keep(store, spec(PLAIN_A, PLAIN_B, **FEWER))
    page = open_page(a=PLAIN_A, b=PLAIN_B, n="512", control="minus untrained")
    assert "Not computed yet: minus untrained" in texts(page)
    page.toggle(key="bntrain").set_value(True).run()
    (offer,) = [one for one in page.button if one.label.startswith("Compute it · ≈ ")]
    offer.click().run()
    ((kind, wanted, *_),) = submitted
    expected = replace(spec("cifar-resnet-14x1", "cifar-resnet-38x1", **FEWER), batch_norm="train")
    assert (kind, wanted.key) == ("compare", expected.key)


def test_a_control_that_cannot_be_had_says_why(store):
    keep(store, spec())
    page = open_page(a=A, b=B, control="minus untrained")
    assert "This takes two trained networks" in texts(page) and has_map(page)
    page = open_page(**PAIR, control="another seed")
    assert "The library has no other seed" in texts(page)
    assert any(one.label.startswith("Train ResNet 38x1 with seed 1 · ≈ ") for one in page.button)
    keep(store, replace(spec(), measure="svcca"))
    page = open_page(a=A, b=B, measure="svcca", control="without what the pixels explain")
    assert "of unbiased CKA only" in texts(page)


def test_what_takes_ids_has_no_pixels_that_explain_it(store, monkeypatch):
    network = catalogue.find(A, store)
    monkeypatch.setattr(catalogue, "comparable", lambda store: {A: replace(network, takes_ids=True)})
    keep(store, spec(A, A))
    page = open_page(a=A, b=A, control="without what the pixels explain")
    assert "What the pixels explain is taken out of pictures" in texts(page) and has_map(page)
    assert "takes ids: how far one is from another says nothing" in texts(page)
    assert not any(one.label.startswith("Compute it") for one in page.button)


def test_the_last_choice_is_undone_and_the_one_before(store):
    page = open_page(**PAIR)
    assert button(page, "Undo").disabled
    button(page, "Show ResNet 38x1 with itself").click().run()
    assert not button(page, "Undo").disabled, "the first choice can be undone at once"
    page.selectbox(key="colours").set_value("viridis").run()  # is no choice of what to compare
    page.selectbox(key="la").set_value("stem_conv").run()
    button(page, "Undo").click().run()
    assert page.selectbox(key="la").value != "stem_conv" and page.title[0].value == "ResNet 38x1 × itself"
    button(page, "Undo").click().run()
    assert page.title[0].value == "ResNet 38x1 × ResNet 14x4"
    assert button(page, "Undo").disabled and page.selectbox(key="colours").value == "viridis"


def test_a_pinned_map_is_a_click_away_and_comes_first_among_the_others(store):
    page = open_page(**PAIR)
    button(page, "Pin").click().run()
    assert button(page, "Unpin")
    button(page, "Show ResNet 38x1 with itself").click().run()
    page.session_state["tab"] = page.query_params["tab"] = "Two maps"
    page.run()
    assert page.selectbox(key="beside").options[0].startswith("cifar-resnet-38x1-cifar10-mini-s0 × cifar-resnet-14x4")
    pinned = page.selectbox(key="beside").value
    assert pinned in page.query_params["beside"], "whoever opens the link has no pins"
    button(page, "ResNet 38x1 × ResNet 14x4").click().run()
    assert page.title[0].value == "ResNet 38x1 × ResNet 14x4"
    assert page.selectbox(key="beside").value is None and "beside" not in page.query_params
    assert not [one for one in page.warning if "The link asks" in one.value], "it is the map on screen now"
    button(page, "Unpin").click().run()
    assert not page.session_state["pinned maps"]


def maps_of(page: AppTest) -> list[dict[str, Any]]:
    specs = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    return [chart for chart in specs if chart["data"][0]["type"] == "heatmap"]


def test_two_maps_stand_side_by_side_with_their_difference_where_it_can_be_taken(store):
    trained = spec("cifar-resnet-38x1-cifar10-mini-s0", "cifar-resnet-14x4-cifar10-mini-s0")
    untrained = spec("cifar-resnet-38x1", "cifar-resnet-14x4")
    page = open_page(**PAIR, tab="Two maps", beside=untrained.key)
    this, other = (find(wanted, Store()).matrix for wanted in (trained, untrained))
    _, *three = [numbers(chart["data"][0]["z"]) for chart in maps_of(page)]
    for drawn, expected in zip(three, (this, other, this - other), strict=True):
        assert np.allclose(drawn, expected, atol=1e-6)
    page = open_page(**PAIR, tab="Two maps", beside=spec("cifar-resnet-38x1", "cifar-resnet-38x1").key)
    assert len(maps_of(page)) == 3 and "Their layers differ" in texts(page)


def test_two_maps_have_the_colours_of_one_range_and_their_difference_its_own(store):
    page = open_page(
        **PAIR, tab="Two maps", beside=spec("cifar-resnet-38x1", "cifar-resnet-14x4").key, range="0.9 to 1"
    )
    drawn = [(chart["data"][0]["zmin"], chart["data"][0]["zmax"]) for chart in maps_of(page)]
    assert drawn == [(0.9, 1), (0.9, 1), (0.9, 1), (-1, 1)]


def test_where_a_network_kept_epochs_a_slider_moves_along_its_training(store, monkeypatch):
    submitted = []
    monkeypatch.setattr(submit, "submit", lambda *what: submitted.append(what))
    name = "cifar-resnet-38x1-plain-s0"
    for epoch in (5, 10):
        store.put("networks", f"{name}@{epoch}", b"weights", "keras")
    page = open_page(a=name, b=B)
    slider = page.select_slider(key="epoch of a")
    assert slider.options == ["5", "10", "end"] and slider.value == "end"
    (offer,) = [one for one in page.button if one.label.startswith("Compare 2 kept epochs")]
    offer.click().run()
    assert [one.a.name for one in submitted[0][1].specs] == [f"{name}@5", f"{name}@10"]
    page.select_slider(key="epoch of a").set_value("5").run()
    assert page.selectbox(key="a").value == f"{name}@5" and page.query_params["a"] == f"{name}@5"
    assert "after epoch 5" in texts(page).replace("\xa0", " ")


def test_the_best_match_by_chance_is_drawn_where_it_is_kept_and_else_offered(store, monkeypatch):
    submitted = []
    monkeypatch.setattr(submit, "submit", lambda *what: submitted.append(what))
    keep(store, spec())

    def dashed(page: AppTest) -> list[Any]:
        charts = [chart.proto for chart in page.get("plotly_chart")]
        (curve,) = [json.loads(chart.spec) for chart in charts if chart.id.endswith("curve")]
        return [trace for trace in curve["data"] if trace["line"].get("dash") == "dash"]

    page = open_page(a=A, b=B)
    assert not dashed(page)
    (offer,) = [one for one in page.button if one.label.startswith("What the best match reaches by chance · ≈ ")]
    offer.click().run()
    ((kind, wanted, *_),) = submitted
    assert kind == "best match" and wanted.of.key == spec().key
    found = BestMatchChance(np.zeros(71), np.full(71, 0.02), np.zeros(197), np.full(197, 0.03), 200)
    best_match.keep(wanted, found, store)
    assert len(dashed(open_page(a=A, b=B))) == 2
    assert "show every layer to see it" in texts(open_page(a=A, b=B, kinds="block outputs"))


def test_both_estimators_are_drawn_against_images_and_minibatches(store, monkeypatch):
    submitted = []
    monkeypatch.setattr(submit, "submit", lambda *what: submitted.append(what))
    keep(store, spec())
    cell = {"la": "stem_conv", "lb": "stage1_block1_add"}
    page = open_page(a=A, b=B, tab="Estimators", **cell)
    (offer,) = [one for one in page.button if one.label.startswith("Draw random samples of the images · ≈ ")]
    offer.click().run()
    ((kind, wanted, *_),) = submitted
    assert kind == "estimators" and (wanted.layer_a, wanted.layer_b) == tuple(cell.values())
    x = np.random.default_rng(0).standard_normal((32, 5))
    estimators.keep(wanted, estimates(x @ x.T, x @ x.T, draws=3), store)
    page = open_page(a=A, b=B, tab="Estimators", **cell)
    assert len(page.get("plotly_chart")) == 3
    page.select_slider(key="estimator minibatches").set_value("8").run()
    page.select_slider(key="estimator images").set_value("16").run()
    assert not page.exception and "3 random samples out of 32 images" in texts(page)
    assert "Here few images decide" not in texts(page)
    result = find(spec(), store)
    decide = [np.full(len(layers), 11.0) for layers in (result.layers_a, result.layers_b)]
    few = replace(result, jackknife=Jackknife(np.full(result.matrix.shape, 0.1), *decide))
    store.put("comparisons", spec().key, few.to_bytes())
    assert "Here few images decide" in texts(open_page(a=A, b=B, tab="Estimators", **cell))


def test_of_a_layer_that_does_not_vary_no_estimator_is_offered(store):
    result = comparison(spec().a.architecture, spec().b.architecture)
    silent = replace(result, reasons_a=("no variance", *result.reasons_a[1:]))
    store.put("comparisons", spec().key, silent.to_bytes())
    page = open_page(a=A, b=B, tab="Estimators", la=result.layers_a[0].name, lb=result.layers_b[0].name)
    assert "No estimator says anything of this cell: no variance." in texts(page)
    assert not [one for one in page.button if one.label.startswith("Draw random samples")]


def test_a_network_alone_is_a_small_map_and_more_are_asked_for(store):
    keep(store, spec(b=A))
    page = open_page(a=A, b=A, tab="Several networks")
    assert "Choose more networks" in texts(page)


def test_several_networks_are_a_grid_of_small_maps_that_open_their_pairs(store, monkeypatch):
    submitted = []
    monkeypatch.setattr(submit, "submit", lambda *what: submitted.append(what))
    mini = [f"cifar-resnet-{size}-cifar10-mini-s0" for size in ("14x1", "38x1", "14x4")]
    page = open_page(tab="Several networks", networks=",".join([*mini, B]))
    assert len(page.get("image")) == 6, "three bundled networks: each with itself, and three pairs"
    (offer,) = [one for one in page.button if one.label.startswith("Compare the 4 missing pairs · ≈ ")]
    offer.click().run()
    ((kind, wanted, *_),) = submitted
    assert kind == "several" and {one.a.name for one in wanted.specs} == {B}
    button(page, "ResNet 38x1 × ResNet 14x1").click().run()
    assert page.title[0].value == "ResNet 38x1 × ResNet 14x1" and has_map(page)


def test_small_maps_tell_each_network_from_all_others_and_hold_one_that_a_link_names(store):
    listed = [PLAIN_A, PLAIN_A.replace("s0", "s1"), PLAIN_B]
    page = open_page(tab="Several networks", networks=",".join(listed))
    titles = [one.label for one in page.button if (one.key or "").startswith("open cifar-")]
    assert len(titles) == len(set(titles)) == 6
    assert {"ResNet 14x1, seed 0 × itself", "ResNet 38x1 × ResNet 14x1, seed 1"} <= set(titles)
    keep(store, spec(A, f"{A}:7"))
    page = open_page(a=A, b=f"{A}:7", tab="Several networks")
    assert page.multiselect(key="networks").value == [A, f"{A}:7"] and len(page.get("image")) == 1
