"""Compare two networks: which layers of one represent images as which layers of the other do."""

from __future__ import annotations

from dataclasses import asdict, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cka_core.base.store import Store
from cka_core.jobs import submit
from cka_core.library import catalogue
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.results import blocks, figures, views
from cka_core.results import words as result_words
from cka_core.results.comparison import MEASURE, CompareSpec, find
from pages.parts import address, colour_range, widgets
from pages.parts.cell import cell as opened_cell
from pages.parts.compare import (
    below,
    card,
    choosing,
    controlling,
    history,
    measuring,
    reading,
    the_map,
    trusting,
    which,
)
from pages.parts.compare.which import OnScreen

WORDS = {
    "a": "network A",
    "b": "network B",
    "images": "the images",
    "split": "the part",
    "n": "a number of images,",
    "draw": "the choice of images",
    "seed": "the seed",
    "batch": "the minibatch size",
    "passes": "a number of passes,",
    "kinds": "the layers",
    "colours": "the colours",
    "range": "the colour range",
    "la": "the layer of A",
    "lb": "the layer of B",
    "tab": "the view",
    "measure": "the measure",
    "control": "the control",
    "beside": "the map beside it,",
    "networks": "the networks",
}


def screen() -> None:
    address.through_the_app()
    store = Store()
    networks = catalogue.comparable(store)
    left, right = st.columns([1, 3.7], gap="medium")
    with right:
        title, measures, controls = st.columns([2.4, 1, 1.3], vertical_alignment="bottom")
        with measures:
            measure = measuring.picker()
        with controls:
            control = controlling.picker()
    with left:
        spec, a, b, problem = choosing.choose(networks, store)
    spec = replace(spec, measure=measure)
    from_library = which.opened(spec, store)
    result = find(spec, store)
    job = choosing.job_of(spec, store) if result is None else None
    with left:
        choosing.compare_button(spec, a, b, result is not None, problem, job, store)

    with right:
        notes = st.container()
        if from_library is not None:
            st.info(
                "Opened from the Library. Choose at the left to compare something else.", icon=":material/inventory_2:"
            )
            explore(from_library, networks, store, title, control)
        elif result is not None:
            st.session_state["shown"] = asdict(spec)
            explore(OnScreen(result, a, b, spec), networks, store, title, control)
        else:
            reading.tell_job(job)
            wait_for_result(spec, " × ".join(network_words.titles(a, b)), bool(problem), job, networks, store, title)
        with notes:  # known when all widgets are drawn
            address.show_notes(WORDS)
    history.note()


def wait_for_result(
    spec: CompareSpec,
    title: str,
    refused: bool,
    job: submit.JobStatus | None,
    networks: dict[str, NetworkInfo],
    store: Store,
    title_place: DeltaGenerator,
) -> None:
    """There is no result yet: the last map, if there was one."""
    at_work = widgets.at_work(job)
    press = choosing.LABELS.get(job.state if job else "", "Compare")
    before = which.last_shown(store)
    if before is None:
        title_place.subheader(title, anchor=False)
        wait = "The map appears here as soon as it is done." if at_work else f"Not compared yet: press {press}."
        st.caption("These two cannot be compared: the reason stands at the left." if refused else wait)
        return
    if refused:
        st.info(f"{title} cannot be compared: the reason stands at the left. Below, the last map.")
    elif job is None:
        by = "" if spec.measure == MEASURE else f" by {measuring.title(spec.measure)}"
        st.info(f"{title} with {spec.sample.n:,} images is not compared yet{by}: press Compare. Below, the last map.")
    explore(before, networks, store, title_place)


def explore(
    on: OnScreen,
    networks: dict[str, NetworkInfo],
    store: Store,
    title_place: DeltaGenerator,
    control: str = controlling.AS_IT_IS,
) -> None:
    """The result, from its title down to the downloads."""
    place = st.container()
    as_it_is, (on, beside) = on, controlling.under(control, on, networks, store, place)
    comparison, titles = on.comparison, on.titles
    title_place.subheader(on.title, anchor=False)
    with place:
        trusting.line(comparison, faded=on.faded)
        trusting.intervals(as_it_is, store)
        for line in result_words.fitted(comparison.provenance):
            st.caption(address.plain(line))
        for warning in comparison.warnings:
            st.warning(address.plain(warning), icon=":material/info:")
    map_row = st.container()  # shows what the controls below it say
    kinds, search, colours, limits = map_controls(as_it_is)
    shown = comparison
    try:
        shown = views.filtered(comparison, kinds, search)
    except ValueError as error:
        st.warning(f"{address.plain(str(error))} Every layer is shown.", icon=":material/filter_alt_off:")
        kinds, search = "every layer", ""
    with map_row:
        map_column, card_column = st.columns([3, 1], gap="medium")
        with card_column:
            cell = card.cell_card(comparison, titles, beside)
        with map_column:
            marks = blocks.marked(comparison, shown) if on.is_cka else ()
            the_map.heatmap(
                shown,
                titles,
                below.file_stem(comparison),
                colours=colours,
                on_cell=reading.choose_cell,
                faded=on.faded,
                blocks=marks,
                limits=limits,
                beside={word: views.filtered(other, kinds, search).matrix for word, other in beside.items()},
            )
            if comparison.is_self and on.is_cka:
                reading.tell_blocks(marks)
    opened = on if control == controlling.OTHER_SEED else as_it_is  # the map of Gram matrices: no control's is one
    opened_cell.show(
        opened.comparison,
        views.filtered(opened.comparison, kinds, search),
        None if opened.spec is None else (opened.a, opened.b),
        opened.titles,
        cell,
        colours,
        reading.choose_cell,
        store,
        faded=opened.faded,
    )
    history.shelf(as_it_is)
    if on.spec is not None:
        reading.how_to_read(comparison, on.a, on.b, networks)
    below.tabs(on, shown, cell, (kinds, search), colours, networks, store, limits)


def map_controls(on: OnScreen) -> tuple[str, str, str, tuple[float, float] | None]:
    """Under the map: which layers, the colours and the values they are for, and a pin."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        address.check("kinds", views.KINDS.__contains__)
        kinds = st.pills(
            "Layers", list(views.KINDS), default="every layer", required=True, key="kinds", bind="query-params"
        )
        search = st.text_input(
            "Search", key="search", placeholder="in the layers’ names", width=200, bind="query-params"
        )
        colours = widgets.choice("Colours", figures.COLOURS, "colours", width=120)
        limits = colour_range.picker(on.comparison)
        history.pin_button(on)
    return kinds, search, colours, limits


screen()
