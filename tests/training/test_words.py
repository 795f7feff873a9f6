"""A recipe in words, and as the command line that trains the same."""

from __future__ import annotations

import dataclasses
import shlex

import pytest

from cka_core import cli
from cka_core.training import fit as training
from cka_core.training import state as training_state
from cka_core.training import words
from cka_core.training.recipe import PRESETS, TrainSpec, preset_values

SPEC = TrainSpec("cifar-resnet-8x1", epochs=4)


def test_a_preset_starts_from_imagenet_only_where_there_are_such_weights():
    assert preset_values("notebook", "resnet50")["start"] == "imagenet"
    assert preset_values("notebook", "cifar-resnet-14x1")["start"] == "random"
    assert preset_values("paper", "resnet50")["epochs"] == SPEC.__class__("resnet50").epochs


def parsed(line: str, monkeypatch) -> TrainSpec:
    """What a command line would train."""
    specs = []

    def train(spec, *args, **kwargs):
        specs.append(spec)
        raise SystemExit(0)

    monkeypatch.setattr(training, "train", train)
    with pytest.raises(SystemExit):
        cli.app(shlex.split(line)[3:], standalone_mode=False)
    return specs[0]


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        TrainSpec("cifar-resnet-14x1", seed=3, fraction=0.25, held_out=0.0, keep_every=5, l2=0.0),
        TrainSpec("resnet50", **PRESETS["notebook"]),
        TrainSpec("resnet50", **(PRESETS["notebook"] | {"start": "random", "augment": True, "images": "cifar10"})),
        TrainSpec("cifar-resnet-8x1", optimizer="adam", learning_rate=0.05, augment=False, schedule="constant"),
        TrainSpec("cifar-resnet-8x1", optimizer="adam", learning_rate=3e-4, mixed_precision=True, xla=True),
        TrainSpec("cifar-resnet-8x1", force_cpu=True, deterministic=True, batch_size=64, learning_rate=0.01),
    ],
)
def test_the_command_line_trains_the_same(spec, store, monkeypatch):
    assert parsed(words.command(spec, store), monkeypatch) == spec


@pytest.mark.parametrize(
    ("options", "rate"),
    [("--optimizer adam", 1e-3), ("--optimizer sgd", 0.05), ("--optimizer adam --learning-rate 0.01", 0.01),
     ("--preset notebook --optimizer sgd", 0.05), ("--preset notebook --optimizer adam", 1e-3)],
)  # fmt: skip
def test_another_optimizer_than_the_presets_takes_its_usual_rate(options, rate, store, monkeypatch):
    spec = parsed(f"python -m cka_core train resnet50 {options}", monkeypatch)
    assert (spec.optimizer, spec.learning_rate) == (options.split("--optimizer ")[1].split()[0], rate)


def test_the_command_line_of_a_start_file_finds_it_in_the_store(store, monkeypatch):
    digest = training_state.keep_start_file(b"weights", store)
    spec = TrainSpec("cifar-resnet-8x1", start="file", start_digest=digest)
    assert parsed(words.command(spec, store), monkeypatch) == spec


def test_a_recipe_in_words():
    assert words.recipe_text(SPEC) == (
        "SGD with momentum 0.9, learning rate 0.05 falling to 0 along a cosine, 4 epochs, minibatches of 128, "
        "L2 0.0001, flipped and cropped at random, random start"
    )
    assert words.images_text(SPEC) == (
        "all 3,125 training images of cifar10-mini, 312 of them held out to choose the epoch"
    )
    quarter = dataclasses.replace(SPEC, fraction=0.25, held_out=0.0, deterministic=True, keep_every=2)
    assert words.images_text(quarter) == "781 of the 3,125 training images of cifar10-mini"
    assert words.recipe_text(quarter).endswith("weights kept every 2 epochs, deterministic")
