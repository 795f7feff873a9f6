"""Where a wide and a deep network differ: by class, and image by image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas
import streamlit as st

from cka_core.atlas import errors
from cka_core.atlas import figures as atlas_figures
from cka_core.atlas import images as atlas_images
from cka_core.atlas.result import Atlas, Member
from cka_core.base import words
from cka_core.base.store import Store
from cka_core.claims.evidence import decimal, percent
from cka_core.images import pictures
from cka_core.images.sets import Images, is_available, load_images
from pages.parts import address, drawn, widgets
from pages.parts.atlas import grid as atlas_grid

SHOWN = 8


def section(atlas: Atlas, store: Store) -> None:
    groups = atlas_images.groups(atlas)
    lines = {name: atlas_images.group_text(group) for name, group in groups.items()}
    default = atlas_images.wide_and_deep_groups(atlas)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wide, deep = (
            groups[widgets.one_of(side.capitalize(), side, lines, name)]
            for side, name in zip(("wide", "deep"), default, strict=True)
        )
    titles = wide[0].title, deep[0].title
    if titles[0] == titles[1]:
        titles = wide[0].name, deep[0].name
    st.markdown(f"{_accuracy(wide)} · {_accuracy(deep)}")
    st.markdown(atlas_images.difference_text(atlas, wide, deep))
    apart(atlas, wide, deep, titles)
    if not is_available(atlas.sample.images, store):
        st.caption(f"The images of {atlas.sample.images} are not here.")
        return
    images = test_images(atlas.sample.images, store.root, store)
    by_class(atlas, wide, deep, titles, images.classes)
    by_example(atlas, wide, deep, titles, images)


def _accuracy(group: Sequence[Member]) -> str:
    right = words.accuracy_text(errors.accuracy_of(group), group[0].test_images)
    return f"**{group[0].title}** {right} of the test images right"


@st.cache_resource(max_entries=2, show_spinner=False)
def test_images(name: str, root: str, _store: Store) -> Images:
    return load_images(name, "test", store=_store)


@st.cache_data(max_entries=2, show_spinner=False)
def sheet(name: str, count: int, _images: Images) -> str:
    """The first images of a set in one picture. ``name`` and ``count`` tell it from other sets."""
    return pictures.sheet(_images.x[: atlas_figures.POINTS])


def apart(atlas: Atlas, wide: Sequence[Member], deep: Sequence[Member], titles: tuple[str, str]) -> None:
    """How far apart predictions are, the two shapes beside two seeds of either."""
    found = errors.distances(atlas, wide, deep)
    if not found:
        return
    columns = {" × ".join(titles): [one.across for one in found]}
    for title, group, side in zip(titles, (wide, deep), ("within_a", "within_b"), strict=True):
        if len(group) > 1:
            columns[f"two seeds of {title}"] = [getattr(one, side) for one in found]
    said = [percent, percent, decimal, decimal]
    table = pandas.DataFrame(columns, index=[one.name[:1].upper() + one.name[1:] for one in found])
    st.table(table.apply(lambda column: [text(value) for text, value in zip(said, column, strict=True)]))
    st.caption(
        "Means over the test images and over pairs of networks. Hellinger distance and Kullback–Leibler divergence "
        "compare all class probabilities: 0 is the same, and a Hellinger distance of 1 has nothing in common."
    )


def by_class(
    atlas: Atlas, wide: Sequence[Member], deep: Sequence[Member], titles: tuple[str, str], classes: Sequence[str]
) -> None:
    st.markdown("### By class")
    found = [atlas_images.class_accuracies(atlas, group, len(classes)) for group in (wide, deep)]
    st.plotly_chart(
        drawn.readable(atlas_figures.class_bars(found[0], found[1], titles, classes, narrow=atlas_grid.is_narrow())),
        width="stretch",
        key="classes",
        alt=atlas_figures.class_bars_alt(found[0], found[1], titles, classes),
        config={"displayModeBar": False},
    )
    reach = ["over its seeds" if one.seeds > 1 else "its 95 % interval over images (one seed)" for one in found]
    st.caption(f"Thin lines: {titles[0]}, {reach[0]}; {titles[1]}, {reach[1]}. Where {titles[0]} leads most, first.")


def by_example(
    atlas: Atlas, wide: Sequence[Member], deep: Sequence[Member], titles: tuple[str, str], images: Images
) -> None:
    st.markdown("### By image")
    found = atlas_images.examples(atlas, wide, deep)
    chart, beside = st.columns([2, 1], gap="large")
    with chart:
        event = st.plotly_chart(
            drawn.readable(atlas_figures.example_scatter(found, titles, atlas.labels, images.classes)),
            width="stretch",
            key="examples",
            on_select="rerun",
            selection_mode="points",
            alt=f"One point a test image: how sure {titles[0]} is of its class, up, and {titles[1]}, across.",
            config={"displayModeBar": False},
        )
        if len(atlas.labels) > atlas_figures.POINTS:
            st.caption(f"The first {atlas_figures.POINTS:,} of {len(atlas.labels):,} images are drawn.")
        hovered_pictures("examples", sheet(atlas.sample.images, len(images), images))
    with beside:
        points = event["selection"]["points"]
        one_image(atlas, [*wide, *deep], images, int(points[0]["customdata"][0]) if points else None)
    for side, title, other in (("a", titles[0], titles[1]), ("b", titles[1], titles[0])):
        only = found.only(side)
        several = min(found.seeds_a, found.seeds_b) > 1
        whose = ("every seed of ", "every seed of ") if several else ("", "")
        st.markdown(
            f"**Right in {whose[0]}{address.plain(title)}, wrong in {whose[1]}{address.plain(other)}**: "
            f"{len(only)} images" + (f", the first {SHOWN}" if len(only) > SHOWN else "")
        )
        with st.container(horizontal=True, gap="small"):
            for position in only[:SHOWN].tolist():
                name = images.classes[images.y[position]]
                st.image(
                    pictures.enlarged(images.x[position]), width=96, alt=f"test image {position}: {name}", caption=name
                )


def hovered_pictures(chart: str, sheet: str) -> None:
    """Over a point of a chart, whose ``customdata`` begins with an image's position, its picture appears."""
    listener = st.components.v2.component(
        "atlas_pictures", js=(Path(__file__).parent / "pictures.js").read_text(encoding="utf-8")
    )
    listener(data={"chart": chart, "sheet": sheet, "columns": pictures.SHEET_COLUMNS}, key="atlas_pictures")


def one_image(atlas: Atlas, members: Sequence[Member], images: Images, position: int | None) -> None:
    """The image chosen in the scatter, and what each network takes it for."""
    with st.container(border=True):
        st.markdown("**This image**")
        if position is None:
            st.caption("Point at the chart to see an image, click to keep it here.")
            return
        label = images.classes[images.y[position]]
        said = f"{label}, test image {position}"
        st.image(pictures.enlarged(images.x[position], 10), width=160, alt=said, caption=said)
        for member, taken, chance, right in atlas_images.answers(atlas, members, position):
            answer = images.classes[taken]
            st.markdown(
                f"{member.title}, seed {member.seed}: **{answer}** {100 * chance:.0f} %"
                + ("" if answer == label else f" :small[({label} {100 * right:.0f} %)]")
            )
