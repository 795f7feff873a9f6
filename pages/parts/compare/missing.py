"""What is not computed yet is one button away: it says how long it takes, then how it is doing."""

from __future__ import annotations

import streamlit as st

from cka_core.base import deployment, words
from cka_core.base.store import Store
from cka_core.jobs import submit
from pages.parts import address, visitor, widgets


def offer(kind: str, spec: submit.Spec, label: str, title: str, seconds: float, store: Store, *, key: str) -> None:
    """A button that has a job done, with its time; its progress while it is at work; why it failed.

    ``title`` is what the job is called in the queue, ``key`` tells this offer from others on the page.
    """
    job = submit.status(spec.key, store)
    if job is not None and widgets.at_work(job):
        widgets.job_progress(job.key, stop=f"stop {key}")
        return
    if job is not None and job.state == "failed":
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
