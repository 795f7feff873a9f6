"""Files named on the command line: what is kept of them is found again where it is right, others say how to convert."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from cka_core import Comparison, build_network
from cka_core.library import catalogue, files, inventory
from cka_core.networks.architectures import UnknownNetwork
from cka_core.networks.layers import Layer


def saved(tmp_path, layers):
    import keras

    path = tmp_path / "mine.keras"
    keras.Sequential([keras.Input((8, 8, 3)), *layers]).save(path)
    return path


def bytes_digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def test_a_file_of_layers_that_were_always_right_keeps_its_digest(tmp_path):
    import keras

    path = saved(tmp_path, [keras.layers.Conv2D(2, 3), keras.Sequential([keras.layers.Flatten(), keras.layers.ReLU()])])
    assert files.keras_digest(path) == bytes_digest(path)
    for name in ("cifar-resnet-8x1", "resnet50"):
        build_network(name).save(tmp_path / "mine.keras")
        assert catalogue.find(str(path)).spec.weights == bytes_digest(path)


@pytest.mark.parametrize("kind", ["RandomFlip", "Rescaling", "nested", "training", "shared", "half", "arithmetic"])
def test_a_file_whose_maps_were_wrong_is_another_one_now(tmp_path, kind):
    import keras
    from keras import layers

    inputs = keras.Input((8, 8, 3))
    shared = layers.Conv2D(3, 1)
    output = {
        "RandomFlip": lambda: layers.RandomFlip()(inputs),
        "Rescaling": lambda: layers.Rescaling(1 / 255)(inputs),
        "nested": lambda: keras.Sequential([layers.RandomZoom(0.1)])(inputs),
        "training": lambda: layers.Dropout(0.5)(inputs, training=True),
        "shared": lambda: shared(shared(inputs)),
        "half": lambda: layers.Conv2D(2, 3, dtype="mixed_float16")(inputs),
        "arithmetic": lambda: inputs / 255.0,
    }[kind]()
    path = tmp_path / "mine.keras"
    keras.Model(inputs, layers.Flatten()(output)).save(path)
    assert files.keras_digest(path) != bytes_digest(path)
    assert files.keras_digest(path) == catalogue.find(str(path)).spec.weights == files.keras_digest(path)
    assert catalogue.load_model(catalogue.find(str(path)).spec).output_shape[0] is None


def test_a_file_that_is_no_keras_file_has_a_digest_all_the_same(tmp_path):
    path = tmp_path / "mine.keras"
    path.write_bytes(b"PK not a zip")
    assert len(files.keras_digest(path)) == 32


def test_other_files_say_in_one_line_how_to_convert_them(tmp_path):
    import keras

    path = tmp_path / "old.h5"
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()]).save(path)
    with pytest.raises(UnknownNetwork, match=r"An \.h5 file has to be a \.keras file first: python -c ") as told:
        catalogue.find(str(path))
    assert "\n" not in str(told.value) and len(str(told.value)) < 300
    exec(str(told.value).partition('-c "')[2].removesuffix('"'))
    assert catalogue.load_model(catalogue.find(str(tmp_path / "old.keras")).spec).output_shape == (None, 192)

    weights = tmp_path / "old.weights.h5"
    model = catalogue.load_model(catalogue.find(str(tmp_path / "old.keras")).spec)
    model.save_weights(weights)
    with pytest.raises(UnknownNetwork, match=r"A \.weights\.h5 file holds numbers without their network\.") as told:
        catalogue.find(str(weights))
    (tmp_path / "old.keras").unlink()
    exec(str(told.value).partition("then: ")[2], {"model": model})
    assert catalogue.load_model(catalogue.find(str(tmp_path / "old.keras")).spec).output_shape == (None, 192)

    folder = tmp_path / "exported"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"")
    for name in (folder, folder / "saved_model.pb"):
        with pytest.raises(UnknownNetwork, match=r"A SavedModel has to be .*tf_keras.*exported\.keras"):
            catalogue.find(str(name))


def test_a_result_of_the_version_before_warns_where_its_layers_may_have_been_wrong(store):
    conv, flip = Layer("conv", "Conv2D", (4,)), Layer("flip", "RandomFlip", (4,))
    before = {"name": "mine", "source": "file"}
    assert "mine was computed by version 0.2" in files.doubt(before, [conv, flip])
    assert "RandomFlip" in files.doubt(before, [conv, flip]) and "Conv2D" not in files.doubt(before, [conv, flip])
    assert files.doubt(before, [conv]) == ""
    assert files.doubt(before | {"preprocessing": {"form": "none", "why": ""}}, [conv, flip]) == ""
    assert files.doubt(before | {"source": "bundled"}, [conv, flip]) == ""
    result = Comparison(np.ones((1, 2)), [conv], [conv, flip], provenance={"network_a": before, "network_b": before})
    store.put("comparisons", "uploaded-1", result.to_bytes())
    opened, *_ = inventory.opened("uploaded-1", store)
    assert len(opened.warnings) == 1 and "RandomFlip" in opened.warnings[0]
