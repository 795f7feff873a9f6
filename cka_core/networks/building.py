"""Models in Keras: built from an architecture's name, their weights drawn, loaded and told apart."""

from __future__ import annotations

import hashlib
import os
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.base import extras, failures
from cka_core.networks.architectures import APPLICATIONS, CLASSES, IMAGE_SHAPE, depth_and_width

if TYPE_CHECKING:
    import keras

BATCH_NORM_MOMENTUM = 0.9
"""Of the CIFAR ResNets: Keras' 0.99 lags behind in trainings of a few hundred steps."""


@extras.told()
def build_network(name: str, *, weights: str | os.PathLike[str] | None = None, seed: int = 0) -> keras.Model:
    """Build a network.

    Parameters
    ----------
    name : "resnet50", "resnet101", "resnet152" or "cifar-resnet-{depth}x{width}"
    weights : None draws random weights from ``seed``, the same ones each time; "imagenet" (the ``resnet`` names only)
        is Keras' download; else the path of a local weights file: a "notop" .h5 for the ``resnet`` names, a
        ``.weights.h5`` of the same architecture for the others. The head is random unless the file holds it.
    seed : of the random weights

    Returns
    -------
    keras.Model
        Images (n, 32, 32, 3) in, (n, 10) out: class probabilities for the ``resnet`` names, logits for the others.

    Raises
    ------
    UnknownNetwork
        For a name that is no architecture, or a depth that is not 6n+2.
    ValueError
        For weights that do not exist, cannot be had or do not fit, and a seed that is none.
    """
    import keras

    if not (isinstance(seed, Integral) and seed >= 0):
        raise ValueError(f"Expected seed as a whole number from 0, got {seed!r:.60}.")
    if weights is not None and weights != "imagenet" and not os.path.isfile(weights):
        raise ValueError(
            f"Expected weights None, 'imagenet' or the path of a weights file, got {os.fspath(weights)!r}."
        )
    if name in APPLICATIONS:
        model = _build_application(name, keras)
    else:
        depth, width = depth_and_width(name)
        if weights == "imagenet":
            raise ValueError(f"ImageNet weights exist for {', '.join(APPLICATIONS)}, not for {name}. Use weights=None.")
        model = _build_cifar_resnet(name, depth, width, keras)
    draw_weights(model, int(seed))
    if weights is not None:
        _load_weights(model, name, weights, keras)
    return model


def draw_weights(model: keras.Model, seed: int) -> None:
    """Draw each kernel again by its own initializer with a seed of its own, so that a seed means one set of weights."""
    for layer in model.layers:
        initializer = getattr(layer, "kernel_initializer", None)
        if initializer is None:
            continue
        digest = hashlib.sha256(f"{seed}/{layer.name}".encode()).digest()
        config = initializer.get_config() | {"seed": int.from_bytes(digest[:4], "big") & 0x7FFFFFFF}
        layer.kernel.assign(type(initializer).from_config(config)(tuple(layer.kernel.shape), dtype="float32"))


def weights_digest(model: keras.Model) -> str:
    """SHA-256 (32 hex digits) of all weights in the network's order, their shapes and dtypes."""

    def one(array: np.ndarray) -> bytes:
        content = hashlib.sha256(_bytes(array)).digest()
        return hashlib.sha256(f"{array.dtype} {array.shape}".encode() + content).digest()

    return hashlib.sha256(b"".join(_of_each_weight(model, one))).hexdigest()[:32]


def weights_checksums(model: keras.Model) -> list[int]:
    """CRC-32 of each weight: three times as quick as `weights_digest`, to see whether it has to be computed again."""
    return _of_each_weight(model, lambda array: zlib.crc32(_bytes(array)))


def _bytes(array: np.ndarray) -> memoryview:
    """The bytes of an array, also where its type is none of numpy's own, such as bfloat16."""
    return array.reshape(-1).view(np.uint8).data if array.dtype.kind == "V" else array.data


