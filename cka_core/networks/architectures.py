"""Networks in words: which there are, what their layers are called, how many parameters they have.

Two families. The original notebook's ResNet50, 101 and 152 (He et al. 2015, arXiv 1512.03385, as in
``keras.applications``) on 32 x 32 images with average pooling and a 10-way softmax; and the CIFAR ResNets of Nguyen,
Raghu & Kornblith (2021, arXiv 2010.15327): depth 6n+2, three stages of 16k, 32k and 64k channels, basic blocks with the
activation after the addition, 1x1 projection shortcuts without batch norm, logits as output.

All of it is worked out without Keras; `building` makes the models.
"""

from __future__ import annotations

import dataclasses
import math
import re
from functools import lru_cache
from typing import Any

from cka_core.networks.layers import Layer

IMAGE_SHAPE = (32, 32, 3)
CLASSES = 10


class UnknownNetwork(ValueError):
    """No network has this name; the message lists the valid ones."""


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """Which network, in plain values.

    ``source`` is "bundled" or "trained" (in the library), "untrained" (``architecture`` with random weights drawn with
    ``seed``), "own" (brought in as a file), "file" (a ``.keras`` file at ``path``) or "activations" (no network but its
    activation set, in the library or at ``path``). ``weights`` is the digest of the network's weights, of its file, or
    of what the activation set holds; empty where it is untrained.
    """

    name: str
    source: str
    architecture: str
    seed: int | None = None
    weights: str = ""
    path: str = ""

    @property
    def identity(self) -> list[Any]:
        """What makes two networks the same one, whatever they are called."""
        if self.source == "activations":
            return ["activations", self.weights]
        return [self.architecture, self.weights or self.seed]


@dataclasses.dataclass(frozen=True)
class Architecture:
    """An architecture as a person reads it. ``layers`` leaves out the input, as ``model.layers[1:]`` does."""

    name: str
    title: str
    family: str
    depth: int
    width: int
    parameters: int
    multiply_adds: int
    layers: tuple[Layer, ...]

    @property
    def features(self) -> int:
        """Activations of one image, all layers together."""
        return sum(math.prod(layer.shape) for layer in self.layers)


APPLICATIONS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}
"""Residual blocks in each stage of the original notebook's networks."""

SUGGESTED = (
    *APPLICATIONS,
    *(f"cifar-resnet-{name}" for name in ("14x1", "20x1", "38x1", "56x1", "14x2", "14x4", "38x2")),
)
"""Architectures the pages offer; any depth 6n+2 and width from 1 can be asked for by name."""

_CIFAR_NAME = re.compile(r"cifar-resnet-(\d{1,4})x(\d{1,3})")


def architecture(name: str) -> Architecture:
    """Describe an architecture without building it; raises `UnknownNetwork`."""
    if name in APPLICATIONS:
        return _describe_application(name)
    depth, width = depth_and_width(name)
    return _describe_cifar_resnet(name, depth, width)


def is_architecture(name: str) -> bool:
    try:
        architecture(name)
    except UnknownNetwork:
        return False
    return True


def depth_and_width(name: str) -> tuple[int, int]:
    match = _CIFAR_NAME.fullmatch(name) if isinstance(name, str) else None
    if not match:
        raise UnknownNetwork(
            f"Unknown network {name!r}. Valid: {', '.join(APPLICATIONS)}, or cifar-resnet-DEPTHxWIDTH with depth 6n+2 "
            "(8, 14, 20, 38, 56, 110, 164 …) and a whole width multiplier from 1, such as cifar-resnet-38x2."
        )
    depth, width = int(match[1]), int(match[2])
    if depth < 8 or (depth - 2) % 6:
        below = max(8, depth - (depth - 2) % 6)
        raise UnknownNetwork(
            f"A CIFAR ResNet has depth 6n+2 with n from 1, got depth {depth} in {name!r}. "
            f"The nearest are {below} and {below + 6}."
        )
    if depth > 1202:
        raise UnknownNetwork(f"Depth {depth} in {name!r} is more than the 1202 supported.")
    if not 1 <= width <= 64:
        raise UnknownNetwork(f"The width multiplier is a whole number from 1 to 64, got {width} in {name!r}.")
    return depth, width


# The same networks in words: name, kind, shape and stage of each layer, without Keras. A test holds both to each other.


