"""Every layer class of Keras, called in every way: the map is that of what ``predict`` gives, in float64."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

from cka_core import compare
from cka_core.networks import activations
from tests import reference

N = 12

UNIT = {"value_range": (0, 1)}
IMAGE, SEQUENCE, VECTOR, VOLUME = "image", "sequence", "vector", "volume"
WHOLE, ONE = "whole numbers", "one whole number"

TABLE = {
    "Activation": (IMAGE, {"activation": "relu"}),
    "ActivityRegularization": (IMAGE, {"l2": 0.1}),
    "AdaptiveAveragePooling1D": (SEQUENCE, {"output_size": 2}),
    "AdaptiveAveragePooling2D": (IMAGE, {"output_size": 2}),
    "AdaptiveAveragePooling3D": (VOLUME, {"output_size": 2}),
    "AdaptiveMaxPooling1D": (SEQUENCE, {"output_size": 2}),
    "AdaptiveMaxPooling2D": (IMAGE, {"output_size": 2}),
    "AdaptiveMaxPooling3D": (VOLUME, {"output_size": 2}),
    "Add": ([IMAGE, IMAGE], {}),
    "AdditiveAttention": ([SEQUENCE, SEQUENCE], {}),
    "AlphaDropout": (SEQUENCE, {"rate": 0.3}),
    "Attention": ([SEQUENCE, SEQUENCE], {"dropout": 0.3}),
    "AugMix": (IMAGE, UNIT),
    "AutoContrast": (IMAGE, UNIT),
    "Average": ([IMAGE, IMAGE], {}),
    "AveragePooling1D": (SEQUENCE, {"pool_size": 2}),
    "AveragePooling2D": (IMAGE, {"pool_size": 2}),
    "AveragePooling3D": (VOLUME, {"pool_size": 2}),
    "BatchNormalization": (IMAGE, {}),
    "Bidirectional": (SEQUENCE, lambda L: L.Bidirectional(L.LSTM(3, dropout=0.3, return_sequences=True))),
    "CategoryEncoding": (WHOLE, {"num_tokens": 8, "output_mode": "count"}),
    "CenterCrop": (IMAGE, {"height": 4, "width": 4}),
    "Concatenate": ([IMAGE, IMAGE], {}),
    "ContrastLimitedAdaptiveHistogramEqualization": (IMAGE, UNIT | {"tile_grid_size": (2, 2)}),
    "Conv1D": (SEQUENCE, {"filters": 2, "kernel_size": 3}),
    "Conv1DTranspose": (SEQUENCE, {"filters": 2, "kernel_size": 3}),
    "Conv2D": (IMAGE, {"filters": 2, "kernel_size": 3}),
    "Conv2DTranspose": (IMAGE, {"filters": 2, "kernel_size": 3}),
    "Conv3D": (VOLUME, {"filters": 2, "kernel_size": 2}),
    "Conv3DTranspose": (VOLUME, {"filters": 2, "kernel_size": 2}),
    "ConvLSTM1D": (IMAGE, {"filters": 2, "kernel_size": 3, "dropout": 0.3}),
    "ConvLSTM2D": (VOLUME, {"filters": 2, "kernel_size": 2, "dropout": 0.3}),
    "Cropping1D": (SEQUENCE, {}),
    "Cropping2D": (IMAGE, {"cropping": 1}),
    "Cropping3D": (VOLUME, {"cropping": 1}),
    "CutMix": (IMAGE, {}),
    "Dense": (VECTOR, {"units": 3}),
    "DepthwiseConv1D": (SEQUENCE, {"kernel_size": 3}),
    "DepthwiseConv2D": (IMAGE, {"kernel_size": 3}),
    "Discretization": (VECTOR, {"bin_boundaries": [0.2, 0.4, 0.6, 0.8]}),
    "Dot": ([SEQUENCE, SEQUENCE], {"axes": 2}),
    "Dropout": (IMAGE, {"rate": 0.5}),
    "ELU": (IMAGE, {}),
    "EinsumDense": (SEQUENCE, {"equation": "abc,cd->abd", "output_shape": (None, 2)}),
    "Embedding": (WHOLE, {"input_dim": 8, "output_dim": 3, "mask_zero": True}),
    "Flatten": (IMAGE, {}),
    "GRU": (SEQUENCE, {"units": 3, "dropout": 0.3, "recurrent_dropout": 0.3}),
    "GaussianDropout": (IMAGE, {"rate": 0.3}),
    "GaussianNoise": (IMAGE, {"stddev": 1.0}),
    "GlobalAveragePooling1D": (SEQUENCE, {}),
    "GlobalAveragePooling2D": (IMAGE, {}),
    "GlobalAveragePooling3D": (VOLUME, {}),
    "GlobalMaxPooling1D": (SEQUENCE, {}),
    "GlobalMaxPooling2D": (IMAGE, {}),
    "GlobalMaxPooling3D": (VOLUME, {}),
    "GroupNormalization": (IMAGE, {"groups": 3}),
    "GroupedQueryAttention": (
        [SEQUENCE, SEQUENCE], {"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1, "dropout": 0.3},
    ),
    "HashedCrossing": ([ONE, ONE], {"num_bins": 5, "output_mode": "int"}),
    "Hashing": (WHOLE, {"num_bins": 5}),
    "Identity": (IMAGE, {}),
    "IntegerLookup": (WHOLE, {"vocabulary": [3, 1, 4]}),
    "LSTM": (SEQUENCE, {"units": 3, "dropout": 0.3, "return_state": True}),
    "Lambda": (IMAGE, lambda L: L.Lambda(lambda x: x**2)),
    "LayerNormalization": (IMAGE, {}),
    "LeakyReLU": (IMAGE, {}),
    "Masking": (SEQUENCE, {}),
    "MaxPooling1D": (SEQUENCE, {"pool_size": 2}),
    "MaxPooling2D": (IMAGE, {"pool_size": 2}),
    "MaxPooling3D": (VOLUME, {"pool_size": 2}),
    "Maximum": ([IMAGE, IMAGE], {}),
    "MelSpectrogram": (VECTOR, {"num_mel_bins": 4, "sequence_length": 16, "sequence_stride": 8, "fft_length": 16}),
    "Minimum": ([IMAGE, IMAGE], {}),
    "MixUp": (IMAGE, {}),
    "MultiHeadAttention": ([SEQUENCE, SEQUENCE], {"num_heads": 2, "key_dim": 3, "dropout": 0.3}),
    "Multiply": ([IMAGE, IMAGE], {}),
    "Normalization": (IMAGE, {"mean": 0.4, "variance": 0.1}),
    "PReLU": (IMAGE, {"alpha_initializer": "ones"}),
    "Permute": (IMAGE, {"dims": (3, 1, 2)}),
    "Pipeline": (IMAGE, lambda L: L.Pipeline([L.RandomFlip(), L.RandomBrightness(0.5, value_range=(0, 1))])),
    "RMSNormalization": (IMAGE, {}),
    "RNN": (SEQUENCE, lambda L: L.RNN([L.GRUCell(3, dropout=0.3), L.LSTMCell(2), L.SimpleRNNCell(2, dropout=0.3)])),
    "RandAugment": (IMAGE, UNIT),
    "RandomBrightness": (IMAGE, UNIT | {"factor": 0.5}),
    "RandomColorDegeneration": (IMAGE, UNIT | {"factor": 0.9}),
    "RandomColorJitter": (IMAGE, UNIT | {"brightness_factor": 0.5, "hue_factor": 0.5}),
    "RandomContrast": (IMAGE, UNIT | {"factor": 0.9}),
    "RandomCrop": (IMAGE, {"height": 5, "width": 5}),
    "RandomElasticTransform": (IMAGE, UNIT | {"factor": 1.0, "scale": 1.0}),
    "RandomErasing": (IMAGE, UNIT),
    "RandomFlip": (IMAGE, {}),
    "RandomGaussianBlur": (IMAGE, UNIT | {"kernel_size": 3, "sigma": 1.0}),
    "RandomGrayscale": (IMAGE, {"factor": 0.9}),
    "RandomHue": (IMAGE, UNIT | {"factor": 0.9}),
    "RandomInvert": (IMAGE, UNIT | {"factor": 0.9}),
    "RandomPerspective": (IMAGE, {}),
    "RandomPosterization": (IMAGE, UNIT | {"factor": 2}),
    "RandomRotation": (IMAGE, {"factor": 0.3}),
    "RandomSaturation": (IMAGE, UNIT | {"factor": 0.9}),
    "RandomSharpness": (IMAGE, UNIT | {"factor": 0.9}),
    "RandomShear": (IMAGE, {"x_factor": 0.5}),
    "RandomTranslation": (IMAGE, {"height_factor": 0.5, "width_factor": 0.5}),
    "RandomZoom": (IMAGE, {"height_factor": 0.5}),
    "ReLU": (IMAGE, {"max_value": 0.5}),
    "RepeatVector": (VECTOR, {"n": 2}),
    "Rescaling": (IMAGE, {"scale": 3.0, "offset": -1.0}),
    "Reshape": (IMAGE, {"target_shape": (4, -1)}),
    "Resizing": (IMAGE, {"height": 5, "width": 5}),
    "ReversibleEmbedding": (WHOLE, {"input_dim": 8, "output_dim": 3}),
    "STFTSpectrogram": (SEQUENCE, {"frame_length": 4, "frame_step": 2, "fft_length": 4}),
    "SeparableConv1D": (SEQUENCE, {"filters": 2, "kernel_size": 3}),
    "SeparableConv2D": (IMAGE, {"filters": 2, "kernel_size": 3}),
    "SimpleRNN": (SEQUENCE, {"units": 3, "dropout": 0.3}),
    "Softmax": (SEQUENCE, {}),
    "Solarization": (IMAGE, UNIT | {"addition_factor": 0.5}),
    "SpatialDropout1D": (SEQUENCE, {"rate": 0.5}),
    "SpatialDropout2D": (IMAGE, {"rate": 0.5}),
    "SpatialDropout3D": (VOLUME, {"rate": 0.5}),
    "SpectralNormalization": (VECTOR, lambda L: L.SpectralNormalization(L.Dense(3))),
    "Subtract": ([IMAGE, IMAGE], {}),
    "TimeDistributed": (SEQUENCE, lambda L: L.TimeDistributed(L.Dropout(0.5))),
    "UnitNormalization": (IMAGE, {}),
    "UpSampling1D": (SEQUENCE, {}),
    "UpSampling2D": (IMAGE, {}),
    "UpSampling3D": (VOLUME, {}),
    "ZeroPadding1D": (SEQUENCE, {}),
    "ZeroPadding2D": (IMAGE, {}),
    "ZeroPadding3D": (VOLUME, {}),
}  # fmt: skip
"""What each layer takes, one or two of it, and its arguments, or how to make it."""

EXEMPT = {
    "ConvLSTM3D": "takes a film of volumes, a sixth dimension; it is ConvLSTM2D's code",
    "Equalization": "gives its input back as its output where a graph is made, so that Keras itself finds a circle",
    "FlaxLayer": "runs JAX code, which the TensorFlow backend cannot",
    "GRUCell": "takes and gives a state beside its input; it runs inside RNN here",
    "InputLayer": "is the input, no layer of a map",
    "InputSpec": "is no layer",
    "JaxLayer": "runs JAX code, which the TensorFlow backend cannot",
    "LSTMCell": "takes and gives a state beside its input; it runs inside RNN here",
    "Layer": "is abstract",
    "MaxNumBoundingBoxes": "takes bounding boxes, not numbers of an image",
    "SimpleRNNCell": "takes and gives a state beside its input; it runs inside RNN here",
    "StackedRNNCells": "takes and gives a state beside its input; it runs inside RNN here",
    "StringLookup": "takes text",
    "TFSMLayer": "runs a SavedModel, which has to be on disk",
    "TextVectorization": "takes text",
    "TorchModuleWrapper": "runs PyTorch code, which the TensorFlow backend cannot",
    "Wrapper": "is abstract",
}

WITHOUT_MASK = {
    "ConvLSTM1D": "wants a mask without channels, Masking gives one for each pixel",
    "ConvLSTM2D": "wants a mask without channels, Masking gives one for each pixel",
    "Softmax": "wants a mask for each number, Masking gives one for each step",
}
"""What is nested in a model that gets no mask, with the reason. Whole numbers have none: `Embedding` makes its own."""

SHAPES = {IMAGE: (8, 8, 3), SEQUENCE: (8, 6), VECTOR: (32,), VOLUME: (4, 4, 4, 3), WHOLE: (8,), ONE: (1,)}

PARTS = ([IMAGE], [SEQUENCE, VECTOR], [VOLUME, WHOLE, ONE])


def kinds(name):
    takes = TABLE[name][0]
    return takes if isinstance(takes, list) else [takes]


def test_every_layer_class_of_keras_is_in_the_table_or_exempt_with_a_reason():
    assert classes().keys() == TABLE.keys() | EXEMPT.keys()
    assert not TABLE.keys() & EXEMPT.keys()
    assert all(EXEMPT.values())


def classes():
    """By the names they call themselves: some have another one in ``keras.layers`` too."""
    import keras

    return {value.__name__: value for value in vars(keras.layers).values() if inspect.isclass(value)}


def made(name, style):
    """A new layer of this class, named so that the map's layers are found again."""
    import keras

    arguments = TABLE[name][1]
    layer = arguments(keras.layers) if callable(arguments) else classes()[name](**arguments)
    layer.name = f"{name}_{style}"
    return layer


