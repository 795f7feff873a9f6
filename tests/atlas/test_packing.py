"""Maps kept small are those that were given."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cka_core.atlas.packing import (
    IN_STEPS,
    LARGEST,
    PLANES,
    SCORES,
    as_read,
    from_bytes,
    from_steps,
    in_bits,
    in_bytes,
    in_steps,
)
from cka_core.atlas.result import FORMAT, Atlas
from tests import synthetic_atlas

MAPS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.one_of(st.floats(-LARGEST, LARGEST, width=32), st.just(np.nan)),
)


@given(MAPS)
def test_a_map_in_steps_comes_back_to_half_a_step(matrix):
    planes = in_steps(matrix)
    assert planes.dtype == np.uint8 and planes.shape == (PLANES, *matrix.shape)
    assert np.allclose(from_steps(planes), matrix, rtol=0, atol=2.0**-25, equal_nan=True)


@given(MAPS)
def test_packed_again_it_is_the_same_file(matrix):
    planes = in_steps(matrix)
    assert np.array_equal(in_steps(from_steps(planes)), planes)
    assert np.array_equal(as_read(matrix), from_steps(planes), equal_nan=True)


@given(MAPS)
def test_of_a_map_with_itself_one_half_is_kept(matrix):
    both = np.fmax(matrix[:, None, :1], matrix[None, :, :1])[..., 0]  # any symmetric one, with NaN in it
    planes = in_steps(both, symmetric=True)
    assert not np.tril(planes, -1).any()
    assert np.allclose(from_steps(planes, symmetric=True), both, rtol=0, atol=2.0**-25, equal_nan=True)


def test_from_one_half_to_one_they_are_float32s_own_digits():
    matrix = np.random.default_rng(0).uniform(0.5, 1, (40, 30)).astype(np.float32)
    assert np.array_equal(from_steps(in_steps(matrix)).astype(np.float32), matrix)


def test_a_smooth_map_has_high_bytes_of_zero():
    depth = np.linspace(0, 1, 100)
    planes = in_steps(np.exp(-(np.abs(depth[:, None] - depth) ** 2)))
    assert np.count_nonzero(planes[2:, 1:, 1:]) == 0


def test_what_has_no_room_is_refused():
    with pytest.raises(ValueError, match="values of at most 64, got 65"):
        in_steps(np.full((2, 2), 65.0))
    with pytest.raises(ValueError, match=r"shape \(4, rows, columns\), got \(3, 2, 2\)"):
        from_steps(np.zeros((3, 2, 2), np.uint8))


def test_eight_bits_are_steps_of_a_254th():
    matrix = np.array([[0.0, 1.0, 0.5, np.nan, -0.2, 1.3]])
    assert np.allclose(from_bytes(in_bytes(matrix)), [[0, 1, 0.5, np.nan, 0, 1]], atol=0.002, equal_nan=True)
    assert np.array_equal(as_read(in_bytes(matrix)), from_bytes(in_bytes(matrix)), equal_nan=True)


@given(arrays(np.float32, (3, 5), elements=st.one_of(st.floats(-(2.0**99), 2.0**99, width=32), st.just(np.nan))))
def test_scores_keep_twelve_bits_and_are_the_same_when_rounded_again(scores):
    kept = in_bits(scores)
    assert kept.dtype == np.float32
    assert np.allclose(kept, scores, rtol=2.0**-12, atol=np.finfo(np.float32).smallest_subnormal, equal_nan=True)
    assert np.array_equal(in_bits(kept), kept, equal_nan=True)


def test_shares_of_a_component_are_those_of_all_digits_to_a_thousandth_of_each():
    scores = np.random.default_rng(0).standard_normal((4, 512))
    shares, kept = np.square(scores), np.square(in_bits(scores).astype(np.float64))
    assert np.allclose(kept / kept.sum(1, keepdims=True), shares / shares.sum(1, keepdims=True), rtol=1e-3, atol=0)


def test_an_atlas_of_the_format_before_is_read_and_saved_in_steps(tmp_path):
    atlas = synthetic_atlas.build()
    maps = {name: np.asarray(values) for name, values in atlas._maps.items()}
    np.savez_compressed(tmp_path / "maps.npz", **maps)
    (tmp_path / "atlas.json").write_text(json.dumps({**atlas._about, "format": "cka-explorer atlas 2"}))
    before = Atlas.load(tmp_path)
    before.save(tmp_path / "now")
    after = Atlas.load(tmp_path / "now")
    assert json.loads((tmp_path / "now" / "atlas.json").read_text())["format"] == FORMAT
    assert after.facts["in_steps"] == IN_STEPS and after.facts["scores"] == SCORES
    packed = np.load(tmp_path / "now" / "maps.npz")
    for one, other in atlas.pairs():
        assert np.array_equal(before.pair(one.name, other.name), atlas.pair(one.name, other.name))
        assert np.allclose(after.pair(one.name, other.name), atlas.pair(one.name, other.name), rtol=0, atol=2.0**-25)
        assert packed[f"pair/{one.name}/{other.name}"].shape[0] == PLANES
    for member in atlas.members:
        assert np.allclose(after.map(member.name), atlas.map(member.name), rtol=0, atol=2.0**-25)
        assert after.comparison(member.name).provenance.get("precision") is None
