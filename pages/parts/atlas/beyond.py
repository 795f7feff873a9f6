"""Two cards of our own: what we found that the paper does not say, and the kinds of block with their images."""

from __future__ import annotations

import streamlit as st

from cka_core.atlas.result import Atlas
from cka_core.base.store import Store
from cka_core.claims import figures as claim_figures
from cka_core.claims.beyond import Beyond, Kind, beyond
from cka_core.claims.more_data import CAVEAT, MoreData, more_data
from cka_core.images.sets import is_available
from pages.parts import address
from pages.parts.atlas import network
from pages.parts.atlas.claims import BADGES, chart


@st.cache_resource(max_entries=4, show_spinner=False)
def found(folder: str, changed: float, _atlas: Atlas) -> Beyond | None:
    return beyond(_atlas)


@st.cache_resource(max_entries=4, show_spinner=False)
def data_axis(folder: str, changed: float, _atlas: Atlas) -> tuple[MoreData, ...]:
    return more_data(_atlas)


def cards(atlas: Atlas, folder: str, changed: float, store: Store) -> None:
    _more_data(data_axis(folder, changed, atlas))
    seen = found(folder, changed, atlas)
    if seen is None:
        return
    caveat = " ".join(seen.caveats)
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True, key="beyond"):
        st.markdown("**What we found that the paper does not say**")
        st.markdown("\n".join(f"- {address.plain(text)}" for text in (seen.component, seen.kinds_text) if text))
        figure = claim_figures.falls_figure(seen)
        if figure is not None:
            chart(figure[0], "beyond", figure[1])
            st.caption(figure[1])
        st.caption(f"Caveat: {address.plain(caveat)}")
    with right, st.container(border=True, key="kinds"):
        st.markdown("**Kinds of block**")
        st.markdown(
            "Blocks of one kind have a CKA of at least 0.5 with each other. Behind each: the images that make most of "
            "its layers’ first component, in the network where it is longest."
        )
        several = [kind for kind in seen.kinds if len(kind.blocks) > 1]
        for number, kind in enumerate(several, 1):
            _kind(atlas, number, kind, store)
        alone = [kind.text for kind in seen.kinds if len(kind.blocks) == 1]
        if alone:
            st.markdown(f"One of its kind: {address.plain('; '.join(alone))}.")


def _more_data(seen: tuple[MoreData, ...]) -> None:
    if not seen:
        return
    with st.container(border=True, key="more data"):
        st.markdown("**Does the block go with more images?**")
        for one in seen:
            _, colour, icon = BADGES[one.holds]
            st.markdown(f"- :{colour}[{icon}] {address.plain(one.text)}")
        figure, said = claim_figures.more_data_figure(seen)
        chart(figure, "more data", said)
        st.caption(f"{said} Caveat: {address.plain(CAVEAT)}")


def _kind(atlas: Atlas, number: int, kind: Kind, store: Store) -> None:
    st.markdown(f"**Kind {number}** · {address.plain(kind.text)}")
    if not len(kind.images.positions) or not is_available(atlas.sample.images, store):
        return
    sample = network.sample(str(atlas.sample), store.root, atlas, store)
    network.dominant(kind.images, sample, width=72, key=f"kind {number}")
