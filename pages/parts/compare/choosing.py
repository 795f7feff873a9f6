"""The column at the left: what to compare, and the one button."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cka_core.base import deployment, words
from cka_core.base.store import Store
from cka_core.comparing import estimate
from cka_core.images.sets import is_available
from cka_core.jobs import submit
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.measures import registry
from cka_core.results.comparison import MEASURE, CompareSpec
from pages.parts import address, images, visitor, widgets
from pages.parts.compare import epochs, history

DEFAULT_A, DEFAULT_B = "cifar-resnet-38x1-cifar10-mini-s0", "cifar-resnet-14x4-cifar10-mini-s0"
LABELS = {"failed": "Try again", "stopped": "Resume", "interrupted": "Resume"}


def choose(networks: dict[str, NetworkInfo], store: Store) -> tuple[CompareSpec, NetworkInfo, NetworkInfo, str]:
    """The column at the left, down to the button: what to compare, and why it cannot be, or ""."""
    st.subheader("CKA Explorer", anchor=False)
    st.caption("Do two neural networks learn the same things?")
    default = [name if name in networks else next(iter(networks)) for name in (DEFAULT_A, DEFAULT_B)]
    a = widgets.network_picker("a", networks, default[0], store)
    epochs.slider("a", a, store)
    b = widgets.network_picker("b", networks, default[1], store)
    epochs.slider("b", b, store)
    with st.container(horizontal=True):
        st.button("Swap A and B", icon=":material/swap_vert:", type="tertiary", on_click=show, args=(b, a))
        history.undo_button()
    problem = ""
    if a.activations or b.activations:
        sample, batch_size, problem = images.images_of_sets(a, b, store)
        passes = 1
    else:
        sample, batch_size, passes = images.images_picker(store)
    spec, unfit = images.fitting(CompareSpec(a.spec, b.spec, sample, batch_size, passes=passes), a, b, store)
    return spec, a, b, problem or unfit


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
    st.session_state["measure"] = registry.measure(spec.measure).name
    st.session_state.update(seed=sample.seed or 0, balanced=sample.balanced, batch=str(spec.batch_size))
    st.session_state["passes"] = str(spec.passes)


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
            title += "" if spec.measure == MEASURE else f", {registry.measure(spec.measure).title}"
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
        n, size = spec.sample.n or 0, spec.batch_size
        seconds = spec.passes * estimate.estimate_seconds(a, b, n, size, store)
        seconds += spec.passes * estimate.measures_seconds([spec.measure], a, b, n, size)
        here = bool(a.activations and b.activations) or is_available(spec.sample.images, store)
        first = "" if here else ", after the download"
        st.caption(f"≈ {words.seconds_text(seconds)}{first}")
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
    widgets.rest_of_queue(queue)


def job_of(spec: CompareSpec, store: Store) -> submit.JobStatus | None:
    """The job that computes this result; if none is at work, one that computes it with the networks swapped."""
    own, swapped = submit.status(spec.key, store), submit.status(spec.swapped().key, store)
    return swapped if widgets.at_work(swapped) and not widgets.at_work(own) else own
