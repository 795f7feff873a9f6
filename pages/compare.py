"""Compare two networks: which layers of one represent images as which layers of the other do."""

from __future__ import annotations

from dataclasses import asdict, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cka_core.base.store import Store
from cka_core.images.sets import image_sets
from cka_core.jobs import submit
from cka_core.library import catalogue
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.results import blocks, views
from cka_core.results import words as result_words
from cka_core.results.colours import COLOURS
from cka_core.results.comparison import CompareSpec, Comparison, find
from pages.parts import address, colour_range, visitor, widgets
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
    walk,
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
    the_map.arrive("tab" in st.query_params)
    store = Store()
    networks = catalogue.comparable(store)
    with st.container(horizontal=True, key="compare-page", gap="medium"):
        form = st.container(key="form", gap="small")
        page = st.container(key="result", gap="small")
    with form:  # first: a place with nothing in it has no width beside the other
        with the_map.folded("What to compare"):
            spec, a, b, problem, to_undo = choosing.choose(networks, store)
        button = st.container(gap="small")  # not folded: what is at work is seen, and can be stopped
    with page.container(horizontal=True, gap="small"):
        head = st.container(key="head", gap="small")
        measure = measuring.picker()
        control = controlling.picker()
    spec = replace(spec, measure=measure)
    from_library = which.opened(spec, store)
    in_vain = which.not_here(spec)
    result = find(spec, store)
    job = choosing.job_of(spec, store) if result is None else None
    if result is None and not widgets.at_work(job):
        problem = problem or submit.refusal("compare", [spec], store, visitor.here())
    with button:
        choosing.compare_button(spec, a, b, result is not None, problem, job, store)

    with page:
        walk.strip(spec)
        notes = st.container()
        above = st.container()  # what comes and goes stands in it, so that the map keeps its place in the page
        if in_vain:
            above.warning(in_vain, icon=":material/link_off:")
        if from_library is not None:
            above.info(
                "Opened from the Library. Choose two networks to compare something else.", icon=":material/inventory_2:"
            )
            explore(from_library, networks, store, head, control)
        elif result is not None:
            st.session_state["shown"] = asdict(spec)
            explore(OnScreen(result, a, b, spec), networks, store, head, control)
        else:
            with above:
                reading.tell_job(job)
            wait_for_result(spec, network_words.pair_title(a, b), bool(problem), job, networks, store, head, above)
        st.container(key="all-of-it").space(1)  # is there: on a phone the form may stand below it (spacing.css)
    with notes:  # known when all widgets are drawn
        address.show_notes(WORDS, {"measure": measuring.title})
    history.note()
    with to_undo:
        history.undo_button()
    choosing.start(spec, a, b, store)


def wait_for_result(
    spec: CompareSpec,
    title: str,
    refused: bool,
    job: submit.JobStatus | None,
    networks: dict[str, NetworkInfo],
    store: Store,
    head: DeltaGenerator,
    above: DeltaGenerator,
) -> None:
    """There is no result yet: the last map, if there was one."""
    before = which.last_shown(store)
    told = which.why_no_map(spec, title, refused, job, before is not None)
    if before is not None:
        if told:
            above.info(told)
        explore(before, networks, store, head, wanted=spec)
        return
    head.title(title, anchor=False)
    head.caption(told)
    if walk.is_of_the_notebook(spec):
        walk.six_maps(spec, networks, store)


def explore(
    on: OnScreen,
    networks: dict[str, NetworkInfo],
    store: Store,
    head: DeltaGenerator,
    control: str = controlling.AS_IT_IS,
    wanted: CompareSpec | None = None,
) -> None:
    """The result, from its title down to the downloads. ``wanted`` is what was asked for where this is not it."""
    place = st.container()
    as_it_is, (on, beside) = on, controlling.under(control, on, networks, store, place)
    comparison, titles = on.comparison, on.titles
    with head:
        st.title(on.title, anchor=False)
        trusting.line(comparison, store, faded=on.faded)
    with place:
        trusting.intervals(as_it_is, store)
        for line in result_words.fitted(comparison.provenance):
            st.caption(address.plain(line))
        for warning in comparison.warnings:
            st.warning(address.plain(warning), icon=":material/info:")
    row = st.container(horizontal=True, gap="medium")
    with row.container(key=the_map.column_key(comparison), gap="xsmall"):
        map_place = st.container(key=the_map.PLACE, gap=None)  # shows what the controls below it say
        map_place.space(1)  # has its height from now on: a place with nothing in it has none
        kinds, search, colours, limits = map_controls(as_it_is, comparison)
        shown = comparison
        try:
            shown = views.filtered(comparison, kinds, search)
        except ValueError as error:
            st.warning(f"{address.plain(str(error))} Every layer is shown.", icon=":material/filter_alt_off:")
            kinds, search = "every layer", ""
    with row:
        with st.container(key="beside-the-map", gap="small"):
            asked = wanted or as_it_is.spec
            if asked is not None and walk.is_of_the_notebook(asked):
                walk.six_maps(asked, networks, store)
            elif not on.faded:
                reading.story(as_it_is, networks, comparison)
            usual = blocks.worth_looking_at(as_it_is.comparison)
            layers = on.a.layers, on.b.layers
            cell = card.cell_card(comparison, titles, beside, usual=usual, shown=shown, layers=layers)
        with map_place:
            the_map.heatmap(
                shown,
                titles,
                below.file_stem(comparison),
                colours=colours,
                on_cell=card.open_cell,
                faded=on.faded,
                blocks=blocks.marked(comparison, shown) if on.is_cka else (),
                limits=limits,
                beside={word: views.filtered(other, kinds, search) for word, other in beside.items()},
            )
    opened = on if control == controlling.OTHER_SEED else as_it_is  # the map of Gram matrices: no control's is one
    opened_cell.show(
        opened.comparison,
        views.filtered(opened.comparison, kinds, search),
        None if opened.spec is None else (opened.a, opened.b),
        opened.titles,
        cell if card.is_chosen(cell, as_it_is.comparison, usual) else None,
        colours,
        card.open_cell,
        store,
        marked=cell,
        faded=opened.faded,
    )
    history.shelf(as_it_is)
    if on.spec is not None:
        reading.how_to_read(comparison, on.a, on.b, networks, image_sets(store).get(on.spec.sample.images))
    with the_map.below():
        below.tabs(on, shown, cell, (kinds, search), colours, networks, store, limits)


def map_controls(on: OnScreen, comparison: Comparison) -> tuple[str, str, str, tuple[float, float] | None]:
    """Under the map of a ``comparison``: which layers, the colours and the values they are for, and a pin of the map
    ``on`` screen as it is."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        kinds = widgets.choice("Layers", tuple(views.KINDS), "kinds", width=140, labelled=False)
        search = st.text_input(
            "Search", key="search", placeholder="search layers", width=130, bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
        with st.popover("Colours", icon=":material/palette:", width="content"):
            colours = widgets.choice("Colours", COLOURS, "colours")
            limits = colour_range.picker(comparison)
        history.pin_button(on)
    return kinds, search, colours, limits


screen()
