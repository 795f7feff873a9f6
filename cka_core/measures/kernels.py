"""The equations: Gram matrices, centring, HSIC and CKA, in float64 numpy.

Everything faster in this package is tested against these lines.

- Kornblith et al. 2019, "Similarity of Neural Network Representations Revisited", arXiv 1905.00414.
- Nguyen, Raghu & Kornblith 2021, "Do Wide and Deep Networks Learn the Same Things?", arXiv 2010.15327.
- Song et al. 2012, "Feature Selection via Dependence Maximization", JMLR 13.
- Székely & Rizzo 2014, "Partial distance correlation with methods for dissimilarities", arXiv 1310.2926.

K and L are the (n, n) Gram matrices of two representations of the same n images; K~ is K with its diagonal set to zero;
H = I - 11'/n; 1 is the vector of ones.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

MIN_IMAGES = 4
"""HSIC1 divides by n - 3."""

NO_VARIANCE = "no variance"
ONE_IMAGE = "one image only"
"""Nothing in a layer is common to two images: one alone makes it vary, or each varies for itself."""

VARIANCE_LIMIT = 4 * float(np.finfo(np.float32).eps)
ONE_IMAGE_LIMIT = 1e-6


def linear_gram(x: np.ndarray) -> np.ndarray:
    """K = X X' of a representation ``x`` (n, features)."""
    x = np.asarray(x, np.float64)
    return x @ x.T


def rbf_gram(x: np.ndarray, bandwidth: float = 1.0) -> np.ndarray:
    """K_ij = exp(-|x_i - x_j|² / (2 s²)), s = ``bandwidth`` times the median distance between two images.

    Kornblith et al. 2019, section 3. Raises ValueError where that median is zero: at least half of all pairs coincide.
    """
    if not bandwidth > 0:
        raise ValueError(f"Expected a bandwidth above 0, a fraction of the median distance, got {bandwidth}.")
    x = np.asarray(x, np.float64)
    x = x - x.mean(axis=0)
    squares = np.square(x).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * (x @ x.T), 0.0)
    np.fill_diagonal(distances, 0.0)
    median = float(np.median(np.sqrt(distances[np.triu_indices(len(x), 1)])))
    if median == 0:
        raise ValueError("Expected images whose representations differ, but half of all pairs are at distance 0.")
    return np.exp(-distances / (2 * (bandwidth * median) ** 2))


def centre(gram: np.ndarray) -> np.ndarray:
    """H K H: every row and column of the result sums to zero."""
    rows = gram.mean(axis=1)
    return gram - rows[:, None] - rows[None, :] + rows.mean()


def u_centre(gram: np.ndarray) -> np.ndarray:
    """U(K~): zero diagonal, and every row and column sums to zero. Székely & Rizzo 2014, definition 2."""
    n = len(gram)
    off = np.array(gram, np.float64)
    np.fill_diagonal(off, 0.0)
    rows = off.sum(axis=1)
    off -= rows[:, None] / (n - 2)
    off -= rows[None, :] / (n - 2)
    off += rows.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(off, 0.0)
    return off


def hsic_biased(gram_k: np.ndarray, gram_l: np.ndarray) -> float:
    """tr(K H L H) / (n - 1)². Kornblith et al. 2019, equation 3."""
    return float(np.vdot(centre(gram_k), centre(gram_l))) / (len(gram_k) - 1) ** 2


def hsic_unbiased(gram_k: np.ndarray, gram_l: np.ndarray) -> float:
    """HSIC1, the unbiased estimator. Nguyen et al. 2021, equation 2; Song et al. 2012, equation 5:

        HSIC1(K, L) = 1/(n(n-3)) [ tr(K~ L~) + (1'K~1)(1'L~1) / ((n-1)(n-2)) - 2/(n-2) 1'K~L~1 ]

    It is computed as <U(K~), U(L~)> / (n(n-3)), which is the same number with fewer digits lost.
    """
    n = len(gram_k)
    return float(np.vdot(u_centre(gram_k), u_centre(gram_l))) / (n * (n - 3))


def degenerate_reason(deviation: float, magnitude: float, shared: float, total: float) -> str | None:
    """Why a layer has no CKA, or None. Both tests are relative, since float32 never leaves an exact zero.

    Parameters
    ----------
    deviation, magnitude : Frobenius norms of the activations with and without their feature means removed
    shared, total : Frobenius norms of U(K~) and of H K H
    """
    if not deviation > VARIANCE_LIMIT * magnitude:
        return NO_VARIANCE
    if not shared > ONE_IMAGE_LIMIT * total:
        return ONE_IMAGE
    return None


