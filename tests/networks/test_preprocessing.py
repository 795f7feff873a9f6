"""Pixels enter a network in the form it expects, or in the one asked for; which and why is told."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core import compare, load_images
from cka_core.networks.preprocessing import DIVIDE, FORMS, NONE, check_form, expected, pixels
from tests import reference

SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def x():
    return load_images("cifar10-mini", "test", 24, 0).x


def begins(name):
    """A network that begins in this way, and the form in which it expects uint8 images."""
    import keras
    from keras import layers

    inputs = keras.Input(SHAPE, dtype="uint8" if name == "whole numbers" else None)

    def normalization(mean, variance):
        return layers.Normalization(mean=mean, variance=variance)(inputs)

    def adapted(images):
        layer = layers.Normalization()
        layer.adapt(images)
        return layer(inputs)

    uint8 = np.random.default_rng(0).integers(0, 256, (8, *SHAPE)).astype(np.float32)
    rescaled = keras.Sequential([layers.RandomFlip(), layers.Rescaling(1 / 255)])
    made, form = {
        "a conv": (lambda: inputs, DIVIDE),
        "batch norm": (lambda: layers.BatchNormalization()(inputs), DIVIDE),
        "rescaling": (lambda: layers.Rescaling(1 / 255)(inputs), NONE),
        "rescaling after augmentation": (lambda: rescaled(inputs), NONE),
        "rescaling after resizing": (lambda: layers.Rescaling(1 / 127.5, -1)(layers.Resizing(16, 16)(inputs)), NONE),
        "rescaling after a conv": (lambda: layers.Rescaling(0.1)(layers.Conv2D(3, 1)(inputs)), DIVIDE),
        "normalization of ones": (lambda: normalization([0.49, 0.48, 0.44], [0.06, 0.06, 0.07]), DIVIDE),
        "normalization of pixels": (lambda: normalization([125.0, 123.0, 114.0], [4000.0] * 3), NONE),
        "normalization adapted to ones": (lambda: adapted(uint8 / 255), DIVIDE),
        "normalization adapted to pixels": (lambda: adapted(uint8), NONE),
        "division": (lambda: inputs / 255.0, NONE),
        "multiplication": (lambda: (1 / 255) * inputs, NONE),
        "a shift of ones": (lambda: inputs - 0.5, DIVIDE),
        "keras.applications caffe": (lambda: keras.applications.resnet.preprocess_input(inputs), NONE),
        "keras.applications tf": (lambda: keras.applications.mobilenet.preprocess_input(inputs), NONE),
        "whole numbers": (lambda: layers.Rescaling(1 / 255)(inputs), NONE),
    }[name]
    x = layers.Conv2D(4, 3, activation="softplus", name="first")(made())
    return keras.Model(inputs, layers.Flatten(name="flat")(x)), form


BEGINNINGS = (
    "a conv", "batch norm", "rescaling", "rescaling after augmentation", "rescaling after resizing",
    "rescaling after a conv", "normalization of ones", "normalization of pixels", "normalization adapted to ones",
    "normalization adapted to pixels", "division", "multiplication", "a shift of ones", "keras.applications caffe",
    "keras.applications tf", "whole numbers",
)  # fmt: skip


@pytest.mark.parametrize("name", BEGINNINGS)
def test_pixels_enter_as_the_network_expects_them(x, name):
    import keras

    from cka_core.networks.layer_graph import layer_graph

    keras.utils.set_random_seed(0)
    model, form = begins(name)
    graph = layer_graph(model)
    told = expected(graph, graph.input)
    assert told.form == form and told.why
    alone = keras.Sequential([keras.Input(SHAPE), keras.layers.Identity(name="images")])
    result = compare(alone, model, x, layers=["images", "flat"])
    given = model.predict(x if name == "whole numbers" else x / np.float32(255 if form == DIVIDE else 1), verbose=0)
    assert abs(result.matrix[0, 0] - reference.cka(x / 255.0, given)) <= 1e-5
    assert result.provenance["network_b"]["preprocessing"] == {"form": form, "why": told.why}


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_the_imagenet_forms_are_those_of_keras_applications(x, mode, order):
    from keras.applications.imagenet_utils import preprocess_input

    x = x if order == "channels_last" else x.transpose(0, 3, 1, 2)
    ours = pixels(x, f"imagenet-{mode}")
    theirs = preprocess_input(x.astype(np.float32).copy(), data_format=order, mode=mode)
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs).max() <= 1e-4


def test_the_form_asked_for_holds_for_both_networks(x):
    import keras

    keras.utils.set_random_seed(0)
    model, _ = begins("rescaling")
    plain, _ = begins("a conv")
    with_255 = compare(plain, model, x, preprocessing="divide-by-255")
    same = compare(plain, model, (x / np.float32(255)), preprocessing="none")
    assert np.abs(with_255.matrix - same.matrix).max() <= 1e-6
    asked = {"form": "divide-by-255", "why": "asked for"}
    assert [with_255.provenance[side]["preprocessing"] for side in ("network_a", "network_b")] == [asked, asked]
    assert with_255.provenance["preprocessing"] == "uint8 / 255"
    assert compare(plain, model, x).provenance["preprocessing"] == "each network's own"
    assert same.provenance["preprocessing"] == "as given"
    torch = compare(plain, plain, x, preprocessing="imagenet-torch")
    given = plain.predict(pixels(x, "imagenet-torch"), verbose=0)
    assert abs(torch.matrix[0, 1] - reference.cka(given, given)) <= 1e-5
    assert torch.provenance["preprocessing"] == "imagenet-torch"


@pytest.mark.parametrize("name", ["a conv", "rescaling", "normalization of ones", "normalization of pixels"])
def test_floats_in_another_range_than_the_network_expects_are_told(x, name):
    """They enter as they are; 0 to 255 where nothing rescales them, or 0 to 1 where the network does, is said."""
    model, form = begins(name)
    ones, whole = x / np.float32(255), x.astype(np.float32)
    for given, is_other in (
        (ones, form == NONE),
        (2 * ones - 1, form == NONE),
        (whole, form == DIVIDE),
        (whole - 99, False),
    ):
        said = compare(model, model, given, layers=["flat"]).provenance["network_a"]["preprocessing"]
        assert said["form"] == NONE and said["why"].startswith("floats are taken as they are")
        assert ("which it may not expect" in said["why"]) == is_other
    said = compare(model, model, ones if form == NONE else whole, layers=["flat"]).provenance["network_a"]
    assert f"from 0 to {1 if form == NONE else 255}, which it may not expect: " in said["preprocessing"]["why"]


def test_what_has_no_meaning_is_refused(x):
    model, _ = begins("a conv")
    with pytest.raises(ValueError, match="Valid: auto, divide-by-255, none, imagenet-caffe, imagenet-tf, imagenet-t"):
        check_form("divide")
    with pytest.raises(ValueError, match="Unknown preprocessing"):
        compare(model, model, x, preprocessing="imagenet")
    for form in set(FORMS) - {"auto", "none"}:
        with pytest.raises(ValueError, match="from 0 to 255, got floats up to 1"):
            compare(model, model, x / np.float32(255), preprocessing=form)
    with pytest.raises(ValueError, match="int64.*preprocessing='none'"):
        compare(model, model, x.astype(np.int64))
    assert np.isfinite(compare(model, model, x.astype(np.int64), preprocessing="none").matrix).all()
    with pytest.raises(ValueError, match="three channels"):
        pixels(x[..., :1], "imagenet-caffe")
    with pytest.raises(ValueError, match="without a mask.*numpy.ma"):
        compare(model, model, np.ma.masked_less(x, 5))
