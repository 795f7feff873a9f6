"""The form: what to compare, and the one button, which answers where it was pressed."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cka_core.base import deployment, words
from cka_core.base.store import Store
from cka_core.comparing import estimate
from cka_core.images.sets import is_available
from cka_core.jobs import submit
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.measures import registry
from cka_core.results.comparison import MEASURE, CompareSpec
from pages.parts import address, holding, images, visitor, widgets
from pages.parts.compare import card, epochs, walk
from pages.parts.compare.which import LABELS

DEFAULT = walk.BLOCK
"""The app opens with this network and itself: it has a block."""


def choose(
    networks: dict[str, NetworkInfo], store: Store
) -> tuple[CompareSpec, NetworkInfo, NetworkInfo, str, DeltaGenerator]:
    """The form, down to the button: what to compare, why it cannot be, or "", and the place of Undo, which knows what
    was chosen when all is drawn."""
    st.caption("Do two neural networks learn the same things?")
    default = DEFAULT if DEFAULT in networks else next(iter(networks))
    a = widgets.network_picker("a", networks, default, store)
    epochs.slider("a", a, store)
    b = widgets.network_picker("b", networks, default, store)
    epochs.slider("b", b, store)
    address.write_together({side: (st.session_state[side] or default, default) for side in "ab"})
    with st.container(horizontal=True):
        st.button("Swap A and B", key="swap", icon=":material/swap_vert:", type="tertiary", on_click=_swap)
        to_undo = st.container(width="content")
    problem = ""
    if a.activations or b.activations:
        sample, batch_size, problem = images.images_of_sets(a, b, store)
        passes = 1
    else:
        sample, batch_size, passes = images.images_picker(store)
    spec, unfit = images.fitting(CompareSpec(a.spec, b.spec, sample, batch_size, passes=passes), a, b, store)
    return spec, a, b, problem or unfit or images.too_few(spec.sample), to_undo


def show(a: NetworkInfo | str, b: NetworkInfo | str) -> None:
    """Change both pickers at once (only from a button's callback)."""
    address.put("a", a if isinstance(a, str) else a.spec.name)
    address.put("b", b if isinstance(b, str) else b.spec.name)


def _swap() -> None:
    """What is chosen when it is pressed, which may be more than the button has heard of: two presses are none."""
    show(holding.held("b"), holding.held("a"))
    card.turn()


def show_job(values: dict[str, Any]) -> None:
    """Set every picker to a job's spec (only from a button's callback)."""
    spec = CompareSpec.from_json(values)
    show(spec.a.name, spec.b.name)
    sample = spec.sample
    draw = "first" if sample.seed is None else "random"
    how = {"images": sample.images, "split": sample.split, "n": str(sample.n), "draw": draw, "seed": sample.seed or 0}
    how |= {"balanced": sample.balanced, "batch": str(spec.batch_size), "passes": str(spec.passes)}
    for key, value in {**how, "measure": registry.measure(spec.measure).name}.items():
        address.put(key, value)


def compare_button(
    spec: CompareSpec,
    a: NetworkInfo,
    b: NetworkInfo,
    finished: bool,
    problem: str,
    job: submit.JobStatus | None,
    store: Store,
) -> None:
    """The one action, and how long it will take, or why there is nothing to do. While it is at work its progress stands
    here, with Stop."""
    at_work = widgets.at_work(job) and not finished
    own = visitor.owns(job.key if job else "", store)  # another's run can be shared
    label = LABELS.get(job.state if job and not finished else "", "Compare")
    no_use = finished or (at_work and own) or bool(problem) or visitor.cannot_act_yet()
    asked = False
    if not (at_work and own):
        asked = widgets.starting(label, spec.key, type="primary", width="stretch", disabled=no_use, key="compare")
    if at_work and job is not None and not asked:
        widgets.job_progress(job.key)
    if visitor.only_looks() and not finished:
        st.caption(deployment.ONLY_TO_LOOK_AT)
    elif problem:
        st.warning(address.plain(problem), icon=":material/block:")
    elif finished:
        st.caption("Nothing to compute: this result is stored.")
    elif not at_work and not asked:
        _tell_time(spec, a, b, store)
    if not problem:
        seconds = estimate.estimate_seconds(a, b, spec.sample.n or 0, spec.batch_size, store)
        epochs.all_of_them(spec, a, b, seconds, store)
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
    widgets.rest_of_queue("compare", store, queue)


def start(spec: CompareSpec, a: NetworkInfo, b: NetworkInfo, store: Store) -> None:
    """At the end of a run in which the button was pressed, when the whole page stands: have the worker begin.

    To start it takes a second or two, for which the page neither waits nor fades.
    """
    if widgets.take("compare") != spec.key:
        return
    title = network_words.pair_title(a, b)
    title += "" if spec.measure == MEASURE else f", {registry.measure(spec.measure).title}"
    refused = visitor.refusal(lambda: submit.submit("compare", spec, title, store, visitor.here()))
    if refused:
        widgets.refuse("compare", refused)
    st.rerun()


def _tell_time(spec: CompareSpec, a: NetworkInfo, b: NetworkInfo, store: Store) -> None:
    n, size = spec.sample.n or 0, spec.batch_size
    seconds = spec.passes * estimate.estimate_seconds(a, b, n, size, store)
    seconds += spec.passes * estimate.measures_seconds([spec.measure], a, b, n, size)
    here = bool(a.activations and b.activations) or is_available(spec.sample.images, store)
    st.caption(f"≈ {words.seconds_text(seconds)}{'' if here else ', after the download'}")


def job_of(spec: CompareSpec, store: Store) -> submit.JobStatus | None:
    """The job that computes this result; if none is at work, one that computes it with the networks swapped."""
    own, swapped = submit.status(spec.key, store), submit.status(spec.swapped().key, store)
    return swapped if widgets.at_work(swapped) and not widgets.at_work(own) else own
