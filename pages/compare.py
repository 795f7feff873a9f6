"""Compare two networks: which layers of one represent images as which layers of the other do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import streamlit as st

from cka_core.base import deployment, words
from cka_core.base.store import Store
from cka_core.comparing import estimate
from cka_core.images.sets import is_available
from cka_core.jobs import submit
from cka_core.library import catalogue, inventory
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.measures.blocks import RULE
from cka_core.results import blocks, figures, views
from cka_core.results import words as result_words
from cka_core.results.comparison import CompareSpec, Comparison, find
from pages.parts import address, results, visitor, widgets

DEFAULT_A, DEFAULT_B = "cifar-resnet-38x1-cifar10-mini-s0", "cifar-resnet-14x4-cifar10-mini-s0"
LABELS = {"failed": "Try again", "stopped": "Resume", "interrupted": "Resume"}
WORDS = {
    "a": "network A",
    "b": "network B",
    "images": "the images",
    "split": "the part",
    "n": "a number of images,",
    "draw": "the choice of images",
    "seed": "the seed",
    "batch": "the minibatch size",
    "kinds": "the layers",
    "colours": "the colours",
    "la": "the layer of A",
    "lb": "the layer of B",
    "tab": "the view",
}


def choose(networks: dict[str, NetworkInfo], store: Store) -> tuple[CompareSpec, NetworkInfo, NetworkInfo, str]:
    """The column at the left, down to the button: what to compare, and why it cannot be, or ""."""
    st.subheader("CKA Explorer", anchor=False)
    st.caption("Do two neural networks learn the same things?")
    default = [name if name in networks else next(iter(networks)) for name in (DEFAULT_A, DEFAULT_B)]
    a = widgets.network_picker("a", networks, default[0], store)
    b = widgets.network_picker("b", networks, default[1], store)
    st.button("Swap A and B", icon=":material/swap_vert:", type="tertiary", on_click=show, args=(b, a))
    problem = ""
    if a.activations or b.activations:
        sample, batch_size, problem = widgets.images_of_sets(a, b)
    else:
        sample, batch_size = widgets.images_picker(store)
    return CompareSpec(a.spec, b.spec, sample, batch_size), a, b, problem


def show(a: NetworkInfo | str, b: NetworkInfo | str) -> None:
    """Change both pickers at once (only from a button's callback)."""
    st.session_state["a"] = a if isinstance(a, str) else a.spec.name
    st.session_state["b"] = b if isinstance(b, str) else b.spec.name


def show_job(values: dict[str, Any]) -> None:
    """Set every picker to a job's spec (only from a button's callback)."""
    spec = CompareSpec.from_json(values)
    show(spec.a.name, spec.b.name)
    sample = spec.sample
    draw = "first" if sample.seed is None else "random"
    st.session_state.update(images=sample.images, split=sample.split, n=str(sample.n), draw=draw)
    st.session_state.update(seed=sample.seed or 0, balanced=sample.balanced, batch=str(spec.batch_size))


def compare_button(
    spec: CompareSpec,
    a: NetworkInfo,
    b: NetworkInfo,
    finished: bool,
    problem: str,
    job: submit.JobStatus | None,
    store: Store,
) -> None:
    """The one action, and how long it will take, or why there is nothing to do."""
    at_work = widgets.at_work(job) and visitor.owns(job.key if job else "", store)  # another's run can be shared
    label = LABELS.get(job.state if job and not finished else "", "Compare")
    no_use = finished or at_work or bool(problem) or visitor.cannot_act_yet()
    if st.button(label, type="primary", width="stretch", disabled=no_use, key="compare"):
        with st.spinner("Starting the worker"):
            title = " × ".join(network_words.titles(a, b))
            accepted = visitor.attempt(lambda: submit.submit("compare", spec, title, store, visitor.here()))
        if accepted:
            st.rerun()
    if visitor.only_looks() and not finished:
        st.caption(deployment.ONLY_TO_LOOK_AT)
    elif problem:
        st.warning(address.plain(problem), icon=":material/block:")
    elif finished:
        st.caption("Nothing to compute: this result is stored.")
    elif at_work:
        st.caption("At work: see above the map." if "shown" in st.session_state else "At work.")
    else:
        seconds = estimate.estimate_seconds(a, b, spec.sample.n or 0, spec.batch_size, store)
        here = bool(a.activations and b.activations) or is_available(spec.sample.images, store)
        first = "" if here else ", after the download"
        st.caption(f"≈ {words.seconds_text(seconds)}{first}")
    queue = submit.queue("compare", store, visitor.here())
    for other in queue.shown:
        if job is None or other.key != job.key:
            st.button(
                f"At work: {other.title}",
                key=f"job {other.key}",
                type="tertiary",
                icon=":material/hourglass_top:",
                help="Show this comparison",
                on_click=show_job,
                args=(other.spec,),
            )
    widgets.rest_of_queue(queue)


def job_of(spec: CompareSpec, store: Store) -> submit.JobStatus | None:
    """The job that computes this result; if none is at work, one that computes it with the networks swapped."""
    own, swapped = submit.status(spec.key, store), submit.status(spec.swapped().key, store)
    return swapped if widgets.at_work(swapped) and not widgets.at_work(own) else own


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
    cell, block, untrained = st.columns(3, gap="medium")
    names_a, names_b = views.unique_names(comparison.layers_a), views.unique_names(comparison.layers_b)
    with cell:
        st.markdown(
            "**A cell** says how alike two layers represent the images: 1 up to rotation and scale, 0 not at all."
        )
        example = views.example_cell(comparison)
        if example:
            layers = names_a[example[0]], names_b[example[1]]
            st.button("Show a cell", icon=":material/ads_click:", type="tertiary", on_click=choose_cell, args=layers)
    with block:
        st.markdown("**A bright block** is a run of layers that change little: they represent the images almost alike.")
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


def map_controls() -> tuple[str, str, str]:
    """Under the map: which layers, and the colours."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        address.check("kinds", views.KINDS.__contains__)
        kinds = st.pills(
            "Layers", list(views.KINDS), default="every layer", required=True, key="kinds", bind="query-params"
        )
        search = st.text_input(
            "Search", key="search", placeholder="in the layers’ names", width=200, bind="query-params"
        )
        colours = widgets.choice("Colours", figures.COLOURS, "colours", width=120)
    return kinds, search, colours


def last_shown(store: Store) -> tuple[Comparison, NetworkInfo, NetworkInfo] | None:
    """The map that was on screen before another comparison was asked for; it stays until that one is there."""
    if "shown" not in st.session_state:
        return None
    spec = CompareSpec.from_json(st.session_state["shown"])
    comparison = find(spec, store)
    try:
        networks = catalogue.find(spec.a.name, store), catalogue.find(spec.b.name, store)
    except ValueError:  # deleted or renamed since
        return None
    return (comparison, *networks) if comparison is not None else None


def opened(spec: CompareSpec, store: Store) -> tuple[Comparison, NetworkInfo, NetworkInfo] | None:
    """A comparison that the Library opened by its key, since its networks are not here; until something is chosen."""
    key = st.query_params.get("result")
    if key is None:
        return None
    chosen = st.session_state.setdefault(f"chosen when {key} was opened", asdict(spec))
    found = inventory.opened(key, store) if chosen == asdict(spec) else None
    if found is None:
        del st.query_params["result"]
        st.session_state.pop(f"chosen when {key} was opened")
    return found


def screen() -> None:
    address.through_the_app()
    store = Store()
    networks = catalogue.comparable(store)
    left, right = st.columns([1, 3.7], gap="medium")
    with left:
        spec, a, b, problem = choose(networks, store)
    from_library = opened(spec, store)
    result = find(spec, store)
    job = job_of(spec, store) if result is None else None
    with left:
        compare_button(spec, a, b, result is not None, problem, job, store)

    with right:
        notes = st.container()
        if from_library is not None:
            st.info(
                "Opened from the Library. Choose at the left to compare something else.", icon=":material/inventory_2:"
            )
            explore(*from_library, networks, foreign=True)
        elif result is not None:
            st.session_state["shown"] = asdict(spec)
            explore(result, a, b, networks)
        else:
            tell_job(job)
            wait_for_result(spec, " × ".join(network_words.titles(a, b)), bool(problem), job, networks, store)
        with notes:  # known when all widgets are drawn
            address.show_notes(WORDS)


def wait_for_result(
    spec: CompareSpec,
    title: str,
    refused: bool,
    job: submit.JobStatus | None,
    networks: dict[str, NetworkInfo],
    store: Store,
) -> None:
    """There is no result yet: the last map, if there was one."""
    at_work = widgets.at_work(job)
    press = LABELS.get(job.state if job else "", "Compare")
    before = last_shown(store)
    if before is None:
        st.subheader(title, anchor=False)
        wait = "The map appears here as soon as it is done." if at_work else f"Not compared yet: press {press}."
        st.caption("These two cannot be compared: the reason stands at the left." if refused else wait)
        return
    if refused:
        st.info(f"{title} cannot be compared: the reason stands at the left. Below, the last map.")
    elif job is None:
        st.info(f"{title} with {spec.sample.n:,} images is not compared yet: press Compare. Below, the last map.")
    explore(*before, networks, faded=True)


def explore(
    comparison: Comparison,
    a: NetworkInfo,
    b: NetworkInfo,
    networks: dict[str, NetworkInfo],
    *,
    faded: bool = False,
    foreign: bool = False,
) -> None:
    """The result, from its title down to the downloads. ``foreign``: of networks that may not be here."""
    titles = network_words.titles(a, b)
    st.subheader(f"{titles[0]} × {'itself' if comparison.is_self else titles[1]}", anchor=False)
    pixels = result_words.pixels(comparison.provenance)
    st.caption(
        ("Still showing: " if faded else "") + result_words.facts(comparison) + (f" · {pixels}" if pixels else ""),
        help=address.plain(" ".join(result_words.pixels_because(comparison.provenance))) or None,
    )
    for warning in comparison.warnings:
        st.warning(address.plain(warning), icon=":material/info:")
    map_row = st.container()  # shows what the controls below it say
    kinds, search, colours = map_controls()
    shown = comparison
    try:
        shown = views.filtered(comparison, kinds, search)
    except ValueError as error:
        st.warning(f"{address.plain(str(error))} Every layer is shown.", icon=":material/filter_alt_off:")
    with map_row:
        map_column, card_column = st.columns([3, 1], gap="medium")
        with card_column:
            cell = widgets.cell_card(comparison, titles)
        with map_column:
            name = results.file_stem(comparison)
            marks = blocks.marked(comparison, shown)
            widgets.heatmap(
                shown, titles, name, colours=colours, on_cell=choose_cell, cell=cell, faded=faded, blocks=marks
            )
            if comparison.is_self:
                tell_blocks(marks)
    if not foreign:
        how_to_read(comparison, a, b, networks)
    results.tabs(comparison, shown, titles, colours)


screen()
