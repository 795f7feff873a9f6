"""Under the map: the best match along depth, the numbers as a table, and every way to take the result along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from cka_core.base.store import Store
from cka_core.comparing import estimate
from cka_core.library.catalogue import NetworkInfo
from cka_core.results import differences, html_page, letters, package, paper, report, views
from cka_core.results import words as result_words
from cka_core.results.best_match import BestMatchSpec
from cka_core.results.best_match import find as find_by_chance
from cka_core.results.comparison import MEASURE, Comparison
from pages.parts import address, drawn, hiding, phone
from pages.parts.compare import estimating, many_maps, measuring, missing, the_map, two_maps
from pages.parts.compare.which import OnScreen
from pages.parts.glossary import explain

EVERY_PAIR = "every pair"
Limits = tuple[float, float] | None
TABS = ("Best match along depth", "All measures", "Estimators", "Two maps", "Several networks", "Table", "Download")


def tabs(
    on: OnScreen,
    shown: Comparison,
    cell: tuple[str, str] | None,
    layers: tuple[str, str],
    colours: str,
    networks: Mapping[str, NetworkInfo],
    store: Store,
    limits: Limits = None,
) -> None:
    """``on`` has every layer, ``shown`` those the map shows, by ``layers``: a kind and words in their names.

    ``cell`` is the chosen one. Only the open tab is worked out.
    """
    titles = on.titles
    shown_tabs = hiding.left(TABS)
    if not shown_tabs:
        return
    address.check("tab", shown_tabs.__contains__)
    opened = dict(zip(shown_tabs, st.tabs(shown_tabs, key="tab", on_change="rerun", bind="query-params"), strict=True))
    curve, measures, which, two, many, table, download = (opened.get(title) for title in TABS)
    if curve and curve.open:
        with curve:
            best_match(on, shown, store)
    if measures and measures.open:
        with measures:
            measuring.all_of_them(on, cell, store)
    if which and which.open:
        with which:
            estimating.view(on, cell, store)
    if two and two.open:
        with two:
            two_maps.side_by_side(on, shown, layers, colours, store, limits)
    if many and many.open:
        with many:
            many_maps.grid(on, networks, colours, store)
    if table and table.open:
        with table:
            numbers(shown, titles)
    if download and download.open:
        with download:
            downloads(on.comparison, shown, titles, colours, limits)


def best_match(on: OnScreen, shown: Comparison, store: Store) -> None:
    titles = on.titles
    if differences.is_difference(shown):
        st.caption("A difference has no best match: set the control above the map to “as it is”.")
        return
    if shown.is_self:
        st.caption("A network is compared with itself: the best match of each layer is the layer itself, at 1.")
    wanted = BestMatchSpec(on.spec) if on.spec is not None and on.is_cka and on.spec.passes == 1 else None
    by_chance = find_by_chance(wanted, store) if wanted is not None else None
    of_all = shown.matrix.shape == on.comparison.matrix.shape
    value = result_words.value_text(shown.provenance)
    narrow = the_map.is_narrow()
    st.plotly_chart(
        drawn.best_match_curve(
            shown, titles, by_chance if of_all else None, of_chance=wanted.key if wanted else "", narrow=narrow
        ),
        width="stretch",
        key="curve",
        alt=f"Along the depth of {titles[0]} and {titles[1]}: {value} of each layer with its best match in the other.",
        config=phone.chart({"displaylogo": False}, narrow=narrow),
    )
    if by_chance is not None:
        told = (
            f"Dashed: {by_chance.draws} times one network saw the images in another order, which takes away all that "
        )
        told += "they share; 95 of 100 best matches stayed below." if of_all else "they share."
        st.caption(told + ("" if of_all else " It is of every layer: show every layer to see it."))
    elif wanted is not None and not on.faded:
        n, size = wanted.of.sample.n or 0, wanted.of.batch_size
        seconds = estimate.best_match_seconds(on.a, on.b, n, size, store)
        label = "What the best match reaches by chance"
        missing.offer("best match", wanted, label, f"{on.title}, by chance", seconds, store, key="by chance")
    matches = [views.best_matches(shown, side) for side in "ab"] if shown.jackknife is not None else []
    if any(side["low"].notna().any() for side in matches):
        st.caption("Band: the 95 % interval of that pair of layers.", help=explain("interval"))


def numbers(shown: Comparison, titles: tuple[str, str]) -> None:
    which = _rows(shown, titles)
    value = result_words.value_text(shown.provenance)
    frame = views.pairs(shown) if which == EVERY_PAIR else views.best_matches(shown, which)
    st.dataframe(
        views.for_a_spreadsheet(frame, ("layer", "best match", "layer of A", "layer of B")),
        hide_index=True,
        height=420,
        column_config={
            value: st.column_config.NumberColumn(format="%.3f", help=f"None where a layer has no {value}."),
            "low": st.column_config.NumberColumn(format="%.3f", help=explain("interval")),
            "high": st.column_config.NumberColumn(format="%.3f", help="None where few images decide."),
            "images deciding": st.column_config.NumberColumn(format="%.0f", help=explain("images that decide")),
        },
    )


def _rows(shown: Comparison, titles: tuple[str, str]) -> str:
    """What the table has a row for: the layers of "a" or of "b", once of a network with itself, or `EVERY_PAIR`."""
    alike = titles[0] == titles[1]
    sides = dict(zip("a" if shown.is_self else "ab", titles, strict=False))
    words = {
        side: f"best match of each layer of {f'{side.upper()}: ' if alike and len(sides) > 1 else ''}{title}"
        for side, title in sides.items()
    }
    words[EVERY_PAIR] = EVERY_PAIR
    if st.session_state.get("rows") not in words:  # of the pair that was shown before
        st.session_state["rows"] = "a"
    chosen = st.segmented_control("Rows", list(words), required=True, key="rows", format_func=words.__getitem__)
    return chosen or "a"


def downloads(
    comparison: Comparison, shown: Comparison, titles: tuple[str, str], colours: str, limits: Limits = None
) -> None:
    stem = file_stem(comparison)
    files, again = st.columns(2, gap="large")
    with files:
        st.markdown("**The numbers**, every layer")
        with st.container(horizontal=True):
            _button("CSV", comparison.to_csv, f"{stem}.csv", "text/csv", "The matrix, layers named, full precision")
            _button(
                "Cells", comparison.to_cells_csv, f"{stem}-cells.csv", "text/csv",
                "CSV, a row a cell, with its 95 % interval and how many images decide it, where these are known",
            )  # fmt: skip
            _button(
                "NPZ", comparison.to_bytes, f"{stem}.npz", "application/octet-stream", "Everything; Python loads it"
            )
        st.markdown("**The map**, as shown")
        with st.container(horizontal=True):
            _button(
                "HTML",
                lambda: html_page.to_html(shown, titles=titles, colours=colours, limits=limits),
                f"{stem}.html",
                "text/html",
                "Interactive, one file, works offline (5 MB)",
            )
            for name, mime in (("PNG", "image/png"), ("SVG", "image/svg+xml"), ("PDF", "application/pdf")):
                made = _paper(shown, titles, colours, name.lower(), limits)
                _button(name, made, f"{stem}.{name.lower()}", mime, "For a paper")
        if told := letters.lacking(paper.texts_of(shown, titles)):
            st.caption(address.plain(told))
        st.markdown("**Everything**, to pass on")
        with st.container(horizontal=True):
            how: Any = {"titles": titles, "colours": colours, "limits": limits}
            _button(
                "ZIP", lambda: package.to_bytes(comparison, **how), f"{stem}.zip", "application/zip",
                "Figures, numbers, provenance, how to compute it again, a citation. Another Library takes it as it is.",
            )  # fmt: skip
            _button(
                "Report", lambda: report.to_html(comparison, **how), f"{stem}-report.html", "text/html",
                "One page that works offline: the map, and what is known of a cell that is clicked (5 MB)",
            )  # fmt: skip
        st.session_state["camera saves"] = st.segmented_control(
            "The camera at the map’s corner saves",
            ("png", "svg"),
            default=st.session_state.get("camera saves", "png"),  # kept while another tab is open
            required=True,
            key="camera",
            format_func=str.upper,
            help="The map as it is on screen, zoomed as it is.",
        )
    with again:
        st.markdown("**The same again**, on the command line")
        st.code(result_words.command(comparison), language="bash", wrap_lines=True)
        st.markdown("**In Python**, from the NPZ file")
        st.code(
            f'from cka_core import Comparison\nresult = Comparison.load("{stem}.npz")\nresult.heatmap().show()',
            language="python",
            wrap_lines=True,
        )


def _paper(
    shown: Comparison, titles: tuple[str, str], colours: str, format: str, limits: Limits
) -> Callable[[], bytes]:
    return lambda: paper.paper_figure(shown, format=format, titles=titles, colours=colours, limits=limits)


def _button(label: str, data: Callable[[], str | bytes], file_name: str, mime: str, help: str) -> None:
    """A download whose file is made on the click."""
    st.download_button(
        label, data, file_name, mime, key=f"download {label}", help=help, icon=":material/download:", on_click="ignore"
    )


def file_stem(comparison: Comparison) -> str:
    """What files made of a comparison are called, without their ending."""
    measure = comparison.provenance.get("measure") or MEASURE
    name = f"{'cka' if measure == MEASURE else measure}-{comparison.name_a}-{comparison.name_b}"
    return "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in name)
