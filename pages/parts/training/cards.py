"""The queue of trainings as cards: at work on top with live curves, then waiting, then ended."""

from __future__ import annotations

import dataclasses
from typing import Any

import streamlit as st

from cka_core.base.store import Store
from cka_core.base.visitors import Visitor
from cka_core.jobs import submit as jobs
from cka_core.jobs import trainings
from cka_core.jobs.submit import DONE, FAILED, INTERRUPTED, QUEUED, RUNNING, STOPPED
from cka_core.jobs.trainings import AT_WORK, ELSEWHERE, Training
from cka_core.library import belongings
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.training import figures as training_figures
from cka_core.training import state as training_state
from cka_core.training import words as training_words
from cka_core.training.recipe import TrainSpec
from pages.parts import address, drawn, naming, notes, visitor, widgets
from pages.parts.training import form as training_form

LOOK_SECONDS, IDLE_SECONDS = 1.5, 5.0
MOST_SHOWN, MOST_WAITING = 12, 6
BADGES: dict[str, tuple[str, Any, str]] = {
    RUNNING: ("training", "violet", ":material/play_circle:"),
    ELSEWHERE: ("training, in another program", "violet", ":material/terminal:"),
    QUEUED: ("waiting", "gray", ":material/schedule:"),
    DONE: ("trained", "green", ":material/check_circle:"),
    STOPPED: ("stopped", "orange", ":material/pause_circle:"),
    INTERRUPTED: ("interrupted", "orange", ":material/pause_circle:"),
    FAILED: ("failed", "red", ":material/error:"),
}
PLAIN_CHART = {"displayModeBar": False}


def queue(found: list[Training], names: dict[str, str], networks: dict[str, NetworkInfo], store: Store) -> None:
    """All cards. Those at work look again every second or two; another tab's doings are seen within a few.

    ``names`` as `trainings.trained` has them.
    """
    shown = _signature(found)
    busy = any(training.state in AT_WORK for training in found)

    @st.fragment(run_every=LOOK_SECONDS if busy else IDLE_SECONDS)
    def look() -> None:
        now = trainings.trainings(Store(), visitor.own_keys(store))
        if _signature(now) != shown:
            st.rerun()
        waiting = 0
        for training in now:
            if training.state == QUEUED:
                waiting += 1
                if waiting <= MOST_WAITING:
                    waiting_card(training, waiting, store)
            elif training.state in AT_WORK:
                running_card(training, store)
        if waiting > MOST_WAITING:
            st.caption(f"{waiting - MOST_WAITING} more wait.")
        notes.show()

    look()
    ended = [training for training in found if training.state not in AT_WORK]
    resume_all([training for training in ended if training.state in (STOPPED, INTERRUPTED)], store)
    newest = next((training.key for training in ended if training.state == DONE), None)
    if len(ended) > MOST_SHOWN and not st.toggle(f"Show all {len(ended)} that ended", key="all ended"):
        ended = ended[:MOST_SHOWN]
    for training in ended:
        if training.state == DONE:
            name = names.get(training.key, "")
            finished_card(training, name, networks, store, opened=training.key == newest and not busy)
        else:
            ended_card(training, store)


def _signature(found: list[Training]) -> list[tuple[str, str]]:
    return [(training.key, training.state) for training in found]


def running_card(training: Training, store: Store) -> None:
    """A training at work: how far, how fast, and its curves as they grow."""
    with st.container(border=True, key=f"card {training.key}"):
        _header(training)
        place, numbers = trainings.at_work_text(training, store)
        st.progress(training.fraction, text=address.plain(place))
        device, why = trainings.device_text(training)
        st.caption(address.plain(numbers) or "\N{NO-BREAK SPACE}", help=address.plain(why) if device else None)
        history = training.progress.history if training.progress else {}
        for column, quantity in zip(st.columns(2), training_figures.QUANTITIES, strict=True):
            with column:
                _curves(history, training.spec.epochs, quantity, training.key)
        if training.job and training.job.restarts:
            st.caption("Its worker process was killed and begun again. It went on from the last finished epoch.")
        with st.container(horizontal=True, vertical_alignment="center"):
            stopping = training.job is not None and training.job.stopping
            if training.state == RUNNING:
                st.button(
                    "Stopping" if stopping else "Stop",
                    key=f"stop {training.key}",
                    icon=":material/stop_circle:",
                    disabled=stopping,
                    help="After the present step. Finished epochs are kept, and Resume goes on from there.",
                    on_click=widgets.stop_job,
                    args=(training.key, store),
                )
            else:
                st.caption("Another program is at it, the command line or an atlas perhaps: stop it there.")
        _details(training, store)


