"""Principal components of a layer, and what changes when they or a few images are removed.

Everything starts from the Gram matrix of mean-removed activations *with its diagonal*, HKH (`centred_gram`). The stored
triangles of `GramBatch` have lost the diagonal, and with it the variance: they do not suffice.

- Nguyen, Raghu & Kornblith 2021, arXiv 2010.15327, section 4 and appendix: principal components and block structure.
- Nguyen, Raghu & Kornblith 2022, arXiv 2202.07184: the few dominant images behind a block.
- Davari et al. 2022, arXiv 2210.16156: a few images moved change CKA.
- Székely & Rizzo 2014, arXiv 1310.2926: U-centring.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from cka_core.measures.centring import COLUMNS, NonFiniteActivation
from cka_core.measures.grams import GramBatch, in_threads
from cka_core.measures.hsic import HsicSums
from cka_core.measures.kernels import (
    MIN_IMAGES,
    NO_VARIANCE,
    ONE_IMAGE_LIMIT,
    as_numbers,
    centre,
    degenerate_reason,
    u_centre,
)

INFLUENCES = ("component", "hsic")

DENSE = 64
"""Up to this many images LAPACK's full decomposition is as quick as an iteration for a few components."""

RESIDUAL = 1e-7
"""A component is found when K u differs from its multiple by at most this share of the largest eigenvalue."""


def centred_gram(x: Any, layer: str = "layer", *, first: int = 0) -> np.ndarray:
    """HKH = Z Z' of the mean-removed activations Z of ``x`` (m, ...): float64 (m, m), in the units of ``x`` squared.

    The mean is removed before the product, which is of numbers about 1: float64 activations are multiplied in float64,
    any other type in float32. A layer whose images all have the same activations gives exact zeros.

    Raises
    ------
    NonFiniteActivation
        ``layer`` and ``first``, the position of the first image, are for its message.
    ValueError
        For fewer than 4 images, what is not numbers, or activations above 1e150.
    """
    x = as_numbers(x, f"Layer {layer!r}: expected an array of numbers")
    if x.ndim == 0 or x.size == 0 or len(x) < MIN_IMAGES:
        raise ValueError(
            f"Layer {layer!r}: expected (images, features...) of at least {MIN_IMAGES}, got shape {x.shape}."
        )
    x = x.reshape(len(x), -1)
    precision = np.float64 if x.dtype.kind == "f" and x.dtype.itemsize >= 8 else np.float32
    x = x.astype(precision, copy=False)
    finite = np.isfinite(x).all(axis=1)
    if not finite.all():
        raise NonFiniteActivation(layer, first + int(finite.argmin()))
    exponent = int(np.frexp(np.abs(x).max())[1])
    if exponent > 500:
        raise ValueError(f"Layer {layer!r}: expected activations up to 1e150, whose squares are numbers; scale them.")
    gram, deviation, magnitude = np.zeros((len(x), len(x))), 0.0, 0.0
    for start in range(0, x.shape[1], COLUMNS):
        z = np.ldexp(x[:, start : start + COLUMNS], -exponent)
        magnitude += float(np.vdot(z, z))
        z -= z.mean(axis=0, dtype=np.float64).astype(precision)
        deviation += float(np.vdot(z, z))
        gram += z @ z.T
    if degenerate_reason(np.sqrt(deviation), np.sqrt(magnitude), np.inf, 1.0) is not None:
        return np.zeros_like(gram)
    return np.ldexp(centre(gram), 2 * exponent)


@dataclasses.dataclass(frozen=True, eq=False)
class Components:
    """The first k principal components of several layers on the same m images.

    Attributes
    ----------
    shares : float64 (layers, k)
        Share of the layer's variance, eigenvalue / trace of HKH, falling along k. NaN for a layer without variance.
    scores : float64 (layers, k, m)
        Each image's coordinate on the component, eigenvector * sqrt(eigenvalue), in the activations' units. The sign,
        which is free, makes the score of the largest magnitude positive. NaN for a layer without variance.
    """

    shares: np.ndarray
    scores: np.ndarray


