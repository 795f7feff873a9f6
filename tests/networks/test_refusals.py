"""What cannot be compared is refused with what to do instead."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cka_core import compare

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random((16, *SHAPE), np.float32)


@pytest.mark.parametrize("model", ["resnet50", None, 3, dict, lambda x: x, np.eye(9), {"a": np.eye(9)}])
def test_what_is_no_model_is_refused_with_how_to_make_one(model, x):
    told = f"Expected a Keras or PyTorch model, got {type(model).__name__} .* by build_network, .* by calling it.*"
    told += " by compare_activations"
    with pytest.raises(ValueError, match=told):
        compare(model, model, x)


@pytest.mark.parametrize("progress", [1, "yes"])
def test_progress_that_nobody_can_call_is_refused(progress, x):
    import keras

    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=f"Expected progress as True, .* got {progress!r}"):
        compare(model, model, x, progress=progress)


def test_a_sequential_model_is_told_to_be_built_and_one_without_layers_that_it_has_none(x):
    import keras

    open_ended = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)], name="open")
    with pytest.raises(ValueError, match="got Sequential 'open', which does not know yet .* Call it on some images"):
        compare(open_ended, open_ended, x)
    open_ended(x[:1])
    assert len(compare(open_ended, open_ended, x).layers_a) == 2
    inputs = keras.Input(SHAPE)
    sums = keras.Model(inputs, 2 * inputs + 1, name="sums")
    with pytest.raises(ValueError, match="^sums has no layer that can be compared: .* use compare_activations"):
        compare(sums, sums, x)


def test_a_layer_that_puts_out_nothing_is_named_with_what_to_do(x):
    import keras

    inputs = keras.Input(SHAPE)
    empty = keras.layers.Lambda(lambda t: t[:, :0], output_shape=(0, 8, 3), name="empty")(inputs)
    model = keras.Model(inputs, [keras.layers.Flatten(name="flat")(inputs), empty])
    with pytest.raises(ValueError, match=r"'empty'.*got shape \(16, 0, 8, 3\)[.] Leave this layer out"):
        compare(model, model, x)
    assert compare(model, model, x, layers=["flat"]).matrix == pytest.approx(1)


@pytest.mark.parametrize("name, better", [("größe", "gr_e"), ("a b", "a_b"), ("conv:1", "conv_1"), ("**x**", "_x_")])
def test_a_name_under_which_tensorflow_runs_no_layer_is_refused_with_another_that_does(x, name, better):
    """`predict` fails, too; what is only opened, a nested model or an input, may be called anything."""
    import keras

    inputs = keras.Input(SHAPE, name="the picture")
    inner = keras.Sequential([keras.Input(SHAPE), keras.layers.Dense(2, name="inner")], name="größer als")
    model = keras.Model(inputs, keras.layers.Flatten(name=name)(inner(inputs)), name="net")
    with pytest.raises(ValueError, match="is not a valid"):
        model.predict(x, verbose=0)
    with pytest.raises(ValueError, match=f"^Layer '{re.escape(name)}' of 'net' has a name .*layer.name = '{better}'"):
        compare(model, model, x)
    model.get_layer(name).name = better
    assert [layer.name for layer in compare(model, model, x).layers_a] == ["größer als/inner", better]


def test_a_layer_inside_another_is_refused_by_its_name_too(x):
    import keras

    inputs = keras.Input((8, 3))
    both = keras.layers.Bidirectional(keras.layers.LSTM(2, name="to and fro"))
    model = keras.Model(inputs, both(inputs))
    with pytest.raises(ValueError, match="^Layer '.*to and fro' of "):
        compare(model, model, x[:, 0])
