"""The form of the Train page: an architecture, a preset, seeds, and under "More" every value of the recipe."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cka_core.base import deployment, words
from cka_core.base.store import Store
from cka_core.jobs import trainings
from cka_core.networks.architectures import APPLICATIONS, Architecture, architecture
from cka_core.training import state as training_state
from cka_core.training.recipe import (
    FORMER_PRESETS,
    FRACTIONS,
    LARGEST_BATCH,
    OPTIMIZERS,
    PRESETS,
    SCHEDULES,
    STARTS,
    USUAL_RATES,
    TrainSpec,
    fit_words,
    preset_values,
    trainable,
)
from pages.parts import address, holding, visitor
from pages.parts.glossary import hint
from pages.parts.training.fields import number_field, pick, segments, switch

FAMILIES = ("CIFAR ResNet", "ImageNet ResNet")
DEPTHS, RESNETS = list(range(8, 1203, 6)), [int(name.removeprefix("resnet")) for name in APPLICATIONS]
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUGGESTED_EPOCHS = 15
SUGGESTION = {
    "family": FAMILIES[0],
    "depth": 14,
    "width": 1,
    "preset": "paper",
    "seeds": "0",
}
PRESET_HELP = (
    "**paper**: Nguyen, Raghu & Kornblith (2021): SGD, cosine decay, L2, flip and pad-crop, best held-out epoch.  \n"
    "**notebook**: the original one: Adam from ImageNet weights, 10 epochs, nothing held out.  \n"
    "Every value can be changed under More."
)
FIELDS = {
    "set": "images",
    "share": "fraction",
    "epochs": "epochs",
    "minibatch": "batch_size",
    "optimizer": "optimizer",
    "rate": "learning_rate",
    "schedule": "schedule",
    "l2": "l2",
    "augment": "augment",
    "heldout": "held_out",
    "start": "start",
    "keep": "keep_every",
    "mixed": "mixed_precision",
    "xla": "xla",
    "cpu": "force_cpu",
    "deterministic": "deterministic",
}
"""What the address calls each value of the recipe -> the field of `TrainSpec`."""
WORDS = {
    "family": "the family",
    "depth": "the depth",
    "resnet": "the depth",
    "width": "the width",
    "preset": "the preset",
    "seeds": "the seeds",
    "set": "the images",
    "share": "the share of the images",
    "epochs": "the epochs",
    "minibatch": "the minibatch size",
    "optimizer": "the optimizer",
    "rate": "the learning rate",
    "schedule": "the schedule",
    "l2": "the L2 factor",
    "augment": "flip and crop",
    "heldout": "the held-out share",
    "start": "the start",
    "keep": "the epochs between kept weights",
    "mixed": "mixed precision",
    "xla": "XLA",
    "cpu": "the CPU",
    "deterministic": "deterministic",
}
START_LABELS = {"random": "random weights", "imagenet": "ImageNet weights", "file": "a weights file"}
OPTIMIZER_LABELS = {"sgd": "SGD", "adam": "Adam"}
SHARE_LABELS = {1.0: "all", 0.5: "1/2", 0.25: "1/4", 0.0625: "1/16"}
HELD_OUT_LABELS = {0.0: "none", 0.05: "5 %", 0.1: "10 %", 0.2: "20 %"}


def architecture_picker() -> tuple[Architecture, str]:
    """Family, depth and width, and what comes of them; and what is wrong with the width, if anything is."""
    problem = ""
    family = segments("Family", "family", FAMILIES)
    if family == FAMILIES[1]:
        name = f"resnet{pick('Depth', 'resnet', RESNETS, RESNETS[0])}"
    else:
        deep, wide = st.columns(2)
        with deep:
            depth = pick("Depth", "depth", DEPTHS, 14, "6n+2: three stages of n blocks with two convolutions each.")
        with wide:
            width, problem = number_field(
                "Width", "width", 1, 1, 64, 1, hint("width", after="At width 1 the stages have 16, 32 and 64 channels.")
            )
        name = f"cifar-resnet-{depth}x{width}"
    described = architecture(name)
    count = words.count_text(described.parameters)
    facts = _unbroken(f"{count} parameters", f"{len(described.layers)} layers", described.name)
    st.caption(facts, help=hint("layer"))
    return described, problem


def preset_picker() -> str:
    asked = st.query_params.get("preset")
    if asked in FORMER_PRESETS:
        st.query_params["preset"] = FORMER_PRESETS[asked]
    return segments("Preset", "preset", tuple(PRESETS), PRESET_HELP, holding.on_choice("preset", forget_values))


def seeds_picker() -> tuple[tuple[int, ...], str]:
    """Which seeds; several queue several trainings. Returns them, or none and why."""
    address.read("seeds", "0", lambda text: len(text) < 100)
    told = hint("seed", after="0, or 0, 1, 2, or 0-4: one training each.")
    text = st.text_input("Seeds", st.session_state["seeds"], key="seeds", help=told)
    address.write("seeds", text or "", "0")
    try:
        return trainings.parse_seeds(text or ""), ""
    except ValueError as error:
        return (), str(error)


def recipe(name: str, preset: str) -> tuple[dict[str, Any], str]:
    """Under "More", every value of the recipe. Returns them, and why they cannot be had where they cannot."""
    plain = usual_values(preset, name)
    default = {key: plain[field] for key, field in FIELDS.items()}
    with st.expander("More"):
        values, problem = _images_values(default)
        of_optimizer, wrong = _optimizer_values(default)
        values, problem = values | of_optimizer, problem or wrong
        starts = [start for start in STARTS if start != "imagenet" or name in APPLICATIONS]
        values["start"] = pick("Start", "start", starts, default["start"], "Of the weights.", START_LABELS)
        digest = _start_file() if values["start"] == "file" else ""
        if values["start"] == "file" and not digest:
            problem = problem or "Choose the weights file to start from, under More."
        values |= _running_values(default)
        edited = [key for key, value in values.items() if value != default[key]]
        st.button(
            "Back to the preset", icon=":material/undo:", type="tertiary", on_click=forget_values, disabled=not edited
        )
    if edited:
        st.caption(f"Edited: {', '.join(WORDS[key].removeprefix('the ') for key in edited)}")
    return {FIELDS[key]: value for key, value in values.items()} | {"start_digest": digest}, problem


def _images_values(default: dict[str, Any]) -> tuple[dict[str, Any], str]:
    left, right = st.columns(2)
    with left:
        values = {"set": pick("Images", "set", trainable(), default["set"])}
        values["epochs"], epochs_wrong = number_field(
            "Epochs", "epochs", default["epochs"], 1, deployment.most("epochs") or 10_000, 1,
            f"At most {deployment.amount_text('epochs')} here." if deployment.most("epochs") else None,
        )  # fmt: skip
        values["heldout"] = pick(
            "Held out",
            "heldout",
            list(HELD_OUT_LABELS),
            default["heldout"],
            "Training images kept back to choose the best epoch. With none, the last epoch is kept.",
            HELD_OUT_LABELS,
        )
    with right:
        values["share"] = pick(
            "Share of the images",
            "share",
            list(FRACTIONS),
            default["share"],
            "Balanced over the classes; the same images for every seed.",
            SHARE_LABELS,
        )
        values["minibatch"], minibatch_wrong = number_field(
            "Minibatch size", "minibatch", default["minibatch"], 1, LARGEST_BATCH, 1, hint("minibatch")
        )
        values["keep"], keep_wrong = number_field(
            "Keep weights every", "keep", default["keep"], 0, 10_000, 1, "Epochs. 0 keeps none along the way."
        )
    if changed := fit_words(values["set"]):
        st.caption(address.plain(f"The images of {values['set']} are {changed}."))
    return values, epochs_wrong or minibatch_wrong or keep_wrong


def _optimizer_values(default: dict[str, Any]) -> tuple[dict[str, Any], str]:
    left, right = st.columns(2)
    with left:
        optimizer = pick(
            "Optimizer",
            "optimizer",
            OPTIMIZERS,
            default["optimizer"],
            "SGD has a momentum of 0.9.",
            OPTIMIZER_LABELS,
            holding.on_choice("optimizer", _forget_rate),
        )
        values = {"optimizer": optimizer}
        rate = default["rate"] if optimizer == default["optimizer"] else USUAL_RATES[optimizer]
        values["schedule"] = pick(
            "Schedule", "schedule", SCHEDULES, default["schedule"], "Cosine lets the learning rate fall to 0."
        )
    with right:
        values["rate"], rate_wrong = number_field("Learning rate", "rate", rate, 1e-9, 1e9, 0.01)
        values["l2"], l2_wrong = number_field(
            "L2", "l2", default["l2"], 0.0, 1e3, 1e-4, "Times the squared weights, added to the loss."
        )
    values["augment"] = switch(
        "Flip and crop", "augment", default["augment"], "At random, anew in each epoch: four pixels of padding."
    )
    return values, rate_wrong or l2_wrong


def _running_values(default: dict[str, Any]) -> dict[str, Any]:
    return {
        "mixed": switch(
            "Mixed precision",
            "mixed",
            default["mixed"],
            "bfloat16 on TPUs and processors that have it, float16 on GPUs; elsewhere nothing changes.",
        ),
        "xla": switch(
            "XLA",
            "xla",
            default["xla"],
            "Compiles the training step. It pays on GPUs; a CPU compiles for minutes.",
        ),
        "cpu": switch("Force the CPU", "cpu", default["cpu"], "Passes by every GPU and TPU."),
        "deterministic": switch(
            "Deterministic",
            "deterministic",
            default["deterministic"],
            "The same digits each time on the same machine. It costs next to nothing on a CPU, speed on a GPU.",
        ),
    }


def _start_file() -> str:
    """Take a weights file and put it into the store; returns its digest, empty if there is none yet."""
    uploaded = st.file_uploader(
        "Weights file",
        ["h5"],
        key="start file",
        max_upload_size=visitor.largest_upload(),
        disabled=visitor.cannot_act_yet(),
        help="For the ImageNet ResNets a “notop” .h5 of keras.applications, for the others a .weights.h5 of the same "
        "architecture.",
    )
    if uploaded is None:
        return str(st.session_state.get("start digest", ("", ""))[1])
    if uploaded.getbuffer()[:8] != HDF5_SIGNATURE:
        st.error(f"{address.plain(uploaded.name)} is no HDF5 file. Choose a weights file that Keras wrote.")
        return ""
    known = st.session_state.get("start digest")
    if known is None or known[0] != uploaded.file_id:
        kept: list[str] = []
        data, by = uploaded.getvalue(), visitor.here()
        if not visitor.attempt(lambda: kept.append(training_state.keep_start_file(data, Store(), by))):
            return ""
        known = st.session_state["start digest"] = (uploaded.file_id, kept[0])
    return str(known[1])


def forget_values() -> None:
    """Every value is again as the preset has it (only from a callback)."""
    for key in FIELDS:
        address.forget(key)


def _forget_rate() -> None:
    """Another optimizer needs another learning rate."""
    address.forget("rate")


def take_recipe(spec: TrainSpec) -> None:
    """Fill in the form with every value of a recipe (only from a callback)."""
    described, plain = architecture(spec.architecture), usual_values("paper", spec.architecture)
    imagenet = spec.architecture in APPLICATIONS
    forget_values()
    address.put("family", FAMILIES[imagenet])
    if imagenet:
        address.put("resnet", described.depth)
    else:
        address.put("depth", described.depth)
        address.put("width", described.width)
    address.put("preset", "paper")
    address.put("seeds", str(spec.seed))
    for key, field in FIELDS.items():
        if getattr(spec, field) != plain[field]:
            address.put(key, getattr(spec, field))


def take_suggestion() -> None:
    forget_values()
    for key, value in {**SUGGESTION, "epochs": suggested_epochs()}.items():
        address.put(key, value)


def suggested_epochs() -> int:
    """How many epochs are suggested to begin with: no more than may be had here."""
    return _allowed(SUGGESTED_EPOCHS)


def usual_values(preset: str, name: str) -> dict[str, Any]:
    """`preset_values`, with no more epochs than may be had here: what a form begins with can be asked for."""
    values = preset_values(preset, name)
    return values | {"epochs": _allowed(values["epochs"])}


def _allowed(epochs: int) -> int:
    return min(epochs, deployment.most("epochs") or epochs)


def _unbroken(*facts: str) -> str:
    """Facts in one line, which breaks only between them."""
    return " · ".join(fact.replace(" ", "\N{NO-BREAK SPACE}") for fact in facts)
