"""Whatever stands in the address, every page is drawn: nothing, something twice, something huge, something else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from tests.pages.test_compare import APP

KEYS = {
    "compare": (
        "a", "b", "images", "split", "n", "draw", "seed", "balanced", "batch", "kinds", "search", "colours", "la", "lb",
        "tab", "result", "measure", "control", "bntrain", "passes", "range", "beside", "networks", "hide",
    ),
    "atlas": (
        "atlas", "network_seed", "layers", "component", "colours", "epoch", "network", "without", "one", "other",
        "over", "wide", "deep", "view", "hide",
    ),
    "train": (
        "family", "depth", "resnet", "width", "preset", "seeds", "set", "share", "epochs", "minibatch", "optimizer",
        "rate", "schedule", "l2", "augment", "heldout", "start", "keep", "mixed", "xla", "cpu", "deterministic",
    ),
    "learn": ("chapter", "step", "present", "set", "layer_a", "layer_b", "width", "images"),
    "library": ("a", "file", "result"),
}  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "9" * 5000, "1e999", "nan", "²", "٣", "None", "true", "../../etc/passwd", "x" * 20_000,
         "[" * 500, "<img src=x onerror=alert(1)>", "![x](http://evil)", "`$x$`", "\x00", "*",
         "cifar-resnet-14x1:" + "9" * 5000, "cifar-resnet-9998x999", "resnet50", "first", "a.npz", "b.keras"]
    ),
    st.text(max_size=30),
)  # fmt: skip
VALUES = st.one_of(TEXTS, st.lists(TEXTS, min_size=2, max_size=3))


def asked(page: str):
    return st.dictionaries(st.sampled_from(KEYS[page]), VALUES, min_size=1, max_size=6)


def drawn(page: str, address: dict) -> AppTest:
    """The page that this address opens."""
    at = AppTest.from_file(APP, default_timeout=120)
    if page != "compare":
        at.run()
        at.switch_page(f"pages/{page}.py")
    for key, value in address.items():
        at.query_params[key] = value
    return at.run()


@pytest.mark.parametrize("page", KEYS)
def test_every_page_is_drawn_whatever_is_asked(page):
    @settings(max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(asked(page))
    def check(address):
        at = drawn(page, address)
        assert not at.exception, (address, at.exception[0].message)
        assert not any("<img" in element.proto.body for element in at.get("html"))

    check()


@pytest.mark.parametrize("value", ["", "x" * 300, "9" * 400, "<img src=x onerror=alert(1)>"])
@pytest.mark.parametrize("page", KEYS)
def test_every_page_is_drawn_where_everything_is_the_same(page, value):
    assert not drawn(page, dict.fromkeys(KEYS[page], value)).exception


@pytest.mark.parametrize(
    "page, key, value", [("compare", "split", ""), ("atlas", "network_seed", ""), ("compare", "seed", "9" * 5000)]
)
def test_what_cannot_be_had_is_said_and_the_default_taken(page, key, value):
    at = drawn(page, {key: value})
    assert not at.exception
    assert any("which cannot be had here" in warning.value for warning in at.warning)
