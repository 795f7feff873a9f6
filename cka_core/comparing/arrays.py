"""Comparing stored activations, from any framework."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from cka_core.base import records
from cka_core.comparing import tallies
from cka_core.measures import registry
from cka_core.measures.grams import of_rows
from cka_core.measures.hsic import minibatches
from cka_core.measures.kernels import as_array, as_numbers, is_number
from cka_core.networks.layers import Layer
from cka_core.networks.tokens import check_tokens, reduced
from cka_core.results import sample_ids
from cka_core.results.comparison import Comparison

LARGEST_MINIBATCH = 4096
"""Images in one minibatch: their Gram matrices take 33 MB a layer, and the time grows with the square."""

LARGEST_STACK = 4 << 30
"""Bytes of Gram matrices of one minibatch, all layers of both networks."""

DEEPEST = 32
"""Mappings inside mappings: more are taken for a group of an HDF5 file that links back to itself."""


def compare_activations(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    *,
    batch_size: int | None = None,
    measure: str | Callable[..., Any] = "cka",
    tokens: str = "flatten",
    sample_ids_a: Any = None,
    sample_ids_b: Any = None,
    name_a: str = "A",
    name_b: str = "B",
) -> Comparison:
    """Compare stored activations of the same images, from any framework.

    Parameters
    ----------
    a, b : mappings of layer name -> (n, ...) array of numbers
        Row i of every array belongs to image i. Memory maps and h5py datasets are read one minibatch at a time. The
        layers keep their order. A mapping inside, such as a group of an HDF5 file, gives layers named by their path,
        "group/layer". Pass the same mapping twice to compare a network with itself. An array called ``sample_ids`` is
        no layer: it names the images.
    batch_size : images a minibatch, over which HSIC is averaged; None: all n in one
    measure : a name of `measures.registry`, or a function of two Gram stacks (`measures.measure.own_measure`)
    tokens : what becomes of arrays (images, tokens, features)
        "flatten", "mean" over the tokens, "first" or "last".
    sample_ids_a, sample_ids_b : ids of the images, n numbers or texts, no two the same
        Where both sides have some they have to be equal; otherwise that row i is one image on both is assumed.
    name_a, name_b : what the networks are called

    Returns
    -------
    Comparison
        Rows are the layers of ``a``, columns those of ``b``.

    Raises
    ------
    ValueError
        For an empty mapping, two keys that read the same, arrays that are not numbers, have a mask or are not of the
        same n, ids that are not the same, fewer than 4 images, minibatches too large for memory, or
        (`grams.NonFiniteActivation`) an activation
        that is NaN or infinite.
    """
    started = time.perf_counter()
    check_tokens(tokens)
    for side, name in (("name_a", name_a), ("name_b", name_b)):
        if not records.is_text(name):
            most = records.LONGEST_TEXT
            raise ValueError(f"Expected {side} as a text of at most {most:,} letters, got {name!r:.80}.")
    same = a is b
    arrays_a, ids_a = _arrays(a, "a", sample_ids_a)
    arrays_b, ids_b = (arrays_a, ids_a) if same else _arrays(b, "b", sample_ids_b)
    n = _images([(name, array, "a") for name, array in arrays_a.items()] + [(k, v, "b") for k, v in arrays_b.items()])
    images = _identified(n, ids_a, ids_b)
    parts = minibatches(n, n if batch_size is None else batch_size)
    check_memory(max(part.stop - part.start for part in parts), len(arrays_a) + (0 if same else len(arrays_b)))

    chosen = registry.measure(measure)
    sums = tallies.start(chosen, len(arrays_a), len(arrays_b))
    held = tallies.Held(sums)

    def take(array: Any, rows: slice) -> Any:
        part = _rows(array, rows)
        return reduced(part, tokens) if is_number(part.dtype) else part  # which is refused by its layer's name

    for part in parts:
        batch_a = of_rows(arrays_a, part, take)
        batch_b = batch_a if same else of_rows(arrays_b, part, take)
        sums.add(batch_a, batch_b)
        held.add(batch_a, batch_b)
    network = {"architecture": "", "weights": "", "source": "arrays", "seed": None}
    return Comparison(
        matrix=sums.matrix(),
        layers_a=_layers(arrays_a),
        layers_b=_layers(arrays_b),
        reasons_a=sums.reasons_a,
        reasons_b=sums.reasons_b,
        provenance={
            "network_a": {"name": name_a, **network},
            "network_b": {"name": name_a if same else name_b, **network},
            "images": images,
            "batch_size": int(batch_size or n),
            **tallies.words(chosen),
            **({} if tokens == "flatten" else {"tokens": tokens}),
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
            "seconds": round(time.perf_counter() - started, 3),
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        },
        warnings=sums.warnings,
        jackknife=held.jackknife(),
    )


def _rows(array: Any, rows: slice) -> np.ndarray:
    """Some rows as numpy has them."""
    try:
        return as_array(array[rows])
    except (TypeError, NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f"Expected arrays of numbers, got a {type(array).__name__} that numpy cannot read. Make it a numpy array."
        ) from error


def _identified(n: int, ids_a: Any, ids_b: Any) -> dict[str, Any]:
    """What is known of the images; a ValueError where the ids of both sides are not the same."""
    a, b = (None if ids is None else sample_ids.of(ids, n, side) for ids, side in ((ids_a, "a"), (ids_b, "b")))
    if a is not None and b is not None:
        sample_ids.check_same(a, b)
        return {"n": n, "ids": sample_ids.digest_of(a)}
    return {"n": n}


def _arrays(values: Mapping[str, Any], side: str, ids: Any) -> tuple[dict[str, Any], Any]:
    """The arrays by name, and the ids of their rows: those given, or the array of that name."""
    if not isinstance(values, Mapping):
        raise ValueError(
            f"Expected {side} as a mapping of layer name to array, got {type(values).__name__}. Of one layer write "
            f'{side}={{"layer": array}}.'
        )
    arrays: dict[str, Any] = {}
    keys: dict[str, tuple[Any, ...]] = {}
    for path, array in _leaves(values, side):
        name = "/".join(map(str, path))
        if name in arrays:
            raise ValueError(
                f"Expected a name of its own for each layer of {side}, got two keys that read {name!r}: "
                f"{_in_words(keys[name])} and {_in_words(path)}. Name the layers by different strings."
            )
        if not records.is_text(name):
            raise ValueError(
                f"Expected names of layers of {side} as texts of at most {records.LONGEST_TEXT:,} letters, got "
                f"{len(name):,} that begin {name!r:.40}. Give the layer a shorter name."
            )
        if name == sample_ids.IDS:
            ids = array[:] if ids is None else ids
            continue
        if str(path[-1]) == sample_ids.IDS:
            raise ValueError(
                f"Expected {sample_ids.IDS} at the top of {side}, one list for all layers, got them inside: {name!r}."
            )
        arrays[name], keys[name] = array, path
    if not arrays:
        raise ValueError(f"Expected the activations of at least one layer in {side}, got an empty mapping.")
    return arrays, ids


def _leaves(values: Mapping[Any, Any], side: str, above: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """All arrays of a mapping and of those inside it, with their keys from the outermost to their own."""
    if len(above) > DEEPEST:
        raise ValueError(f"Expected mappings at most {DEEPEST} deep in {side}, got {'/'.join(map(str, above[:4]))}/…")
    for key, value in values.items():
        path = (*above, key)
        if isinstance(value, Mapping):
            yield from _leaves(value, side, path)
        else:
            yield path, _array(value, path, side)


def _array(values: Any, path: tuple[Any, ...], side: str) -> Any:
    """An array as it is, whoever's it is; a list of rows, each as long as the others, as one."""
    if hasattr(values, "shape") and hasattr(values, "__getitem__") and not hasattr(values, "toarray"):
        return values
    return as_numbers(values, f"Layer {'/'.join(map(str, path))!r} of {side}: expected an array of numbers")


