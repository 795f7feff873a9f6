"""Networks with several inputs: each array enters where its name says, as ``predict`` has it."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core import compare
from cka_core.networks.activations import Extractor
from tests import reference

N = 20


@pytest.fixture(scope="module")
def given():
    rng = np.random.default_rng(0)
    return {"image": rng.integers(0, 256, (N, 6, 6, 3), np.uint8), "tokens": rng.integers(1, 12, (N, 5))}


def network(named: bool = True, seed: int = 0):
    """Sees an image and reads tokens with a mask; ``named``: made with a dict whose keys are not the tensors' names."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    image = keras.Input((6, 6, 3), name="first" if named else "image")
    tokens = keras.Input((5,), dtype="int32", name="second" if named else "tokens")
    seen = layers.Flatten(name="seen")(layers.Conv2D(4, 3, activation="relu", name="conv")(image))
    read = layers.LSTM(6, name="read")(layers.Embedding(12, 7, mask_zero=True, name="embed")(tokens))
    both = layers.Concatenate(name="both")([seen, read])
    out = layers.Dense(8, activation="tanh", name="out")(both)
    inputs = {"tokens": tokens, "image": image} if named else [image, tokens]
    return keras.Model(inputs, out, name=f"two_inputs_{seed}")


def predicted(model, x):
    """Of each layer what ``predict`` gives, in float64."""
    import keras

    found = [layer for layer in model.layers if layer.name not in ("first", "second", "image", "tokens")]
    made = keras.Model(model.input, [layer.output for layer in found]).predict(x, verbose=0)
    return [layer.name for layer in found], [np.asarray(array).astype(np.float64) for array in made]


@pytest.mark.parametrize("form, named", [("dict", True), ("dict", False), ("tuple", True), ("list", False)])
def test_the_map_is_that_of_predict(given, form, named):
    a, b = network(named), network(named, seed=1)
    floats = given | {"image": given["image"].astype(np.float32) / 255}
    names, of_a = predicted(a, floats)
    _, of_b = predicted(b, floats)
    order = ("image", "tokens")  # of a dict, Keras' order is that of the alphabet
    x = given if form == "dict" else [given[name] for name in order]
    result = compare(a, b, tuple(x) if form == "tuple" else x, batch_size=8)
    assert [layer.name for layer in result.layers_a] == names
    parts = [slice(0, 8), slice(8, 16), slice(16, 20)]
    assert np.abs(result.matrix - reference.matrix(of_a, of_b, parts)).max() <= 1e-5
    assert result.provenance["images"]["n"] == N
    assert result.provenance["preprocessing"] == "image: divide-by-255, tokens: none"


def test_a_network_takes_what_is_its_own_beside_one_of_several_inputs(given):
    import keras

    keras.utils.set_random_seed(2)
    image = keras.Input((6, 6, 3), name="image")
    alone = keras.Model(image, keras.layers.Conv2D(3, 3, name="look")(image))
    result = compare(alone, network(), given)
    names, arrays = predicted(network(), given | {"image": given["image"].astype(np.float32) / 255})
    look = alone.predict(given["image"].astype(np.float32) / 255, verbose=0).astype(np.float64)
    assert np.abs(result.matrix - reference.matrix([look], arrays)).max() <= 1e-5
    same = compare(alone, alone, {"image": given["image"]})
    assert same.matrix == compare(alone, alone, given["image"]).matrix


