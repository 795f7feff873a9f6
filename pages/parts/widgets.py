"""Pieces of screen that pages share: picking networks, a job at work."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import streamlit as st

from cka_core.base import words
from cka_core.base.store import Store
from cka_core.base.visitors import Visitor
from cka_core.jobs import submit
from cka_core.library import catalogue
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from pages.parts import address, notes, visitor

AT_WORK = (submit.QUEUED, submit.RUNNING)
PRESSED_FOR = 10.0
"""Seconds after which a press that no run of the page has taken is void."""
QUEUE_SECONDS = 5.0
"""How often a page looks who else is at work, as long as somebody is."""


def network_picker(side: str, networks: Mapping[str, NetworkInfo], default: str, store: Store) -> NetworkInfo:
    """Choose a network of the library; a link may name any other architecture too. ``side`` is "a" or "b".

    Whoever draws both says in the address what they hold, at once.
    """

    def known(name: str) -> NetworkInfo | None:
        if name in networks or name.endswith((".keras", ".npz")):  # a link opens no files
            return networks.get(name)
        try:
            return catalogue.by_name(name, store)
        except ValueError:
            return None

    def is_known(name: str) -> bool:
        return known(name) is not None

    if address.give_up(side, is_known):
        void("compare")
    address.read(side, default, is_known)
    choices = dict(networks)
    name = st.session_state[side]
    if name not in choices:
        choices[name] = known(name) or networks[default]
    labels = network_words.network_labels(choices)
    names = list(labels)
    chosen: str | None = st.selectbox(
        f"Network {side.upper()}",
        names,
        index=names.index(st.session_state[side]),
        format_func=labels.__getitem__,
        key=side,
    )
    info = choices[chosen or default]
    at_epoch = "@" in info.spec.name
    said = not at_epoch and (info.trained_on or info.spec.source == "untrained")  # all of it, by the label
    facts, hint = [] if said else [info.subtitle], None
    if info.parameters and info.activations is None:
        facts.append(f"{words.count_text(info.parameters)} parameters")
    if info.test_accuracy is not None and info.test_images:
        right = words.accuracy_text(info.test_accuracy, info.test_images)
        facts.append(f"{right} right")
        hint = f"Recognises {right} of {info.test_images:,} test images (95 % interval)."
    if facts:
        st.caption(" · ".join(fact.replace(" ", "\N{NO-BREAK SPACE}") for fact in facts), help=hint)
    return info


def one_of(label: str, key: str, lines: Mapping[str, str], default: str) -> str:
    """One of a few names, each told in a line; in the address by its name."""
    address.read(key, default, lines.__contains__)
    if st.session_state[key] not in lines:
        st.session_state[key] = default
    names = list(lines)
    at = names.index(st.session_state[key])
    chosen: str | None = st.selectbox(label, names, index=at, format_func=lines.__getitem__, key=key, width=240)
    address.write(key, chosen or default, default)
    return chosen or default


def choice(
    label: str,
    options: Sequence[str],
    key: str,
    help: str | None = None,
    *,
    default: str | None = None,
    width: int | Literal["stretch"] = "stretch",
    labelled: bool = True,
) -> str:
    """One of a few words, in the address too; the first one is the default if none is named. Where it is not
    ``labelled`` the words say what it is for."""
    address.check(key, options.__contains__)
    default = default or options[0]
    chosen: str | None = st.selectbox(
        label, options, index=options.index(default), key=key, help=help, width=width, bind="query-params",
        label_visibility="visible" if labelled else "collapsed",
    )  # fmt: skip
    return chosen or default


def pressed(label: str, *, key: str, disabled: bool = False, **options: Any) -> bool:
    """A button whose press is not lost: whether it was pressed, once.

    A press begins a run of the page. If something else asks for one too before this one reaches the button (a component
    that tells the window's width, a slider let go), Streamlit begins anew and the press is gone: what `st.button`
    returns is of one run. A callback runs before all else, and what it notes stays until it is taken. A note that
    nobody took, because the page was left, is void after `PRESSED_FOR` seconds.
    """
    noted = f"pressed {key}"
    st.button(label, key=key, disabled=disabled, on_click=_note, args=(noted,), **options)
    since = st.session_state.pop(noted, None)
    return since is not None and not disabled and time.monotonic() - since < PRESSED_FOR


def void(key: str) -> None:
    """A press that no run has taken is void: what it was made for is not there any more."""
    st.session_state.pop(f"pressed {key}", None)


def _note(noted: str) -> None:
    st.session_state[noted] = time.monotonic()


def starting(label: str, asked: Any, *, key: str, disabled: bool = False, **options: Any) -> bool:
    """A button that has a worker begin: where it was pressed, progress stands in its place.

    Returns whether ``asked`` was asked for; `take` says what was, once, at the end of the run, when the page stands.
    Below it stands why it was refused (`refuse`).
    """
    waiting = f"asked by {key}"
    place = st.empty()
    with place:
        if pressed(label, key=key, disabled=disabled, **options):
            st.session_state[waiting] = asked
    is_asked = bool(st.session_state.get(waiting) == asked)
    if is_asked:
        place.progress(0.0, text="Starting the worker")
    refused = st.session_state.pop(f"refused by {key}", None)
    if refused is not None:
        st.error(address.plain(refused), icon=":material/block:")
    return is_asked


def take(key: str) -> Any:
    """What a `starting` button was pressed for, once; None where it was not pressed."""
    return st.session_state.pop(f"asked by {key}", None)


def refuse(key: str, reason: str) -> None:
    """What a `starting` button was pressed for was not accepted: the next run says why."""
    st.session_state[f"refused by {key}"] = reason


def at_work(job: submit.JobStatus | None) -> bool:
    return job is not None and job.state in AT_WORK


def rest_of_queue(kind: str, store: Store, drawn: submit.Queue, *, own: bool = True) -> None:
    """How many jobs there are beside those that are named, as ``drawn`` names them; not ``own`` where the page has
    those elsewhere. While there are any it looks every few seconds, and runs the page again where others are to be
    named."""
    any_there = bool(drawn.shown or drawn.more or drawn.others)

    @st.fragment(run_every=QUEUE_SECONDS if any_there else None)
    def look() -> None:
        queue = submit.queue(kind, store, visitor.here())
        if own and [job.key for job in queue.shown] != [job.key for job in drawn.shown]:
            st.rerun()
        more = queue.more if own else 0
        parts = [f"{more} more of yours" if visitor.here() else f"{more} more"] if more else []
        parts += [f"{queue.others} of others"] if queue.others else []
        if parts:
            st.caption(f"{' and '.join(parts)} at work or waiting.")

    look()


def stop_job(key: str, store: Store) -> None:
    """For a Stop button: where others asked for the same, a note says that it goes on for them."""

    def left_or_stopped(by: Visitor | None) -> None:
        if not submit.stop(key, store, by):
            say_that_it_goes_on()

    visitor.ask(left_or_stopped)


def say_that_it_goes_on() -> None:
    """What became of a job that somebody stopped whom it did not belong to alone."""
    notes.leave("Others asked for it, too: it goes on for them, and is yours no longer.", ":material/group:")


def job_progress(key: str, *, stop: str = "stop") -> None:
    """A job at work: a line that grows, in words, and Stop. Looks every second, and runs the page again at its end.

    ``stop`` is the button's key, for a page that shows several jobs.
    """

    def left(fraction: float) -> str:
        if fraction == 0:
            return ""
        since, then = st.session_state.setdefault(f"first look at {key}", (fraction, time.time()))
        return words.left_text(fraction, since, then, time.time())

    @st.fragment(run_every=1.0)
    def look() -> None:
        store = Store()
        status = submit.status(key, store)
        if status is None or not at_work(status):
            st.rerun()
        with st.container(horizontal=True, vertical_alignment="center"):
            fraction, doing = 0.0, "waiting for a worker"
            if status.progress is not None:
                fraction = status.progress.fraction
                doing = " · ".join(filter(None, [status.progress.detail or status.progress.phase, left(fraction)]))
            if status.stopping:
                doing = "stopping after this step"
            st.progress(fraction, text=address.plain(f"{status.title}: {doing}"))
            if visitor.owns(key, store):
                st.button(
                    "Stop",
                    key=stop,
                    icon=":material/stop_circle:",
                    disabled=status.stopping,
                    on_click=stop_job,
                    args=(key, store),
                )
        notes.show()

    look()
