"""How far each cell of a map is to be trusted: its standard error by leaving out one image at a time, in closed form.

With A, B the U-centred Gram matrices of a minibatch of m images, c_i = sum_j A_ij B_ij and T = sum_i c_i, the product
without image i, centred again, is T(-i) = T - 2 c_i (m-2)/(m-3), and its HSIC1 is T(-i) / ((m-1)(m-4)): the centring of
Székely & Rizzo 2014, arXiv 1310.2926, is a projection, and leaving out an image takes one more direction away. In a
minibatch T/(m-3) becomes T(-i)/(m-4); one of 4 images has no HSIC1 without one of them, and is left out with it. So

    rho(-i) = T(-i)(A, B) / sqrt(T(-i)(A, A) T(-i)(B, B)),    SE² = (N-1)/N sum_i (rho(-i) - mean)²

which is Efron & Stein 1981, The jackknife estimate of variance. The bootstrap is no alternative: an image drawn twice
puts its similarity with itself off the diagonal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from numbers import Real
from statistics import NormalDist

import numpy as np

from cka_core.measures.grams import GramBatch, each_in_threads
from cka_core.measures.hsic import HsicSums, products
from cka_core.measures.kernels import MIN_IMAGES
from cka_core.measures.matrices import row

FEW_IMAGES = 30
"""Where fewer images than this decide a cell (`n_eff`), its interval is too short, and "few images decide" is said."""

CLIPPED = 0.99999
"""Fisher's transform of a CKA is that of at most this."""

LEAST_LEFT = 1e-5
"""The share of a layer's HSIC that has to be left without any one image: of less, float32 keeps too few digits."""

PARTS = 32
"""Images of a minibatch are taken in at most this many parts; a part's deviations are summed in float32."""

TAKEN = 8
"""Images whose rows are taken from the triangles at a time: their entries mostly share lines of the cache."""


@dataclasses.dataclass(frozen=True, eq=False)
class Jackknife:
    """Standard errors of a map, and how many images decide each layer.

    All have the digits of float32, of which they are stored.

    Attributes
    ----------
    errors : float64 (layers_a, layers_b), NaN where there is no CKA, or hardly any of a layer's HSIC without one image
    n_eff_a, n_eff_b : float64 (layers,), NaN where a layer has no CKA
        1 / sum h_i², with h_i = c_i(A, A) / T(A, A) the share of image i in the layer's HSIC: from 1 to the number of
        images. A cell's is the lesser of its two layers'.
    """

    errors: np.ndarray
    n_eff_a: np.ndarray
    n_eff_b: np.ndarray

    @property
    def n_eff(self) -> np.ndarray:
        """How many images decide each cell, float64 (layers_a, layers_b): the lesser of its two layers' numbers."""
        return np.minimum.outer(self.n_eff_a, self.n_eff_b)

    def transpose(self) -> Jackknife:
        """With the networks swapped."""
        return Jackknife(self.errors.T, self.n_eff_b, self.n_eff_a)

    def select(self, rows: np.ndarray, columns: np.ndarray) -> Jackknife:
        """Of the layers at these positions."""
        return Jackknife(self.errors[np.ix_(rows, columns)], self.n_eff_a[rows], self.n_eff_b[columns])


def jackknife(batches: Iterable[tuple[GramBatch, GramBatch]], sums: HsicSums) -> Jackknife:
    """The `Jackknife` of a map whose ``sums`` over the same minibatches, ``batches`` of A and of B, are complete.

    For a network compared with itself the two of a pair are the same object. Each image costs one float32 product of
    the layers' rows of it: all of them as much as the map itself, twice. Standard errors are exact to 1e-6 of 1, and to
    1e-3 where without an image hardly more than `LEAST_LEFT` is left.
    """
    rho, images = sums.matrix(), 0
    rho = np.where(np.isfinite(rho), rho, 0.0)
    first, second = np.zeros(rho.shape), np.zeros(rho.shape)
    shares = [np.zeros(count) for count in rho.shape]
    for a, b in batches:
        units = sums.units(a, b)
        images += a.m
        part = _Minibatch(a, b, units, rho, one_only=a.m == sums.images)
        for sums_of_part in each_in_threads(part.images, part.starts):
            for total, more in zip((first, second, *shares), sums_of_part, strict=True):
                total += more
    if images != sums.images:
        raise ValueError(f"Expected the minibatches of the map's {sums.images:,} images, got those of {images:,}.")
    missing = np.isnan(sums.matrix())
    variance = np.maximum(second - first**2 / images, 0.0) * ((images - 1) / images)
    with np.errstate(divide="ignore"):
        n_eff = [np.where(share > 0, 1 / share, np.nan) for share in shares]
    if images == MIN_IMAGES:
        missing[:] = True
    errors = np.where(missing, np.nan, np.sqrt(variance))
    return Jackknife(*(values.astype(np.float32).astype(np.float64) for values in (errors, *n_eff)))


