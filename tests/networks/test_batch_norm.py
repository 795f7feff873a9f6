"""Batch norm with the statistics of the minibatch, as while training, beside inference."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core import build_network, compare, load_images
from cka_core.comparing import engine
from cka_core.images.sets import SampleSpec
from cka_core.library import catalogue
from cka_core.results import words
from cka_core.results.comparison import CompareSpec
from tests import reference


def by_hand(model, x):
    """conv, batch norm, ReLU and flattening of every image in float64, batch norm over the images given."""
    kernel, bias = (value.astype(np.float64) for value in model.get_layer("conv").get_weights())
    gamma, beta, _, _ = (value.astype(np.float64) for value in model.get_layer("norm").get_weights())
    x = x / 255.0
    patches = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))  # image, row, column, channel, 3, 3
    conv = np.einsum("nrcikl,klio->nrco", patches, kernel) + bias
    mean, variance = conv.mean(axis=(0, 1, 2)), conv.var(axis=(0, 1, 2))
    norm = gamma * (conv - mean) / np.sqrt(variance + 1e-3) + beta
    return [conv, norm, np.maximum(norm, 0)]


@pytest.fixture(scope="module")
def model():
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((32, 32, 3)), layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"),
        layers.ReLU(name="relu"),
    ])  # fmt: skip
    rng = np.random.default_rng(0)
    model.get_layer("conv").bias.assign(rng.standard_normal(4))
    model.get_layer("norm").set_weights([rng.random(4) + 0.5, rng.standard_normal(4), rng.random(4), rng.random(4)])
    return model


def test_train_mode_takes_the_statistics_of_each_minibatch_and_keeps_none(model):
    x = load_images("cifar10-mini", "test", 40, 0).x
    before = [value.copy() for value in model.get_weights()]
    result = compare(model, model, x, batch_size=24, batch_norm="train")
    slices = [slice(0, 24), slice(24, 40)]
    parts = [by_hand(model, x[part]) for part in slices]
    expected = reference.matrix(*[[np.concatenate(layer) for layer in zip(*parts, strict=True)]] * 2, slices)
    assert np.abs(result.matrix - expected).max() <= 1e-5
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert result.provenance["batch_norm"] == "train"
    assert "batch norm in train mode" in words.facts(result)
    inference = compare(model, model, x, batch_size=24)
    assert inference.provenance["batch_norm"] == "inference"
    assert "batch norm" not in words.facts(inference)
    assert np.abs(inference.matrix - result.matrix).max() > 1e-3


def test_an_unknown_mode_is_refused(model):
    with pytest.raises(ValueError, match="Unknown batch norm mode 'eval'. Valid: inference, train"):
        compare(model, model, np.zeros((8, 32, 32, 3), np.uint8), batch_norm="eval")


def test_an_untrained_network_has_batch_norm_in_train_mode_only():
    """Its moving statistics are 0 and 1, so that at inference the last hidden layer is still almost the first."""
    network = build_network("cifar-resnet-14x2")
    images = load_images("cifar10-mini", "test", 256, 0)
    ends = ["stem_relu", "stage3_block2_relu2"]
    train, inference = (
        compare(network, network, images, layers=ends, batch_norm=mode) for mode in ("train", "inference")
    )
    assert train.matrix[0, 1] == pytest.approx(0.72, abs=0.04)
    assert inference.matrix[0, 1] > 0.92


def test_the_mode_is_part_of_the_keys_where_it_is_not_inference(store):
    network = catalogue.find("cifar-resnet-8x1").spec
    sample = SampleSpec("cifar10-mini", "test", 16, 0)
    usual, train = CompareSpec(network, network, sample), CompareSpec(network, network, sample, batch_norm="train")
    assert usual.key == CompareSpec(network, network, sample, batch_norm="inference").key != train.key
    first, second = engine.run(usual, store), engine.run(train, store)
    assert np.abs(first.matrix - second.matrix).max() > 1e-3
    assert len(store.entries("grams")) == 2
    assert "--batch-norm train" in second.provenance["command"] and "--batch-norm" not in first.provenance["command"]
