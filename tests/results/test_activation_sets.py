"""Activation sets: what they hold is what the network made; other images, other files and other hands are refused."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cka_core import Comparison, compare_activations
from cka_core.base.progress import Progress, Stopped
from cka_core.base.store import Store
from cka_core.cli import app
from cka_core.comparing import engine, extraction
from cka_core.images.sets import SampleSpec
from cka_core.library import arrivals, catalogue
from cka_core.measures.grams import grams
from cka_core.networks.layers import Layer
from cka_core.results import activation_sets
from cka_core.results.activation_sets import ActivationSet, Sample
from cka_core.results.comparison import CompareSpec

ROOT = Path(__file__).parent.parent.parent
A, B = "cifar-resnet-8x1", "cifar-resnet-8x1:1"
SAMPLE = SampleSpec("cifar10-mini", "test", 40, 0)
KNOWN = Sample("cifar10-mini", "test", 20, 0, False, "d" * 32)


def made(path, name="mine", sample=KNOWN, batch_size=8, seed=0, layers=("first", "second")) -> ActivationSet:
    """A set of random activations; the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal((sample.n, 5 + i)) for i in range(len(layers))]
    header = ActivationSet(
        name, {"name": "net", "architecture": "", "weights": str(seed), "source": "given", "seed": None},
        tuple(Layer(layer, "array", (5 + i,)) for i, layer in enumerate(layers)), sample, "as given", batch_size,
    )  # fmt: skip
    batches = (grams([x[where] for x in arrays], layers, first=where.start) for where in header.slices)
    return activation_sets.write(path, header, batches)


def run(*words: str):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def extracted(tmp_path_factory) -> dict[str, Path]:
    """Two untrained networks on 40 images, in minibatches of 16."""
    folder = tmp_path_factory.mktemp("extracted")
    store = Store(folder / "store")
    for name, network in (("a", A), ("b", B)):
        extraction.extract(catalogue.find(network, store).spec, SAMPLE, 16, folder / f"{name}.npz", store, name=name)
    return {"a": folder / "a.npz", "b": folder / "b.npz"}


# What a file holds


def test_what_is_written_is_what_is_read_a_minibatch_at_a_time(tmp_path):
    written = made(tmp_path / "s.npz")
    for source in (tmp_path / "s.npz", (tmp_path / "s.npz").read_bytes(), open(tmp_path / "s.npz", "rb")):
        read = activation_sets.read(source)
        assert read.about() == written.about() and read.digest == written.digest
        assert [batch.m for batch in read.minibatches()] == [8, 8, 4]
        for one, other in zip(read.minibatches(), written.minibatches(), strict=True):
            assert (one.triangles == other.triangles).all() and (one.squares == other.squares).all()
            assert (one.names, one.first, one.reasons, one.outliers) == (
                other.names, other.first, other.reasons, other.outliers,
            )  # fmt: skip


def test_norms_are_kept_and_a_set_of_before_has_none_and_is_read_and_written_as_it_was(tmp_path):
    new = made(tmp_path / "s.npz")
    assert all(batch.lacks is None and batch.norms.shape == (2, batch.m) for batch in new.minibatches())
    old = activation_sets.write(tmp_path / "old.npz", dataclasses.replace(new, has_norms=False), new.minibatches())
    assert old.about()["format"] == "cka-explorer activations 1" and old.digest != new.digest
    read = activation_sets.read(tmp_path / "old.npz")
    assert read.digest == old.digest and not read.has_norms
    for one, other in zip(read.minibatches(), new.minibatches(), strict=True):
        assert (one.triangles == other.triangles).all() and one.norms is None and "lack" in one.lacks
    activation_sets.write(tmp_path / "again.npz", read, read.minibatches())
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "old.npz").read_bytes()
    with pytest.raises(ValueError, match="with norms"):
        activation_sets.write(tmp_path / "none.npz", new, read.minibatches())


def test_the_digest_is_that_of_what_it_holds_not_of_what_it_is_called(tmp_path):
    one, again = made(tmp_path / "1.npz", "one"), made(tmp_path / "2.npz", "other")
    assert one.digest == again.digest
    different = [
        made(tmp_path / "3.npz", seed=1),
        made(tmp_path / "4.npz", batch_size=10),
        made(tmp_path / "5.npz", layers=("first", "third")),
        made(tmp_path / "6.npz", sample=dataclasses.replace(KNOWN, digest="e" * 32)),
    ]
    assert len({found.digest for found in [one, *different]}) == 5


