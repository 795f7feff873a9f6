"""In words what the map shows: its block, what other networks say, three sentences to begin with, a job that failed."""

from __future__ import annotations

import streamlit as st

from cka_core.base import shipped
from cka_core.base.store import Store
from cka_core.images.image_set import ImageSet
from cka_core.jobs import submit
from cka_core.library import siblings
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.measures import registry
from cka_core.measures.blocks import RULE
from cka_core.networks.fitting import DoesNotFit, plan
from cka_core.results import blocks, differences, views
from cka_core.results.activation_sets import shared_sample
from cka_core.results.comparison import Comparison
from pages.parts import address, hiding, holding
from pages.parts.compare import card, walk
from pages.parts.compare.choosing import show
from pages.parts.compare.which import OnScreen
from pages.parts.glossary import hint


def tell_job(job: submit.JobStatus | None) -> None:
    """Above the map: what became of a job that is not at work any more."""
    if job is None:
        return
    if job.state == submit.FAILED:
        reason = address.plain(job.error or "No reason is known.")
        st.error(f"The comparison failed. {reason}", icon=":material/error:")
    elif job.state == submit.STOPPED:
        st.info("Stopped. What is finished so far is kept: Resume goes on from there.", icon=":material/pause_circle:")
    elif job.state == submit.INTERRUPTED:
        st.warning(f"Interrupted. {address.plain(job.error or '')}", icon=":material/pause_circle:")


def story(on: OnScreen, networks: dict[str, NetworkInfo], shown: Comparison) -> None:
    """Beside the map ``shown``: a network's block in one sentence, and what another seed of its training says."""
    if not on.is_cka:
        return
    if on.comparison.is_self:
        as_it_is = shown is on.comparison
        told = blocks.told(on.comparison, outlined=as_it_is)
        st.markdown(told or f"No block in {'this map' if as_it_is else 'the map as it is'}.", help=RULE)
        if told:
            _another_seed(on, networks)
    else:
        said = _between(str(shipped.ATLAS), on.a.spec.weights, on.b.spec.weights)
        if said:
            st.markdown(said, help=RULE)


def _another_seed(on: OnScreen, networks: dict[str, NetworkInfo]) -> None:
    said = _of_another_seed(str(shipped.ATLAS), on.a.spec.weights)
    if said is None or said[0] not in networks:
        return
    other, text = said
    st.markdown(text)
    st.button(
        "See the two together", key="the other seed", icon=":material/arrow_forward:", type="tertiary",
        on_click=show, args=(on.a, other),
    )  # fmt: skip


@st.cache_data(max_entries=16, show_spinner=False)
def _of_another_seed(atlas_in: str, weights: str) -> tuple[str, str] | None:
    """From the bundled atlas: the other seed of the network with these weights, and a sentence about it. The folder
    is what the answer hangs on, so that one given without an atlas there is not kept for when there is one."""
    from cka_core.atlas import pairs, result  # here, so that other maps do not wait for them

    atlas = result.bundled() if weights else None
    found = pairs.other_seed(atlas, weights) if atlas is not None else None
    return (found.name, pairs.other_seed_text(found)) if found is not None else None


@st.cache_data(max_entries=16, show_spinner=False)
def _between(atlas_in: str, weights_a: str, weights_b: str) -> str:
    """From the bundled atlas: what two seeds of one training have in common; "" of other networks."""
    from cka_core.atlas import pairs, result

    atlas = result.bundled() if weights_a and weights_b else None
    return pairs.two_seeds_text(atlas, weights_a, weights_b) if atlas is not None else ""