def called(layer, tensors, **options):
    if len(tensors) == 1 or type(layer).__name__ in ("MultiHeadAttention", "GroupedQueryAttention"):
        return layer(*tensors, **options)
    return layer(tensors, **options)


def flat(value):
    return [item for part in value for item in flat(part)] if isinstance(value, (list, tuple)) else [value]


def every_call(name, tensors, masked):
    """The layer in each style: the names of its rows in the map, and the tensors whose ``predict`` they must match."""
    import keras

    found = {}

    def note(prefix, layer, outputs, use=""):
        for index, tensor in enumerate(flat(outputs)):
            found[f"{prefix}{layer.name}{use}{f'[{index}]' if index else ''}"] = tensor

    layer = made(name, "default")
    note("", layer, called(layer, tensors[0]))
    if "training" in inspect.signature(layer.call).parameters:
        layer = made(name, "training")
        note("", layer, called(layer, tensors[0], training=True))
    layer = made(name, "twice")
    note("", layer, called(layer, tensors[0]))
    note("", layer, called(layer, tensors[1]), ":1")
    inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in masked]
    layer = made(name, "nested")
    inner = keras.Model(inputs, called(layer, inputs), name=f"{name}_model")
    note(f"{inner.name}/", layer, inner(masked if len(masked) > 1 else masked[0]))
    return found