def test_nothing_in_the_file_is_pickled_or_compressed(tmp_path):
    made(tmp_path / "s.npz")
    with zipfile.ZipFile(tmp_path / "s.npz") as archive:
        assert all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
    with np.load(tmp_path / "s.npz", allow_pickle=False) as arrays:
        assert {name: arrays[name].dtype.kind for name in arrays.files}
    assert os.path.getsize(tmp_path / "s.npz") < 7500


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    header = made(tmp_path / "s.npz")
    with pytest.raises(ValueError):
        activation_sets.write(tmp_path / "other.npz", header, iter(list(header.minibatches())[:1]))
    with pytest.raises(ValueError, match="Expected images 0 to 7"):
        activation_sets.write(tmp_path / "other.npz", header, reversed(list(header.minibatches())))
    assert os.listdir(tmp_path) == ["s.npz"]


# Files from anywhere


def changed(data: bytes, change) -> bytes:
    """The file with its arrays changed by ``change(members)``, a dict of name to array."""
    with np.load(io.BytesIO(data)) as arrays:
        members = {name: np.array(arrays[name]) for name in arrays.files}
    change(members)
    out = io.BytesIO()
    np.savez(out, **members)
    return out.getvalue()


def about_with(**fields):
    def change(members):
        about = json.loads(members["about"].tobytes())
        about.update({key: value(about) if callable(value) else value for key, value in fields.items()})
        members["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)

    return change


def repeat_name(about):
    return [{**layer, "name": "twice"} for layer in about["layers"]]


@pytest.mark.parametrize(
    "change, words",
    [
        (about_with(format="other"), "expected 'cka-explorer activations 2'"),
        (about_with(layers=repeat_name), "two layers are called 'twice'"),
        (about_with(layers=[]), "expected 1 to 20,000 layers, got 0"),
        (about_with(layers=lambda about: about["layers"][:1]), "expected 1 reasons"),
        (about_with(layers=lambda about: [*about["layers"], {"name": 3}]), "missing or wrong"),
        (about_with(batch_size=4), "expected 5 minibatches of 20 images, got 3"),
        (about_with(batch_size=2), "batch_size of at least 4"),
        (about_with(batch_size=float("inf")), "no JSON"),
        (about_with(sample=lambda about: about["sample"] | {"n": 10**30}), "at sample.n"),
        (about_with(sample=lambda about: about["sample"] | {"seed": -1}), "at sample.seed"),
        (about_with(sample=lambda about: about["sample"] | {"balanced": "yes"}), "at sample.balanced"),
        (about_with(layers=lambda about: [about["layers"][0] | {"shape": [-2]}, *about["layers"][1:]]), "layers[0]"),
        (about_with(layers=lambda about: about["layers"] * 30_000), "1 to 20,000 layers"),
        (about_with(sample=None), "missing or wrong"),
        (about_with(sample=lambda about: about["sample"] | {"n": "20"}), "at sample.n"),
        (about_with(minibatches=lambda about: about["minibatches"][:2]), "expected 3 minibatches"),
        (about_with(name="x" * 2000), "missing or wrong"),
        (about_with(network=None), "missing or wrong"),
        (lambda members: members.update(extra=np.ones(3)), "does not hold 3 minibatches"),
        (lambda members: members.pop("00001/squares"), "does not hold 3 minibatches"),
        (lambda members: members.pop("about"), "did not write it"),
    ],
)  # fmt: skip
def test_a_file_whose_description_is_wrong_is_refused_in_words(tmp_path, change, words):
    made(tmp_path / "s.npz")
    with pytest.raises(ValueError, match="Expected an activation set") as refusal:
        activation_sets.read(changed((tmp_path / "s.npz").read_bytes(), change))
    assert words in str(refusal.value)


def resealed(member, value):
    """Change an array and the checksum with it, as someone would who makes such files on purpose."""

    def change(members):
        members[member] = value(members[member].copy())
        parts = [members[f"00000/{name}"] for name in activation_sets.MEMBERS]
        sha = activation_sets._sha(parts)
        about_with(minibatches=lambda about: [about["minibatches"][0] | {"sha256": sha}, *about["minibatches"][1:]])(
            members
        )

    return change


def put(position, value):
    def change(array):
        array[position] = value
        return array

    return change


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda members: members["00000/triangles"].__setitem__((0, 0), 9), "not what was written"),
        (resealed("00000/triangles", put((1, 0), np.nan)), "'second' in minibatch 1.*not finite"),
        (resealed("00000/triangles", put((0, 0), 1e9)), "'first'.*not consistent"),
        (resealed("00000/squares", put(0, 1e9)), "'first'.*not consistent"),
        (resealed("00000/squares", put(1, np.inf)), "'second'.*not finite"),
        (resealed("00000/exponents", put(0, 1 << 40)), "'first'"),
        (resealed("00000/outliers", put((0, 0), 99)), "'first'"),
        (resealed("00000/triangles", lambda x: x[:, 1:].copy()), "expected 00000/triangles as float32"),
        (resealed("00000/triangles", lambda x: x.astype(np.float64)), "expected 00000/triangles as float32"),
    ],
)  # fmt: skip
def test_numbers_that_are_no_gram_matrices_are_refused_when_they_are_read(tmp_path, change, words):
    made(tmp_path / "s.npz")
    read = activation_sets.read(changed((tmp_path / "s.npz").read_bytes(), change))
    with pytest.raises(ValueError, match=words):
        activation_sets.check(read)


