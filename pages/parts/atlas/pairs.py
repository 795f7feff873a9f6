"""Two networks of the atlas: their map, the mean and the spread over seeds, inside the block against outside it."""

from __future__ import annotations

import dataclasses

import streamlit as st

from cka_core.atlas import figures as atlas_figures
from cka_core.atlas import numbers
from cka_core.atlas import pairs as atlas_pairs
from cka_core.atlas import views as atlas_views
from cka_core.atlas.result import Atlas, Member
from cka_core.results import figures, views
from cka_core.results.comparison import Comparison
from pages.parts import address, drawn, phone, widgets
from pages.parts.atlas import grid as atlas_grid

KEYS = {"A": "one", "B": "other"}
"""In the address; "a" and "b" are those of the page Compare."""

MAPS = ("this pair", "mean over seeds", "spread over seeds")


def section(atlas: Atlas, kinds: str, colours: str) -> None:
    lines = atlas_views.network_lines(atlas)
    twins = atlas_pairs.twins(atlas) or (atlas.members[0], atlas.members[-1])
    with st.container(horizontal=True, vertical_alignment="top"):
        a, b = (
            atlas.member(widgets.one_of(f"Network {side}", KEYS[side], lines, default.name))
            for side, default in zip("AB", twins, strict=True)
        )  # fmt: skip
        address.check("over", MAPS.__contains__)
        which = st.segmented_control("Map", MAPS, default=MAPS[0], required=True, key="over", bind="query-params")
    left, right = st.columns([1.6, 1], gap="large")
    with left:
        pair_map(atlas, a, b, which, kinds, colours)
    with right:
        two_numbers(atlas, a, b)


def pair_map(atlas: Atlas, a: Member, b: Member, which: str, kinds: str, colours: str) -> None:
    narrow, titles = atlas_grid.is_narrow(), (f"{a.title}, seed {a.seed}", f"{b.title}, seed {b.seed}")
    comparison, said = atlas.comparison(a.name, b.name), "One pair of networks."
    over = atlas_pairs.over_seeds(atlas, a, b) if which != MAPS[0] else None
    if over is not None:
        titles = a.title, b.title
        said = f"{which.capitalize()}: {over.pairs} pair{'s' if over.pairs > 1 else ''} of networks."
        if which == MAPS[2] and over.spread is None:
            st.info("There is only one pair of seeds, which has no spread. The pair itself is shown.")
        values = over.spread if which == MAPS[2] and over.spread is not None else over.mean
        comparison = dataclasses.replace(comparison, matrix=values)
    try:
        comparison = views.filtered(comparison, kinds)
    except ValueError as error:
        st.warning(f"{address.plain(str(error))} Every layer is shown.", icon=":material/filter_alt_off:")
    height = 440 if narrow else 620
    if which == MAPS[2] and over is not None and over.spread is not None:
        figure = atlas_figures.spread_map(comparison, titles, colours=colours, narrow=narrow, height=height)
    else:
        figure = figures.heatmap(comparison, titles=titles, colours=colours, narrow=narrow, height=height)
    atlas_figures.mark_blocks(figure, {"y": _ranges(a, comparison, 0), "x": _ranges(b, comparison, 1)})
    alt = f"{which} of {titles[0]}, up the side, and {titles[1]}, along the bottom. Blocks are marked on the axes."
    config = phone.chart(figures.CONFIG, narrow=narrow)
    st.plotly_chart(drawn.readable(figure), width="stretch", key="pair", alt=alt, config=config)
    st.caption(f"{said} The thick lines along the axes are each network’s block.")


def _ranges(member: Member, comparison: Comparison, side: int) -> list[tuple[int, int]]:
    """A network's blocks among the layers that the map shows."""
    shown = comparison.layers_b if side else comparison.layers_a
    return atlas_views.ranges(member, shown)


def two_numbers(atlas: Atlas, a: Member, b: Member) -> None:
    """Inside the blocks, outside them, and what that says."""
    found = numbers.inside_and_outside(atlas, a, b).contrast
    with st.container(border=True):
        st.markdown("**Inside the blocks against outside them**")
        inside, outside = st.columns(2)
        for column, name, value, count in (
            (inside, "inside", found.inside, found.n_inside),
            (outside, "outside", found.outside, found.n_outside),
        ):
            hint = f"Mean CKA over {count} layers of A, each with its counterpart in B."
            column.metric(name, f"{value:.2f}" if count else "none", help=hint)
        st.markdown(atlas_pairs.contrast_text(found, a.architecture == b.architecture))
        over = atlas_pairs.contrast_over_seeds(atlas, a, b)
        if over:
            st.caption(over)
    for side, member in (("A", a), ("B", b)):
        found_blocks = atlas_views.blocks_text(member.final.blocks)
        st.caption(f"{side}: {member.title}, seed {member.seed}: {found_blocks}")
