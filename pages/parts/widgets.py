"""Pieces of screen that pages share: picking networks and images, a job at work."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal

import streamlit as st

from cka_core.base import words
from cka_core.base.store import Store
from cka_core.images.sets import IMAGE_SETS, SPLITS, SampleSpec, image_set, is_available
from cka_core.jobs import submit
from cka_core.library import catalogue
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.results import views
from cka_core.results import words as result_words
from cka_core.results.activation_sets import shared_sample
from pages.parts import address, visitor

AT_WORK = (submit.QUEUED, submit.RUNNING)
LARGEST_SEED = 2**31 - 1


def network_picker(side: str, networks: Mapping[str, NetworkInfo], default: str, store: Store) -> NetworkInfo:
    """Choose a network of the library; a link may name any other architecture too. ``side`` is "a" or "b"."""

    def known(name: str) -> NetworkInfo | None:
        if name in networks or name.endswith((".keras", ".npz")):  # a link opens no files
            return networks.get(name)
        try:
            return catalogue.by_name(name, store)
        except ValueError:
            return None

    address.read(side, default, lambda name: known(name) is not None)
    choices = dict(networks)
    name = st.session_state[side]
    if name not in choices:
        choices[name] = known(name) or networks[default]
    labels = network_words.network_labels(choices)
    names = list(choices)
    chosen: str | None = st.selectbox(f"Network {side.upper()}", names, format_func=labels.__getitem__, key=side)
    name = chosen or default
    address.write(side, name, default)
    info = choices[name]
    facts, hint = [info.subtitle], None
    if info.parameters and info.activations is None:
        facts.append(f"{words.count_text(info.parameters)} parameters")
    if info.test_accuracy is not None and info.test_images:
        right = words.accuracy_text(info.test_accuracy, info.test_images)
        facts.append(f"{right} right")
        hint = f"Recognises {right} of {info.test_images:,} test images (95 % interval)."
    st.caption(" · ".join(fact.replace(" ", "\N{NO-BREAK SPACE}") for fact in facts), help=hint)
    return info


def images_picker(store: Store) -> tuple[SampleSpec, int, int]:
    """Choose the images and, under "More", the minibatch size and how often the images go by."""
    name = choice("Images", tuple(IMAGE_SETS), "images")
    count = st.container()  # how many there are depends on the split, which stands below
    with st.expander("More"):
        address.check("split", SPLITS.__contains__)
        split = st.segmented_control(
            "Part of the set", SPLITS, default="test", required=True, key="split", bind="query-params"
        )
        draw = choice("Which images", ("random", "first"), "draw", "Drawn at random, or the first ones in order.")
        address.check("seed", lambda text: text.isdecimal() and int(text) <= LARGEST_SEED)
        seed = st.number_input(
            "Seed of the draw", 0, LARGEST_SEED, 0, key="seed", bind="query-params", disabled=draw == "first"
        )
        balanced = st.toggle("Same number of each class", key="balanced", bind="query-params")
        sizes = ["32", "64", "128", "256", "512", "1024"]
        batch = choice(
            "Minibatch size",
            sizes,
            "batch",
            "HSIC is averaged over minibatches of this many images, then CKA is taken. Larger takes more memory.",
            default="256",
        )
        passes = choice(
            "Passes over the images",
            ("1", "10"),
            "passes",
            "Ten passes, each in other minibatches, are what the paper’s code makes. They buy agreement with its maps, "
            "not precision: which images meet in a minibatch matters less, by far, than which images there are. Ten "
            "times the work.",
        )
    total = image_set(name).sizes[split]
    asked = str(st.session_state.get("n") or st.query_params.get("n") or "")
    steps = [str(n) for n in views.sample_steps(total, int(asked) if asked.isdecimal() and len(asked) < 7 else None)]
    with count:
        address.check("n", steps.__contains__)
        n = st.select_slider(
            "How many", steps, value="768" if "768" in steps else steps[-1], key="n", bind="query-params"
        )
        if not is_available(name, store):
            images_missing()
    return SampleSpec(name, split, int(n), int(seed) if draw == "random" else None, balanced), int(batch), int(passes)


def images_of_sets(a: NetworkInfo, b: NetworkInfo) -> tuple[SampleSpec, int, str]:
    """Where an activation set is compared there is no choice of images: they are those that it was made from.

    Returns them, the minibatch size, and why the two cannot be compared, or "".
    """
    sets = [info.activations for info in (a, b) if info.activations is not None]
    sample, batch_size, problem = sets[0].sample, sets[0].batch_size, ""
    try:
        sample, batch_size = shared_sample(sets)
        if len(sets) == 1 and a.spec != b.spec and not sample.images:
            problem = f"{sets[0].name} does not say which images it was made from: no network can be shown the same."
    except ValueError as error:
        problem = str(error)
    st.markdown("Images")
    st.caption(
        f"{address.plain(result_words.sample_text(sample))}, in minibatches of {batch_size}",
        help="An activation set holds what a network made of certain images, so the comparison uses these.",
    )
    return sample.spec, batch_size, problem


def choice(
    label: str,
    options: Sequence[str],
    key: str,
    help: str | None = None,
    *,
    default: str | None = None,
    width: int | Literal["stretch"] = "stretch",
) -> str:
    """One of a few words, in the address too; the first one is the default if none is named."""
    address.check(key, options.__contains__)
    default = default or options[0]
    chosen: str | None = st.selectbox(
        label, options, index=options.index(default), key=key, help=help, width=width, bind="query-params"
    )
    return chosen or default


def images_missing() -> None:
    """The full CIFAR-10 is not in the store: the three ways to get it."""
    st.info(
        "The full CIFAR-10 is not here yet. Three ways to get it:\n"
        "1. Compare: it is downloaded first (170 MB, once)\n"
        "2. `python -m cka_core data import cifar10 cifar10.npz`\n"
        "3. `python -m cka_core data import cifar10 cifar-10-binary.tar.gz`\n\n"
        "`cifar10-mini` needs no download."
    )


def at_work(job: submit.JobStatus | None) -> bool:
    return job is not None and job.state in AT_WORK


def rest_of_queue(queue: submit.Queue) -> None:
    """How many jobs there are beside those that are named."""
    parts = [f"{queue.more} more of yours" if visitor.here() else f"{queue.more} more"] if queue.more else []
    parts += [f"{queue.others} of others"] if queue.others else []
    if parts:
        st.caption(f"{' and '.join(parts)} at work or waiting.")


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
                    on_click=visitor.ask,
                    args=(submit.stop, key, store),
                )

    look()
