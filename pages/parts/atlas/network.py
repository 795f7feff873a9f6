"""One network large: its map with what explains it, beside the map without it, and the images behind its block."""

from __future__ import annotations

import streamlit as st

from cka_core.atlas import figures as atlas_figures
from cka_core.atlas import images as atlas_images
from cka_core.atlas import views as atlas_views
from cka_core.atlas.result import Atlas, Member
from cka_core.base import words
from cka_core.base.store import Store
from cka_core.images import pictures
from cka_core.images.sets import Images, is_available
from cka_core.measures.blocks import Block, block_text
from pages.parts import address
from pages.parts.atlas import grid as atlas_grid

PICTURES = 10
REMOVALS = {"first component": "component", "influential images": "images"}
"""What can be removed, in words, and as `atlas.REMOVED` calls it."""


def section(atlas: Atlas, network: str, epoch: int, kinds: str, colours: str, store: Store) -> None:
    lines = atlas_views.network_lines(atlas)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        # The choice outlives the picker, which is gone while another tab is open.
        st.session_state["network shown"] = network
        st.selectbox(
            "Network", list(lines), format_func=lines.__getitem__, key="network shown", width=260, on_change=_choose
        )
        address.check("without", REMOVALS.__contains__)
        without = st.segmented_control(
            "Beside it, the map without the", list(REMOVALS), default="first component", required=True, key="without",
            bind="query-params", help="A layer’s first component is the direction in which its activations of the "
            "images differ most. An influential image is one without which similarity changes much.",
        )  # fmt: skip
    member = atlas.member(network)
    facts(member, epoch)
    maps(atlas, member, epoch, REMOVALS[without], kinds, colours)
    images(atlas, member, store)


def _choose() -> None:
    st.session_state["network"] = st.session_state["network shown"]


def _to_the_end(epoch: int) -> None:
    st.session_state["epoch"] = epoch


def _removal(member: Member, what: str) -> str:
    return "each layer’s first component" if what == "component" else f"{len(member.influential)} influential images"


def facts(member: Member, epoch: int) -> None:
    """The network in two lines."""
    snapshot = atlas_views.at_or_before(member, epoch)
    fit = f"{100 * snapshot.train_accuracy:.0f} % of {member.train_images:,} training images"
    fit += "" if atlas_views.is_fitted(snapshot) else ", **not fitted**"
    st.markdown(
        f"After epoch {snapshot.epoch}: **{atlas_views.test_text(member, snapshot)}** of {member.test_images:,} test "
        f"images right, {fit} · {len(member.layers)} layers · "
        f"{words.count_text(member.parameters)} parameters",
        help="Not fitted: fewer than 90 % of the training images right. The paper’s networks fit theirs.",
    )
    inside, outside = atlas_views.median_shares(member, snapshot)
    if not snapshot.blocks:
        st.markdown("No block: no run of layers is much more alike than its neighbours.")
        return
    beyond = f", {100 * outside:.0f} % in the other layers" if outside == outside else ""
    st.markdown(
        f"**Block: {atlas_views.blocks_text(snapshot.blocks)}.** There the first component holds {100 * inside:.0f} % "
        f"of a layer’s variance{beyond} (medians).",
        help="A block is a run of layers at least 0.1 more alike than the layers beyond its edges. The number after "
        "the layers is their median CKA with each other.",
    )


def maps(atlas: Atlas, member: Member, epoch: int, removed: str, kinds: str, colours: str) -> None:
    """The map as it is, and beside it the one without."""
    narrow = atlas_grid.is_narrow()
    snapshot = atlas_views.at_or_before(member, epoch)
    left, right = st.columns(2, gap="medium")
    try:
        view = atlas_views.large_view(atlas, member.name, snapshot.epoch, kinds=kinds)
    except ValueError as error:
        st.warning(address.plain(str(error)), icon=":material/filter_alt_off:")
        return
    with left:
        st.markdown(f"**As it is**, after epoch {snapshot.epoch}")
        figure = atlas_figures.large_map(view, member.title, colours=colours, narrow=narrow)
        alt = atlas_figures.large_alt(view, member.title, "as it is")
        st.plotly_chart(figure, width="stretch", key="map", alt=alt, config=atlas_figures.CONFIG)
    with right:
        if not atlas.has_map(member.name, member.final.epoch, removed):
            st.info("This atlas was not asked for this map.")
            return
        if snapshot is not member.final:
            st.markdown(f"**Without {_removal(member, removed)}**")
            st.caption(f"Known after the last epoch, {member.final.epoch}.")
            st.button(
                f"Show epoch {member.final.epoch}", icon=":material/last_page:", on_click=_to_the_end,
                args=(member.final.epoch,),
            )  # fmt: skip
            return
        without = atlas_views.large_view(atlas, member.name, member.final.epoch, removed, kinds)
        whole = atlas_views.large_view(atlas, member.name, member.final.epoch, kinds=kinds)
        st.markdown(f"**Without {_removal(member, removed)}**, after epoch {member.final.epoch}")
        figure = atlas_figures.large_map(without, member.title, colours=colours, narrow=narrow, before=whole)
        alt = atlas_figures.large_alt(without, member.title, atlas_views.WITHOUT[removed])
        st.plotly_chart(figure, width="stretch", key="map without", alt=alt, config=atlas_figures.CONFIG)
        left_over = atlas_views.blocks_text(member.blocks_without.get(removed, ()))
    st.markdown(f"Without {_removal(member, removed)}: {left_over}; before: {_before(member)}.")


def _before(member: Member) -> str:
    return atlas_views.blocks_text(member.final.blocks)


@st.cache_resource(max_entries=2, show_spinner=False)
def sample(spec_key: str, root: str, _atlas: Atlas, _store: Store) -> Images:
    return _atlas.sample.load(_store)


def images(atlas: Atlas, member: Member, store: Store) -> None:
    """The images that make most of the first component, as pictures, and what that means."""
    st.markdown(
        "##### The images behind the block" if member.final.blocks else "##### The images behind the first component"
    )
    if not is_available(atlas.sample.images, store):
        st.caption(f"The pictures of {atlas.sample.images} are not here.")
        return
    block = _block_asked(member)
    dominant = atlas_images.dominant_images(atlas, member.name, block, PICTURES)
    where = f"in {block_text(block)}" if block else "over all layers"
    st.markdown(atlas_images.dominant_text(dominant, where, atlas.scores(member.name).shape[1]))
    seen = sample(str(atlas.sample), store.root, atlas, store)
    with st.container(horizontal=True, gap="small", key="dominant"):
        for position, share in zip(dominant.positions.tolist(), dominant.shares.tolist(), strict=True):
            name = seen.classes[seen.y[position]]
            mark = " ✕" if position in member.influential else ""
            st.image(
                pictures.enlarged(seen.x[position]),
                width=96,
                alt=f"test image {position}: {name}",
                caption=f"{name} {100 * share:.1f}\N{NO-BREAK SPACE}%{mark}",
            )
    if member.influential:
        st.caption(f"✕ one of the {len(member.influential)} most influential images that can be removed above.")


def _block_asked(member: Member) -> Block | None:
    """The block to explain: the longest, or the one chosen where there are several."""
    found = sorted(member.final.blocks, key=len, reverse=True)
    if len(found) < 2:
        return found[0] if found else None
    which = st.segmented_control(
        "Block", range(len(found)), default=0, required=True, key=f"block of {member.name}",
        format_func=lambda at: block_text(found[at]), label_visibility="collapsed",
    )  # fmt: skip
    return found[which]
