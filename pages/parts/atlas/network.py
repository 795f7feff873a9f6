"""One network large: its map with what explains it, beside the map without it, and the images behind its block."""

from __future__ import annotations

from collections.abc import Collection

import streamlit as st

from cka_core.atlas import figures as atlas_figures
from cka_core.atlas.images import Dominant
from cka_core.atlas.one_network import Behind, Facts, OneNetwork, one_network
from cka_core.atlas.result import Atlas
from cka_core.atlas.views import network_lines
from cka_core.base.store import Store
from cka_core.images import pictures
from cka_core.images.sets import Images, is_available
from cka_core.measures.blocks import RULE
from cka_core.results.figures import CONFIG
from pages.parts import address, drawn, holding, phone
from pages.parts.atlas import grid as atlas_grid

REMOVALS = {"first component": "component", "influential images": "images"}
"""What can be removed, in words, and as `atlas.result.REMOVED` calls it."""


def section(atlas: Atlas, network: str, epoch: int, kinds: str, colours: str, store: Store) -> None:
    without = _pickers(network_lines(atlas), network)
    shown = one_network(atlas, network, epoch, REMOVALS[without], kinds)
    facts(shown.facts)
    maps(shown, colours)
    images(atlas, network, shown, store)


def _pickers(lines: dict[str, str], network: str) -> str:
    with st.container(horizontal=True, vertical_alignment="top"):
        # The choice outlives the picker, which is gone while another tab is open.
        holding.put("network shown", network)
        st.selectbox(
            "Network", list(lines), format_func=lines.__getitem__, key="network shown", width=260,
            on_change=holding.on_choice("network shown", _choose),
        )  # fmt: skip
        address.check("without", REMOVALS.__contains__)
        return st.segmented_control(
            "Beside it, the map without the", list(REMOVALS), default="first component", required=True, key="without",
            bind="query-params", help="A layer’s first component is the direction in which its activations of the "
            "images differ most. An influential image is one without which similarity changes much.",
        )  # fmt: skip


def _choose() -> None:
    address.put("network", st.session_state["network shown"])


def facts(known: Facts) -> None:
    """The network in two lines."""
    fit = f"{100 * known.train:.0f} % of {known.train_images:,} training images"
    fit += "" if known.fitted else ", **not fitted**"
    st.markdown(
        f"After epoch {known.epoch}: **{known.test}** of {known.test_images:,} test images right, {fit} · "
        f"{known.layers} layers · {known.parameters} parameters",
        help="Not fitted: fewer than 90 % of the training images right. The paper’s networks fit theirs.",
    )
    if not known.blocks:
        st.markdown("No block: no run of layers is much more alike than its neighbours.")
        return
    beyond = f", {100 * known.outside:.0f} % in the other layers" if known.outside == known.outside else ""
    st.markdown(
        f"**Block: {known.blocks}.** There the first component holds {100 * known.inside:.0f} % "
        f"of a layer’s variance{beyond} (medians).",
        help=f"{RULE} The number after the layers is their median CKA with each other.",
    )
    st.caption(known.sure)


def maps(shown: OneNetwork, colours: str) -> None:
    """The map as it is, and beside it the one without."""
    narrow, without = atlas_grid.is_narrow(), shown.without
    if shown.view is None:
        st.warning(address.plain(shown.problem), icon=":material/filter_alt_off:")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**As it is**, after epoch {shown.facts.epoch}")
        figure = atlas_figures.large_map(shown.view, shown.title, colours=colours, narrow=narrow)
        alt = atlas_figures.large_alt(shown.view, shown.title, "as it is")
        config = phone.chart(CONFIG, narrow=narrow)
        st.plotly_chart(drawn.readable(figure), width="stretch", key="map", alt=alt, config=config)
    with right:
        if without.view is None:
            st.info("This atlas was not asked for this map.")
            return
        if not shown.is_last:
            st.markdown(f"**Without {without.removed}**")
            st.caption(f"Known after the last epoch, {without.epoch}.")
            st.button(
                f"Show epoch {without.epoch}", icon=":material/last_page:", on_click=address.put,
                args=("epoch", without.epoch),
            )  # fmt: skip
            return
        st.markdown(f"**Without {without.removed}**, after epoch {without.epoch}")
        figure = atlas_figures.large_map(
            without.view, shown.title, colours=colours, narrow=narrow, before=without.before
        )
        alt = atlas_figures.large_alt(without.view, shown.title, without.words)
        st.plotly_chart(drawn.readable(figure), width="stretch", key="map without", alt=alt, config=config)
    st.markdown(f"Without {without.removed}: {without.blocks}; before: {without.blocks_before}.")


@st.cache_resource(max_entries=2, show_spinner=False)
def sample(spec_key: str, root: str, _atlas: Atlas, _store: Store) -> Images:
    return _atlas.sample.load(_store)


def images(atlas: Atlas, network: str, shown: OneNetwork, store: Store) -> None:
    """The images that make most of the first component, as pictures, and what that means."""
    st.markdown(
        "## The images behind the block" if shown.behind[0].block else "## The images behind the first component"
    )
    if not is_available(atlas.sample.images, store):
        st.caption(f"The pictures of {atlas.sample.images} are not here.")
        return
    behind = _behind_asked(network, shown.behind)
    st.markdown(behind.text)
    seen = sample(str(atlas.sample), store.root, atlas, store)
    dominant(behind.dominant, seen, width=96, key="dominant", marked=shown.influential)
    if shown.influential:
        st.caption(f"✕ one of the {len(shown.influential)} most influential images that can be removed above.")


def dominant(found: Dominant, seen: Images, *, width: int, key: str, marked: Collection[int] = ()) -> None:
    """The images that make most of a first component, of those ``seen``, each with its share; some ``marked``."""
    with st.container(horizontal=True, gap="small", key=key):
        for position, share in zip(found.positions.tolist(), found.shares.tolist(), strict=True):
            name = seen.classes[seen.y[position]]
            st.image(
                pictures.enlarged(seen.x[position]),
                width=width,
                alt=f"test image {position}: {name}",
                caption=f"{name} {100 * share:.1f}\N{NO-BREAK SPACE}%{' ✕' if position in marked else ''}",
            )


def _behind_asked(network: str, found: tuple[Behind, ...]) -> Behind:
    """The block to explain: the longest, or the one chosen where there are several."""
    if len(found) < 2:
        return found[0]
    which = st.segmented_control(
        "Block", range(len(found)), default=0, required=True, key=f"block of {network}",
        format_func=lambda at: found[at].block, label_visibility="collapsed",
    )  # fmt: skip
    return found[which]