def waiting_card(training: Training, place: int, store: Store) -> None:
    with st.container(border=True, key=f"card {training.key}"):
        _header(training)
        done = f", goes on after epoch {training.epochs_done}" if training.epochs_done else ""
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.caption(f"Number {place} in the queue{done}. One network is trained at a time.")
            st.button(
                "Take out of the queue",
                key=f"unqueue {training.key}",
                icon=":material/remove_circle_outline:",
                type="tertiary",
                on_click=_unqueue,
                args=(training, store),
            )


def _unqueue(training: Training, store: Store) -> None:
    """What was never begun leaves no trace; what has epochs reads "stopped" and can go on later."""

    def take_out(by: Visitor | None) -> None:
        if not jobs.stop(training.key, store, by):
            widgets.say_that_it_goes_on()
        elif not training.epochs_done:
            trainings.remove(training.key, store, by)

    visitor.ask(take_out)


def ended_card(training: Training, store: Store) -> None:
    """One that ended before its last epoch: why, and the way on."""
    with st.container(border=True, key=f"card {training.key}"):
        _header(training)
        text = address.plain(trainings.ended_text(training))
        if training.state == FAILED:
            st.error(text, icon=":material/error:")
        else:
            st.caption(text)
        with st.container(horizontal=True, vertical_alignment="center"):
            label = "Try again" if training.state == FAILED and not training.epochs_done else "Resume"
            if training.lower_rate is not None:  # resumed, it would fail again
                st.button(
                    f"Fill in the form with learning rate {training.lower_rate:g}", key=f"lower {training.key}",
                    icon=":material/edit_note:", on_click=training_form.take_recipe,
                    args=(dataclasses.replace(training.spec, learning_rate=training.lower_rate),),
                )  # fmt: skip
            elif not visitor.only_looks() and widgets.pressed(
                label, key=f"resume {training.key}", icon=":material/play_arrow:"
            ):
                submit([training.spec], store)
            _remove_button(training, store)
        if training.epochs_done and training.progress:
            with _lazy("Curves", training.key) as curves:
                if curves.open:
                    _both_curves(training.progress.history, training.spec.epochs, None, training.key)
        _details(training, store)


def finished_card(
    training: Training, name: str, networks: dict[str, NetworkInfo], store: Store, *, opened: bool
) -> None:
    """A trained network: how good it is, how it came to that, what it is called, and the way to the Compare page.

    ``name`` in the library, "" where it is there no more.
    """
    record = training.result or {}
    given = bool(name) and network_words.is_given_name(networks[name])
    with st.container(border=True, key=f"card {training.key}"):
        _header(training, name if given else "")
        st.caption(trainings.result_text(record))
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            if name:
                compare_with(name, networks, training.key)
                if not visitor.only_looks() and belongings.is_ones_own(visitor.here(), "networks", name, store):
                    with st.popover("Rename" if given else "Give it a name", icon=":material/edit:", type="tertiary"):
                        naming.field("networks", name, store, button="Name it", attempt=visitor.attempt)
            else:
                st.caption("The network itself was removed from the library.")
            _remove_button(training, store)
        with _lazy("Curves and confusion matrix", training.key, expanded=opened) as results:
            if results.open:
                result(record, training.key)
        _details(training, store)


def result(record: dict[str, Any], key: str) -> None:
    """The curves of a finished training and, where it was counted, what was taken for what."""
    spec, counts = record["spec"], record.get("confusion")
    if not counts:
        _both_curves(record["history"], spec["epochs"], record["kept_epoch"], key)
        return
    left, right = st.columns(2, gap="medium")
    with left:
        for quantity in training_figures.QUANTITIES:
            _curves(record["history"], spec["epochs"], quantity, key, record["kept_epoch"])
        st.caption("The dotted line marks the epoch whose weights were kept.")
    with right:
        st.plotly_chart(
            drawn.readable(training_figures.confusion(counts, record["classes"])),
            key=f"confusion {key}",
            alt=training_figures.confusion_alt(counts, record["classes"]),
            config=PLAIN_CHART,
        )
        st.caption("In percent of the test images of each class.")