def test_what_would_unpack_to_more_than_it_is_or_run_code_is_refused(tmp_path):
    made(tmp_path / "s.npz")
    whole = (tmp_path / "s.npz").read_bytes()
    compressed, objects = io.BytesIO(), io.BytesIO()
    with np.load(tmp_path / "s.npz") as arrays:
        np.savez_compressed(compressed, **{name: arrays[name] for name in arrays.files})
        np.savez(objects, about=np.array([print, None], object))
    for data in (whole[: len(whole) // 2], b"", b"nothing", compressed.getvalue(), objects.getvalue(), b"PK\5\6" * 30):
        with pytest.raises(ValueError, match="Expected an activation set"):
            activation_sets.read(data)
    liar = io.BytesIO()
    with zipfile.ZipFile(liar, "w") as archive:
        header = b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (900000000000000,), }"
        archive.writestr("about.npy", header.ljust(128) + b"{}")
    with pytest.raises(ValueError, match="Expected an activation set"):
        activation_sets.read(liar.getvalue())


@pytest.mark.parametrize(
    "header", [b"{'descr': (", b"\x27\x27\x27abc", b"if 1:\n  2\n 3", b"{'descr': ',', 'shape': (1,)}", b"\x00"]
)
def test_a_header_that_is_none_is_refused_whatever_its_parser_raises(header):
    crafted = io.BytesIO()
    with zipfile.ZipFile(crafted, "w") as archive:
        archive.writestr("about.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ValueError, match="Expected an activation set"):
        activation_sets.read(crafted.getvalue())


# Which images


def test_sets_are_compared_only_if_their_images_are_certainly_the_same(tmp_path):
    def of(**fields):
        return dataclasses.replace(Sample("", "", 20, None, False, "", ""), **fields)

    assert KNOWN.is_sure_to_be(dataclasses.replace(KNOWN, seed=9))  # the digest decides
    assert of(digest="d" * 32).is_sure_to_be(KNOWN)
    assert of(label="mine").is_sure_to_be(of(label="mine"))
    for one, other in [
        (KNOWN, dataclasses.replace(KNOWN, digest="e" * 32)), (KNOWN, of()), (of(), of()),
        (of(label="a"), of(label="b")),
        (of(label="a"), of(label="a", n=21)), (of(label="a"), of(label="a", digest="d" * 32)), (of(label="a"), KNOWN),
    ]:  # fmt: skip
        assert not one.is_sure_to_be(other) and not other.is_sure_to_be(one)


def test_a_set_of_other_images_refuses_and_says_which_each_used(tmp_path):
    one = made(tmp_path / "1.npz", "one")
    other = made(tmp_path / "2.npz", "other", dataclasses.replace(KNOWN, seed=7, digest="e" * 32), seed=1)
    with pytest.raises(ValueError) as refusal:
        activation_sets.shared_sample([one, other])
    assert "one: 20 test images of cifar10-mini (seed 0, digest dddddddd)" in str(refusal.value)
    assert "other: 20 test images of cifar10-mini (seed 7, digest eeeeeeee)" in str(refusal.value)
    with pytest.raises(ValueError, match="got 8 images in one and 10 in other"):
        activation_sets.shared_sample([one, made(tmp_path / "3.npz", "other", batch_size=10, seed=1)])


# Comparing


def spec(a, b, store, **sample) -> CompareSpec:
    values = {"images": "cifar10-mini", "split": "test", "n": 40, "seed": 0} | sample
    return CompareSpec(catalogue.find(a, store).spec, catalogue.find(b, store).spec, SampleSpec(**values), 16)


def test_sets_give_what_their_networks_give(extracted, store):
    networks = engine.run(spec(A, B, store), store)
    for one, name in ((extracted["a"], "left"), (extracted["b"], "right")):
        arrivals.import_set(one, store, name)
    for a, b in (("left", "right"), ("left", B), (A, "right"), (str(extracted["a"]), str(extracted["b"]))):
        result = engine.run(spec(a, b, store), store)
        assert np.abs(result.matrix - networks.matrix).max() < 1e-6
        assert result.layers_a == networks.layers_a and result.layers_b == networks.layers_b
        assert result.provenance["images"] == networks.provenance["images"]
        assert not result.is_self
    own = engine.run(spec("left", "left", store), store)
    assert own.is_self and np.abs(np.diag(own.matrix) - 1).max() < 1e-6
    some = engine.run(dataclasses.replace(spec("left", "right", store), layers=("*_add",)), store)
    assert some.matrix.shape == (3, 3)
    assert engine.run(spec("left", A, store), store).is_self  # it is that network


def test_two_sets_load_neither_images_nor_networks(extracted, store, monkeypatch):
    monkeypatch.setattr(catalogue, "load_model", lambda *args: pytest.fail("a network was loaded"))
    monkeypatch.setattr(SampleSpec, "load", lambda *args: pytest.fail("images were loaded"))
    result = engine.run(spec(str(extracted["a"]), str(extracted["b"]), store), store)
    assert result.provenance["images"]["digest"] and not store.entries("grams")


@pytest.mark.parametrize("other", ["other set", A])
def test_other_images_than_the_sets_are_refused_by_name(extracted, store, other):
    name = str(extracted["b"]) if other == "other set" else other
    for wrong in ({"n": 41}, {"seed": 1}, {"seed": None}, {"split": "train"}, {"balanced": True}):
        with pytest.raises(
            ValueError, match=r"a.* was made from other images.*40 test images of cifar10-mini \(seed 0"
        ):
            engine.run(spec(str(extracted["a"]), name, store, **wrong), store)
    with pytest.raises(ValueError, match="in minibatches of 16 images, asked for are 20"):
        engine.run(dataclasses.replace(spec(str(extracted["a"]), name, store), batch_size=20), store)


def test_a_set_that_changed_since_it_was_chosen_is_refused(extracted, store, tmp_path):
    path = tmp_path / "s.npz"
    path.write_bytes(extracted["a"].read_bytes())
    chosen = spec(str(path), str(path), store)
    path.write_bytes(extracted["b"].read_bytes())
    with pytest.raises(ValueError, match="has changed since it was chosen"):
        engine.run(chosen, store)


def test_two_files_are_compared_where_there_is_no_tensorflow(extracted, tmp_path):
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('tensorflow', 'keras'):\n"
        "            raise ImportError(name + ' is not on this machine')\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import importlib.metadata as metadata\n"
        "real = metadata.version\n"
        "def version(name):\n"
        "    if name in ('tensorflow', 'keras'):\n"
        "        raise metadata.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "metadata.version = version\n"
        "from cka_core.cli import main\n"
        "main()\n"
    )
    out = tmp_path / "r.npz"
    words = ["compare", str(extracted["a"]), str(extracted["b"]), "--out", str(out)]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "29 × 29 layers" in done.stdout
    assert set(Comparison.load(out).provenance["versions"]) == {"numpy"}


# Making them


def test_a_set_refuses_to_be_compared_otherwise_than_it_was_made(extracted, store):
    arrivals.import_set(extracted["a"], store, "left")
    asked = spec("left", B, store)
    engine.run(dataclasses.replace(asked, preprocessing="divide-by-255"), store)
    with pytest.raises(ValueError, match="left was made with preprocessing 'uint8 / 255'.*refuses imagenet-torch"):
        engine.run(dataclasses.replace(asked, preprocessing="imagenet-torch"), store)
    with pytest.raises(ValueError, match="left was made.*refuses batch norm in train mode"):
        engine.run(dataclasses.replace(asked, batch_norm="train"), store)


def test_a_stopped_extraction_leaves_no_file_and_goes_on_where_it_was(tmp_path, store):
    def stop(progress: Progress) -> None:
        if progress.phase == "extracting" and progress.fraction > 0.6:
            raise Stopped

    network = catalogue.find(A, store).spec
    with pytest.raises(Stopped):
        extraction.extract(network, SAMPLE, 16, tmp_path / "s.npz", store, name="s", report=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    kept = {entry.path for entry in store.entries("grams")}
    extraction.extract(network, SAMPLE, 16, tmp_path / "s.npz", store, name="s")
    assert kept and kept <= {entry.path for entry in store.entries("grams")}


def test_extract_takes_the_options_of_compare(tmp_path):
    out = tmp_path / "s.npz"
    done = run("activations", "extract", A, "--samples", 20, "--first", "--split", "train", "--batch-size", 8,
               "--layers", "*_add", "--out", out)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert f"Wrote {out}" in done.output
    found = activation_sets.read(out)
    assert found.name == "s" and len(found.layers) == 3 and found.batch_size == 8
    assert (found.sample.n, found.sample.split, found.sample.seed) == (20, "train", None)
    assert found.network["architecture"] == A and found.preprocessing == "uint8 / 255"
    assert "ending in .npz" in str(run("activations", "extract", A, "--out", tmp_path / "s.csv").exception)


def test_on_the_command_line_the_set_says_which_images(extracted):
    done = run("compare", extracted["a"], B)
    assert done.exit_code == 0, done.output
    assert "29 × 29 layers" in done.output
    refused = run("compare", extracted["a"], B, "--samples", 41)
    assert "was made from other images" in str(refused.exception)


def test_imported_it_is_found_by_name_and_the_command_in_a_result_says_it(extracted, store, tmp_path):
    assert "No activation sets yet" in run("activations", "list").output
    assert run("activations", "import", extracted["a"], "--name", "left").exit_code == 0
    assert "29 layers of cifar-resnet-8x1, 40 test images" in run("activations", "list").output
    assert run("compare", "left", "left", "--out", tmp_path / "r.npz").exit_code == 0
    command = Comparison.load(tmp_path / "r.npz").provenance["command"]
    assert command.startswith("python -m cka_core compare left left --images cifar10-mini --split test --samples 40")
    assert run(*command.split()[3:-4]).exit_code == 0


# Pickled lists of activations


def pickled(path, content) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"layer_{i:03d}": rng.standard_normal((20, 3, 2 + i)).astype(np.float32) for i in range(3)}


def test_a_pickle_is_not_touched_unless_it_is_trusted(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "it ran"),)

    path = pickled(tmp_path / "trap.pickle", Trap())
    done = run("activations", "convert", path, "--out", tmp_path / "s.npz")
    assert "runs whatever code" in str(done.exception) and "--trust" in str(done.exception)
    assert not (tmp_path / "it ran").exists() and not (tmp_path / "s.npz").exists()


