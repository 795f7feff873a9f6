"""The Library page, and activation sets on the Compare page, as Streamlit runs them, without a browser."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from cka_core.base import shipped
from cka_core.comparing import extraction
from cka_core.images.sets import SampleSpec
from cka_core.library import arrivals, catalogue, inventory, keeping
from pages.parts import address
from tests.base.test_foreign_arrays import npz
from tests.library.test_catalogue import BUNDLED, keep, trained
from tests.pages.test_compare import APP, button, has_map, open_page, texts
from tests.results.test_activation_sets import KNOWN, made
from tests.synthetic import comparison

ROOT = Path(__file__).parent.parent.parent


def open_library() -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60).run().switch_page("pages/library.py").run()
    assert not page.exception, page.exception
    return page


def table(page: AppTest, title: str):
    """The table under a heading."""
    headings = [one.value for one in page.markdown if one.value.startswith("## ") and "[0]" not in one.value]
    return page.dataframe[[heading.startswith(f"## {title} ") for heading in headings].index(True)].value


def read(page: AppTest) -> str:
    """The page's text as a reader sees it, without the signs that keep it from being Markdown."""
    return texts(page).replace("\\", "")


def test_a_new_library_shows_what_is_bundled_and_how_to_bring_in_more():
    page = open_library()
    assert list(table(page, "Networks")["origin"]) == ["bundled"] * len(list(shipped.NETWORKS.glob("*.json")))
    assert len(table(page, "Comparisons")) == len(list(shipped.COMPARISONS.glob("*.npz")))
    assert "activations extract NETWORK" in texts(page)
    assert "Damaged" not in texts(page)
    assert page.markdown[0].value.startswith("## Networks")  # Streamlit would write a stray string on the page
    assert not page.error and not page.warning


def test_everything_kept_is_listed(store, tmp_path):
    trained(store)
    made(tmp_path / "s.npz", "acts")
    arrivals.import_set(tmp_path / "s.npz", store)
    keep(store, "mine", "acts")
    page = open_library()
    assert "mine" in list(table(page, "Networks")["name"])
    assert list(table(page, "Activation sets")["name"]) == ["acts"]
    assert "mine × acts" in list(table(page, "Comparisons")["name"])


def test_an_npz_that_may_be_images_is_said_to_be_taken_as_activations_and_how_it_becomes_an_image_set(store):
    rng = np.random.default_rng(0)
    for name, arrays, asked in (
        ("mine", {"X": rng.integers(0, 256, (60, 8, 8, 3)), "y": np.arange(60) % 3}, True),
        ("acts", {"conv": rng.standard_normal((60, 8, 8, 16)), "head": rng.standard_normal((60, 9))}, False),
    ):
        _, key = arrivals.bring_in(io.BytesIO(npz(**arrays)), f"{name}.npz", store)
        page = AppTest.from_file(APP, default_timeout=60).run()
        page.session_state["brought in"] = [("activations", key, "", f"{name}.npz")]
        page.switch_page("pages/library.py").run()
        assert "Taken as activations: 2 layers, 60 images. The order of its images is assumed." in page.success[0].value
        told = [one.value for one in page.info if "Then it is an image set" in one.value]
        assert ["If `X` in `mine` are images: rename it to `images`" in one for one in told] == [True] * asked


def test_damage_is_listed_with_what_to_do_and_removed_by_a_button(store):
    trained(store, "broken")
    store.write_record("networks/broken.json", {})
    page = open_library()
    assert "broken: its description is damaged" in read(page) and "Train it again" in read(page)
    button(page, "Remove").click().run()
    assert "its description is damaged" not in read(page)


def test_a_name_that_is_markdown_is_shown_as_it_is(store, tmp_path):
    made(tmp_path / "s.npz", "a![x](http://evil)<b>")
    assert arrivals.import_set(tmp_path / "s.npz", store).name == "a-x-http-evil-b"
    store.write_record("networks/**x**.json", {})
    assert r"\*\*x\*\*\: its file is missing" in texts(open_library())


def test_what_was_removed_is_put_back_from_the_trash(store):
    trained(store)
    keeping.remove("networks", "mine", "mine", store)
    page = open_library()
    assert "mine" not in list(table(page, "Networks")["name"])
    button(page, "Put back").click().run()
    assert "mine" in list(table(page, "Networks")["name"])


def test_putting_back_where_the_name_is_taken_says_so(store):
    trained(store)
    keeping.remove("networks", "mine", "mine", store)
    page = open_library()
    trained(store, weights="1" * 32)
    button(page, "Put back").click().run()
    assert "Something else is called mine by now" in page.error[0].value.replace("\\", "")


# Activation sets on the Compare page


