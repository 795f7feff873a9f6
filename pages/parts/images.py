"""Which images a comparison uses: chosen, or those that an activation set was made from."""

from __future__ import annotations

import dataclasses

import streamlit as st

from cka_core.base.records import LARGEST_SEED
from cka_core.base.store import Store
from cka_core.images.sets import ImageSet, SampleSpec, image_sets, is_available
from cka_core.library.catalogue import NetworkInfo
from cka_core.measures.kernels import MIN_IMAGES
from cka_core.networks.fitting import DoesNotFit, plan
from cka_core.networks.preprocessing import takes
from cka_core.results import views
from cka_core.results import words as result_words
from cka_core.results.activation_sets import ActivationSet, assumption, shared_sample
from cka_core.results.comparison import CompareSpec
from pages.parts import address
from pages.parts.glossary import hint
from pages.parts.widgets import choice, void


def images_picker(store: Store, rows: int | None = None) -> tuple[SampleSpec, int, int]:
    """Choose the images and, under "More", the minibatch size and how often the images go by.

    ``rows``: as many images as an activation set has.
    """
    known = image_sets(store)
    if address.give_up("images", known.__contains__):
        void("compare")
    name = choice("Images", tuple(known), "images", default="cifar10-mini")
    told = st.container()
    count = st.container()  # how many there are depends on the split, which stands below
    parts = tuple(known[name].sizes)
    with st.expander("More"):
        address.check("split", parts.__contains__)
        if st.session_state.get("split") not in (None, *parts):
            del st.session_state["split"]  # of the images chosen before
        split = st.segmented_control(
            "Part of the set", parts, default=parts[0], required=True, key="split", bind="query-params"
        )
        draw = choice("Which images", ("random", "first"), "draw", "Drawn at random, or the first ones in order.")
        address.check("seed", lambda text: text.isdecimal() and int(text) <= LARGEST_SEED)
        seed = st.number_input(
            "Seed of the draw", 0, LARGEST_SEED, 0, key="seed", bind="query-params", disabled=draw == "first",
            help="The number that the choice of images is drawn from: the same number, the same images.",
        )  # fmt: skip
        balanced = st.toggle("Same number of each class", key="balanced", bind="query-params")
        sizes = ["32", "64", "128", "256", "512", "1024"]
        batch = choice(
            "Minibatch size",
            sizes,
            "batch",
            hint("minibatch", "HSIC", after="Larger takes more memory."),
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
    if rows is not None:
        return SampleSpec(name, split, rows, int(seed) if draw == "random" else None, balanced), int(batch), int(passes)
    total = known[name].sizes[split]
    asked = str(st.session_state.get("n") or st.query_params.get("n") or "")
    steps = [str(n) for n in views.sample_steps(total, int(asked) if asked.isdecimal() and len(asked) < 7 else None)]
    with count:
        address.check("n", steps.__contains__)
        n = st.select_slider(
            "How many", steps, value="768" if "768" in steps else steps[-1], key="n", bind="query-params"
        )
    with told:
        if not is_available(name, store):
            images_missing(known[name])
    return SampleSpec(name, split, int(n), int(seed) if draw == "random" else None, balanced), int(batch), int(passes)


def images_of_sets(a: NetworkInfo, b: NetworkInfo, store: Store) -> tuple[SampleSpec, int, str]:
    """Where an activation set is compared there is no choice of images: they are those that it was made from.

    Returns them, the minibatch size, and why the two cannot be compared, or "".
    """
    sets = [info.activations for info in (a, b) if info.activations is not None]
    sample, batch_size, problem = sets[0].sample, sets[0].batch_size, ""
    beside_a_network = len(sets) == 1 and a.spec != b.spec
    if beside_a_network and sample.assumed and not sample.digest:
        return (*_told_by_the_reader(sets[0], store), "")
    try:
        sample, batch_size = shared_sample(sets)
        if beside_a_network and not sample.images:
            problem = f"{sets[0].name} does not say which images it was made from: no network can be shown the same."
    except ValueError as error:
        problem = str(error)
    st.markdown("Images")
    st.caption(
        f"{address.plain(result_words.sample_text(sample))}, in minibatches of {batch_size}",
        help="An activation set holds what a network made of certain images, so the comparison uses these.",
    )
    if len(sets) == 2 and not problem and (told := assumption(sets[0], sets[1].sample, sets[1].name)):
        st.markdown(f":small[:material/info: {address.plain(told)}]")
    return sample.spec, batch_size, problem


def _told_by_the_reader(found: ActivationSet, store: Store) -> tuple[SampleSpec, int]:
    """Nothing says which images arrays were made from: whoever compares them with a network says it."""
    st.caption(
        f"{address.code(found.name)} does not say which images it was made from. Choose them: its row i is taken for "
        f"image i of these {found.sample.n:,}, in their order."
    )
    sample, _, _ = images_picker(store, found.sample.n)
    return sample, found.batch_size


def fitting(spec: CompareSpec, a: NetworkInfo, b: NetworkInfo, store: Store) -> tuple[CompareSpec, str]:
    """What is done to images that a network takes in another form, before it is done; and why they cannot be used.

    Returns the spec that asks for it, and the reason, or "".
    """
    found = image_sets(store).get(spec.sample.images)
    if found is None:
        return spec, ""
    said = []
    for info in dict.fromkeys((a, b)):
        if info.activations is not None or not info.input_shape:
            continue
        if not takes(found.dtype, info.input_dtype, info.takes_ids):
            return spec, (
                f"{info.title} takes pixels from 0 to 255 (uint8) or floats, and {found.title} has whole numbers of "
                f"another type ({found.dtype}). Save them as one of these, and bring in that."
            )
        try:
            how = plan(found.shape, info.input_shape, info.title, ids=info.takes_ids)
        except DoesNotFit as error:
            return spec, str(error)
        said += [f"For {address.plain(info.title)} the images are {how.words}."] if how.words else []
    if said:
        st.markdown("  \n".join(f":small[:material/info: {line}]" for line in said))
    return dataclasses.replace(spec, fit=bool(said)), ""


def too_few(sample: SampleSpec) -> str:
    """Why images are too few to compare networks on, or ""."""
    if sample.n is None or sample.n >= MIN_IMAGES:
        return ""
    return f"CKA is defined for {MIN_IMAGES} images and more, and here are {sample.n}. Choose other images."


def images_missing(found: ImageSet) -> None:
    """A set that is not in the store: the ways to get it."""
    if found.name != "cifar10":
        st.info(f"{found.title} is not here yet. Compare: Keras downloads it first, once.")
        return
    st.info(
        "The full CIFAR-10 is not here yet. Three ways to get it:\n"
        "1. Compare: it is downloaded first (170 MB, once)\n"
        "2. `python -m cka_core data import cifar10 cifar10.npz`\n"
        "3. `python -m cka_core data import cifar10 cifar-10-binary.tar.gz`\n\n"
        "`cifar10-mini` needs no download."
    )
