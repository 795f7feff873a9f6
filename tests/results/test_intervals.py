"""Intervals and chance of a result: kept with it, its views and its files; refused in words where there are none."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest

from cka_core import Comparison, compare_activations
from cka_core.base import shipped
from cka_core.measures.chance import chance
from cka_core.measures.jackknife import Jackknife
from cka_core.results import words
from cka_core.results.comparison import MEASURE, CompareSpec, read
from tests import reference


def stored(seed, n=60, layers=4):
    return {f"block{i}": x for i, x in enumerate(reference.network(seed, n, layers))}


@pytest.fixture(scope="module")
def result():
    a = stored(1) | {"dead": np.ones((60, 3))}
    return compare_activations(a, stored(2, layers=3), batch_size=30)


def test_every_cell_has_an_interval_that_holds_it(result):
    low, high = result.interval()
    assert low.shape == high.shape == result.matrix.shape and low.dtype == high.dtype == np.float64
    assert (low[:4] < result.matrix[:4]).all() and (result.matrix[:4] < high[:4]).all()
    assert np.isnan(low[4]).all() and np.isnan(high[4]).all()
    assert (result.interval(0.8)[0][:4] > low[:4]).all()
    for level in (1.5, "0.9", None):
        with pytest.raises(ValueError, match=f"between 0 and 1, such as 0.95, got {level!r}"):
            result.interval(level)


def test_the_images_that_decide_a_cell_are_the_lesser_of_its_layers(result):
    found = result.jackknife
    assert result.n_eff[2, 1] == min(found.n_eff_a[2], found.n_eff_b[1])
    assert (result.n_eff[:4] > 1).all() and (result.n_eff[:4] <= 60).all()


def test_chance_is_that_of_its_minibatches(result):
    assert result.chance == pytest.approx(chance([30, 30]))
    assert compare_activations(stored(1), stored(2)).chance == pytest.approx(np.sqrt(2 / (60 * 57)))


def test_views_and_files_keep_them(result, tmp_path):
    low, high = result.interval()
    turned = result.transpose()
    assert np.array_equal(turned.interval()[0], low.T, equal_nan=True)
    some = result.select([3, 1], [2])
    assert np.array_equal(some.interval()[1], high[[3, 1]][:, [2]])
    assert np.array_equal(some.n_eff, result.n_eff[[3, 1]][:, [2]])
    again = Comparison.load(result.save(tmp_path / "result.npz"))
    assert np.array_equal(again.interval()[0], low, equal_nan=True)
    assert np.array_equal(again.n_eff, result.n_eff, equal_nan=True)
    assert again.to_bytes() == result.to_bytes()


def test_a_row_a_cell_has_them_too(result):
    rows = list(csv.DictReader(io.StringIO(result.to_cells_csv())))
    assert len(rows) == result.matrix.size
    low, high = result.interval()
    assert float(rows[4]["low"]) == low[1, 1] and float(rows[4]["high"]) == high[1, 1]
    assert float(rows[4]["value"]) == result.matrix[1, 1] and float(rows[4]["n_eff"]) == result.n_eff[1, 1]
    assert (rows[4]["layer_a"], rows[4]["layer_b"]) == ("block1", "block1")
    assert rows[-1]["low"] == rows[-1]["value"] == ""
    n_eff = np.where(np.arange(5) == 1, 29.0, result.jackknife.n_eff_a)
    few = dataclasses.replace(result, jackknife=dataclasses.replace(result.jackknife, n_eff_a=n_eff))
    cell = list(csv.DictReader(io.StringIO(few.to_cells_csv())))[4]
    assert cell["low"] == cell["high"] == "" and cell["value"], "few images decide: no interval, as on the page"
    without = dataclasses.replace(result, jackknife=None).to_cells_csv()
    assert without.splitlines()[0] == '"layer_a","layer_b","value"'


def bundled() -> Path:
    """A bundled comparison by unbiased CKA."""
    paths = sorted(shipped.COMPARISONS.glob("*.npz"))
    return next(path for path in paths if Comparison.load(path).jackknife is not None)


def test_a_result_from_before_is_read_and_says_how_to_get_them():
    kept = dataclasses.replace(Comparison.load(bundled()), jackknife=None)
    found = Comparison.from_bytes(kept.to_bytes())
    with pytest.raises(ValueError, match="without standard errors.*Compare again.*--again"):
        found.interval()
    assert 0 < found.chance < 0.01


def test_a_bundled_result_computed_again_has_them(store, tmp_path, monkeypatch):
    path = bundled()
    old = dataclasses.replace(read(path.stem, store), jackknife=None)
    old.save(tmp_path / path.name)
    monkeypatch.setattr(shipped, "COMPARISONS", tmp_path)
    assert read(path.stem, store).jackknife is None
    layers = len(old.layers_a), len(old.layers_b)
    errors = Jackknife(np.full(layers, 0.25), np.full(layers[0], 50.0), np.full(layers[1], 40.0))
    store.put("comparisons", path.stem, old.to_bytes())
    assert read(path.stem, store).jackknife is None
    store.put("comparisons", path.stem, dataclasses.replace(old, jackknife=errors).to_bytes())
    assert (read(path.stem, store).n_eff == 40).all()


def test_another_measure_has_none_and_says_why():
    found = compare_activations(stored(1), stored(2), measure="rsa-spearman")
    assert found.jackknife is None
    with pytest.raises(ValueError, match=r"no interval of RSA \(Spearman\): no closed form.*Unbiased CKA has one"):
        found.interval()
    with pytest.raises(ValueError, match=r"not of RSA \(Spearman\). Its level: 0 on average"):
        _ = found.chance
    own = compare_activations(stored(1), stored(2), measure=lambda a, b: np.zeros((len(a), len(b))))
    with pytest.raises(ValueError, match="a function of your own"):
        own.interval()
    with pytest.raises(ValueError, match="not known"):
        _ = own.chance


def test_standard_errors_of_other_layers_are_refused(result):
    with pytest.raises(ValueError, match="standard errors of .3, 3."):
        dataclasses.replace(result.select([0, 1, 2]), jackknife=result.jackknife)


@pytest.mark.parametrize("change", ["shape", "negative", "missing", "dtype"])
def test_a_damaged_file_is_refused(result, change):
    with np.load(io.BytesIO(result.to_bytes())) as arrays:
        members = dict(arrays)
    if change == "missing":
        del members["n_eff_a"]
    else:
        members["errors"] = {
            "shape": members["errors"][:2], "negative": -members["errors"] - 1, "dtype": members["errors"].astype(str),
        }[change]  # fmt: skip
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    with pytest.raises(ValueError, match="Expected a saved comparison"):
        Comparison.from_bytes(buffer.getvalue())


def test_a_side_that_is_predicted_stays_the_one_it_was():
    found = compare_activations(stored(1), stored(2, layers=3), measure="ridge")
    assert words.measure_text(found.provenance) == "ridge R² of rows from columns"
    assert words.measure_text(found.transpose().provenance) == "ridge R² of columns from rows"
    assert found.transpose().transpose().provenance == found.provenance
    kept = {**found.provenance, "command": "python -m cka_core compare a b --measure ridge --out r.npz --figure r.png"}
    named = dataclasses.replace(found, provenance=kept)
    assert named.transpose().provenance["command"] == kept["command"], "the other order would predict the other way"


def test_keys_of_cka_are_those_of_before():
    from cka_core.images.sets import SampleSpec
    from cka_core.networks.architectures import NetworkSpec

    network = NetworkSpec("cifar-resnet-8x1", "untrained", "cifar-resnet-8x1", 0)
    sample = SampleSpec("cifar10-mini", "test", 16, 0)
    named, default = CompareSpec(network, network, sample, measure="cka"), CompareSpec(network, network, sample)
    assert named == default and named.key == default.key and named.measure == MEASURE == "cka-linear-unbiased"
    assert CompareSpec(network, network, sample, measure="svcca").key != default.key
    with pytest.raises(ValueError, match="Unknown measure 'pwcca'. Valid: cka, "):
        CompareSpec(network, network, sample, measure="pwcca")