@pytest.mark.parametrize("form", ["list of arrays", "list of minibatches", "dict"])
def test_a_converted_list_gives_the_cka_of_its_activations(tmp_path, arrays, form):
    content = {
        "list of arrays": list(arrays.values()),
        "list of minibatches": [[x[:8], x[8:16], x[16:]] for x in arrays.values()],
        "dict": arrays,
    }[form]
    path = pickled(tmp_path / "p.pickle", content)
    done = run("activations", "convert", path, "--trust", "--batch-size", 10, "--out", tmp_path / "s.npz")
    assert done.exit_code == 0, done.output
    assert "compared with nothing but itself" in done.output
    assert run("compare", tmp_path / "s.npz", tmp_path / "s.npz", "--out", tmp_path / "r.npz").exit_code == 0
    result = Comparison.load(tmp_path / "r.npz")
    assert [layer.name for layer in result.layers_a] == list(arrays)
    assert np.abs(result.matrix - compare_activations(arrays, arrays, batch_size=10).matrix).max() < 1e-6


def test_a_converted_list_stands_beside_its_pickle_unless_told_otherwise(tmp_path, arrays):
    path = pickled(tmp_path / "resnet50", list(arrays.values()))  # the notebook's files have no ending
    assert run("activations", "convert", path, "--trust").exit_code == 0
    assert activation_sets.read(tmp_path / "resnet50.npz").name == "resnet50"
    same = pickled(tmp_path / "same.npz", list(arrays.values()))
    assert "would be written over" in str(run("activations", "convert", same, "--trust").exception)


