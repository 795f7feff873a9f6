"""The networks are the ones the papers describe, and what is said of them without Keras is what Keras builds."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core.networks.architectures import UnknownNetwork, architecture, is_architecture
from cka_core.networks.building import build_network


@pytest.mark.parametrize(
    "name", ["cifar-resnet-8x1", "cifar-resnet-14x4", "cifar-resnet-38x1", "resnet50", "resnet101"]
)
def test_description_is_what_keras_builds(name):
    model, described = build_network(name), architecture(name)
    assert described.parameters == model.count_params()
    assert [layer.name for layer in described.layers] == [layer.name for layer in model.layers[1:]]
    assert [layer.kind for layer in described.layers] == [type(layer).__name__ for layer in model.layers[1:]]
    assert [layer.shape for layer in described.layers] == [tuple(layer.output.shape[1:]) for layer in model.layers[1:]]


@pytest.mark.parametrize("depth, layers", [(14, 51), (38, 135), (56, 198), (110, 387), (164, 576)])
def test_cifar_resnet_has_9_plus_21n_layers(depth, layers):
    assert len(architecture(f"cifar-resnet-{depth}x1").layers) + 1 == layers


@pytest.mark.parametrize("name, layers", [("resnet50", 176), ("resnet101", 346), ("resnet152", 516)])
def test_every_layer_of_the_seeds_networks(name, layers):
    assert len(architecture(name).layers) == layers


def test_stages():
    assert list(dict.fromkeys(layer.stage for layer in architecture("cifar-resnet-14x1").layers)) == [
        "stem", "stage1", "stage2", "stage3", "head",
    ]  # fmt: skip
    assert list(dict.fromkeys(layer.stage for layer in architecture("resnet50").layers)) == [
        "conv1", "conv2", "conv3", "conv4", "conv5", "head",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["cifar-resnet-15x1", "cifar-resnet-2x1", "cifar-resnet-14x0", "resnet51", "", "cifar-resnet-14", None, 50]
)
def test_unknown_names_are_refused_with_the_valid_ones(name):
    assert not is_architecture(name)
    with pytest.raises(UnknownNetwork, match=r"6n\+2|width multiplier"):
        build_network(name)


def test_a_wrong_depth_names_the_nearest():
    with pytest.raises(UnknownNetwork, match="14 and 20"):
        build_network("cifar-resnet-16x1")


def test_a_seed_means_one_set_of_weights():
    def kernels(seed):
        return [w for w in build_network("cifar-resnet-8x1", seed=seed).get_weights() if w.ndim == 4]

    first, again, other = kernels(3), kernels(3), kernels(4)
    assert all((a == b).all() for a, b in zip(first, again, strict=False))
    assert not any((a == b).all() for a, b in zip(first, other, strict=False))
    # Layers of the same shape differ from each other too.
    assert not np.array_equal(first[1], first[2])


@pytest.mark.parametrize("seed", [-1, 1.0, "1", None])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match=f"Expected seed as a whole number from 0, got {seed!r}"):
        build_network("cifar-resnet-8x1", seed=seed)


def test_weights_of_the_wrong_shape_are_refused(tmp_path):
    path = tmp_path / "small.weights.h5"
    build_network("cifar-resnet-8x1").save_weights(path)
    with pytest.raises(ValueError, match="does not fit cifar-resnet-14x1"):
        build_network("cifar-resnet-14x1", weights=path)
    with pytest.raises(ValueError, match="does not fit resnet50"):
        build_network("resnet50", weights=path)
    with pytest.raises(ValueError, match="weights file"):
        build_network("resnet50", weights=tmp_path / "none.h5")
    with pytest.raises(ValueError, match="not for cifar-resnet-8x1"):
        build_network("cifar-resnet-8x1", weights="imagenet")


def test_notop_weights_fill_all_but_the_head(tmp_path):
    import keras

    source = build_network("resnet50", seed=1)
    path = tmp_path / "notop.weights.h5"
    keras.Model(source.inputs, source.get_layer("avg_pool").output).save_weights(path)
    loaded = build_network("resnet50", weights=path, seed=2)
    assert (
        loaded.get_layer("conv5_block3_3_conv").get_weights()[0]
        == source.get_layer("conv5_block3_3_conv").get_weights()[0]
    ).all()
    assert not (
        loaded.get_layer("predictions").get_weights()[0] == source.get_layer("predictions").get_weights()[0]
    ).any()