def principal_components(grams: Any, k: int = 1) -> Components:
    """Principal components of layers from their Gram matrices (layers, m, m) or (m, m), of mean-removed activations.

    With Z = U S V' the scores Z V = U S are eigenvectors of Z Z' times the square root of its eigenvalues, so the
    activations are not needed. Nguyen et al. 2021, section 4.2. ValueError unless 1 <= k < m.
    """
    grams = _stack(grams)
    layers, m = grams.shape[:2]
    _check_count(k, m)
    shares, scores = np.full((layers, k), np.nan), np.full((layers, k, m), np.nan)

    def one(layer: int) -> None:
        gram = centre(np.asarray(grams[layer], np.float64))
        trace = float(np.trace(gram))
        if not trace > 0:
            return
        values, vectors = _largest(gram / trace, k)
        shares[layer] = values
        found = vectors * np.sqrt(values)[:, None] * np.sqrt(trace)
        largest = np.take_along_axis(found, np.abs(found).argmax(axis=1)[:, None], axis=1)
        scores[layer] = found * np.where(largest < 0, -1.0, 1.0)

    in_threads(one, range(layers))
    return Components(shares, scores)


def component_cosines(a: Components, b: Components | None = None) -> np.ndarray:
    """|cos| of every layer of A's first component with every layer of B's, over images: float64 (layers_a, layers_b).

    |u . v| of the two (m,) vectors of first-component scores, each divided by its norm; absolute, since a component's
    sign is free. NaN where a layer has no variance. ``b`` defaults to ``a``. Nguyen et al. 2021, section 4.2.
    """
    first = []
    for components in (a, a if b is None else b):
        scores = components.scores[:, 0]
        first.append(scores / np.maximum(np.linalg.norm(scores, axis=1, keepdims=True), np.finfo(float).tiny))
    if first[0].shape[1] != first[1].shape[1]:
        raise ValueError(
            f"Expected components of the same images, got {first[0].shape[1]:,} and {first[1].shape[1]:,} of them."
        )
    return np.minimum(np.abs(first[0] @ first[1].T), 1.0)


def without_components(grams: Any, k: int = 1) -> np.ndarray:
    """Gram matrices (layers, m, m) of the activations with their first ``k`` principal components removed; float64.

    HKH - sum of eigenvalue * u u' over the k largest; exact zeros where nothing but rounding remains (1e-6 of it).
    """
    grams = _stack(grams)
    _check_count(k, grams.shape[1], least=0)
    left = np.empty(grams.shape)

    def one(layer: int) -> None:
        gram = centre(np.asarray(grams[layer], np.float64))
        scale = float(np.trace(gram))
        if scale > 0 and k:
            whole = gram / scale  # whose squares are numbers, however large or small the activations are
            values, vectors = _largest(whole, k)
            rest = whole - (vectors.T * values) @ vectors
            nothing = np.linalg.norm(rest) <= ONE_IMAGE_LIMIT * np.linalg.norm(whole)
            gram = np.zeros_like(gram) if nothing else rest * scale
        left[layer] = gram

    in_threads(one, range(len(grams)))
    return left


def influence(grams: Any, rule: str = "component") -> np.ndarray:
    """How much each image decides of each layer's representation: float64 (layers, m), each row sums to 1.

    "component": the image's share of the first principal component's variance, its squared score over their sum
    (Nguyen et al. 2022). "hsic": the image's share of HSIC1(K, K), the sum of squares of its row of U(K~) over that of
    all rows; it is what CKA's numerator and denominator are made of (compare Davari et al. 2022). NaN in dead layers.
    """
    if rule not in INFLUENCES:
        raise ValueError(f"Unknown rule {rule!r} of influence. Valid: {', '.join(INFLUENCES)}.")
    grams = _stack(grams)
    if rule == "component":
        return component_influence(principal_components(grams))
    greatest = np.abs(grams).max(axis=(1, 2)).astype(np.float64)
    scales = np.where(greatest > 0, greatest, 1.0)
    return _parts(np.array([np.square(u_centre(k / s)).sum(axis=1) for k, s in zip(grams, scales, strict=True)]))


def component_influence(components: Components) -> np.ndarray:
    """`influence` by the rule "component", of layers whose components are known."""
    return _parts(np.square(_relative(components.scores[:, 0])))


