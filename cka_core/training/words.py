"""A recipe in words, and as the command line that trains the same."""

from __future__ import annotations

import shlex
from typing import Any

from cka_core.base.store import Store
from cka_core.images.sets import image_set
from cka_core.networks.architectures import architecture
from cka_core.training.recipe import PRESETS, TrainSpec, preset_values


def title(spec: TrainSpec) -> str:
    """What to call a training: "ResNet 14x1, seed 0"."""
    return f"{architecture(spec.architecture).title}, seed {spec.seed}"


def short_text(spec: TrainSpec) -> str:
    """What tells a training from another of its network and seed: "15 epochs of 2,813 images, SGD"."""
    images = spec.training_images
    optimizer = "SGD" if spec.optimizer == "sgd" else "Adam"
    return f"{spec.epochs} {'epoch' if spec.epochs == 1 else 'epochs'} of {images:,} images, {optimizer}"


def images_text(spec: TrainSpec) -> str:
    """The images of a training, in words."""
    total = image_set(spec.images, held=spec.held).sizes["train"]
    chosen = round(total * spec.fraction)
    held = chosen - spec.chosen_images
    which = f"all {total:,}" if spec.fraction == 1 else f"{chosen:,} of the {total:,}"
    kept_back = f", {held:,} of them held out to choose the epoch" if held else ""
    an_epoch = f", {spec.epoch_images:,} of them an epoch" if spec.epoch_images else ""
    return f"{which} training images of {spec.images}{kept_back}{an_epoch}"


def recipe_text(spec: TrainSpec) -> str:
    """How it is trained, in one sentence."""
    optimizer = "SGD with momentum 0.9" if spec.optimizer == "sgd" else "Adam"
    decay = "falling to 0 along a cosine" if spec.schedule == "cosine" else "constant"
    parts = [
        f"{optimizer}, learning rate {spec.learning_rate:g} {decay}",
        f"{spec.epochs} {'epoch' if spec.epochs == 1 else 'epochs'}",
        f"minibatches of {spec.batch_size}",
        f"L2 {spec.l2:g}" if spec.l2 else "no L2",
        "flipped and cropped at random" if spec.augment else "images as they are",
        {"random": "random start", "imagenet": "ImageNet start", "file": "start from a weights file"}[spec.start],
    ]
    parts += [f"weights kept every {spec.keep_every} epochs"] if spec.keep_every else []
    for wanted, said in (
        (spec.mixed_precision, "mixed precision"),
        (spec.xla, "compiled by XLA"),
        (spec.force_cpu, "on the CPU"),
        (spec.deterministic, "deterministic"),
    ):
        parts += [said] if wanted else []
    return ", ".join(parts)


def command(spec: TrainSpec, store: Store) -> str:
    """The command line that trains the same."""
    differences = {preset: _differences(spec, preset) for preset in PRESETS}
    preset = min(differences, key=lambda preset: len(differences[preset]))
    line = ["python", "-m", "cka_core", "train", spec.architecture, "--seed", str(spec.seed)]
    line += [] if preset == "paper" else ["--preset", preset]
    for name, value in differences[preset].items():
        option = {"force_cpu": "--cpu", "start": "--weights"}.get(name, f"--{name.replace('_', '-')}")
        if isinstance(value, bool):
            line.append(option if value else f"--no-{option[2:]}")
        elif name == "start" and value == "file":
            kept = [entry.path for entry in store.entries("weights") if entry.key == spec.start_digest]
            line += [option, kept[0] if kept else "WEIGHTS.h5"]
        else:
            line += [option, repr(value) if isinstance(value, float) else str(value)]
    return shlex.join(line)


def _differences(spec: TrainSpec, preset: str) -> dict[str, Any]:
    values = preset_values(preset, "resnet50")
    found = {name: getattr(spec, name) for name in values if getattr(spec, name) != values[name]}
    if "optimizer" in found:  # the command line takes another learning rate for another optimizer
        found["learning_rate"] = spec.learning_rate
    return found