class _Minibatch:
    """Deviations rho(-i) - rho of all cells for the images of one minibatch.

    Rows are divided by sqrt(T(A, A)), so that the whole map is rho = sum of tau / (m-3). Without image i the cell is
    (rho + g tau - f c_i)(1 + u)(1 + v), with 1 + u = (1 + g tau_aa - f c_i(A, A))^(-1/2), and v alike. All of it is
    written as a deviation from rho, so that a standard error keeps its digits where CKA is near 1.
    """

    def __init__(
        self, a: GramBatch, b: GramBatch, units: tuple[np.ndarray, np.ndarray], rho: np.ndarray, *, one_only: bool
    ):
        m = a.m
        self.a, self.b, self.m = a, b, m
        self.size = -(-m // PARTS)
        self.weight = 1 / (m - 3)
        self.factor = 2 * (m - 2) / ((m - 3) * (m - 4)) if m > 4 else 0.0
        self.gain = 1 / ((m - 3) * (m - 4)) if m > 4 else -1.0
        self.units = units
        self.own = [2 * unit**2 * batch.squares for unit, batch in zip(units, (a, b), strict=True)]
        if one_only:
            gained = rho * (self.gain / self.weight)
        else:
            gained = self.gain * 2 * units[0][:, None] * products(a, b) * units[1]
        self.gained = gained.astype(np.float32)
        self.base = (rho + gained).astype(np.float32)

    @property
    def starts(self) -> range:
        """The first image of each part."""
        return range(0, self.m, self.size)

    def images(self, start: int) -> tuple[np.ndarray, ...]:
        """Sums over some images of the deviations, of their squares, and of A's and B's squared shares."""
        first, second = np.zeros_like(self.base), np.zeros_like(self.base)
        deviation, product = np.empty_like(self.base), np.empty_like(self.base)
        shares = [np.zeros(len(own)) for own in self.own]
        stop = min(start + self.size, self.m)
        for few in (range(image, min(image + TAKEN, stop)) for image in range(start, stop, TAKEN)):
            positions = np.stack([row(self.m, image) for image in few])
            left, u, share_a = self._some(0, positions)
            right, v, share_b = self._some(1, positions)
            shares[0] += share_a
            shares[1] += share_b
            for image in range(len(few)):
                np.matmul(left[:, image], right[:, image].T, out=product)
                np.multiply.outer(1 + u[:, image], v[:, image], out=deviation)
                deviation += u[:, image, None]
                deviation *= self.base
                deviation -= product
                deviation += self.gained
                first += deviation
                np.multiply(deviation, deviation, out=deviation)
                second += deviation
        return first, second, *shares

    def _some(self, side: int, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A few images' rows of a network's layers, multiplied by all that belongs to the network; float32 1 + u less 1
        (layers, images); and the sum of squared shares in each layer."""
        rows = np.take((self.a if side == 0 else self.b).triangles, positions, axis=1)
        own = np.einsum("lij,lij->li", rows, rows, dtype=np.float64) * self.units[side][:, None] ** 2
        left = 1 + self.gain * self.own[side][:, None] - self.factor * own
        change = np.where(left > LEAST_LEFT, 1 / np.sqrt(np.maximum(left, LEAST_LEFT)) - 1, np.nan)
        scale = self.units[side][:, None] * (1 + change) * (self.factor if side == 0 else 1.0)
        rows *= scale[:, :, None].astype(np.float32)
        return rows, change.astype(np.float32), np.square(self.weight * own).sum(1)


def interval(matrix: np.ndarray, errors: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of each cell, float64 like ``matrix``, from CKA and its standard errors. NaN where either is.

        tanh(atanh rho ± z SE / (1 - rho²)),   rho of at most 0.99999 either way

    Fisher's transform keeps it within -1 and 1; 95 % intervals hold the truth in 93 to 98 of 100 samples, wherever at
    least 30 images decide (`FEW_IMAGES`). It always holds the value itself. ValueError for a level outside (0, 1).
    """
    if not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"Expected a level between 0 and 1, such as 0.95, got {level!r}.")
    z = NormalDist().inv_cdf((1 + level) / 2)
    rho = np.clip(matrix, -CLIPPED, CLIPPED)
    middle, reach = np.arctanh(rho), z * np.asarray(errors) / (1 - rho**2)
    return np.minimum(np.tanh(middle - reach), matrix), np.maximum(np.tanh(middle + reach), matrix)