def most_influential(batches: Any, k: int, rule: str = "component") -> list[np.ndarray]:
    """The ``k`` images of the largest mean `influence` over layers, as rising positions in each minibatch.

    ``batches`` is a stack (layers, m, m) or a list of them, one a minibatch; give the layers of two networks
    concatenated to find the images that decide both. Influence is compared between minibatches as a multiple of the
    average image's. The first comes first where two are equal. ValueError where fewer than 4 images of a minibatch
    would be left.
    """
    return largest([influence(stack, rule) for stack in _batches(batches)], k)


def largest(influences: Sequence[np.ndarray], k: int) -> list[np.ndarray]:
    """`most_influential` of minibatches whose `influence` (layers, m) is known."""
    sizes = [rows.shape[1] for rows in influences]
    scores = []
    for rows, m in zip(influences, sizes, strict=True):
        rows = rows[np.isfinite(rows).all(axis=1)]
        scores.append(m * rows.mean(axis=0) if len(rows) else np.zeros(m))
    if not 0 <= k < sum(sizes):
        raise ValueError(f"Expected from 0 to {sum(sizes) - 1:,} images to remove, got {k}.")
    taken = np.zeros(sum(sizes), bool)
    taken[np.argsort(-np.concatenate(scores), kind="stable")[:k]] = True
    removed = [np.flatnonzero(part) for part in np.split(taken, np.cumsum(sizes)[:-1])]
    for part, m in zip(removed, sizes, strict=True):
        if m - len(part) < MIN_IMAGES:
            raise ValueError(
                f"Expected at least {MIN_IMAGES} images left in each minibatch, got {m - len(part)} of {m:,} after "
                f"removing {k}. Remove fewer, or use larger minibatches."
            )
    return removed


def without_images(grams: Any, images: Any) -> np.ndarray:
    """Gram matrices (layers, m - r, m - r) without the r images at positions ``images``, centred again; float64."""
    grams = _stack(grams)
    removed, m = np.asarray(images), grams.shape[1]
    if removed.size and (removed.dtype.kind not in "iu" or removed.min() < 0 or removed.max() >= m):
        raise ValueError(f"Expected positions of images from 0 to {m - 1}, got {images!r:.80}.")
    kept = np.delete(np.arange(m), removed.astype(np.intp))
    if len(kept) < MIN_IMAGES:
        raise ValueError(f"Expected at least {MIN_IMAGES} images to be left, got {len(kept)}.")
    return np.array([centre(np.asarray(gram, np.float64)[np.ix_(kept, kept)]) for gram in grams])


def cka_matrix(a: Any, b: Any = None) -> np.ndarray:
    """Unbiased CKA of all layers of A with all of B from Gram matrices: float64 (layers_a, layers_b), not clamped.

    ``a`` and ``b`` (default: ``a``) are stacks (layers, m, m) of the same images, or lists of them, one a minibatch:
    HSIC1 is summed over minibatches, weighted by their images, before the ratio is taken. Nguyen et al. 2021, eq. 1.
    NaN for a layer without usable variance. ValueError for stacks that do not match.
    """
    stacks_a = _batches(a)
    stacks_b = stacks_a if b is None else _batches(b)
    if [stack.shape[1] for stack in stacks_a] != [stack.shape[1] for stack in stacks_b]:
        raise ValueError(
            f"Expected the same images in the same minibatches, got minibatches of "
            f"{[stack.shape[1] for stack in stacks_a]} and {[stack.shape[1] for stack in stacks_b]} images."
        )
    sums, first = HsicSums(len(stacks_a[0]), len(stacks_b[0])), 0
    for stack_a, stack_b in zip(stacks_a, stacks_b, strict=True):
        batch = gram_batch(stack_a, first)
        sums.add(batch, batch if stack_b is stack_a else gram_batch(stack_b, first))
        first += stack_a.shape[1]
    return sums.matrix()