def _of_each_weight(model: keras.Model, function: Callable[[np.ndarray], Any]) -> list[Any]:
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(lambda variable: function(_array(variable)), model.variables))


def _array(variable: keras.Variable) -> np.ndarray:
    """The numbers of a weight: TensorFlow's as they lie in memory, where those of its variable would be copied."""
    import keras

    value = variable.value
    read = value.value() if hasattr(value, "read_value") else keras.ops.convert_to_tensor(variable)
    return np.ascontiguousarray(read)


def _load_weights(model: keras.Model, name: str, weights: str | os.PathLike[str], keras: Any) -> None:
    try:
        with warnings.catch_warnings():
            # Keras only warns where a file lacks a layer's weights, and leaves them random.
            warnings.filterwarnings("error", message=".*freshly-initialized weights.*")
            if weights != "imagenet":
                target = model
                if name in APPLICATIONS:
                    target = keras.Model(model.inputs, model.get_layer("avg_pool").output)
                target.load_weights(os.fspath(weights))
                return
            base = _without_head(name, "imagenet", keras)
    except Exception as error:
        if weights == "imagenet":
            raise ValueError(
                f"The ImageNet weights of {name} could not be downloaded ({failures.in_short(error)}). Connect to "
                "the internet, give a local file (weights=PATH.h5, Keras' 'notop' weights), or use random weights."
            ) from error
        raise ValueError(
            f"{os.fspath(weights)} does not fit {name} without its head, expected "
            f"{model.count_params():,} parameters of matching shapes ({failures.in_short(error)})."
        ) from error
    for layer in base.layers:
        model.get_layer(layer.name).set_weights(layer.get_weights())


def _build_application(name: str, keras: Any) -> keras.Model:
    base = _without_head(name, None, keras)
    output = keras.layers.Dense(CLASSES, activation="softmax", name="predictions")(base.output)
    return keras.Model(base.inputs, output, name=name)


def _without_head(name: str, weights: str | None, keras: Any) -> keras.Model:
    build = getattr(keras.applications, name.replace("resnet", "ResNet"))
    return build(input_shape=IMAGE_SHAPE, weights=weights, pooling="avg", include_top=False)


def _build_cifar_resnet(name: str, depth: int, width: int, keras: Any) -> keras.Model:
    layers = keras.layers

    def conv(x: Any, channels: int, size: int, stride: int, name: str) -> Any:
        return layers.Conv2D(
            channels, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
        )(x)

    def bn(x: Any, name: str) -> Any:
        return layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=name)(x)

    inputs = x = layers.Input(IMAGE_SHAPE, name="input")
    x = conv(x, 16 * width, 3, 1, "stem_conv")
    x = bn(x, "stem_bn")
    x = layers.Activation("relu", name="stem_relu")(x)
    for stage in (1, 2, 3):
        channels = 16 * width * 2 ** (stage - 1)
        for block in range(1, (depth - 2) // 6 + 1):
            path = f"stage{stage}_block{block}"
            first = stage > 1 and block == 1
            y = conv(x, channels, 3, 2 if first else 1, f"{path}_conv1")
            y = bn(y, f"{path}_bn1")
            y = layers.Activation("relu", name=f"{path}_relu1")(y)
            y = conv(y, channels, 3, 1, f"{path}_conv2")
            y = bn(y, f"{path}_bn2")
            if first:
                x = conv(x, channels, 1, 2, f"{path}_shortcut")
            x = layers.Add(name=f"{path}_add")([x, y])
            x = layers.Activation("relu", name=f"{path}_relu2")(x)
    x = layers.AveragePooling2D(8, name="head_pool")(x)
    x = layers.Flatten(name="head_flatten")(x)
    x = layers.Dense(CLASSES, kernel_initializer="he_normal", name="head_logits")(x)
    return keras.Model(inputs, x, name=name)