def how_to_read(
    comparison: Comparison,
    a: NetworkInfo,
    b: NetworkInfo,
    networks: dict[str, NetworkInfo],
    images: ImageSet | None = None,
) -> None:
    """Three sentences under the map, each with something to click that can be compared on its ``images``."""
    if hiding.hides("reading"):
        return
    cell, block, untrained = st.columns(3, gap="medium")
    names_a, names_b = views.unique_names(comparison.layers_a), views.unique_names(comparison.layers_b)
    with cell:
        measure = registry.MEASURES.get(str(comparison.provenance.get("measure")))
        scale = f"{measure.range}." if measure else "1 up to rotation and scale, 0 not at all."
        said = f"**A cell** says how alike two layers represent the images: {scale}"
        if differences.is_difference(comparison):
            said = "**A cell** says how much more alike two layers became by training: above 0 more, below 0 less."
        st.markdown(said, help=hint("layer", "representation"))
        example = views.example_cell(comparison)
        if example:
            layers = names_a[example[0]], names_b[example[1]]
            st.button("Show a cell", icon=":material/ads_click:", type="tertiary", on_click=card.open_cell, args=layers)
    with block:
        said = "**A bright block** is a run of layers that change little: they represent the images almost alike."
        st.markdown(said, help=hint("block"))
        if comparison.is_self:
            target = partner(a, networks, images)
            seen = "Back to" if "before itself" in st.session_state else "Show"
            label = f"{seen} {network_words.pair_title(a, networks[target])}" if target else ""
        else:
            st.session_state["before itself"] = b.spec.name
            label, target = f"Show {a.title} with itself", a.spec.name
        if target:
            st.button(label, icon=":material/grid_view:", type="tertiary", on_click=show, args=(a, target))
    with untrained:
        st.markdown("**Untrained networks** show what the architecture does alone; the rest was learned.")
        to_untrained = bool(a.trained_on or b.trained_on)
        label = "Show both untrained" if to_untrained else "Show both trained"
        possible = True
        if not _counterparts((a, b), networks, untrained=to_untrained):
            label = "Show a trained pair"
            possible = all(_takes(networks[name], images) for name in (walk.DEEP, walk.WIDE) if name in networks)
        if possible:
            st.button(
                label, icon=":material/model_training:", type="tertiary", on_click=_show_counterparts,
                args=((a, b), networks, to_untrained),
            )  # fmt: skip


def _counterparts(
    pair: tuple[NetworkInfo, NetworkInfo], networks: dict[str, NetworkInfo], *, untrained: bool
) -> tuple[str, ...]:
    """The names of two networks ``untrained``, or both trained; none where one of them is not there."""
    if untrained and all(info.trained_on for info in pair):
        before = siblings.both_untrained(*pair, Store())
        return () if before is None else (before.a.spec.name, before.b.spec.name)
    names = (
        network_words.counterpart(info, networks) if bool(info.trained_on) == untrained else info.spec.name
        for info in pair
    )
    found = tuple(name for name in names if name)
    return found if len(found) == len(pair) else ()


def _show_counterparts(
    pair: tuple[NetworkInfo, NetworkInfo], networks: dict[str, NetworkInfo], untrained: bool
) -> None:
    """Those of the pair that is chosen when it is pressed, which may be a later one than the button's."""
    known = {**networks, **{info.spec.name: info for info in pair}}
    a, b = (known.get(holding.held(side), info) for side, info in zip("ab", pair, strict=True))
    show(*(_counterparts((a, b), networks, untrained=untrained) or (walk.DEEP, walk.WIDE)))


def partner(a: NetworkInfo, networks: dict[str, NetworkInfo], images: ImageSet | None = None) -> str:
    """Whom to compare a network with that was compared with itself: the one before, as trained or untrained as it.

    Only one that can be compared with it on these ``images``; "" where there is none.
    """
    able = {name for name, info in networks.items() if name != a.spec.name and _go_together(a, info, images)}
    for name in (st.session_state.get("before itself"), walk.SECOND_SEED, walk.BLOCK):
        if name in networks and bool(networks[name].trained_on) != bool(a.trained_on):
            name = network_words.counterpart(networks[name], networks)
        if name in able:
            return str(name)
    return next((name for name in networks if name in able), "")


def _go_together(a: NetworkInfo, other: NetworkInfo, images: ImageSet | None) -> bool:
    """Whether two can be compared: networks on these images, an activation set on its own."""
    sets = [info.activations for info in (a, other) if info.activations is not None]
    if not sets:
        return _takes(other, images)
    try:
        sample, _ = shared_sample(sets)
    except ValueError:
        return False
    return len(sets) == 2 or (bool(sample.images) and all(_takes(info, images) for info in (a, other)))


def _takes(network: NetworkInfo, images: ImageSet | None) -> bool:
    """Whether images of a set enter a network, made to fit if need be."""
    if network.activations is not None or images is None or not network.input_shape:
        return True
    try:
        plan(images.shape, network.input_shape, ids=network.takes_ids)
    except DoesNotFit:
        return False
    return True
