"""Stored activations in, a labelled comparison out."""

from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
from scipy.sparse import csr_array

from cka_core.comparing import arrays
from cka_core.comparing.arrays import compare_activations
from cka_core.measures.centring import NonFiniteActivation
from cka_core.measures.hsic import minibatches
from cka_core.measures.kernels import NO_VARIANCE
from cka_core.networks.layers import Layer
from cka_core.results.comparison import Comparison
from tests import reference


def stored(seed, n=60, layers=4):
    return {f"block{i}": x for i, x in enumerate(reference.network(seed, n, layers))}


def test_the_matrix_has_a_row_for_each_layer_of_a_and_a_column_for_each_of_b():
    a, b = stored(1), stored(2, layers=3)
    a["image"] = np.random.default_rng(0).standard_normal((60, 4, 4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = compare_activations(a, b)
    assert result.matrix.shape == (5, 3)
    assert result.layers_a[-1] == Layer("image", "array", (4, 4, 3))
    assert [layer.name for layer in result.layers_b] == ["block0", "block1", "block2"]
    expected = reference.matrix(list(a.values()), list(b.values()))
    assert np.abs(result.matrix - expected).max() <= 1e-5
    assert result.warnings == () and result.reasons_a == (None,) * 5
    assert not result.is_self
    assert (result.name_a, result.name_b) == ("A", "B")


def test_layers_keep_the_order_they_are_given_in():
    a = stored(1)
    backwards = dict(reversed(a.items()))
    result = compare_activations(backwards, a)
    assert [layer.name for layer in result.layers_a] == ["block3", "block2", "block1", "block0"]
    assert np.allclose(result.matrix, compare_activations(a, a).matrix[::-1], atol=1e-6)


def test_minibatches_average_hsic():
    a, b = stored(1, 130), stored(2, 130)
    result = compare_activations(a, b, batch_size=64)
    expected = reference.matrix(list(a.values()), list(b.values()), minibatches(130, 64))
    assert np.abs(result.matrix - expected).max() <= 1e-5
    assert np.abs(result.matrix - compare_activations(a, b).matrix).max() > 1e-4


def test_257_images_in_minibatches_of_256():
    a, b = stored(1, 257, 2), stored(2, 257, 2)
    result = compare_activations(a, b, batch_size=256)
    assert np.abs(result.matrix - reference.matrix(list(a.values()), list(b.values()))).max() <= 1e-5


def test_the_same_mapping_twice_is_a_self_comparison():
    a = stored(1)
    result = compare_activations(a, a, batch_size=20)
    assert result.is_self
    assert np.array_equal(np.diag(result.matrix), np.ones(4))
    assert np.array_equal(result.matrix, result.matrix.T)


def test_it_says_how_it_was_made():
    provenance = compare_activations(stored(1), stored(2), batch_size=20).provenance
    assert provenance["images"] == {"n": 60}
    assert provenance["batch_size"] == 20
    assert provenance["measure"] == "cka-linear-unbiased"
    assert provenance["versions"]["numpy"] == np.__version__
    assert compare_activations(stored(1), stored(2)).provenance["batch_size"] == 60


def test_the_result_can_be_saved(tmp_path):
    a = stored(1) | {"constant": np.full((60, 3), 0.1, np.float32)}
    result = compare_activations(a, stored(2))
    again = Comparison.load(result.save(tmp_path / "result.npz"))
    assert np.array_equal(again.matrix, result.matrix, equal_nan=True)
    assert again.reasons_a == (None,) * 4 + (NO_VARIANCE,)


def test_a_result_of_minibatches_that_numpy_counts_can_be_saved(tmp_path):
    result = compare_activations(stored(1), stored(2), batch_size=np.int64(20))
    assert Comparison.load(result.save(tmp_path / "result.npz")).provenance["batch_size"] == 20


@pytest.mark.parametrize("name", [3, None, ("a", "b"), "long" * 300, "half \ud800"])
def test_what_no_file_can_say_is_no_name_of_a_network(name):
    with pytest.raises(ValueError, match="Expected name_b as a text of at most 1,000 letters"):
        compare_activations(stored(1), stored(2), name_b=name)


def test_an_outlier_is_carried_to_the_reader():
    a = stored(1)
    a["block1"][17] *= 1e5
    result = compare_activations(a, stored(2))
    assert len(result.warnings) == 1
    assert "Image 17 is" in result.warnings[0] and "block1" in result.warnings[0]


def test_files_and_lists_are_read_as_arrays_are(tmp_path):
    a, b = stored(1), stored(2)
    expected = compare_activations(a, b, batch_size=32).matrix
    np.save(tmp_path / "block0.npy", a["block0"])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("block1", "block2"):
            file[name] = a[name]
        mixed = {
            "block0": np.load(tmp_path / "block0.npy", mmap_mode="r"),
            "block1": file["block1"],
            "block2": file["block2"],
            "block3": a["block3"].tolist(),
        }
        assert np.allclose(compare_activations(mixed, b, batch_size=32).matrix, expected, atol=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"late": a["block0"][:-1]}, "60 in layer 'block0' of a and 59 in layer 'late' of a"),
        (lambda a: {k: v[:50] for k, v in a.items()}, "50 in layer 'block0' of a and 60 in layer 'block0' of b"),
        (lambda a: {}, "at least one layer in a, got an empty mapping"),
        (lambda a: list(a.values()), "a as a mapping of layer name to array, got list"),
        (lambda a: a | {"none": np.ones((60, 0))}, r"'none' of a: .*got shape \(60, 0\)"),
        (lambda a: a | {"number": np.float32(3)}, r"'number' of a: .*got shape \(\)"),
        (lambda a: a | {"words": np.array([["a"]] * 60)}, "'words': expected an array of numbers"),
        (
            lambda a: a | {"sparse": csr_array(a["block0"])},
            r"'sparse' of a: .*a sparse csr_array. Give its toarray\(\)",
        ),
        (lambda a: a | {"objects": a["block0"].astype(object)}, r"'objects': .*Python objects .* an array of floats"),
        (lambda a: a | {"ragged": [[1.0, 2.0]] * 59 + [[1.0]]}, "'ragged' of a: .*a list with rows of several lengths"),
        (lambda a: a | {"long" * 300: a["block0"]}, "names of layers of a as texts of at most 1,000 .* got 1,200"),
        (lambda a: a | {"half \ud800": a["block0"]}, r"names of layers of a as texts .*'half \\ud800'"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        compare_activations(change(stored(1)), stored(2))


def test_an_activation_that_is_not_finite_names_its_layer_and_image():
    a = stored(1)
    a["block2"][45, 3] = np.nan
    with pytest.raises(NonFiniteActivation, match="'block2'.*image 45.*Leave this layer out"):
        compare_activations(a, stored(2), batch_size=20)


def test_too_few_images_are_refused():
    few = {name: x[:3] for name, x in stored(1).items()}
    with pytest.raises(ValueError, match="at least 4 images, got 3"):
        compare_activations(few, few)
    with pytest.raises(ValueError, match="batch_size of at least 4, got 2"):
        compare_activations(stored(1), stored(2), batch_size=2)


def test_minibatches_beyond_memory_are_refused_before_any_work(monkeypatch):
    large = {"x": np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (5000, 9), (0, 0))}
    with pytest.raises(ValueError, match="at most 4,096 images.*got 5,000 images.*batch_size=256"):
        compare_activations(large, large)
    many = {str(i): np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (4000, 9), (0, 0)) for i in range(200)}
    with pytest.raises(ValueError, match=r"4 GB.*got 4,000 images of 200 layers \(6\.0 GB\)"):
        compare_activations(many, many)
    monkeypatch.setattr(arrays, "LARGEST_MINIBATCH", 50)
    with pytest.raises(ValueError, match="got 60 images"):
        compare_activations(stored(1), stored(2))
    assert compare_activations(stored(1), stored(2), batch_size=30).matrix.shape == (4, 4)


