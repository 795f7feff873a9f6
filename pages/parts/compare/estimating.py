"""Which estimator: biased and unbiased CKA of one pair of layers, against how many images there are."""

from __future__ import annotations

import streamlit as st

from cka_core.base.store import Store
from cka_core.comparing import estimate
from cka_core.measures.kernels import NO_VARIANCE, ONE_IMAGE
from cka_core.results import estimators, trust, views
from cka_core.results.comparison import Comparison
from cka_core.results.estimators import MOST_IMAGES, EstimatorSpec
from pages.parts import drawn, phone
from pages.parts.compare import missing, the_map
from pages.parts.compare.measuring import chosen_or_example
from pages.parts.compare.which import NEEDS_NETWORKS, OnScreen
from pages.parts.glossary import explain

WHOLE = "all at once"
FEW_DECIDE = " Here few images decide, and samples that lack them have another value: so both move."


def view(on: OnScreen, cell: tuple[str, str] | None, store: Store) -> None:
    """The two curves, with their spread and the theory; sliders for what the other axis holds fixed."""
    narrow = the_map.is_narrow()
    if on.spec is None:
        st.caption(NEEDS_NETWORKS)
        return
    shown = chosen_or_example(on, cell, help=explain("unbiased"))
    if shown is None:
        return
    of = _cell(on.comparison, shown)
    silent = next((reason for reason in (*of.reasons_a, *of.reasons_b) if reason in (NO_VARIANCE, ONE_IMAGE)), None)
    if silent:
        st.caption(f"No estimator says anything of this cell: {silent}.")
        return
    spec = EstimatorSpec(on.spec, *shown)
    found = estimators.find(spec, store)
    if found is None:
        most = min(on.spec.sample.n or MOST_IMAGES, MOST_IMAGES)
        seconds = estimate.estimator_seconds(on.a, on.b, most, spec.draws, store)
        title = f"{on.title}, estimators"
        missing.offer("estimators", spec, "Draw random samples of the images", title, seconds, store, key="estimators")
        st.caption("Then this shows both estimators against the number of images and the size of minibatches.")
        return
    features = views.features(of.layers_a[0]), views.features(of.layers_b[0])
    left, right = st.columns(2, gap="large")
    with left:
        sizes = [WHOLE, *(f"{size:,}" for size in found.sizes)]
        size = st.select_slider("Minibatches of", sizes, value=WHOLE, key="estimator minibatches")
        chosen = 0 if size == WHOLE else int(size.replace(",", ""))
        figure = estimators.against_images(found, chosen, features, narrow=narrow)
        _chart(figure, "images", "Biased and unbiased CKA against the number of images.")
    with right:
        numbers = [f"{n:,}" for n in found.images]
        n = st.select_slider("Images", numbers, value=numbers[-1], key="estimator images")
        figure = estimators.against_sizes(found, int(n.replace(",", "")), features, narrow=narrow)
        _chart(figure, "sizes", "Biased and unbiased CKA against the images in a minibatch.")
    st.caption(
        f"Bands: nine of ten of {len(found.biased)} random samples out of {found.images[-1]:,} images. The unbiased "
        "estimator stays where it is, and only its spread grows as images become few. The biased one rises towards 1, "
        "as that of noise does (dashed: these layers with the images of one permuted, exactly; dotted: Murphy et al. "
        "2024, sqrt(pq / ((n + p)(n + q)))). In minibatches it keeps the bias of the minibatch, however many there are."
        + (FEW_DECIDE if trust.note(of, 0, 0).startswith(trust.FEW) else "")
    )


def _cell(comparison: Comparison, layers: tuple[str, str]) -> Comparison:
    """The map of these two layers alone."""
    names = views.unique_names(comparison.layers_a), views.unique_names(comparison.layers_b)
    return comparison.select(*([own.index(layer)] for own, layer in zip(names, layers, strict=True)))


def _chart(figure: object, key: str, alt: str) -> None:
    st.plotly_chart(
        drawn.readable(figure), width="stretch", key=f"estimator chart {key}", alt=alt,
        config=phone.chart({"displaylogo": False}, narrow=the_map.is_narrow()),
    )  # fmt: skip
