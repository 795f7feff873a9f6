"""``train``: a network from a recipe, into the library."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cka_core.cli.options import ImagesOption, StoreOption, check_outputs, opened, progress_bar, stoppable


def train(
    architecture: Annotated[str, typer.Argument(help="For example cifar-resnet-14x1 or resnet50.")],
    images: ImagesOption = "cifar10-mini",
    preset: Annotated[
        str, typer.Option(help="paper or notebook; the other options change single values of it.")
    ] = "paper",
    epochs: Annotated[int | None, typer.Option()] = None,
    batch_size: Annotated[int | None, typer.Option()] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, held-out images, order and augmentation.")] = 0,
    optimizer: Annotated[str | None, typer.Option(help="sgd (momentum 0.9) or adam.")] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    schedule: Annotated[str | None, typer.Option(help="cosine or constant.")] = None,
    l2: Annotated[float | None, typer.Option()] = None,
    augment: Annotated[bool | None, typer.Option(help="Flip and pad-crop.")] = None,
    held_out: Annotated[float | None, typer.Option(help="Share of the training images to choose the epoch on.")] = None,
    fraction: Annotated[float, typer.Option(help="Share of the training images used, such as 0.25 or 0.0625.")] = 1.0,
    epoch_images: Annotated[
        int, typer.Option(help="Images in an epoch, if not all: the next one goes on with the others.")
    ] = 0,
    keep_every: Annotated[int, typer.Option(help="Keep the weights after every so many epochs, as NAME@EPOCH.")] = 0,
    weights: Annotated[str | None, typer.Option(help="Start: random, imagenet, or a local weights file (.h5).")] = None,
    history: Annotated[Path | None, typer.Option(help="Write the history as JSON after every epoch.")] = None,
    mixed_precision: Annotated[
        bool, typer.Option("--mixed-precision", help="bfloat16 on a TPU and CPUs that have it, float16 on a GPU.")
    ] = False,
    xla: Annotated[bool, typer.Option("--xla", help="Compile the step with XLA.")] = False,
    cpu: Annotated[bool, typer.Option("--cpu", help="Pass by every GPU and TPU.")] = False,
    deterministic: Annotated[bool, typer.Option("--deterministic", help="The same digits each time; slower.")] = False,
    name: Annotated[str | None, typer.Option(help="In the library; default ARCHITECTURE-IMAGES-sSEED.")] = None,
    store: StoreOption = None,
) -> None:
    """Train a network and put it into the library. Stopped, the same command goes on from the last epoch."""
    from cka_core.training.fit import train as run
    from cka_core.training.recipe import FORMER_PRESETS, PRESETS, USUAL_RATES, TrainSpec, preset_values
    from cka_core.training.state import file_digest

    preset = FORMER_PRESETS.get(preset, preset)
    if preset not in PRESETS:
        raise ValueError(f"Unknown preset {preset!r}. Valid: {', '.join(PRESETS)}.")
    given = {
        "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "learning_rate": learning_rate,
        "schedule": schedule, "l2": l2, "augment": augment, "held_out": held_out, "fraction": fraction,
        "epoch_images": epoch_images, "keep_every": keep_every, "mixed_precision": mixed_precision, "xla": xla,
        "force_cpu": cpu,
    }  # fmt: skip
    values = PRESETS[preset] | {key: value for key, value in given.items() if value is not None}
    another = optimizer != preset_values(preset, architecture)["optimizer"]  # than the preset's, whose rate is for it
    if another and optimizer in USUAL_RATES and learning_rate is None:
        values |= {"learning_rate": USUAL_RATES[optimizer]}
    check_outputs(history=history)
    place = opened(store, writes=True)
    path = None
    if weights in ("random", "imagenet"):
        values |= {"start": weights}
    elif weights is not None:
        if not os.path.isfile(weights):
            what = "is a folder" if os.path.isdir(weights) else "does not exist"
            raise ValueError(f"Expected --weights random, imagenet or a file, got {weights!r}, which {what}.")
        path = weights
        values |= {"start": "file", "start_digest": file_digest(weights)}
    if store:
        os.environ["CKA_STORE"] = store  # where a recipe looks for images of one's own
    spec = TrainSpec(architecture, images, seed=seed, deterministic=deterministic, **values)
    if fraction < 1:
        an_epoch = f", {spec.epoch_images:,} of them an epoch" if spec.epoch_images else ""
        print(f"Training on {spec.chosen_images:,} images, {fraction:g} of all less those held out{an_epoch}.")
    with stoppable("The same command goes on from the last finished epoch."), progress_bar("epochs") as report:
        record = run(spec, place, name=name, start_path=path, history_path=history, report=report)
    print(
        f"{record['name']}: test accuracy {record['test_accuracy']:.3f} on {record['test_images']:,} images "
        f"(epoch {record['kept_epoch']} of {spec.epochs} kept)"
    )
    if history is not None:
        print(f"Wrote {history}")
