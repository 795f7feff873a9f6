"""The teacher's page: who is at work on what, stop, begin anew, what is allowed, and the class's way here."""

from __future__ import annotations

import streamlit as st

from cka_core.base import deployment, words
from cka_core.base.deployment import LIMITS
from cka_core.base.store import Store
from cka_core.jobs import classroom, submit
from pages.parts import address, notes, qr, visitor

LOOK_SECONDS = 3.0


def door() -> None:
    """Where the teacher's key is told."""
    st.title("Teacher", anchor=False)
    with st.form("door", width=420):
        told = st.text_input("The teacher’s key", type="password", key="told")
        pressed = st.form_submit_button("Open")
    st.caption("It was printed where the class was started.")
    if not pressed:
        return
    right: list[bool] = []
    if visitor.attempt(lambda: right.append(visitor.became_teacher(told))) and right[0]:
        st.rerun()
    elif right:
        st.error("This is not the teacher’s key.", icon=":material/key_off:")


def work(store: Store) -> None:
    """Who is at work on what; looks every few seconds."""

    @st.fragment(run_every=LOOK_SECONDS)
    def look() -> None:
        found = classroom.overview(store, visitor.here())
        if not found.work:
            st.markdown("Nobody is at work.")
        for one in found.work:
            with st.container(horizontal=True, vertical_alignment="center", key=f"work {one.job.key}"):
                doing = one.job.progress.detail if one.job.progress else "waiting"
                whose = ", ".join(one.whose) or "nobody known"
                st.markdown(
                    f"{address.plain(one.job.title)}  \n:small[{address.plain(doing)} · visitor {whose}]",
                    width="stretch",
                )
                st.button(
                    "Stopping" if one.job.stopping else "Stop",
                    key=f"stop {one.job.key}",
                    icon=":material/stop_circle:",
                    disabled=one.job.stopping,
                    on_click=visitor.ask,
                    args=(submit.stop, one.job.key, store),
                )
        if found.more:
            st.caption(f"{found.more} more wait.")
        who = words.counted(visitor.number_seen(), "visitor")
        makers = {0: "Nobody has", 1: "One has"}.get(found.makers, f"{found.makers} have")
        st.caption(f"{who} did something here in the last half hour. {makers} made or brought in something.")
        notes.show()

    look()


def begin_anew(store: Store) -> None:
    """Stop everything, or put away what the class made; the second asks first."""
    with st.container(horizontal=True):
        st.button("Stop all work", key="stop all", icon=":material/stop_circle:", on_click=visitor.ask,
                  args=(classroom.stop_all, store))  # fmt: skip
        with st.popover("Begin anew", icon=":material/restart_alt:"):
            st.markdown(
                "Stops all work and moves everything that visitors made or brought in to the trash of the Library "
                "page, where you can put it back for 7 days. Unfinished trainings are gone."
            )
            sure = st.checkbox("I want that", key="sure")
            st.button(
                "Begin anew", key="begin anew", type="primary", disabled=not sure,
                on_click=visitor.ask, args=(classroom.reset, store),
            )  # fmt: skip


def limits() -> None:
    """What is allowed, as it is set."""
    st.markdown("## What is allowed")
    lines = ["| | at most | set by |", "|---|---|---|"]
    lines += [f"| {one.what} | {deployment.amount_text(one.name)} | `{one.variable}` |" for one in LIMITS.values()]
    st.markdown("\n".join(lines))


def way_here() -> None:
    """The class's address, for a phone's camera too."""
    link = visitor.home()
    st.markdown("## For the class")
    st.code(link, language=None)
    st.image(qr.png(link), width=260)
    if "//127." in link or "//localhost" in link:
        st.caption("Only this computer reaches that address. Start with `make class` for one that the class reaches.")


def screen() -> None:
    address.through_the_app()
    by = visitor.here()
    if by is None or not by.teacher:
        door()
        return
    store = Store()
    left, right = st.columns([2, 1], gap="large")
    with left:
        st.title("Teacher", anchor=False)
        work(store)
        begin_anew(store)
        limits()
    with right:
        way_here()
        st.button("Leave", key="leave", type="tertiary", icon=":material/logout:",
                  on_click=visitor.is_no_teacher_any_more)  # fmt: skip


screen()