def compare_with(name: str, networks: dict[str, NetworkInfo], key: str) -> None:
    """Choose a second network: the Compare page opens on both."""
    labels = network_words.network_labels(networks)
    chosen = st.selectbox(
        "Compare with…",
        trainings.partners(name, networks),
        index=None,
        key=f"compare {key}",
        placeholder="Compare with…",
        format_func=labels.__getitem__,
        label_visibility="collapsed",
        width=320,
    )
    if chosen:
        st.switch_page("pages/compare.py", query_params={"a": name, "b": chosen})


def resume_all(found: list[Training], store: Store) -> None:
    """After the cluster or the machine went away with a whole queue: one button for all."""
    may = len(found) > 1 and not visitor.only_looks()
    if may and widgets.pressed(f"Resume all {len(found)}", key="resume all", icon=":material/play_arrow:"):
        in_order = sorted(found, key=lambda training: training.job.submitted if training.job else 0.0)
        submit([training.spec for training in in_order], store)


def submit(specs: list[TrainSpec], store: Store) -> None:
    """`send` them and show them, or why it cannot be done."""
    with st.spinner("Starting the worker"):
        refused = send(specs, store)
    if not refused:
        st.rerun()
    st.error(address.plain(refused), icon=":material/block:")


def send(specs: list[TrainSpec], store: Store) -> str:
    """Have trainings done, in this order; why it cannot be done, or ""."""

    def submit_all() -> None:
        for spec in specs:
            jobs.submit("train", spec, training_words.title(spec), store, visitor.here())

    return visitor.refusal(submit_all)


def _header(training: Training, name: str = "") -> None:
    label, colour, icon = BADGES[training.state]
    title = f"**{training.title}**" if not name else f"**{address.plain(name)}** · {training.title}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(title, width="content")
        st.badge(label, icon=icon, color=colour)
        st.caption(training_words.short_text(training.spec), width="content")


def _both_curves(history: dict[str, list[float]], epochs: int, kept: int | None, key: str) -> None:
    for column, quantity in zip(st.columns(2), training_figures.QUANTITIES, strict=True):
        with column:
            _curves(history, epochs, quantity, key, kept)


def _curves(history: dict[str, list[float]], epochs: int, quantity: str, key: str, kept: int | None = None) -> None:
    st.plotly_chart(
        drawn.readable(training_figures.curves(history, epochs, quantity, kept_epoch=kept)),
        key=f"{quantity} {key}",
        alt=training_figures.curves_alt(history, epochs, quantity),
        config=PLAIN_CHART,
    )


def _lazy(label: str, key: str, *, expanded: bool = False) -> Any:
    """An expander that is drawn only when it is open."""
    return st.expander(label, expanded=expanded, key=f"{label} {key}", on_change="rerun")


def _details(training: Training, store: Store) -> None:
    """The recipe in words, the command line that does the same, and the log."""
    with _lazy("Recipe and log", training.key) as details:
        if not details.open:
            return
        st.markdown(
            f"**{training.spec.architecture}** on {training_words.images_text(training.spec)}: "
            f"{training_words.recipe_text(training.spec)}."
        )
        st.code(training_words.command(training.spec, store), language="bash", wrap_lines=True)
        log = training_state.read_log(training.key, store)
        if log:
            newest_first = "\n".join(reversed(log.splitlines()))
            st.code(newest_first, language=None, wrap_lines=True, height=220)


def _remove_button(training: Training, store: Store) -> None:
    if visitor.only_looks():
        return
    if training.state == DONE or not training.epochs_done:
        st.button(
            "Remove",
            key=f"remove {training.key}",
            type="tertiary",
            icon=":material/delete:",
            help="From this list. The network stays in the library." if training.state == DONE else "From this list.",
            on_click=_remove,
            args=(training.key, store),
        )
        return
    with st.popover("Remove", icon=":material/delete:", type="tertiary"):
        st.markdown(f"{training.epochs_done} of {training.spec.epochs} epochs are kept. Without them it begins again.")
        st.button("Remove them", key=f"remove {training.key}", on_click=_remove, args=(training.key, store))


def _remove(key: str, store: Store) -> None:
    """It may have been begun again meanwhile, in another tab: then it stays."""
    visitor.ask(trainings.remove, key, store)