def _largest(gram: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` largest eigenvalues, falling, and their eigenvectors as rows, of a positive matrix of trace 1.

    Block Krylov iteration (Musco & Musco 2015, arXiv 1504.05477) from a fixed start, checked by its residual; the full
    decomposition where that is quicker or the check fails.
    """
    m = len(gram)
    if m > DENSE and 8 * (k + 4) < m:
        block, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((m, k + 4)))
        space = [block]
        for _ in range(2):
            for _ in range(8 if len(space) == 1 else 4):
                block, _ = np.linalg.qr(gram @ space[-1])
                space.append(block)
            basis, _ = np.linalg.qr(np.concatenate(space, axis=1)[:, :m])
            values, inner = np.linalg.eigh(basis.T @ gram @ basis)
            vectors = basis @ inner[:, ::-1][:, :k]
            values = values[::-1][:k]
            if np.linalg.norm(gram @ vectors - vectors * values, axis=0).max() <= RESIDUAL * values[0]:
                return np.maximum(values, 0.0), vectors.T
    values, vectors = np.linalg.eigh(gram)
    return np.maximum(values[::-1][:k], 0.0), vectors[:, ::-1][:, :k].T


def gram_batch(grams: Any, first: int = 0, exponents: Any = 0) -> GramBatch:
    """Gram matrices (layers, m, m) as `similarity.HsicSums` takes them: U-centred strict upper triangles.

    ``first`` is the position of the first image. Layer l is in units of 2 ** exponents[l], int (layers,): those of the
    batch it came from, where it came from one.
    """
    stack = _stack(grams)
    layers, m = stack.shape[:2]
    batch = GramBatch.empty([str(layer) for layer in range(layers)], m, first)
    upper = np.triu_indices(m, 1)
    for layer, gram in enumerate(stack):
        gram = np.asarray(gram, np.float64)
        exponent = int(np.frexp(np.abs(gram).max())[1])
        gram = np.ldexp(gram, -exponent)
        total, centred = float(np.linalg.norm(centre(gram))), u_centre(gram)
        shared = float(np.linalg.norm(centred))
        reason = NO_VARIANCE if total == 0 else degenerate_reason(1.0, 1.0, shared, total)
        batch.triangles[layer] = 0 if reason else centred[upper]
        batch.exponents[layer], batch.reasons[layer] = exponent, reason
        batch.squares[layer] = float(np.square(batch.triangles[layer], dtype=np.float64).sum())
    batch.exponents += np.asarray(exponents, np.int64)
    return batch


def _stack(grams: Any) -> np.ndarray:
    grams = np.asarray(grams)
    grams = grams[None] if grams.ndim == 2 else grams
    if grams.ndim != 3 or grams.shape[1] != grams.shape[2] or grams.shape[1] < MIN_IMAGES or not len(grams):
        raise ValueError(
            f"Expected Gram matrices (layers, m, m) of at least {MIN_IMAGES} images, got shape {grams.shape}."
        )
    if grams.dtype.kind != "f":
        raise ValueError(f"Expected Gram matrices in float32 or float64, got {grams.dtype}.")
    if not np.isfinite(grams).all():
        raise ValueError(f"Expected finite Gram matrices, got {grams.dtype} with NaN or infinity.")
    return grams


def _batches(batches: Any) -> list[np.ndarray]:
    """A list of stacks, of as many layers each; one stack is one minibatch."""
    several = isinstance(batches, Sequence) and len(batches) and np.ndim(batches[0]) == 3
    stacks = [_stack(stack) for stack in (batches if several else [batches])]
    counts = {len(stack) for stack in stacks}
    if len(counts) > 1:
        raise ValueError(f"Expected as many layers in each minibatch, got {sorted(counts)}.")
    return stacks


def _check_count(k: int, m: int, least: int = 1) -> None:
    if not isinstance(k, int | np.integer) or not least <= k < m:
        raise ValueError(f"Expected from {least} to {m - 1} components of {m} images, got {k}.")


def _parts(values: np.ndarray) -> np.ndarray:
    """Each row divided by its sum; NaN for a row without any."""
    total = values.sum(axis=1, keepdims=True)
    return np.divide(values, total, out=np.full_like(values, np.nan), where=total > 0)


def _relative(values: np.ndarray) -> np.ndarray:
    """Each row scaled to at most 1, so that squares neither overflow nor vanish."""
    largest = np.abs(values).max(axis=-1, keepdims=True)
    return values / np.where(largest > 0, largest, 1.0)