def network(names):
    """One model of all these layers in all styles, and the tensors of the map's rows by their names."""
    import keras

    inputs = keras.Input(SHAPES[IMAGE])
    rows = {}
    for part in {kind for name in names for kind in kinds(name)}:
        size = int(np.prod(SHAPES[part]))
        first = [inputs if part == IMAGE else _taken(inputs, part, start, size) for start in (0, 3, 5)]
        if part == IMAGE:
            first = [inputs, keras.ops.flip(inputs, axis=1), keras.ops.sqrt(inputs)]
        for name in names:
            if kinds(name)[0] == part:
                count = len(kinds(name))
                masked = first[:count]
                if part not in (WHOLE, ONE) and name not in WITHOUT_MASK:
                    masked = [keras.layers.Masking()(x) for x in masked]
                rows |= every_call(name, (first[:count], first[1 : 1 + count]), masked)
    return keras.Model(inputs, list(rows.values())), rows


def _taken(inputs, part, start, size):
    """Numbers of the image in another shape."""
    import keras

    x = keras.ops.roll(keras.ops.reshape(inputs, (-1, int(np.prod(SHAPES[IMAGE])))), start, axis=1)[:, :size]
    x = keras.ops.reshape(x, (-1, *SHAPES[part])) if part != VECTOR else x
    return keras.ops.cast(keras.ops.floor(x * 8), "int32") if part in (WHOLE, ONE) else x


