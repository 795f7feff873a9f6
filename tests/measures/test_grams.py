"""Many layers at once: the same as one by one, in order, and safe on disk."""

from __future__ import annotations

import io

import numpy as np
import pytest
import threadpoolctl

from cka_core.measures import grams as module
from cka_core.measures.centring import gram
from cka_core.measures.grams import GramBatch, NonFiniteActivation, grams
from cka_core.measures.kernels import NO_VARIANCE, ONE_IMAGE


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def layers():
    outlier = draw(20, 9, seed=3)
    outlier[7] *= 1e5
    return [
        draw(20, 4, 4, 3),
        draw(20, 9000, seed=1),
        np.full((20, 5), 0.1, np.float32),
        1e15 * draw(20, 2, seed=2),
        outlier,
        np.eye(20, 3, -4, np.float32)[:, :1],
    ]


NAMES = ("conv1", "conv2", "constant", "huge", "spiky", "lonely")


def same(a: GramBatch, b: GramBatch) -> bool:
    arrays = all(
        np.array_equal(getattr(a, field), getattr(b, field)) for field in ("triangles", "exponents", "squares", "norms")
    )
    plain = all(getattr(a, field) == getattr(b, field) for field in ("names", "m", "first", "reasons", "outliers"))
    return arrays and plain


def test_many_layers_are_the_same_as_one_by_one():
    batch = grams(layers(), NAMES, first=40)
    assert batch.triangles.shape == (6, 190)
    assert batch.triangles.dtype == np.float32
    for position, x in enumerate(layers()):
        alone = gram(x)
        assert np.array_equal(batch.triangles[position], alone.triangle)
        assert (batch.exponents[position], batch.squares[position]) == (alone.exponent, alone.square)
        assert (batch.reasons[position], batch.outliers[position]) == (alone.reason, alone.outlier)
    assert batch.reasons == [None, None, NO_VARIANCE, None, None, ONE_IMAGE]
    assert batch.outliers[4] is not None and batch.outliers[4][0] == 7
    assert batch.outliers[:4] == [None] * 4


def test_layers_may_come_in_groups_and_in_any_order():
    x = layers()
    batch = GramBatch.empty(NAMES, 20, 40)
    batch.fill([x[5], x[0], x[3]], [5, 0, 3])
    batch.fill([x[1]], [1])
    batch.fill([], [])
    batch.fill([x[2], x[4]], range(2, 6, 2))
    assert same(batch, grams(x, NAMES, first=40))


def test_a_layer_can_repeat_another():
    x = layers()
    batch = grams([*x, draw(20, 3)], [*NAMES, "dropout"])
    batch.repeat(6, 4)
    assert same(batch, grams([*x, x[4]], [*NAMES, "dropout"]))


def test_one_core_gives_the_same(monkeypatch):
    expected = grams(layers(), NAMES)
    monkeypatch.setattr(module, "_cores", lambda: 1)
    assert same(grams(layers(), NAMES), expected)


def test_the_number_of_blas_threads_is_left_as_it_was():
    def threads():
        return [library["num_threads"] for library in threadpoolctl.threadpool_info()]

    before = threads()
    grams(layers(), NAMES)
    bad = layers()
    bad[1][3, 3] = np.nan
    with pytest.raises(NonFiniteActivation):
        grams(bad, NAMES)
    assert threads() == before


def test_the_first_layer_that_is_not_finite_is_the_one_named():
    x = layers()
    x[1][3, 8000] = np.inf
    x[0][2, 0, 0, 0] = np.nan
    with pytest.raises(NonFiniteActivation, match="'conv1'.*image 42"):
        grams(x, NAMES, first=40)


def test_a_layer_of_other_images_is_refused_by_name():
    x = layers()
    x[3] = x[3][:-1]
    with pytest.raises(ValueError, match="Layer 'huge': expected 20 images, got 19"):
        grams(x, NAMES)


def test_too_few_images_or_layers_are_refused():
    with pytest.raises(ValueError, match="at least 4 images in a minibatch, got 3"):
        GramBatch.empty(NAMES, 3)
    with pytest.raises(ValueError, match="at least one layer"):
        grams([])


def test_a_batch_on_disk_is_the_same_batch():
    batch = grams(layers(), NAMES, first=40)
    data = batch.to_bytes()
    assert data == grams(layers(), NAMES, first=40).to_bytes()
    assert same(GramBatch.from_bytes(data), batch)


def test_a_batch_of_before_norms_were_kept_is_read_and_says_what_it_lacks():
    batch = grams(layers(), NAMES)
    assert batch.lacks is None
    with np.load(io.BytesIO(batch.to_bytes())) as arrays:
        old = {name: array for name, array in arrays.items() if name != "norms"}
    buffer = io.BytesIO()
    np.savez(buffer, **old)
    found = GramBatch.from_bytes(buffer.getvalue())
    assert np.array_equal(found.triangles, batch.triangles) and found.norms is None
    assert "lack the squared norms" in found.lacks and "Make them again" in found.lacks


def test_norms_of_another_shape_are_told():
    with np.load(io.BytesIO(grams(layers(), NAMES).to_bytes())) as arrays:
        wrong = dict(arrays)
    for norms in (wrong["norms"][:-1], wrong["norms"].astype(np.float32)):
        buffer = io.BytesIO()
        np.savez(buffer, **(wrong | {"norms": norms}))
        with pytest.raises(ValueError, match="norms of"):
            GramBatch.from_bytes(buffer.getvalue())


def test_a_damaged_batch_is_told():
    data = grams(layers(), NAMES).to_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    with np.load(io.BytesIO(data)) as arrays:
        fewer = dict(arrays)
    fewer["triangles"] = fewer["triangles"][:-1]
    buffer = io.BytesIO()
    np.savez(buffer, **fewer)
    pickled = io.BytesIO()
    np.savez(pickled, **(fewer | {"outliers": np.array([print, None], object)}))
    for damaged in (data[: len(data) // 2], bytes(flipped), b"", b"nothing", buffer.getvalue(), pickled.getvalue()):
        with pytest.raises(ValueError, match="Expected stored Gram matrices"):
            GramBatch.from_bytes(damaged)