@pytest.mark.parametrize("keys", [(1, "1"), ((1, 2), "(1, 2)"), (None, "None"), (2.0, "2.0")])
def test_two_keys_that_read_the_same_are_refused(keys):
    first, second = keys
    with pytest.raises(ValueError, match=rf"{type(first).__name__}.*{type(second).__name__}|two keys that read"):
        compare_activations(dict.fromkeys(keys, np.eye(8)), stored(1, 8))

    class Module:
        def __repr__(self):
            return "Linear(8, 4)"

    with pytest.raises(ValueError, match=r"of b.*'Linear\(8, 4\)'.*Name the layers by different strings"):
        compare_activations(stored(1, 8), {Module(): np.eye(8), Module(): np.ones((8, 2))})


def test_other_keys_than_strings_are_names_too():
    result = compare_activations({1: np.eye(8), ("block", 2): np.eye(8)}, {"x": np.eye(8)})
    assert [layer.name for layer in result.layers_a] == ["1", "('block', 2)"]


def test_a_masked_array_is_refused_wherever_it_comes():
    from cka_core import cka
    from cka_core.measures.grams import grams

    x = np.random.default_rng(0).standard_normal((12, 5))
    masked = np.ma.masked_greater(x, 1.0)
    for call in (
        lambda: compare_activations({"conv": masked}, stored(1, 12)),
        lambda: compare_activations(stored(1, 12), {"conv": np.ma.array(x)}),
        lambda: grams([masked], ["conv"]),
        lambda: cka(masked, x),
        lambda: cka(x, masked),
    ):
        with pytest.raises(ValueError, match=r"without a mask.*numpy\.ma"):
            call()
    with pytest.raises(ValueError, match=r"'conv'.*x\.filled\(value\)"):
        compare_activations({"conv": masked}, stored(1, 12))
    assert compare_activations({"conv": masked.filled(0)}, stored(1, 12)).matrix.shape == (1, 4)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"])