def test_text_enters_a_network_that_takes_text():
    """Its layers look the words up: whole numbers, then vectors."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    words = np.array(["ant", "bee", "cat", "dog", "emu"])
    table = np.random.default_rng(0).integers(0, 5, (N, 6))
    inputs = keras.Input((6,), dtype="string")
    found = layers.StringLookup(vocabulary=list(words), num_oov_indices=0, name="lookup")(inputs)
    model = keras.Model(inputs, layers.Embedding(5, 4, name="embed")(found))
    vectors = model.get_layer("embed").get_weights()[0].astype(np.float64)[table]
    expected = reference.matrix(*[[table.astype(np.float64), vectors]] * 2)
    for given in (words[table], np.char.encode(words[table])):
        assert np.abs(compare(model, model, given).matrix - expected).max() <= 1e-5


def test_what_are_no_images_at_all_is_refused_by_its_kind():
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input((2, 2)), keras.layers.Flatten()])
    batches = tf.data.Dataset.from_tensor_slices(np.zeros((8, 2, 2), np.float32)).batch(4)
    for given, told in (
        (batches, "got _BatchDataset. Of batches make one array first"),
        ((image for image in np.zeros((8, 2, 2))), "got generator. Of batches make one array first"),
        ([np.zeros((2, 2)), np.zeros((2, 3))] * 3, "Expected images of one size.*unlike shapes"),
    ):
        with pytest.raises(ValueError, match=told):
            compare(model, model, given)
    assert compare(model, model, np.concatenate(list(batches)) + np.eye(8, 4).reshape(8, 2, 2)).matrix.shape == (1, 1)


def test_the_digest_is_that_of_all_arrays_whatever_their_order(given):
    model = network()
    digests = [
        compare(model, model, x).provenance["images"]["digest"]
        for x in (given, dict(reversed(given.items())), given | {"tokens": given["tokens"][::-1]})
    ]
    assert digests[0] == digests[1] != digests[2]


def test_layers_of_several_inputs_are_chosen_and_averaged_over_tokens_as_any(given):
    result = compare(network(), network(seed=1), given, layers=["embed", "both"], tokens="mean")
    names, arrays = predicted(network(), given | {"image": given["image"].astype(np.float32) / 255})
    _, others = predicted(network(seed=1), given | {"image": given["image"].astype(np.float32) / 255})
    taken = [[made[names.index("embed")].mean(1), made[names.index("both")]] for made in (arrays, others)]
    assert [layer.name for layer in result.layers_a] == sorted(("embed", "both"), key=names.index)
    assert np.abs(result.matrix - reference.matrix(*taken)).max() <= 1e-5


def test_what_is_missing_too_much_or_of_another_number_is_refused_by_name(given):
    model = network()
    image, tokens = given["image"], given["tokens"]
    for x, told in (
        ({"image": image}, "takes 'image', 'tokens', got 'image': 'tokens' is missing"),
        ({"image": image, "token": tokens}, "'tokens' is missing"),
        (given | {"audio": tokens}, "got 'audio' too: two_inputs_0 takes 'image', 'tokens'"),
        ({"image": image, "tokens": tokens[:7]}, "Expected the same images in every array, got 20 in 'image', 7"),
        ({}, "got none"),
        ("cifar10-mini", r"Expected images as an array \(n, ...\) or a dict of arrays by .* got str"),
        (image, r"takes 2 inputs \('image', 'tokens'\), got one array"),
        ((image, tokens, tokens), "takes 2 inputs.*got 3 arrays"),
        ((tokens.astype(np.float32), image), r"\(n, 6, 6, 3\) as 'image', got \(20, 5\)"),
        (given | {"tokens": tokens.astype(str)}, "'tokens' of two_inputs_0: Expected images as uint8"),
        (given | {"tokens": np.float32(1)}, "Expected the same images in every array"),
    ):
        with pytest.raises(ValueError, match=told):
            compare(model, model, x)
    with pytest.raises(ValueError, match="Expected a model with one input, got 2: 'image', 'tokens'"):
        _ = Extractor(model).input_shape


def test_a_form_asked_for_is_that_of_the_pictures(given):
    model = network()
    asked = compare(model, model, given, preprocessing="divide-by-255")
    assert np.abs(asked.matrix - compare(model, model, given).matrix).max() == 0
    assert asked.provenance["preprocessing"] == "image: divide-by-255, tokens: none"


def reader(seed, takes_mask):
    """Embeds tokens; ``takes_mask``: and multiplies by a mask that is an input of its own."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    tokens, mask = keras.Input((5,), dtype="int32", name="tokens"), keras.Input((5,), name="attention_mask")
    embedded = layers.Embedding(12, 7, name="embed")(tokens)
    weighed = embedded * keras.ops.expand_dims(mask, -1) if takes_mask else embedded
    read = layers.LSTM(5, return_sequences=True, name="read")(weighed)
    turned = layers.Permute((2, 1), name="turned")(read)  # (5, 5): a mask of its second axis would be another
    flat = layers.Flatten(name="flat")(layers.Dropout(0.5, name="kept")(read))
    out = layers.Concatenate(name="out")([flat, layers.Flatten()(turned)])
    return keras.Model([tokens, mask] if takes_mask else tokens, out, name=f"reader_{seed}")


