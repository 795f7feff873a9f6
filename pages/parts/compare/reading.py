"""In words what the map shows: its blocks, three sentences to begin with, and how the job of one to come is doing."""

from __future__ import annotations

import streamlit as st

from cka_core.jobs import submit
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.measures import registry
from cka_core.measures.blocks import RULE
from cka_core.results import views
from cka_core.results.comparison import Comparison
from pages.parts import address, hiding, widgets
from pages.parts.compare.choosing import DEFAULT_A, DEFAULT_B, show
from pages.parts.glossary import hint


def tell_job(job: submit.JobStatus | None) -> None:
    """Above the map: how the job is doing."""
    if job is None:
        return
    if widgets.at_work(job):
        widgets.job_progress(job.key)
    elif job.state == "failed":
        reason = address.plain(job.error or "No reason is known.")
        st.error(f"The comparison failed. {reason}", icon=":material/error:")
    elif job.state == "stopped":
        st.info("Stopped. What is finished so far is kept: Resume goes on from there.", icon=":material/pause_circle:")
    elif job.state == "interrupted":
        st.warning(f"Interrupted. {address.plain(job.error or '')}", icon=":material/pause_circle:")


def tell_blocks(marks: tuple[tuple[int, int, str], ...]) -> None:
    """Which blocks are outlined, and what a block is."""
    told = " and ".join(text for _, _, text in marks)
    st.caption(
        f"Outlined: the block, {told} (which layers, and their median CKA)." if marks else "No block in this map.",
        help=RULE,
    )


def how_to_read(comparison: Comparison, a: NetworkInfo, b: NetworkInfo, networks: dict[str, NetworkInfo]) -> None:
    """Three sentences under the map, each with something to click."""
    if hiding.hides("reading"):
        return
    cell, block, untrained = st.columns(3, gap="medium")
    names_a, names_b = views.unique_names(comparison.layers_a), views.unique_names(comparison.layers_b)
    with cell:
        measure = registry.MEASURES.get(str(comparison.provenance.get("measure")))
        scale = f"{measure.range}." if measure else "1 up to rotation and scale, 0 not at all."
        said = f"**A cell** says how alike two layers represent the images: {scale}"
        st.markdown(said, help=hint("layer", "representation"))
        example = views.example_cell(comparison)
        if example:
            layers = names_a[example[0]], names_b[example[1]]
            st.button("Show a cell", icon=":material/ads_click:", type="tertiary", on_click=choose_cell, args=layers)
    with block:
        said = "**A bright block** is a run of layers that change little: they represent the images almost alike."
        st.markdown(said, help=hint("block"))
        if comparison.is_self:
            target = partner(a, networks)
            label = f"Back to {a.title} × {networks[target].title}"
        else:
            st.session_state["before itself"] = b.spec.name
            label, target = f"Show {a.title} with itself", a.spec.name
        st.button(label, icon=":material/grid_view:", type="tertiary", on_click=show, args=(a, target))
    with untrained:
        st.markdown("**Untrained networks** show what the architecture does alone; the rest was learned.")
        to_untrained = bool(a.trained_on or b.trained_on)
        targets = [
            network_words.counterpart(info, networks) if bool(info.trained_on) == to_untrained else info.spec.name
            for info in (a, b)
        ]
        label = "Show both untrained" if to_untrained else "Show both trained"
        if not all(targets):
            label, targets = "Show a trained pair", [DEFAULT_A, DEFAULT_B]
        st.button(label, icon=":material/model_training:", type="tertiary", on_click=show, args=tuple(targets))


def partner(a: NetworkInfo, networks: dict[str, NetworkInfo]) -> str:
    """Whom to compare a network with that was compared with itself: the one before, as trained or untrained as it."""
    for name in (st.session_state.get("before itself"), DEFAULT_B, DEFAULT_A):
        if name in networks and bool(networks[name].trained_on) != bool(a.trained_on):
            name = network_words.counterpart(networks[name], networks)
        if name in networks and name != a.spec.name:
            return name
    return next(name for name in networks if name != a.spec.name)


def choose_cell(layer_a: str, layer_b: str) -> None:
    st.session_state["la"], st.session_state["lb"] = layer_a, layer_b
