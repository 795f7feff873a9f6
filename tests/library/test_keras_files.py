"""A .keras file is bounded before Keras reads it, and its weights are numbers."""

from __future__ import annotations

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from cka_core.base.npz import NotReadable
from cka_core.library import arrivals, keras_files


def network(kernel: float = 1.0) -> keras.Model:
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="first"), keras.layers.Dense(2, name="out")]
    )
    model.layers[-1].set_weights([np.full((3, 2), kernel), np.zeros(2)])
    return model


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.keras"
    network().save(path)
    return path


def altered(path, config=None, weights=None, compression=zipfile.ZIP_STORED):
    """The file with one of its members changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if config is not None:
        members["config.json"] = config(members["config.json"])
    if weights is not None:
        members["model.weights.h5"] = weights(members["model.weights.h5"])
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_whole_one_is_loaded(saved):
    model = keras_files.load(saved, keras)
    assert np.array_equal(model.layers[-1].get_weights()[0], np.ones((3, 2)))


def test_weights_that_are_no_numbers_are_refused_naming_the_layer(tmp_path):
    for value in (np.nan, np.inf):
        network(value).save(tmp_path / "net.keras")
        with pytest.raises(NotReadable, match=r"NaN or infinite: 6 of the 6 in kernel of layer \S*out"):
            keras_files.load(tmp_path / "net.keras", keras)


def bomb(data: bytes) -> bytes:
    """Weights that are 4 GB of nothing in a few kilobytes."""
    file = io.BytesIO(data)
    with h5py.File(file, "a") as weights:
        weights.create_dataset("more", (1 << 30,), "f4", chunks=(1 << 20,), compression="gzip")
    return file.getvalue()


def elsewhere(data: bytes) -> bytes:
    file = io.BytesIO(data)
    with h5py.File(file, "a") as weights:
        weights.create_dataset("more", (4,), "f4", external=[("/etc/passwd", 0, 16)])
    return file.getvalue()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"weights": bomb}, "its weights are 4,294,9"),
        ({"weights": elsewhere}, "in other files"),
        ({"weights": lambda data: data[: len(data) // 2]}, "but it cannot be used: "),
        ({"config": lambda text: text.replace(b'"units": 3', b'"units": 3000000000')}, "a layer of size 3,000,000,000"),
        ({"config": lambda text: b"[" * 1000}, "nested 1,000 deep"),
        ({"config": lambda text: text + b" " * (65 << 20), "compression": zipfile.ZIP_DEFLATED}, "far more"),
    ],
)  # fmt: skip
def test_what_would_take_far_more_memory_than_it_has_bytes_is_refused(saved, changes, words):
    altered(saved, **changes)
    with pytest.raises(NotReadable) as refusal:
        keras_files.check(saved)
    assert words in str(refusal.value)


def test_infinite_numbers_in_a_description_are_a_networks_own(tmp_path, store):
    keras.Sequential([keras.Input((6,)), keras.layers.ReLU(float("inf")), keras.layers.Dense(3)]).save(
        tmp_path / "mine.keras"
    )
    with zipfile.ZipFile(tmp_path / "mine.keras") as archive:
        assert b"Infinity" in archive.read("config.json")
    assert arrivals.bring_in(io.BytesIO((tmp_path / "mine.keras").read_bytes()), "mine.keras", store)[0] == "networks"
    altered(tmp_path / "mine.keras", config=lambda text: text.replace(b'"units": 3', b'"units": Infinity'))
    with pytest.raises(NotReadable, match="it describes a layer of size inf, and its weights have none larger than 6"):
        keras_files.check(tmp_path / "mine.keras")


def test_code_and_strangers_classes_are_refused_in_words_of_ones_own(tmp_path):
    """What Keras says then is how to switch its safe mode off, and the whole description of the object."""

    class Mine(keras.layers.Dense):
        pass

    def double(x):
        return 2 * x

    def saved(layer) -> str:
        model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2)])
        model.save(tmp_path / "net.keras")
        return refused("net.keras")

    def refused(name: str) -> str:
        with pytest.raises(NotReadable) as refusal:
            keras_files.load(tmp_path / name, keras)
        told = str(refusal.value)
        assert told.startswith(name) and told.endswith("and bring in that (docs/activations.md).")
        assert len(told) < 400 and not any(word in told for word in ("safe_mode", "unsafe", "override", "config"))
        return told

    assert "net.keras has a Lambda layer. It holds code" in saved(keras.layers.Lambda(lambda x: x + 1))
    assert "net.keras is made with 'double', which" in saved(keras.layers.Dense(3, activation=double))
    assert "net.keras is made with 'Mine', which is none of Keras' own" in saved(Mine(3))
    saved(Mine(3))
    altered(tmp_path / "net.keras", config=lambda text: text.replace(b'"module": null', b'"module": "os"'))
    assert "'Mine'" in refused("net.keras")


def test_what_keras_cannot_load_is_told_in_a_line(saved):
    altered(saved, config=lambda text: text.replace(b'"units": 3', b'"units": 3, "of_a_later_version": 1'))
    with pytest.raises(NotReadable, match=r"Keras 3\S+ could not load net.keras \(.*of_a_later_version.*Save it again"):
        keras_files.load(saved, keras)


def test_a_damaged_file_is_called_by_its_own_ending(saved, store):
    data = saved.read_bytes()
    for name, content in (("a.keras", data[:-300]), ("b.keras", b"hello"), ("c.zip", b"PK\3\4" + data[9:-300])):
        with pytest.raises(NotReadable, match=name) as refusal:
            arrivals.bring_in(io.BytesIO(content), name, store)
        assert f"it is no .{name[2:]} file, or a damaged one; copy it again" in str(refusal.value)
        assert "npz" not in str(refusal.value)


def test_anything_else_is_refused(tmp_path):
    (tmp_path / "a.keras").write_bytes(b"hello")
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({}))
    for name in ("a.keras", "b.keras"):
        with pytest.raises(NotReadable, match=f"Expected a network .* in {name}"):
            keras_files.check(tmp_path / name)