@pytest.mark.parametrize("tokens", ["flatten", "mean", "first", "last"])
def test_the_mask_of_the_tokens_is_respected(given, tokens):
    mask = (np.arange(5) >= np.arange(N)[:, None] % 3) & (np.arange(5) < 3 + np.arange(N)[:, None] % 3)
    x = {"tokens": given["tokens"], "attention_mask": mask.astype(np.float32)}
    names = ["embed", "read", "kept", "flat"]

    def taken(model, entering):
        import keras

        tensors = [model.get_layer(name).output for name in names]
        made = keras.Model(model.input, tensors).predict(entering, verbose=0)
        return [masked(np.asarray(array, np.float64)) for array in made]

    def masked(array):
        if array.ndim != 3:
            return array
        rows = range(N)
        if tokens == "flatten":
            return array * mask[:, :, None]
        if tokens == "mean":
            return np.stack([array[i][mask[i]].mean(0) for i in rows])
        return np.stack([array[i][mask[i]][0 if tokens == "first" else -1] for i in rows])

    a, b = reader(0, takes_mask=True), reader(1, takes_mask=False)
    result = compare(a, b, x, layers=names, tokens=tokens)
    assert [layer.name for layer in result.layers_b] == names
    assert np.abs(result.matrix - reference.matrix(taken(a, x), taken(b, x["tokens"]))).max() <= 1e-5


def test_tokens_that_change_places_are_not_left_out_as_those_they_were(given):
    mask = np.arange(5) < 3 + np.arange(N)[:, None] % 3
    model = reader(0, takes_mask=False)
    alone = compare(model, model, {"tokens": given["tokens"], "attention_mask": mask}, layers=["read", "turned"])
    assert alone.matrix[0, 1] < 0.999
    assert compare(model, model, given["tokens"], layers=["read", "turned"]).matrix[0, 1] > 1 - 1e-6


def lookup(nested: bool = False, dtype: str = "int32"):
    """Looks up 12 ids, which change places before, inside a model of its own where ``nested``."""
    import keras
    from keras import layers

    tokens = keras.Input((2, 3), dtype=dtype)
    found = layers.Embedding(12, 7, name="embed")(layers.Reshape((6,))(tokens))
    inner = keras.Model(tokens, layers.GlobalAveragePooling1D()(found), name="reader")
    if not nested:
        return inner
    outer = keras.Input((2, 3), dtype=dtype)
    return keras.Model(outer, layers.Dense(3)(inner(outer)), name="reader")


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_ids_that_an_embedding_has_no_row_for_are_refused_before_anything_is_computed(nested, dtype):
    """TensorFlow fails on a processor, and looks them up as zeros on a graphics processor."""
    model = lookup(nested, dtype)
    ids = np.random.default_rng(0).integers(0, 12, (N, 2, 3)).astype(dtype)
    ids[:2, 0, 0] = 0, 11
    assert np.isfinite(compare(model, model, ids).matrix).all()
    for wrong in (12, 999, -1):
        other = ids.copy()
        other[17, 1, 2] = wrong
        with pytest.raises(ValueError, match=f"^reader takes ids from 0 to 11, got {wrong:,}(.0)?[.] Give it the ids"):
            compare(model, model, other)
        with pytest.raises(ValueError, match="reader takes ids from 0 to 11"):
            Extractor(model).grams(other)


def test_ids_of_one_of_several_inputs_are_refused_by_its_name(given):
    tokens = np.where(np.arange(5) == 3, 1000, given["tokens"])
    model = network()
    with pytest.raises(ValueError, match="^two_inputs_0 takes ids from 0 to 11 as 'tokens', got 1,000[.]"):
        compare(model, model, given | {"tokens": tokens})


def test_an_embedding_that_does_something_else_first_is_asked_nothing():
    import keras
    from keras import layers

    class Hashed(layers.Embedding):
        def call(self, inputs):
            return super().call(keras.ops.mod(inputs, self.input_dim))

    tokens = keras.Input((6,), dtype="int32")
    model = keras.Model(tokens, layers.Flatten()(Hashed(12, 7)(tokens)))
    ids = np.random.default_rng(0).integers(0, 999, (N, 6)).astype("int32")
    assert np.isfinite(compare(model, model, ids).matrix).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_ids_are_looked_up_as_they_are_where_the_input_is_of_floats(dtype):
    """Keras makes an input of floats where nobody says otherwise: ids are no pixels for that."""
    import keras

    model = keras.Sequential([keras.Input((6,)), keras.layers.Embedding(200, 5), keras.layers.Flatten(name="flat")])
    ids = np.random.default_rng(0).integers(0, 200, (N, 6))
    result = compare(model, model, ids.astype(dtype))
    of = keras.Model(model.inputs, [layer.output for layer in model.layers]).predict(ids.astype(np.float32), verbose=0)
    arrays = [np.asarray(array, np.float64).reshape(N, -1) for array in of]
    assert np.abs(result.matrix - reference.matrix(arrays, arrays)).max() <= 1e-5
    assert result.provenance["preprocessing"] == "as given"
