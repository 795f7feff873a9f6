"""The last few networks stay loaded and traced in this process."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cka_core.networks.activations import Extractor
from cka_core.networks.fingerprint import fingerprint
from cka_core.networks.layer_graph import INFERENCE
from cka_core.networks.layers import Choice
from cka_core.networks.preprocessing import AUTO

if TYPE_CHECKING:
    import keras

WARM_NETWORKS = 3

_warm: OrderedDict[str, tuple[Any, Extractor]] = OrderedDict()
"""The last few networks stay loaded and traced in this process, each with what it was when it was traced."""


def warm_extractor(
    name: str,
    layers: Sequence[str] | None,
    load: Callable[[], keras.Model],
    preprocessing: str = AUTO,
    batch_norm: str = INFERENCE,
) -> Extractor:
    """The extractor of a network that only this module knows, and that therefore stays as it was loaded."""
    key = json.dumps([name, None if layers is None else list(layers), preprocessing, batch_norm])
    if key not in _warm:
        _keep(key, None, Extractor(load(), layers, preprocessing, batch_norm))
    _warm.move_to_end(key)
    return _warm[key][1]


def live_extractor(
    model: keras.Model,
    layers: Choice,
    preprocessing: str = AUTO,
    batch_norm: str = INFERENCE,
    tokens: str = "flatten",
) -> Extractor:
    """The extractor of a caller's model: the one of the last call if nothing about the model has changed since."""
    if callable(layers):  # it may choose others the next time
        return Extractor(model, layers, preprocessing, batch_norm, tokens)
    key = json.dumps([id(model), None if layers is None else list(layers), preprocessing, batch_norm, tokens])
    state = fingerprint(model)
    if state is None or key not in _warm or _warm[key][0] != state:
        extractor = Extractor(model, layers, preprocessing, batch_norm, tokens)
        if state is None:
            return extractor
        _keep(key, fingerprint(model), extractor)
    _warm.move_to_end(key)
    return _warm[key][1]


def _keep(key: str, state: Any, extractor: Extractor) -> None:
    _warm[key] = state, extractor
    while len(_warm) > WARM_NETWORKS:
        _warm.popitem(last=False)
