"""Train networks: the form at the left, the queue of trainings at the right."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import streamlit as st

from cka_core.base import deployment, words
from cka_core.base.store import Store
from cka_core.images.sets import is_available
from cka_core.jobs import submit, trainings
from cka_core.jobs.trainings import AT_WORK, Training
from cka_core.library import catalogue
from cka_core.library.catalogue import NetworkInfo
from cka_core.training import estimate as training_estimate
from cka_core.training import state as training_state
from cka_core.training.estimate import MeasureSpec
from cka_core.training.recipe import TrainSpec, about_batch_norm
from pages.parts import address, visitor, widgets
from pages.parts.training import cards as training_cards
from pages.parts.training import form as training_form


def choose() -> tuple[list[TrainSpec], str]:
    """The form: what to train, or nothing and the reason."""
    st.title("Train", anchor=False)
    st.caption("Networks trained here can be compared with all others.")
    described, wrong = training_form.architecture_picker()
    preset = training_form.preset_picker()
    seeds, problem = training_form.seeds_picker()
    values, missing = training_form.recipe(described.name, preset)
    if wrong or problem or missing:
        return [], wrong or problem or missing
    try:
        return [TrainSpec(described.name, seed=seed, **values) for seed in seeds], ""
    except ValueError as error:
        return [], str(error)


def train_button(
    specs: list[TrainSpec],
    problem: str,
    found: list[Training],
    trained: dict[str, str],
    networks: dict[str, NetworkInfo],
    store: Store,
) -> None:
    """The one action, how long it will take, or why there is nothing to do. See `widgets.starting`."""
    at_work = {training.key for training in found if training.state in AT_WORK}
    wanted = [spec for spec in specs if spec.key not in trained and spec.key not in at_work]
    states = {training.key: training for training in found}
    if any(spec.key in states and states[spec.key].lower_rate is not None for spec in wanted):
        wanted, problem = [], "At this learning rate the loss did not stay finite. Choose a lower one under More."
    problem = problem or submit.refusal("train", wanted, store, visitor.here())
    going_on = bool(wanted) and all(states[spec.key].epochs_done for spec in wanted if spec.key in states)
    going_on = going_on and all(spec.key in states for spec in wanted)
    asked = widgets.starting(
        "Resume" if going_on else "Train",
        wanted,
        type="primary",
        width="stretch",
        disabled=not wanted or bool(problem) or visitor.cannot_act_yet(),
        key="train",
    )
    if visitor.only_looks():
        st.caption(deployment.ONLY_TO_LOOK_AT)
    elif problem:
        st.markdown(f":small[:red[{address.plain(problem)}]]")
    elif wanted and not asked:
        tell_time(wanted, len(specs) - len(wanted), store)
    elif not wanted:
        done = [trained[spec.key] for spec in specs if spec.key in trained]
        st.caption("Trained already." if len(done) == len(specs) else "At work or waiting: see the queue.")
        if done:
            training_cards.compare_with(done[0], networks, "of the form")


def tell_time(wanted: Sequence[TrainSpec], left_out: int, store: Store) -> None:
    """How long the trainings will take, and a way to know better."""
    epoch, measured = training_estimate.training_seconds(wanted[0], store)
    seconds = training_estimate.whole_training_seconds(wanted[0], store)
    parts = [f"≈ {words.seconds_text(epoch)} an epoch", f"{words.seconds_text(seconds)} in all"]
    parts += [f"for each of {len(wanted)} seeds"] if len(wanted) > 1 else []
    parts += ["" if is_available(wanted[0].images, store) else "after the download of the images"]
    parts += ["" if measured else "a rough guess"]
    st.caption(" · ".join(filter(None, parts)))
    if note := about_batch_norm(wanted[0], round(training_estimate.epoch_images(wanted[0]))):
        st.caption(note)
    if left_out:
        st.caption(f"{left_out} of the seeds {'is' if left_out == 1 else 'are'} trained, at work or waiting already.")
    if seconds > 60 * (deployment.most("minutes") or math.inf):
        st.caption(address.plain(deployment.sentence("minutes")))
    spec = MeasureSpec(wanted[0])
    job = submit.status(spec.key, store)
    if widgets.at_work(job):
        measuring(spec.key)
    elif not measured and not visitor.only_looks():
        if job is not None and job.state == submit.FAILED:
            st.caption(address.plain(job.error or ""))
        how = "Trains a few steps to see how fast."
        if widgets.pressed(
            "Measure", key="measure speed", disabled=visitor.cannot_act_yet(), type="tertiary",
            icon=":material/timer:", help=how,
        ):  # fmt: skip
            title, by = f"speed of {wanted[0].architecture}", visitor.here()
            with st.spinner("Starting the worker"):
                accepted = visitor.attempt(lambda: submit.submit("measure", spec, title, store, by))
            if accepted:
                st.rerun()


def measuring(key: str) -> None:
    """Until the speed is known."""

    @st.fragment(run_every=1.0)
    def look() -> None:
        job = submit.status(key, Store())
        if not widgets.at_work(job):
            st.rerun()
        doing = job.progress.detail if job and job.progress else "waiting for a worker"
        st.caption(f"Measuring: {address.plain(doing)}")

    look()


def images_gone(store: Store, mine: Collection[str] | None, found: Sequence[Training]) -> None:
    """Trainings that wait for images which somebody removed: they are kept, and come back with them."""
    gone = training_state.of_images_gone(store, mine, {training.key for training in found})
    if gone:
        count = "One training is" if len(gone) == 1 else f"{len(gone)} trainings are"
        names = ", ".join(address.code(name) for name in sorted(set(gone)))
        st.info(
            f"{count} of images that are not here any more: {names}. They are kept, and stand here again once the "
            "images are put back from the trash of the Library, or their file is brought in again.",
            icon=":material/image_not_supported:",
        )


def empty_queue(networks: dict[str, NetworkInfo], store: Store) -> None:
    """What a newcomer sees: one suggestion, and what will come of it."""
    if visitor.only_looks():
        st.markdown("Nothing is trained here.")
    else:
        epochs = training_form.suggested_epochs()
        seconds = training_estimate.whole_training_seconds(TrainSpec("cifar-resnet-14x1", epochs=epochs), store)
        st.markdown(
            f"Nothing is trained yet. To begin with: a ResNet 14x1, "
            f"{words.counted(epochs, 'epoch')}, ≈ {words.seconds_text(seconds)}."
        )
        suggestion = training_form.take_suggestion
        st.button("Fill in the form for it", icon=":material/edit_note:", type="tertiary", on_click=suggestion)
    bundled = [info for info in networks.values() if info.spec.source == "bundled" and info.record]
    example = next((info for info in bundled if info.record.get("confusion")), bundled[0] if bundled else None)
    if example is None:
        return
    with st.container(border=True, key="example"):
        st.markdown(f"**{example.title}, seed {example.record['spec']['seed']}**, trained before: an example")
        st.caption(trainings.result_text(example.record))
        training_cards.compare_with(example.spec.name, networks, "example")
        training_cards.result(example.record, "example")


def screen() -> None:
    address.through_the_app()
    store = Store()
    networks = catalogue.networks(store)
    mine = visitor.own_keys(store)
    found = trainings.trainings(store, mine)
    trained = trainings.trained(store, networks)
    left, right = st.columns([1, 2.4], gap="medium")
    with left:
        specs, problem = choose()
        train_button(specs, problem, found, trained, networks, store)
    with right:
        notes = st.container()
        st.header("Trainings", anchor=False)
        images_gone(store, mine, found)
        if not found:
            empty_queue(networks, store)
        training_cards.queue(found, trained, networks, store)
        widgets.rest_of_queue("train", store, submit.queue("train", store, visitor.here()), own=False)
        with notes:
            address.show_notes(training_form.WORDS)
    if wanted := widgets.take("train"):  # the page stands while the worker starts
        if refused := training_cards.send(wanted, store):
            widgets.refuse("train", refused)
        st.rerun()


screen()