@pytest.fixture
def acts(store, tmp_path) -> str:
    """An activation set of an untrained network on 64 images, in the library."""
    network = catalogue.find("cifar-resnet-8x1", store).spec
    sample = SampleSpec("cifar10-mini", "test", 64, 0)
    extraction.extract(network, sample, 32, tmp_path / "acts.npz", store, name="acts", layers=["*_add"])
    return arrivals.import_set(tmp_path / "acts.npz", store).name


def test_a_set_is_picked_like_a_network_and_brings_its_images(store, acts):
    page = open_page(a=acts, b="cifar-resnet-8x1:1", n="512")
    assert "64 test images of cifar10-mini, seed 0, in minibatches of 32" in texts(page).replace("\\", "")
    assert not page.select_slider and not button(page, "Compare").disabled
    labels = page.selectbox(key="a").options
    assert "acts · activation set" in labels


def test_sets_of_other_images_are_refused_with_the_images_of_both(store, acts, tmp_path):
    made(tmp_path / "other.npz", "other")
    arrivals.import_set(tmp_path / "other.npz", store)
    page = open_page(a=acts, b="other")
    said = page.warning[0].value.replace("\\", "")
    assert "acts: 64 test images of cifar10-mini (seed 0" in said
    assert "other: 20 test images of cifar10-mini (seed 0, digest dddddddd)" in said
    assert button(page, "Compare").disabled


def test_a_set_without_known_images_cannot_meet_a_network(store, tmp_path):
    from dataclasses import replace

    made(tmp_path / "s.npz", "unknown", replace(KNOWN, images="", split="", digest=""))
    arrivals.import_set(tmp_path / "s.npz", store)
    page = open_page(a="unknown", b="cifar-resnet-8x1")
    assert "does not say which images" in page.warning[0].value and button(page, "Compare").disabled
    page = open_page(a="unknown", b="unknown")
    assert not page.warning and not button(page, "Compare").disabled


def test_a_link_opens_no_file(tmp_path):
    made(tmp_path / "s.npz")
    page = open_page(a=str(tmp_path / "s.npz"))
    assert "cannot be had here" in texts(page)


def test_a_comparison_of_networks_that_are_gone_is_opened_by_its_key_until_something_is_chosen(store):
    trained(store)
    spec = keep(store, "mine", BUNDLED)
    keeping.remove("networks", "mine", "mine", store)
    page = open_page(result=spec.key)
    assert has_map(page) and "Opened from the Library" in texts(page) and "which is not here" not in texts(page)
    assert page.title[0].value == f"mine × {BUNDLED}"
    page.selectbox(key="b").set_value("resnet50").run()
    assert "Opened from the Library" not in texts(page) and "result" not in page.query_params


@pytest.mark.parametrize("key", ["nothing", "../../etc/passwd", "uploaded-" + "0" * 24, "*", ""])
def test_a_link_to_a_result_that_is_not_here_shows_the_page_as_ever(key):
    page = open_page(result=key)
    assert has_map(page) and page.title[0].value == "ResNet 38x1 × itself"
    assert [
        one.value for one in page.warning if f"asks for the result {address.code(key)}, which is not here" in one.value
    ]
    page.run()
    assert "which is not here" in texts(page)
    page.selectbox(key="la").set_value("stem_conv").run()
    page.selectbox(key="b").set_value("resnet50").run()
    assert "which is not here" not in texts(page)


def test_an_opened_comparison_from_elsewhere_is_only_shown(store, tmp_path):
    with open(comparison().save(tmp_path / "r.npz"), "rb") as file:
        _, key = arrivals.bring_in(file, "r.npz", store)
    page = open_page(result=key)
    assert has_map(page) and not page.exception


def test_a_comparison_whose_networks_are_here_is_opened_as_the_pages_own(store):
    trained(store)
    keep(store, "mine", BUNDLED)
    row = next(row for row in inventory.comparisons(store) if row.name == f"mine × {BUNDLED}")
    assert row.address["a"] == "mine" and "result" not in row.address
    keeping.rename("mine", "better", store)
    row = next(row for row in inventory.comparisons(store) if row.origin == "computed")
    assert row.address["a"] == "better"
    page = open_page(**row.address)
    assert has_map(page) and button(page, "Compare").disabled


def test_using_the_library_imports_neither_tensorflow_nor_dask(tmp_path):
    code = (
        "import sys; from streamlit.testing.v1 import AppTest;"
        f"page = AppTest.from_file({str(APP)!r}, default_timeout=60).run();"
        "page.switch_page('pages/library.py').run();"
        "assert not page.exception, page.exception;"
        "print([m for m in ('tensorflow', 'keras', 'distributed', 'dask') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stdout + done.stderr