def cka(x: Any, y: Any, *, kernel: str = "linear", unbiased: bool = True, bandwidth: float = 1.0) -> float:
    """Centered kernel alignment of two representations of the same images.

    HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)): Kornblith et al. 2019, equation 4; with HSIC1 of Nguyen et al. 2021,
    equation 1 for one minibatch.

    Parameters
    ----------
    x, y : (n, ...) arrays of numbers
        One row an image, flattened. The numbers of features may differ.
    kernel : "linear" or "rbf"
    unbiased : HSIC1, or the biased HSIC
    bandwidth : of the RBF kernel, as a fraction of the median distance between two images

    Returns
    -------
    float
        NaN, with a RuntimeWarning that says why, where one of the two has no CKA. The unbiased estimate is not clamped.

    Raises
    ------
    ValueError
        For different numbers of images, fewer than 4, or entries that are not finite.
    """
    if kernel not in ("linear", "rbf"):
        raise ValueError(f"Unknown kernel {kernel!r}. Valid: linear, rbf.")
    if not isinstance(unbiased, bool | np.bool_):
        raise ValueError(f"Expected unbiased=True or unbiased=False, got {unbiased!r:.60}.")
    x, y = _representation(x, "x"), _representation(y, "y")
    if len(x) != len(y):
        raise ValueError(f"Expected x and y of the same images, got {len(x):,} rows in x and {len(y):,} in y.")
    grams = []
    for name, z in (("x", x), ("y", y)):
        gram, reason = _gram(z, kernel, unbiased, bandwidth)
        if reason is not None:
            warnings.warn(f"CKA is not defined: {name} has {_WHY[reason]} ({reason}).", RuntimeWarning, stacklevel=2)
            return float("nan")
        grams.append(gram)
    hsic = hsic_unbiased if unbiased else hsic_biased
    return hsic(grams[0], grams[1]) / float(np.sqrt(hsic(grams[0], grams[0]) * hsic(grams[1], grams[1])))


_WHY = {
    NO_VARIANCE: "the same values for every image",
    ONE_IMAGE: "nothing that two images share",
}


def _gram(x: np.ndarray, kernel: str, unbiased: bool, bandwidth: float) -> tuple[np.ndarray, str | None]:
    """The Gram matrix of ``x``, features centred first (which HSIC does not see and rounding does), and its reason."""
    centred = x - x.mean(axis=0)
    deviation, magnitude = float(np.linalg.norm(centred)), float(np.linalg.norm(x))
    if degenerate_reason(deviation, magnitude, np.inf, 1.0) is not None:
        return centred, NO_VARIANCE
    gram = linear_gram(centred) if kernel == "linear" else rbf_gram(centred, bandwidth)
    total = float(np.linalg.norm(centre(gram)))
    shared = float(np.linalg.norm(u_centre(gram))) if unbiased else np.inf
    return gram, degenerate_reason(deviation, magnitude, shared, total)


def is_number(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of this type are activations: real numbers or truth values, those that numpy lacks among them."""
    return dtype.kind in "biuf" or dtype.name.startswith(("bfloat16", "float8"))


def as_array(x: Any) -> np.ndarray:
    """As numpy has it; of a PyTorch tensor without its gradient, bfloat16 as float32, which holds it."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x
    return np.asanyarray(x)


def as_numbers(x: Any, expected: str) -> np.ndarray:
    """`as_array` of real numbers, masks left out; else a ValueError of what was ``expected`` that says what to do."""
    kind = type(x).__name__
    try:
        array = as_array(x)
    except ValueError as error:
        raise ValueError(f"{expected}, got a {kind} with rows of several lengths. Bring them to one length.") from error
    if is_number(array.dtype):
        return np.asarray(array)
    if hasattr(x, "toarray"):
        raise ValueError(f"{expected}, got a sparse {kind}. Give its toarray().")
    if array.dtype.kind == "O":
        raise ValueError(f"{expected}, got Python objects ({kind}). Make it an array of floats.")
    raise ValueError(f"{expected}, got dtype {array.dtype}.")


def _representation(x: Any, name: str) -> np.ndarray:
    """float64 (n, features), scaled by a power of two so that products neither overflow nor vanish."""
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError(f"Expected {name} without a mask, got a numpy.ma array. Leave images out or fill it first.")
    x = as_numbers(x, f"Expected numbers in {name}")
    if x.ndim == 0 or x.size == 0:
        raise ValueError(f"Expected {name} as (images, features...), got shape {x.shape}.")
    if len(x) < MIN_IMAGES:
        raise ValueError(f"Expected at least {MIN_IMAGES} images, got {len(x)} in {name}.")
    x = x.reshape(len(x), -1).astype(np.float64)
    finite = np.isfinite(x).all(axis=1)
    if not finite.all():
        raise ValueError(f"Expected finite numbers, got NaN or infinity in {name}, image {int(finite.argmin())}.")
    return np.ldexp(x, -int(np.frexp(np.abs(x).max())[1]))
