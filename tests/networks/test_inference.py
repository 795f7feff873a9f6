"""What `compare` computes is what the model's own inference gives: what ``predict`` of each tensor gives."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

from cka_core import compare
from cka_core.comparing import warm
from cka_core.networks import activations
from cka_core.networks.activations import Extractor
from tests import reference

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random((16, *SHAPE), np.float32)


@pytest.fixture(autouse=True)
def seed():
    import keras

    keras.utils.set_random_seed(0)


def predicted(inputs, tensors, x):
    """The map of these tensors, each what ``predict`` of a model with it as output gives, in float64."""
    import keras

    given = keras.Model(inputs, tensors).predict(x, verbose=0)
    arrays = [np.asarray(array).astype(np.float64) for array in given]
    return reference.matrix(arrays, arrays)


def same(result, expected):
    assert result.matrix.shape == expected.shape
    assert np.abs(result.matrix - expected).max() <= 1e-5


def test_augmentation_does_nothing_during_a_comparison(x):
    import keras
    from keras import layers

    flip = layers.RandomFlip("horizontal", name="random_flip")
    augment = keras.Sequential([flip, layers.RandomRotation(0.1)], name="augment")
    inputs = keras.Input(SHAPE)
    flat = layers.Flatten(name="flat")(augment(inputs))
    model = keras.Model(inputs, layers.Dense(4, name="out")(flat))
    alone = keras.Sequential([keras.Input(SHAPE), layers.Identity(name="images")])
    result = compare(alone, model, x)
    assert [layer.name for layer in result.layers_b][0] == "augment/random_flip"
    assert np.abs(result.matrix[0, :3] - 1).max() <= 1e-6
    assert (result.matrix == compare(alone, model, x).matrix).all()


def test_a_call_recorded_in_training_mode_is_inference_as_it_is_in_predict(x):
    import keras
    from keras import layers

    inputs = keras.Input(SHAPE)
    dense = layers.Dense(16)(layers.Flatten()(inputs))
    dropped = layers.Dropout(0.5)(dense, training=True)
    norm = layers.BatchNormalization()
    tensors = [dense, dropped, norm(dropped, training=True)]
    tensors.append(layers.Dense(8)(tensors[-1]))
    model = keras.Model(inputs, tensors[-1])
    norm.moving_mean.assign(np.linspace(-1, 1, 16))
    norm.moving_variance.assign(np.linspace(0.1, 3, 16))
    before = [value.numpy() for value in norm.non_trainable_variables]
    same(compare(model, model, x, layers=["Dense", "Dropout", "BatchNormalization"]), predicted(inputs, tensors, x))
    assert all((a == b.numpy()).all() for a, b in zip(before, norm.non_trainable_variables, strict=True))


def test_layers_inside_a_layer_of_ones_own_are_at_inference_too(x):
    import keras

    class Block(keras.layers.Layer):
        """Has no training argument to pass on."""

        def __init__(self):
            super().__init__()
            self.flip = keras.layers.RandomFlip()

        def call(self, x):
            return self.flip(x)

    class Dropout(keras.layers.Layer):
        """Is called like Keras' own, and does something else."""

        def call(self, x):
            return x**3

    inputs = keras.Input(SHAPE)
    tensors = [Block()(inputs)]
    tensors.append(Dropout()(tensors[0]))
    model = keras.Model(inputs, tensors[-1])
    same(compare(model, model, x), predicted(inputs, tensors, x))


def test_calls_of_a_shared_layer_are_numbered_in_the_order_they_were_made(x):
    import keras
    from keras import layers

    inputs = keras.Input(SHAPE)
    flat = layers.Flatten(name="flat")(inputs)
    deep = layers.Dense(192, activation="relu", name="deep")(flat)
    shared = layers.Dense(5, name="shared")
    tensors = [flat, deep, shared(flat), shared(deep)]
    model = keras.Model(inputs, layers.Concatenate()(tensors[2:][::-1]))
    result = compare(model, model, x, layers=["flat", "deep", "shared*"])
    assert [layer.name for layer in result.layers_a] == ["flat", "deep", "shared", "shared:1"]
    same(result, predicted(inputs, tensors, x))