def test_converted_sets_are_compared_where_their_owner_says_that_the_images_are_the_same(tmp_path, arrays, store):
    other = {name: x[::-1] ** 3 for name, x in arrays.items()}
    for name, content in (("a", arrays), ("b", other)):
        pickled(tmp_path / f"{name}.pickle", content)

    def converted(*said: str) -> tuple[Path, Path]:
        for name in "ab":
            words = ["--trust", "--out", tmp_path / f"{name}.npz", *said]
            done = run("activations", "convert", tmp_path / f"{name}.pickle", *words)
            assert done.exit_code == 0, done.exception
        return tmp_path / "a.npz", tmp_path / "b.npz"

    digest = SampleSpec("cifar10-mini", "test", 20, 0).load(store).digest
    assert "not known to be of the same images" in str(run("compare", *converted()).exception)
    for said in (
        ("--sample-label", "mine"),
        ("--images-digest", digest),
        ("--images", "cifar10-mini", "--samples", "20"),
    ):
        done = run("compare", *converted(*said), "--out", tmp_path / "r.npz")
        assert done.exit_code == 0, done.exception
        assert np.abs(
            Comparison.load(tmp_path / "r.npz").matrix - compare_activations(arrays, other).matrix
        ).max() < 1e-6  # fmt: skip
    assert run("compare", tmp_path / "a.npz", A).exit_code == 0
    converted("--images-digest", digest)
    assert "Say which these are" in str(run("compare", tmp_path / "a.npz", A).exception)
    assert run("compare", tmp_path / "a.npz", A, "--images", "cifar10-mini", "--samples", 20).exit_code == 0
    converted("--sample-label", "mine")
    assert "no network can be shown the same" in str(run("compare", tmp_path / "a.npz", A).exception)