class _Counter:
    """Collects layers and counts their weights and multiply-adds."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.parameters = 0
        self.multiply_adds = 0

    def add(self, name: str, kind: str, shape: tuple[int, ...]) -> None:
        self.layers.append(Layer(name, kind, shape, stage_of(name, shape)))

    def conv(self, name: str, shape: tuple[int, ...], fan_in: int, *, bias: bool) -> None:
        self.add(name, "Conv2D", shape)
        self.parameters += (fan_in + bias) * shape[-1]
        self.multiply_adds += fan_in * math.prod(shape)

    def bn(self, name: str, shape: tuple[int, ...]) -> None:
        self.add(name, "BatchNormalization", shape)
        self.parameters += 4 * shape[-1]

    def dense(self, name: str, fan_in: int) -> None:
        self.add(name, "Dense", (CLASSES,))
        self.parameters += (fan_in + 1) * CLASSES
        self.multiply_adds += fan_in * CLASSES

    def finish(self, name: str, title: str, family: str, depth: int, width: int) -> Architecture:
        return Architecture(name, title, family, depth, width, self.parameters, self.multiply_adds, tuple(self.layers))


@lru_cache(maxsize=64)
def _describe_cifar_resnet(name: str, depth: int, width: int) -> Architecture:
    net = _Counter()
    before = 16 * width
    shape: tuple[int, ...] = (32, 32, before)
    net.conv("stem_conv", shape, 27, bias=False)
    net.bn("stem_bn", shape)
    net.add("stem_relu", "Activation", shape)
    for stage in (1, 2, 3):
        channels = 16 * width * 2 ** (stage - 1)
        side = 32 // 2 ** (stage - 1)
        shape = (side, side, channels)
        for block in range(1, (depth - 2) // 6 + 1):
            path = f"stage{stage}_block{block}"
            first = stage > 1 and block == 1
            net.conv(f"{path}_conv1", shape, 9 * before, bias=False)
            net.bn(f"{path}_bn1", shape)
            net.add(f"{path}_relu1", "Activation", shape)
            net.conv(f"{path}_conv2", shape, 9 * channels, bias=False)
            if first:
                net.conv(f"{path}_shortcut", shape, before, bias=False)
            net.bn(f"{path}_bn2", shape)
            net.add(f"{path}_add", "Add", shape)
            net.add(f"{path}_relu2", "Activation", shape)
            before = channels
    net.add("head_pool", "AveragePooling2D", (1, 1, before))
    net.add("head_flatten", "Flatten", (before,))
    net.dense("head_logits", before)
    return net.finish(name, f"ResNet {depth}x{width}", "CIFAR ResNet", depth, width)


@lru_cache(maxsize=8)
def _describe_application(name: str) -> Architecture:
    net = _Counter()
    net.add("conv1_pad", "ZeroPadding2D", (38, 38, 3))
    net.conv("conv1_conv", (16, 16, 64), 49 * 3, bias=True)
    net.bn("conv1_bn", (16, 16, 64))
    net.add("conv1_relu", "Activation", (16, 16, 64))
    net.add("pool1_pad", "ZeroPadding2D", (18, 18, 64))
    net.add("pool1_pool", "MaxPooling2D", (8, 8, 64))
    before, side = 64, 8
    for stage, blocks in enumerate(APPLICATIONS[name], start=2):
        channels = 64 * 2 ** (stage - 2)
        side = 8 // 2 ** (stage - 2)
        narrow, wide = (side, side, channels), (side, side, 4 * channels)
        for block in range(1, blocks + 1):
            path = f"conv{stage}_block{block}"
            for step, fan_in in ((1, before), (2, 9 * channels)):
                net.conv(f"{path}_{step}_conv", narrow, fan_in, bias=True)
                net.bn(f"{path}_{step}_bn", narrow)
                net.add(f"{path}_{step}_relu", "Activation", narrow)
            if block == 1:
                net.conv(f"{path}_0_conv", wide, before, bias=True)
            net.conv(f"{path}_3_conv", wide, channels, bias=True)
            if block == 1:
                net.bn(f"{path}_0_bn", wide)
            net.bn(f"{path}_3_bn", wide)
            net.add(f"{path}_add", "Add", wide)
            net.add(f"{path}_out", "Activation", wide)
            before = 4 * channels
    net.add("avg_pool", "GlobalAveragePooling2D", (before,))
    net.dense("predictions", before)
    depth = int(name.removeprefix("resnet"))
    return net.finish(name, name.replace("resnet", "ResNet"), "ImageNet ResNet", depth, 1)


def stage_of(name: str, shape: tuple[int, ...]) -> str:
    """The part of a network a layer belongs to.

    Read from the names of the families above; for other networks the spatial size of the layer's output.
    """
    match = re.match(r"(?:.*/)?(stem|stage\d+|head|conv\d+)_", name)
    if match:
        return match[1]
    base = name.rsplit("/", 1)[-1]
    if base.startswith("pool1_"):
        return "conv1"
    if base in ("avg_pool", "predictions"):
        return "head"
    return "×".join(str(side) for side in shape[:-1]) if len(shape) > 1 else "vector"
