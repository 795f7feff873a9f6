"""A network cut into segments computes what it computes in one piece: what ``predict`` of all its tensors gives."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core import compare
from cka_core.networks import activations
from tests import reference

N = 20


@pytest.fixture(autouse=True, params=[1, 33_000])
def features(request, monkeypatch):
    """Each call a segment of its own, and all in one."""
    import keras

    monkeypatch.setattr(activations, "SEGMENT_FEATURES", request.param)
    keras.utils.set_random_seed(0)


def check(inputs, tensors, x):
    """The map of all layers, named by ``tensors``, is that of what ``predict`` gives; the model is returned."""
    import keras

    model = keras.Model(inputs, list(tensors.values()))
    result = compare(model, model, x)
    assert [layer.name for layer in result.layers_a] == list(tensors)
    given = [np.asarray(array).astype(np.float64) for array in model.predict(x, verbose=0)]
    assert np.abs(result.matrix - reference.matrix(given, given)).max() <= 1e-5


@pytest.fixture
def tokens():
    return np.random.default_rng(0).integers(0, 9, (N, 7))


@pytest.mark.parametrize("through", ["itself", "a dropout", "a nested model"])
def test_attention_takes_the_mask_from_what_it_attends_to_for_all_that_comes_after(tokens, through):
    """Keras' attention does, and from whatever name the same tensor has: a dropout at inference returns its input."""
    import keras
    from keras import layers

    inputs = keras.Input((7,), dtype="int32")
    found = {"embed": layers.Embedding(9, 8, mask_zero=True, name="embed")(inputs)}
    attended = found["embed"]
    if through == "a dropout":
        attended = found["kept"] = layers.Dropout(0.5, name="kept")(attended)
    attention = layers.MultiHeadAttention(2, 4, name="attention")
    if through == "a nested model":
        inner = keras.Input((7, 8))
        found["inner/attention"] = keras.Model(inner, attention(inner, inner), name="inner")(attended)
    else:
        found["attention"] = attention(attended, attended)
    found["sum"] = layers.Add(name="sum")([found["embed"], list(found.values())[-1]])
    found["mean"] = layers.GlobalAveragePooling1D(name="mean")(found["sum"])
    found["again"] = layers.MultiHeadAttention(2, 4, name="again")(found["embed"], found["sum"])
    found["read"] = layers.LSTM(3, name="read")(attended)
    check(inputs, found, tokens)


def test_two_attentions_with_scores_see_the_masks_that_are_left(tokens):
    import keras
    from keras import layers

    inputs = keras.Input((7,), dtype="int32")
    embedded = layers.Embedding(9, 8, mask_zero=True, name="embed")(inputs)
    first = layers.MultiHeadAttention(2, 4, name="first")
    out, scores = first(embedded, embedded, return_attention_scores=True, use_causal_mask=True)
    second = layers.MultiHeadAttention(2, 4, name="second")(query=embedded, value=out, key=embedded)
    check(inputs, {"embed": embedded, "first": out, "first[1]": scores, "second": second}, tokens)


def test_a_layer_whose_output_is_of_another_type_than_it_says_goes_on(tokens):
    """Keras says that this one gives floats, and it gives whole numbers."""
    import keras
    from keras import layers

    inputs = keras.Input((7,), dtype="int64")
    lookup = layers.IntegerLookup(vocabulary=[1, 2, 3, 8], output_mode="multi_hot", name="lookup")
    found = {"lookup": lookup(inputs)}
    found["dense"] = layers.Dense(3, name="dense")(found["lookup"])
    check(inputs, found, tokens)


def test_a_layer_may_have_any_name_that_it_has_inside_a_model():
    """TensorFlow takes names that begin with "_" or "-" below another name, as `predict` calls layers, and at no root;
    Keras gives such names to layers whose class begins with "_"."""
    import keras
    from keras import layers

    class _Twice(layers.Layer):
        def call(self, x):
            return 2 * x

    inputs = keras.Input((5,))
    twice = _Twice()
    found = {"_first": layers.Dense(4, name="_first")(inputs)}
    found["-"] = layers.Dense(3, activation="relu", name="-")(found["_first"])
    found[twice.name] = twice(found["-"])
    assert twice.name.startswith("_")
    found[".b"] = layers.Dense(2, name=".b")(found[twice.name])
    check(inputs, found, np.random.default_rng(0).standard_normal((N, 5)).astype(np.float32))