def test_whole_numbers_of_every_type_give_what_they_give_as_float64(dtype):
    rng = np.random.default_rng(0)
    info = np.iinfo(dtype) if dtype != "bool" else None
    spread = 1 if info is None else min(300, info.max // 4)
    small = rng.integers(0, spread + 1, (40, 6))
    offset = 0 if info is None else min(20_000_000, int(info.max) - spread)
    x, y = (small + offset).astype(dtype), small @ rng.standard_normal((6, 5))
    found = compare_activations({"x": x}, {"y": y}).matrix[0, 0]
    assert abs(found - compare_activations({"x": x.astype(np.float64)}, {"y": y}).matrix[0, 0]) <= 1e-6
    assert abs(found - reference.cka(x.astype(np.float64), y)) <= 1e-5


def test_bfloat16_is_a_number_too():
    from ml_dtypes import bfloat16

    x = {name: array.astype(bfloat16) for name, array in stored(1).items()}
    expected = reference.matrix(*[[array.astype(np.float64) for array in x.values()]] * 2)
    assert np.abs(compare_activations(x, x).matrix - expected).max() <= 1e-5


def test_groups_of_an_hdf5_file_are_layers_by_their_full_path(tmp_path):
    a = stored(1)
    with h5py.File(tmp_path / "activations.h5", "w") as file:
        for name, array in a.items():
            file[f"stage1/{name}/output"] = array
        file["top"] = a["block0"]
        file.create_group("empty")
        result = compare_activations(file, a, batch_size=20)
        nested = compare_activations({"stage1": {"block0": {"output": a["block0"]}}}, a, batch_size=20)
        assert [layer.name for layer in compare_activations(file["stage1"], a).layers_a][0] == "block0/output"
    names = [layer.name for layer in result.layers_a]
    assert names == [*(f"stage1/{name}/output" for name in a), "top"]
    assert np.abs(result.matrix[:4] - compare_activations(a, a, batch_size=20).matrix).max() <= 1e-6
    assert [layer.name for layer in nested.layers_a] == ["stage1/block0/output"]


def test_ids_of_a_part_of_the_layers_are_no_layer():
    x = reference.network(1, 12, layers=1)[0]
    with pytest.raises(ValueError, match="Expected sample_ids at the top of a, one list for all .*'net/sample_ids'"):
        compare_activations({"net": {"x": x, "sample_ids": np.arange(12)}}, {"x": x})


def test_mappings_inside_mappings_that_clash_or_never_end_are_refused(tmp_path):
    with pytest.raises(ValueError, match="two keys that read 'a/b'"):
        compare_activations({"a/b": np.eye(8), "a": {"b": np.eye(8)}}, stored(1, 8))
    with h5py.File(tmp_path / "circle.h5", "w") as file:
        file["group/layer"] = np.eye(8)
        file["group/again"] = file["group"]
        with pytest.raises(ValueError, match="at most 32 deep in a, got group/again"):
            compare_activations(file, stored(1, 8))
    with pytest.raises(ValueError, match="at least one layer in a"):
        compare_activations({"group": {}}, stored(1, 8))


class Other:
    """Rows of another framework: numpy gets them, as it gets those of TensorFlow and JAX."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def __getitem__(self, rows):
        return Other(self.array[rows])

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_rows_of_other_frameworks_are_averaged_over_tokens_too():
    x = np.random.default_rng(0).standard_normal((30, 5, 4)).astype(np.float32)
    wanted = compare_activations({"a": x.mean(1)}, {"b": x[:, 0]})
    assert compare_activations({"a": Other(x)}, {"b": x[:, 0]}, tokens="mean").matrix == pytest.approx(wanted.matrix)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float64])
def test_numbers_that_float32_does_not_hold_are_averaged_in_float64(dtype):
    x = (1e7 + 1e3 * np.random.default_rng(0).standard_normal((30, 50, 4))).astype(dtype)
    exact = compare_activations({"a": x.astype(np.float64).mean(1)}, {"b": x[:, 0].astype(np.float64)}).matrix
    assert np.abs(compare_activations({"a": x}, {"b": x[:, 0]}, tokens="mean").matrix - exact).max() < 1e-6


@pytest.mark.parametrize("dtype", [complex, "U3", "datetime64[s]"])
def test_what_is_no_number_is_refused_averaged_or_not(dtype):
    x = np.ones((30, 5, 4)).astype(int).astype(dtype)
    for tokens in ("flatten", "mean"):
        with pytest.raises(ValueError, match="Layer 'a': expected an array of numbers, got dtype"):
            compare_activations({"a": x}, {"a": x}, tokens=tokens)