def test_masks_follow_the_tensors_into_nested_models_and_from_segment_to_segment(x, monkeypatch):
    import keras
    from keras import layers

    monkeypatch.setattr(activations, "SEGMENT_FEATURES", 1)
    x = x * (x[:, :, :1, :1] > 0.4)
    inputs = keras.Input(SHAPE)
    masked = layers.Masking()(layers.Reshape((8, 24))(inputs))
    inner_inputs = keras.Input((8, 24))
    steps = layers.LSTM(4, return_sequences=True, name="steps")
    inner = keras.Model(inner_inputs, steps(inner_inputs), name="inner")
    tensors = [masked, inner(masked)]
    tensors.append(layers.GlobalAveragePooling1D()(tensors[-1]))
    tensors.append(layers.GRU(3)(tensors[1]))
    model = keras.Model(inputs, tensors[2:])
    result = compare(model, model, x, layers=["Masking", "inner/steps", "GlobalAveragePooling1D", "GRU"])
    assert [layer.kind for layer in result.layers_a] == ["Masking", "LSTM", "GlobalAveragePooling1D", "GRU"]
    same(result, predicted(inputs, tensors, x))


def test_a_nested_model_takes_its_inputs_by_their_names_and_in_its_own_type(x):
    import keras
    from keras import layers

    first, second = keras.Input((192,), name="b", dtype="float16"), keras.Input((192,), name="a")
    half = layers.Dense(4, name="half", dtype="float16")(first)
    both = layers.Concatenate(name="both", dtype="float32")([half, second])
    inner = keras.Model([first, second], both, name="inner")
    inputs = keras.Input(SHAPE)
    flat = layers.Flatten()(inputs)
    deep = layers.Dense(192, activation="tanh")(flat)
    tensors = [inner({"a": flat, "b": deep * 3})]
    model = keras.Model(inputs, tensors)
    same(compare(model, model, x, layers=["inner/both"]), predicted(inputs, [tensors[0], tensors[0]], x)[:1, :1])
    given = model.predict(x, verbose=0)
    given = given[0] if isinstance(given, list) else given
    taken = dict(zip(*next(iter(Extractor(model, ["inner/both"]).activations(x))), strict=True))
    assert np.abs(taken[0] - given).max() <= 1e-3


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "mixed_bfloat16", "float64"])
def test_networks_of_every_precision(x, dtype):
    import keras
    from keras import layers

    inputs = keras.Input(SHAPE, dtype=dtype.removeprefix("mixed_"))
    tensors = [layers.Conv2D(4, 3, dtype=dtype)(inputs)]
    tensors.append(layers.ReLU(dtype=dtype)(tensors[0]))
    tensors.append(layers.Flatten(dtype=dtype)(tensors[1]))
    model = keras.Model(inputs, tensors[-1])
    same(compare(model, model, x), predicted(inputs, tensors, x))


def test_a_network_of_whole_numbers_gets_them_as_they_are():
    import keras
    from keras import layers

    tokens = np.random.default_rng(0).integers(0, 300, (16, 6))
    inputs = keras.Input((6,), dtype="int32")
    tensors = [layers.Embedding(300, 4, mask_zero=True)(inputs)]
    tensors.append(layers.LSTM(3)(tensors[0]))
    model = keras.Model(inputs, tensors[-1])
    result = compare(model, model, tokens)
    same(result, predicted(inputs, tensors, tokens))
    assert result.provenance["network_a"]["preprocessing"]["form"] == "none"


def test_a_model_with_a_call_of_its_own_has_no_graph_to_read(x):
    import keras

    class Doubled(keras.Model):
        def call(self, inputs, **options):
            return 2 * super().call(inputs, **options) ** 2

    inputs = keras.Input(SHAPE)
    own = Doubled(inputs, keras.layers.Conv2D(2, 3, name="conv")(inputs), name="own")
    with pytest.raises(ValueError, match="has no graph|no graph to read"):
        compare(own, own, x)
    outer = keras.Input(SHAPE)
    tensors = [own(outer)]
    model = keras.Model(outer, tensors)
    result = compare(model, model, x)
    assert [layer.name for layer in result.layers_a] == ["own"]


def test_a_stateful_layer_is_refused_by_name():
    import keras
    from keras import layers

    inputs = keras.Input((4, 3), batch_size=8)
    model = keras.Model(inputs, layers.LSTM(2, stateful=True, name="remembers")(inputs))
    with pytest.raises(ValueError, match="'remembers'.*stateful=False"):
        compare(model, model, np.zeros((8, 4, 3), np.float32))