def images():
    x = np.random.default_rng(0).random((N, *SHAPES[IMAGE]), np.float32)
    x[:, 2:4] *= np.random.default_rng(1).random((N, 2, 8, 1)) > 0.5  # something for a mask to hide
    x[:, 5, :4] = 0
    return x


@pytest.mark.parametrize("part", PARTS, ids=" and ".join)
def test_the_map_of_every_layer_is_that_of_predict(part, monkeypatch):
    import keras

    monkeypatch.setattr(activations, "SEGMENT_FEATURES", 2000)  # masks and values go from segment to segment
    keras.utils.set_random_seed(0)
    names = [name for name in TABLE if kinds(name)[0] in part]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras tells which layers destroy a mask
        model, rows = network(names)
        x = images()
        given = dict(zip(rows, model.predict(x, verbose=0), strict=True))
        result = compare(model, model, x)
    found = {layer.name: position for position, layer in enumerate(result.layers_a)}
    assert set(rows) <= set(found)
    at = [found[name] for name in rows]
    assert [result.reasons_a[position] for position in at] == [None] * len(at)
    expected = reference.matrix(*[[array.astype(np.float64) for array in given.values()]] * 2)
    wrong = np.abs(result.matrix[np.ix_(at, at)] - expected).max(axis=1)
    assert {name: error for name, error in zip(rows, wrong, strict=True) if not error <= 1e-5} == {}