def _in_words(path: tuple[Any, ...]) -> str:
    return " / ".join(f"{key!r} ({type(key).__name__})" for key in path)


def _images(arrays: list[tuple[str, Any, str]]) -> int:
    """The number of images, the same for all."""
    first_name, first, first_side = arrays[0]
    for name, array, side in arrays:
        if len(array.shape) == 0 or 0 in array.shape:
            raise ValueError(
                f"Layer {name!r} of {side}: expected (images, features...), got shape {tuple(array.shape)}."
            )
        if array.shape[0] != first.shape[0]:
            raise ValueError(
                f"Expected activations of the same images, got {first.shape[0]:,} in layer {first_name!r} of "
                f"{first_side} and {array.shape[0]:,} in layer {name!r} of {side}."
            )
    return int(first.shape[0])


def check_memory(largest: int, layers: int) -> None:
    """Refuse minibatches of ``largest`` images whose Gram matrices of ``layers`` layers would not fit into memory."""
    size = layers * largest * (largest - 1) // 2 * 4
    if largest > LARGEST_MINIBATCH or size > LARGEST_STACK:
        raise ValueError(
            f"Expected minibatches of at most {LARGEST_MINIBATCH:,} images and {LARGEST_STACK >> 30} GB of Gram "
            f"matrices, got {largest:,} images of {layers} layers ({size / 2**30:.1f} GB). Pass a smaller batch_size, "
            "for example batch_size=256: HSIC is then averaged over the minibatches."
        )


def _layers(arrays: dict[str, Any]) -> tuple[Layer, ...]:
    return tuple(Layer(name, "array", tuple(int(side) for side in array.shape[1:])) for name, array in arrays.items())
