"""What is not computed yet is one button away: it says how long it takes, then how it is doing."""

from __future__ import annotations

import streamlit as st

from cka_core.base import deployment, words
from cka_core.base.store import Store
from cka_core.jobs import submit
from cka_core.results.spec import Several
from pages.parts import address, visitor, widgets


def offer(kind: str, spec: submit.Spec, label: str, title: str, seconds: float, store: Store, *, key: str) -> None:
    """A button that has a job done, with its time; its progress while it is at work; why it failed.

    ``title`` is what the job is called in the queue, ``key`` tells this offer from others on the page.
    """
    job = _job_of(spec, store)
    if job is not None and widgets.at_work(job):
        widgets.job_progress(job.key, stop=f"stop {key}")
        return
    if job is not None and job.state == submit.FAILED:
        st.caption(f"The last try failed: {address.plain(job.error or 'no reason is known.')}")
    if visitor.only_looks():
        st.caption(f"{label}? {deployment.ONLY_TO_LOOK_AT}")
        return
    text = f"{label} · ≈ {words.seconds_text(seconds)}"
    if widgets.pressed(text, icon=":material/calculate:", key=key, disabled=visitor.cannot_act_yet()):
        with st.spinner("Starting the worker"):
            accepted = visitor.attempt(lambda: submit.submit(kind, spec, title, store, visitor.here()))
        if accepted:
            st.rerun()


def _job_of(spec: submit.Spec, store: Store) -> submit.JobStatus | None:
    """The job that was asked for by a spec. Of several comparisons fewer are missing while they are made: the job at
    work that makes these among others."""
    job = submit.status(spec.key, store)
    if widgets.at_work(job) or not isinstance(spec, Several):
        return job
    missing = {one.key for one in spec.specs}
    several = (other for other in submit.active(store) if other.kind == "several")
    makes_them = (other for other in several if missing <= {one.key for one in Several.from_json(other.spec).specs})
    return next(makes_them, job)