@pytest.mark.parametrize(
    "content, words, said",
    [
        (3, "Got int", ()),
        ([], "Got none", ()),
        (["text"], "something else in layer_000", ()),
        ([np.ones((20, 2)), np.ones((19, 2))], "20 images in layer_000 and 19 in layer_001", ()),
        ([[np.ones((10, 2)), np.ones((10, 3))]], "different shapes in layer_000", ()),
        ([np.array([print, None], object)], "something else in layer_000", ()),
        ([np.ones((3, 2))], "at least 4 images, got 3", ()),
        ([np.full((20, 2), np.nan)], "layer_000", ()),
        ([np.ones((20, 2))], "20 images, the images named are 30", ("--images", "cifar10-mini", "--samples", "30")),
        ([np.ones((20, 2))], "32 hex digits", ("--images-digest", "abc")),
        ([np.ones((20, 2))], "in one way", ("--images-digest", "0" * 32, "--sample-label", "x")),
        ([np.ones((20, 2))], "Expected --images with", ("--seed", "3")),
    ],
)  # fmt: skip
def test_what_is_no_list_of_activations_is_refused_in_words(tmp_path, content, words, said):
    path = pickled(tmp_path / "p.pickle", content)
    done = run("activations", "convert", path, "--trust", "--out", tmp_path / "s.npz", *said)
    assert done.exit_code != 0 and words in str(done.exception)
    assert not (tmp_path / "s.npz").exists()
