"""Comparisons, end to end: two streams of Gram matrices in, one `Comparison` out.

`compare` takes models, `run` (`comparing.by_spec`) a spec.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cka_core.base import extras
from cka_core.base.progress import Report, shown
from cka_core.base.words import now
from cka_core.comparing import streams, tallies, torch_models
from cka_core.comparing.arrays import compare_activations
from cka_core.comparing.by_spec import run
from cka_core.comparing.sources import Live, versions
from cka_core.comparing.warm import live_extractor
from cka_core.images.image_set import digest_of
from cka_core.images.sets import Images
from cka_core.measures import registry
from cka_core.measures.hsic import minibatches
from cka_core.networks import inputs
from cka_core.networks.layer_graph import INFERENCE, input_names
from cka_core.networks.layers import Choice, check_choice, check_patterns
from cka_core.networks.preprocessing import AUTO
from cka_core.networks.torch_calls import BatchAxis
from cka_core.networks.torch_layers import Forward
from cka_core.results.comparison import Comparison

if TYPE_CHECKING:
    import keras
    import torch

__all__ = ["compare", "compare_activations", "run"]


@extras.told()
def compare(
    model_a: keras.Model | torch.nn.Module,
    model_b: keras.Model | torch.nn.Module,
    images: Any,
    *,
    batch_size: int = 256,
    layers: Choice = None,
    progress: Report | bool | None = None,
    preprocessing: str = AUTO,
    measure: str | Callable[..., Any] = "cka",
    batch_norm: str = INFERENCE,
    tokens: str = "flatten",
    forward: Forward | tuple[Forward, Forward] = None,
    batch_axis: BatchAxis = None,
) -> Comparison:
    """Compare every layer of two models, by unbiased minibatch CKA or another measure.

    What is compared is what the models' own inference gives: of a Keras model for each call of each layer what
    ``predict`` of a model with that tensor as its output gives, of a PyTorch model what its modules return in
    evaluation mode. Keras' attention takes the mask from the tensors it reads: whoever reads one of them besides it has
    the mask or not, by the order in which the whole model runs.

    Parameters
    ----------
    model_a, model_b : keras.Model or torch.nn.Module, two of one framework or one of each
        Keras: functional or sequential, one input or several. PyTorch: any; it runs on its own device and is left as it
        was. The same model twice is a self-comparison and runs once.
    images : (n, ...) array, or `Images`; of several inputs a dict of arrays by their names
        uint8 is brought to the form each network expects, floats are taken as they are; see ``preprocessing``. Each
        Keras network takes the arrays that its inputs are named for; a tuple of arrays is in the order of
        ``model.inputs``. With a PyTorch model also a tensor, a pair ``(for_a, for_b)``, a ``Dataset``, or an iterable
        of batches, each of which is one minibatch: of a tuple the first is the input, a dict is passed as keywords. An
        array (n, h, w, c) enters a PyTorch model as (n, c, h, w) where 1, 3 or 4 channels tell it, a tensor
        (n, c, h, w) enters a Keras model as (n, h, w, c); a pair or a dict is never turned.
    batch_size : images in a minibatch, at least 4. A remainder of fewer than 4 joins the minibatch before it.
    layers : names, patterns (``*_add``) or kinds (``Conv2D``) to keep, or a function of a `Layer`; None: every layer
    progress : True shows a bar (tqdm, in a notebook too); or a function, called with a `Progress` after each group of
        layers, which may raise `Stopped`
    preprocessing : how pixels from 0 to 255 enter the networks
        "auto": as they are into a network that begins with a `Rescaling`, into one that begins with a `Normalization`
        by its mean (over 2: as they are), divided by 255 into any other. "divide-by-255", "none", or as in
        ``keras.applications`` "imagenet-caffe", "imagenet-tf", "imagenet-torch": the same for both networks.
    measure : a name of `measures.registry`, or a function of two Gram stacks (`measures.measure.own_measure`)
        Procrustes takes the residual outputs (Add) where ``layers`` is None and both models have some.
    batch_norm : "inference", or "train"
        "train": batch norm takes the statistics of each minibatch, as in training, and its moving statistics stay as
        they are. Those of an untrained or hardly trained network say little about the images.
    tokens : what becomes of outputs (images, tokens, features)
        "flatten", "mean" over the tokens, "first" or "last"; the ``attention_mask`` of a dict is respected.
    forward : how to call a PyTorch model: ``forward(model, batch)``; a pair: one for each
    batch_axis : where a PyTorch tensor's images are on another axis than the first
        A dict of layer name or pattern to axis, or one axis for all such tensors. Otherwise they are left out, which
        ``warnings`` and ``provenance`` say.

    Raises
    ------
    ValueError
        For fewer than 4 images, a name that matches no layer or no input, images of another shape or of unequal number,
        a Keras model without a graph.
    NonFiniteActivation
        Naming the layer and the image.
    """
    layers = check_choice(layers)
    if torch_models.is_torch(model_a) or torch_models.is_torch(model_b):
        if batch_norm != INFERENCE:
            raise ValueError(
                f"Expected batch_norm={INFERENCE!r} with a PyTorch model, got {batch_norm!r}: its maps are those of "
                "evaluation mode. Compare two Keras models, or leave batch_norm out."
            )
        return torch_models.compare(
            model_a, model_b, images, batch_size=batch_size, layers=layers, tokens=tokens, forward=forward,
            batch_axis=batch_axis, preprocessing=preprocessing, measure=measure, report=shown(progress),
        )  # fmt: skip
    if forward is not None or batch_axis is not None:
        raise ValueError("forward and batch_axis are for PyTorch models, got Keras models only.")
    started = time.perf_counter()
    several = any(len(input_names(model)) > 1 for model in (model_a, model_b))
    x = images.x if isinstance(images, Images) else inputs.arrays_of(images, several)
    n = inputs.count(x)
    chosen = registry.measure(measure)

    def sides(layers: Choice) -> tuple[Live, Live]:
        a = Live(live_extractor(model_a, layers, preprocessing, batch_norm, tokens), x)
        return a, a if model_b is model_a else Live(
            live_extractor(model_b, layers, preprocessing, batch_norm, tokens), x
        )

    a, b = sides(layers)
    residual = layers if callable(layers) else tallies.patterns(chosen, layers, a.all_layers, b.all_layers)
    a, b = sides(residual) if residual is not layers else (a, b)
    check_patterns(layers, {a.name: a.all_layers, b.name: b.all_layers})
    inputs.check_known(x, {side.name: side.extractor.input_names for side in (a, b)})
    slices = minibatches(n, batch_size)
    sums, errors = streams.stream(a, b, slices, shown(progress), chosen)
    network_a = a.provenance()
    provenance = {
        "network_a": network_a,
        "network_b": network_a if b is a else b.provenance(),
        "images": {
            "images": "given as arrays" if isinstance(x, (dict, tuple)) else "given as an array",
            "n": n,
            "digest": images.digest if isinstance(images, Images) else digest_of(x),
        },
        "preprocessing": streams.preprocessing(a, b),
        "batch_norm": batch_norm,
        "batch_size": int(batch_size),
        **tallies.words(chosen),
        "tokens": tokens,
        "versions": versions(),
        "seconds": round(time.perf_counter() - started, 3),
        "created": now(),
    }
    return streams.result(sums, errors, a, b, provenance)
