"""The result: what it says, and that it comes back from disk as it went."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import pickle

import numpy as np
import pandas as pd
import pytest

from cka_core.base import shipped
from cka_core.images.sets import SampleSpec
from cka_core.networks.architectures import NetworkSpec
from cka_core.networks.layers import Layer
from cka_core.results import files
from cka_core.results.comparison import CompareSpec, Comparison, find

STRANGE = ("conv1", 'a "quoted", name', "=1+1", "layer\nof two lines", "größe/β")


def made(rows=5, columns=3, **fields):
    rng = np.random.default_rng(0)
    matrix = rng.uniform(-0.1, 1, (rows, columns))
    matrix[1] = np.nan
    names = [STRANGE[i] if i < len(STRANGE) else f"layer{i}" for i in range(rows)]
    values = {
        "matrix": matrix,
        "layers_a": [Layer(name, "Conv2D", (4, 4, i), f"stage{i // 2}") for i, name in enumerate(names)],
        "layers_b": [Layer(f"dense{j}", "Dense", (j,)) for j in range(columns)],
        "reasons_a": (None, "no variance", *[None] * (rows - 2)),
        "provenance": {
            "network_a": {"name": "small", "architecture": "cifar-resnet-14x1", "weights": "aa", "source": "bundled"},
            "network_b": {"name": "wide", "architecture": "cifar-resnet-14x4", "weights": "bb", "source": "bundled"},
            "images": {"images": "cifar10-mini", "n": 64, "digest": "cc"},
            "batch_size": 32,
            "command": "python -m cka_core compare small 'my wide.keras' --samples 64 --out result.npz",
        },
        "warnings": ("Image 3 is far larger.",),
    } | fields
    return Comparison(**values)


def equal(a: Comparison, b: Comparison) -> bool:
    fields = ("layers_a", "layers_b", "reasons_a", "reasons_b", "provenance", "warnings")
    return np.array_equal(a.matrix, b.matrix, equal_nan=True) and all(getattr(a, f) == getattr(b, f) for f in fields)


def network(name, weights="aa"):
    return NetworkSpec(name=name, source="bundled", architecture="cifar-resnet-14x1", seed=0, weights=weights)


SPEC = CompareSpec(network("small"), network("wide", "bb"), SampleSpec("cifar10-mini", "test", 64, 0))


class TestComparison:
    def test_its_matrix_is_float64_and_read_only(self):
        source = np.eye(2, dtype=np.float32)
        result = Comparison(source, made().layers_a[:2], made().layers_b[:2])
        assert result.matrix.dtype == np.float64
        with pytest.raises(ValueError):
            result.matrix[0, 0] = 2
        source[0, 0] = 7
        assert result.matrix[0, 0] == 1
        assert result.reasons_a == (None, None) and (result.name_a, result.name_b) == ("A", "B")

    def test_a_matrix_of_another_shape_is_refused(self):
        with pytest.raises(ValueError, match=r"Expected a matrix of \(5, 3\).*got \(3, 5\)"):
            made(matrix=np.zeros((3, 5)))
        with pytest.raises(ValueError, match="Expected 5 reasons_a, one a layer, got 1"):
            made(reasons_a=(None,))

    def test_the_transpose_swaps_everything_that_has_a_side(self):
        result = made()
        turned = result.transpose()
        assert np.array_equal(turned.matrix, result.matrix.T, equal_nan=True)
        assert (turned.layers_a, turned.reasons_b) == (result.layers_b, result.reasons_a)
        assert (turned.name_a, turned.name_b) == ("wide", "small")
        command = "python -m cka_core compare 'my wide.keras' small --samples 64 --out result.npz"
        assert turned.provenance["command"] == command
        assert turned.provenance["images"] == result.provenance["images"]
        assert turned.warnings == result.warnings
        assert equal(turned.transpose(), result)

    def test_layers_are_selected_by_masks_or_positions(self):
        result = made()
        part = result.select([True, False, False, True, True], [2, 0])
        assert np.array_equal(part.matrix, result.matrix[[0, 3, 4]][:, [2, 0]])
        assert [layer.name for layer in part.layers_a] == [STRANGE[0], STRANGE[3], STRANGE[4]]
        assert [layer.name for layer in part.layers_b] == ["dense2", "dense0"]
        assert part.provenance == result.provenance
        assert result.select(np.arange(5) == 1).reasons_a == ("no variance",)
        assert equal(result.select(), result)
        assert result.select([], None).matrix.shape == (0, 3)

    def test_a_selection_of_other_layers_is_refused(self):
        with pytest.raises(ValueError, match="mask of 5 values, one a layer of small"):
            made().select([True, False])
        with pytest.raises(ValueError, match="positions 0 to 2 in the layers of wide"):
            made().select(None, [3])
        for wrong in ([-1], [0.5], 1, [[0]], [np.nan]):
            with pytest.raises(
                ValueError, match="mask or a list of positions 0 to 2 in the layers of wide, got "
            ) as told:
                made().select(None, wrong)
            assert str(told.value).endswith(f"got {wrong!r}.")

    def test_names_of_layers_are_said_to_be_none_and_how_they_become_positions(self):
        result, names = made(), ["dense1", "dense2"]
        with pytest.raises(
            ValueError, match=r"in the layers of wide, got names: \['dense1', 'dense2'\]. Positions"
        ) as told:
            result.select(None, names)
        assert (code := "[i for i, layer in enumerate(result.layers_a) if layer.name in names]") in str(told.value)
        positions = eval(code.replace("layers_a", "layers_b"), {"result": result, "names": names})
        assert [layer.name for layer in result.select(None, positions).layers_b] == names
        with pytest.raises(ValueError, match="got names: 'dense1'"):
            result.select("dense1")

    def test_best_matches_know_no_nan(self):
        matrix = np.array([[0.1, 0.9, np.nan], [np.nan] * 3, [0.8, -0.2, np.nan], [np.nan, -0.5, np.nan]])
        result = made(4, matrix=matrix)
        position, value = result.best_match()
        assert position.tolist() == [1, -1, 0, 1]
        assert np.array_equal(value, [0.9, np.nan, 0.8, -0.5], equal_nan=True)
        position, value = result.best_match(axis=0)
        assert position.tolist() == [2, 0, -1]
        assert np.array_equal(value, [0.8, 0.9, np.nan], equal_nan=True)
        assert result.select(None, []).best_match()[0].tolist() == [-1] * 4
        with pytest.raises(ValueError, match="axis 1"):
            result.best_match(2)

    def test_it_knows_when_both_sides_are_one_network(self):
        def result(a, b):
            return made(provenance={"network_a": a, "network_b": b}).is_self

        trained = {"architecture": "x", "weights": "aa", "name": "one", "source": "bundled", "seed": 0}
        untrained = {"architecture": "x", "weights": "", "name": "x", "source": "untrained", "seed": 0}
        assert result(trained, trained | {"name": "the same file under another name"})
        assert not result(trained, trained | {"weights": "bb"})
        assert not result(trained, trained | {"architecture": "y"})
        assert result(untrained, dict(untrained))
        assert not result(untrained, untrained | {"seed": 1})
        assert not made(provenance={}).is_self


class TestExports:
    def test_the_frame_carries_the_labels(self):
        frame = made().to_frame()
        assert list(frame.index) == list(STRANGE)
        assert (frame.index.name, frame.columns.name) == ("small", "wide")
        assert frame.loc["conv1", "dense2"] == made().matrix[0, 2]

    def test_csv_reads_back_with_every_digit(self):
        text = made().to_csv()
        rows = list(csv.reader(io.StringIO(text)))
        assert rows[0] == ["layer", "dense0", "dense1", "dense2"]
        assert [row[0] for row in rows[1:]] == ["conv1", STRANGE[1], "'=1+1", STRANGE[3], STRANGE[4]]
        assert rows[2][1:] == ["", "", ""]
        values = [[float(cell or "nan") for cell in row[1:]] for row in rows[1:]]
        assert np.array_equal(values, made().matrix, equal_nan=True)
        frame = pd.read_csv(io.StringIO(text), index_col=0)
        assert np.allclose(frame.to_numpy(), made().matrix, atol=1e-15, rtol=0, equal_nan=True)

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
    def test_csv_gives_a_spreadsheet_no_formula(self, start):
        layers = [Layer(f"{start}cmd()", "Dense", (1,))]
        text = Comparison(np.array([[-0.5]]), layers, layers).to_csv()
        header, row = csv.reader(io.StringIO(text, newline=""))
        assert header[1] == row[0] == f"'{start}cmd()"
        assert row[1] == "-0.5"

    def test_the_heatmap_is_a_plotly_figure(self):
        figure = made().heatmap()
        assert [trace.type for trace in figure.data][:1] == ["heatmap"]
        assert np.array_equal(np.array(figure.data[0].z, float), made().matrix, equal_nan=True) or np.allclose(
            np.array(figure.data[0].z, float), made().matrix, atol=1e-6, equal_nan=True
        )


class TestFiles:
    def test_what_was_saved_is_what_is_loaded(self, tmp_path):
        path = made().save(tmp_path / "new folder" / "result.npz")
        assert equal(Comparison.load(path), made())
        assert equal(Comparison.load(str(path)), made())
        assert [file.name for file in path.parent.iterdir()] == ["result.npz"]

    def test_the_same_result_is_the_same_bytes(self):
        assert made().to_bytes() == made().to_bytes()
        assert equal(Comparison.from_bytes(made().to_bytes()), made())

    def test_any_numpy_reads_the_matrix(self, tmp_path):
        with np.load(made().save(tmp_path / "result.npz"), allow_pickle=False) as arrays:
            assert np.array_equal(arrays["matrix"], made().matrix, equal_nan=True)
            assert json.loads(arrays["about"].tobytes())["layers_a"][0]["name"] == "conv1"

    @pytest.mark.parametrize("where", [0.0, 0.2, 0.5, 0.9])
    def test_a_file_cut_short_names_the_path_and_what_to_do(self, tmp_path, where):
        path = made().save(tmp_path / "result.npz")
        data = path.read_bytes()
        path.write_bytes(data[: int(where * len(data))])
        with pytest.raises(ValueError, match=r"result\.npz: .*damaged.*Save the comparison again"):
            Comparison.load(path)

    def test_every_flipped_byte_is_told_or_changes_nothing(self):
        data = made().to_bytes()
        told = 0
        for position in range(0, len(data), 7):
            damaged = bytearray(data)
            damaged[position] ^= 0xFF
            try:
                assert equal(Comparison.from_bytes(bytes(damaged)), made())
            except ValueError:
                told += 1
        assert told > len(data) / 7 / 2

    def altered(self, **arrays):
        with np.load(io.BytesIO(made().to_bytes())) as file:
            content = dict(file) | arrays
        buffer = io.BytesIO()
        np.savez(buffer, **{name: value for name, value in content.items() if value is not None})
        return buffer.getvalue()

    def about(self, **changes):
        with np.load(io.BytesIO(made().to_bytes())) as file:
            about = json.loads(file["about"].tobytes())
        text = json.dumps({name: value for name, value in (about | changes).items() if value is not None})
        return np.frombuffer(text.encode(), np.uint8)

    def test_a_file_of_other_content_is_refused(self):
        wrong = [
            self.altered(matrix=np.zeros((2, 2))),
            self.altered(matrix=None),
            self.altered(about=None),
            self.altered(about=np.frombuffer(b"[]", np.uint8)),
            self.altered(about=np.frombuffer(b"\xff", np.uint8)),
            self.altered(about=self.about(format="cka-explorer comparison 2")),
            self.altered(about=self.about(layers_a=None)),
            self.altered(about=self.about(layers_a=[{"name": "x"}] * 5)),
            self.altered(about=self.about(provenance=3)),
        ]
        for data in wrong:
            with pytest.raises(ValueError, match="Expected a saved comparison"):
                Comparison.from_bytes(data)

    def test_nothing_is_unpickled(self):
        class Bomb:
            def __reduce__(self):
                return (pytest.fail, ("unpickled",))

        bombs = [pickle.dumps(Bomb()), self.altered(matrix=np.array([Bomb()], object))]
        for data in bombs:
            with pytest.raises(ValueError, match="Expected a saved comparison"):
                Comparison.from_bytes(data)

    def test_a_file_that_would_fill_the_memory_is_refused(self, monkeypatch):
        monkeypatch.setattr(files, "LARGEST", 1000)
        with pytest.raises(ValueError, match="it unpacks to .* at most 1,000 are read"):
            Comparison.from_bytes(made().to_bytes())

    def test_a_missing_file_is_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            Comparison.load(tmp_path / "none.npz")


class TestSpec:
    def test_equal_specs_have_one_key_and_any_change_another(self):
        assert dataclasses.replace(SPEC).key == SPEC.key
        others = [
            SPEC.swapped(),
            dataclasses.replace(SPEC, batch_size=128),
            dataclasses.replace(SPEC, layers=("conv1",)),
            dataclasses.replace(SPEC, sample=dataclasses.replace(SPEC.sample, seed=1)),
            dataclasses.replace(SPEC, b=network("wide", "cc")),
            dataclasses.replace(SPEC, version=2),
        ]
        assert len({spec.key for spec in [SPEC, *others]}) == 7
        assert SPEC.swapped().swapped() == SPEC

    def test_a_spec_survives_json(self):
        for spec in (SPEC, dataclasses.replace(SPEC, layers=("conv1", "*_add"))):
            again = CompareSpec.from_json(json.loads(json.dumps(dataclasses.asdict(spec))))
            assert again == spec and again.key == spec.key and hash(again) == hash(spec)

    def test_json_of_something_else_is_refused(self):
        values = json.loads(json.dumps(dataclasses.asdict(SPEC)))
        for wrong in ({}, values | {"colour": 3}, values | {"a": {"name": "x"}}, values | {"sample": None}):
            with pytest.raises(ValueError, match="fields of a comparison's spec"):
                CompareSpec.from_json(wrong)


class TestFind:
    @pytest.fixture(autouse=True)
    def bundle(self, tmp_path, monkeypatch):
        monkeypatch.setattr(shipped, "COMPARISONS", tmp_path / "bundle")
        return tmp_path / "bundle"

    def test_nothing_is_found_where_nothing_is(self, store):
        assert find(SPEC, store) is None

    def test_the_store_is_searched(self, store):
        store.put("comparisons", SPEC.key, made().to_bytes())
        assert equal(find(SPEC, store), made())

    def test_a_comparison_done_the_other_way_round_is_turned(self, store):
        store.put("comparisons", SPEC.swapped().key, made().transpose().to_bytes())
        assert equal(find(SPEC, store), made())

    def test_a_network_that_was_renamed_since_keeps_its_comparisons(self, store):
        store.put("comparisons", SPEC.key, made().to_bytes())
        renamed = dataclasses.replace(SPEC, b=dataclasses.replace(SPEC.b, name="broad"))
        assert renamed.key == SPEC.key
        found = find(renamed, store)
        assert (found.name_a, found.name_b) == ("small", "broad")
        assert found.provenance["command"].startswith("python -m cka_core compare small broad --samples 64")
        assert (find(renamed.swapped(), store).name_a, found.matrix.shape) == ("broad", (5, 3))

    def test_the_bundle_comes_first(self, store, bundle):
        made(warnings=("bundled",)).save(bundle / f"{SPEC.key}.npz")
        store.put("comparisons", SPEC.key, made().to_bytes())
        assert find(SPEC, store).warnings == ("bundled",)
        assert find(SPEC.swapped(), store).warnings == ("bundled",)

    def test_a_damaged_bundle_is_passed_over(self, store, bundle, caplog):
        bundle.mkdir()
        (bundle / f"{SPEC.key}.npz").write_bytes(b"damaged")
        assert find(SPEC, store) is None
        assert f"{SPEC.key}.npz" in caplog.text
        store.put("comparisons", SPEC.key, made().to_bytes())
        assert equal(find(SPEC, store), made())

    def test_a_damaged_entry_of_the_store_is_set_aside(self, store, caplog):
        path = store.put("comparisons", SPEC.key, made().to_bytes()[:-9])
        assert find(SPEC, store) is None
        assert "set aside" in caplog.text
        assert len(store.damaged()) == 1 and not store.has("comparisons", SPEC.key)
        assert path.rsplit("/", 1)[-1] in store.damaged()[0]


@pytest.mark.parametrize("name", ["=1+1", " =1+1", "\n=1+1", "\t \r\n@x", "\u00a0-1", "+1", "\rx", "\nx"])
def test_a_name_that_a_spreadsheet_would_run_is_text(name):
    layers = (Layer(name, "Conv2D", (1,)), Layer("plain = name", "Conv2D", (1,)))
    header, *rows = csv.reader(io.StringIO(Comparison(np.eye(2), layers, layers).to_csv()))
    assert header[1:] == [row[0] for row in rows] == [f"'{name}", "plain = name"]