def changes():
    """What a user may do to a model between two comparisons."""
    import keras
    from keras import layers

    def swap_kernel(model):
        layer = model.get_layer("dense")
        layer.set_weights([value[::-1] for value in layer.get_weights()])

    return {
        "a layer added": lambda model: model.add(layers.Dense(2, activation="sigmoid")),
        "a layer taken away": lambda model: model.pop(),
        "another activation": lambda model: setattr(model.get_layer("dense"), "activation", keras.activations.tanh),
        "an activation of one's own": lambda model: setattr(model.get_layer("dense"), "activation", lambda x: x**3),
        "another attribute": lambda model: setattr(model.get_layer("scale"), "scale", np.arange(3.0)),
        "other weights": swap_kernel,
    }


@pytest.mark.parametrize("change", ["a layer added", "a layer taken away", "another activation",
                                    "an activation of one's own", "another attribute", "other weights"])  # fmt: skip
def test_what_changed_since_the_last_comparison_is_seen(x, change):
    import keras
    from keras import layers

    model = keras.Sequential([
        keras.Input(SHAPE), layers.Rescaling(2.0, name="scale"), layers.Flatten(), layers.Dense(6, name="dense"),
        layers.Dense(4, activation="relu", name="last"),
    ])  # fmt: skip
    before = compare(model, model, x)
    changes()[change](model)
    after = compare(model, model, x)
    tensors = [layer.output for layer in model.layers]
    same(after, predicted(model.inputs, tensors, x) if "activation" not in change and "attribute" not in change
         else by_hand(model, x))  # fmt: skip
    assert after.matrix.shape != before.matrix.shape or np.abs(after.matrix - before.matrix).max() > 1e-3


def by_hand(model, x):
    """Layer by layer, eagerly: a changed layer may not be asked through a graph that was made before."""
    arrays = []
    for layer in model.layers:
        x = np.asarray(layer(x))
        arrays.append(x.astype(np.float64))
    return reference.matrix(arrays, arrays)


def test_a_model_that_did_not_change_is_not_traced_again(x):
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(2, 3), layers.BatchNormalization(), layers.Flatten()])
    compare(model, model, x)
    first = warm.live_extractor(model, None)
    model.predict(x, verbose=0)
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((16, 72)), verbose=0)
    assert warm.live_extractor(model, None) is first


class Named(NamedTuple):
    z: Any
    a: Any


@pytest.mark.parametrize(
    "put",
    [
        lambda z, a: OrderedDict(z=z, a=a),
        lambda z, a: {"z": z, "a": a},
        lambda z, a: OrderedDict([("2", [z]), ("1", {"b": a})]),
        lambda z, a: Named(z, a),
    ],
    ids=["ordered", "dict", "nested", "named"],
)
def test_a_layer_that_puts_out_several_tensors_has_each_where_predict_has_it(x, put):
    import keras
    from keras import layers, ops

    class Both(keras.Layer):
        def call(self, given):
            return put(2 * given, ops.cos(5 * given))

    inputs = keras.Input(SHAPE)
    made = keras.tree.flatten(Both(name="both")(layers.Flatten()(inputs)))
    after = [layers.Dense(4, name=f"after{i}")(tensor) for i, tensor in enumerate(made)]
    model = keras.Model(inputs, after)
    result = compare(model, model, x, layers=["both", "both[[]1]", "after0", "after1"])
    assert [layer.name for layer in result.layers_a] == ["both", "both[1]", "after0", "after1"]
    same(result, predicted(inputs, [*made, *after], x))


@pytest.mark.parametrize("layers", ["Dense", 3, [3], [["Dense"]]])
def test_layers_that_are_no_list_of_names_are_refused(x, layers):
    import keras

    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="Expected layers as a list of names"):
        compare(model, model, x, layers=layers)
    assert len(compare(model, model, x, layers=iter(["Dense"])).layers_a) == 1


@pytest.mark.parametrize("size", ["16", 16.5, None])
def test_a_minibatch_is_a_whole_number_of_images(x, size):
    import keras

    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="Expected batch_size to be a whole number of images, got"):
        compare(model, model, x, batch_size=size)


def test_a_layer_whose_first_axis_is_another_is_named_with_what_to_do(x):
    import keras

    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Lambda(lambda t: keras.ops.reshape(t, (-1, 96)))])
    with pytest.raises(ValueError, match=r"expected 16 images, got 32. Leave out a layer .*layers="):
        compare(model, model, x)
