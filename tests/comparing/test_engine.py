"""Comparisons of real Keras networks: right against the equations in float64, whole, labelled, cached, resumable."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

from cka_core import Comparison, build_network, compare, load_images
from cka_core.base.progress import Progress, Stopped
from cka_core.comparing import engine, tallies, warm
from cka_core.comparing.sources import fits_budget
from cka_core.images.sets import SampleSpec
from cka_core.library import catalogue
from cka_core.measures.grams import NonFiniteActivation
from cka_core.results import comparison as results
from cka_core.results.comparison import CompareSpec
from tests.reference import matrix

TRAINED = "cifar-resnet-14x1-cifar10-mini-s0"


def every_activation(model, x):
    import keras

    outputs = keras.Model(model.inputs, [layer.output for layer in model.layers[1:]])(
        x / np.float32(255), training=False
    )
    return [np.asarray(output, np.float64).reshape(len(x), -1) for output in outputs]


def reference(model_a, model_b, x, slices):
    return matrix(every_activation(model_a, x), every_activation(model_b, x), slices)


@pytest.fixture(scope="module")
def small():
    return build_network("cifar-resnet-8x1", seed=0), build_network("cifar-resnet-14x1", seed=1)


@pytest.mark.parametrize("n, batch_size, slices", [
    (64, 64, [slice(0, 64)]),
    (96, 40, [slice(0, 40), slice(40, 80), slice(80, 96)]),
    (42, 20, [slice(0, 20), slice(20, 42)]),
])  # fmt: skip
def test_every_pair_is_the_equation_in_float64(small, n, batch_size, slices):
    x = load_images("cifar10-mini", "test", n, 0).x
    result = compare(*small, x, batch_size=batch_size)
    assert result.matrix.shape == (29, 50)
    assert np.abs(result.matrix - reference(*small, x, slices)).max() < 1e-5


def test_a_trained_network_is_right_too():
    model = catalogue.load_model(catalogue.find(TRAINED).spec)
    x = load_images("cifar10-mini", "test", 64, 0).x
    result = compare(model, model, x)
    assert np.abs(result.matrix - reference(model, model, x, [slice(0, 64)])).max() < 1e-5


def test_the_seeds_networks_are_right():
    model = build_network("resnet50")
    x = load_images("cifar10-mini", "test", 32, 0).x
    result = compare(model, model, x)
    assert result.matrix.shape == (176, 176)
    assert np.abs(result.matrix - reference(model, model, x, [slice(0, 32)])).max() < 1e-5


def test_257_images_in_minibatches_of_256(small):
    x = load_images("cifar10-mini", "test", 257, 0).x
    result = compare(small[0], small[0], x, layers=["*_add", "head_logits"])
    assert np.isfinite(result.matrix).all()
    assert np.abs(np.diag(result.matrix) - 1).max() < 1e-6


def test_a_network_with_itself_and_swapped(small):
    a, b = small
    x = load_images("cifar10-mini", "test", 48, 0).x
    own = compare(a, a, x)
    assert np.abs(np.diag(own.matrix) - 1).max() < 1e-6
    assert (own.matrix == own.matrix.T).all()
    assert own.is_self
    assert np.abs(compare(a, b, x).matrix - compare(b, a, x).matrix.T).max() < 1e-6


def test_layers_carry_name_kind_shape_and_stage(small):
    result = compare(*small, load_images("cifar10-mini", "test", 8, 0).x)
    layer = {layer.name: layer for layer in result.layers_b}["stage2_block1_add"]
    assert (layer.kind, layer.shape, layer.stage) == ("Add", (16, 16, 32), "stage2")


def test_provenance_says_what_was_compared(small):
    images = load_images("cifar10-mini", "test", 8, 0)
    provenance = compare(*small, images).provenance
    assert provenance["images"]["digest"] == images.digest
    assert provenance["preprocessing"] == "uint8 / 255"
    assert provenance["network_a"]["weights"] != provenance["network_b"]["weights"]
    assert compare(*small, images.x / np.float32(255)).provenance["preprocessing"] == "as given"


def test_uint8_and_their_floats_are_the_same_images(small):
    x = load_images("cifar10-mini", "test", 16, 0).x
    assert np.abs(compare(*small, x).matrix - compare(*small, x / np.float32(255)).matrix).max() < 1e-6


@pytest.mark.parametrize("patterns, shape", [
    (["*_add"], (3, 6)), (["Conv2D"], (9, 15)), (["stem_conv", "head_logits"], (2, 2)), (["*_add", "*_add"], (3, 6)),
])  # fmt: skip
def test_layers_by_name_pattern_and_kind(small, patterns, shape):
    x = load_images("cifar10-mini", "test", 16, 0).x
    chosen, everything = compare(*small, x, layers=patterns), compare(*small, x)
    assert chosen.matrix.shape == shape
    frame = everything.to_frame().loc[[la.name for la in chosen.layers_a], [lb.name for lb in chosen.layers_b]]
    assert np.abs(chosen.matrix - frame.to_numpy()).max() < 1e-6


def test_a_misspelled_layer_is_refused_by_name_with_the_nearest(small):
    x = load_images("cifar10-mini", "test", 8, 0).x
    with pytest.raises(ValueError, match=r"stage1_block1_ad'.*stage1_block1_add"):
        compare(*small, x, layers=["stem_conv", "stage1_block1_ad"])


def test_too_few_images_wrong_shapes_and_types_are_refused(small):
    x = load_images("cifar10-mini", "test", 8, 0).x
    with pytest.raises(ValueError, match="at least 4 images, got 3"):
        compare(*small, x[:3])
    with pytest.raises(ValueError, match="at most 4,096 images.*smaller batch_size"):
        compare(*small, np.zeros((5000, 32, 32, 3), np.uint8), batch_size=5000)
    with pytest.raises(ValueError, match=r"\(n, 32, 32, 3\), got \(8, 3, 32, 32\)"):
        compare(*small, x.transpose(0, 3, 1, 2))
    with pytest.raises(ValueError, match="uint8.*int64"):
        compare(*small, x.astype(np.int64))


def test_an_activation_that_is_not_finite_names_layer_and_image(small):
    import keras

    inputs = keras.Input((32, 32, 3))
    hidden = keras.layers.Conv2D(4, 3, name="fine")(inputs)
    model = keras.Model(inputs, keras.layers.Lambda(keras.ops.log, name="log_of_zero")(hidden))
    x = load_images("cifar10-mini", "test", 16, 0).x.copy()
    with pytest.raises(NonFiniteActivation, match=r"'log_of_zero'.*image 0.*[Ll]eave this layer out"):
        compare(model, model, x)
    assert compare(model, model, x, layers=["fine"]).matrix.shape == (1, 1)


def test_nested_shared_and_constant_layers():
    import keras

    inner_input = keras.Input((8,))
    inner = keras.Model(
        inner_input, keras.layers.Dense(4, name="last")(keras.layers.Dense(6, name="first")(inner_input)), name="inner"
    )
    shared = keras.layers.Dense(8, name="shared")
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Flatten(name="flat")(inputs)
    x = shared(keras.layers.Dense(8, name="in")(x))
    x = inner(shared(x))
    x = keras.layers.Dense(3, kernel_initializer="zeros", bias_initializer="ones", name="constant")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="out")(x))
    images = load_images("cifar10-mini", "test", 32, 0).x
    result = compare(model, model, images)
    names = [layer.name for layer in result.layers_a]
    assert names == ["flat", "in", "shared", "shared:1", "inner/first", "inner/last", "constant", "out"]
    assert result.reasons_a[names.index("constant")] == "no variance"
    assert np.isnan(result.matrix[names.index("constant")]).all()
    assert np.isfinite(np.diag(result.matrix)[: names.index("constant")]).all()
    # Reading the graph leaves the user's model as it was.
    assert inner.get_layer("last").output is not None and model.get_layer("out").output.shape == (None, 2)


def test_sequential_and_subclassed_models():
    import keras

    x = load_images("cifar10-mini", "test", 16, 0).x
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(2, 3, name="conv"),
            keras.layers.Dropout(0.5, name="drop"),
            keras.layers.Flatten(name="flat"),
        ]
    )
    result = compare(model, model, x)
    assert [layer.name for layer in result.layers_a] == ["conv", "drop", "flat"]
    assert np.abs(result.matrix - 1).max() < 1e-6

    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="functional or sequential.*compare_activations"):
        compare(Own(), model, x)


# Comparisons by spec, with the store.


def spec(a="cifar-resnet-8x1", b="cifar-resnet-8x1:1", n=40, **values) -> CompareSpec:
    sample = SampleSpec("cifar10-mini", "test", n, 0)
    return CompareSpec(catalogue.find(a).spec, catalogue.find(b).spec, sample, **{"batch_size": 16} | values)


def test_run_keeps_its_result_and_finds_it_again_swapped_too(store):
    wanted = spec()
    made = engine.run(wanted, store)
    found = results.find(wanted, store)
    assert isinstance(found, Comparison) and (found.matrix == made.matrix).all()
    assert found.provenance["command"].startswith("python -m cka_core compare cifar-resnet-8x1 cifar-resnet-8x1:1 ")
    assert (results.find(wanted.swapped(), store).matrix == made.matrix.T).all()


def test_a_third_network_costs_one_forward_pass(store, monkeypatch):
    engine.run(spec(), store)
    loaded = []
    load = catalogue.load_model
    monkeypatch.setattr(
        catalogue, "load_model", lambda network, place: loaded.append(network.name) or load(network, place)
    )
    warm._warm.clear()
    engine.run(spec(b="cifar-resnet-8x1:2"), store)
    assert loaded == ["cifar-resnet-8x1:2"]


def test_stopped_it_goes_on_where_it_was(store):
    def stop(progress: Progress) -> None:
        if progress.phase == "comparing" and progress.fraction > 0.6:
            raise Stopped

    with pytest.raises(Stopped):
        engine.run(spec(), store, stop)
    kept = {entry.path: os.stat(entry.path).st_size for entry in store.entries("grams")}
    assert kept
    uninterrupted = compare(build_network("cifar-resnet-8x1"), build_network("cifar-resnet-8x1", seed=1),
                            load_images("cifar10-mini", "test", 40, 0), batch_size=16)  # fmt: skip
    made = engine.run(spec(), store)
    assert np.abs(made.matrix - uninterrupted.matrix).max() < 1e-6
    assert kept.keys() <= {entry.path for entry in store.entries("grams")}


def test_a_damaged_gram_file_is_set_aside_and_computed_again(store):
    made = engine.run(spec(), store)
    path = store.entries("grams")[0].path
    with open(path, "r+b") as file:
        file.seek(2000)
        file.write(b"damage")
    again = engine.run(spec(), store)
    assert (again.matrix == made.matrix).all()
    assert len(store.damaged()) == 1


def test_the_budget_counts_the_pairs_of_images_of_every_minibatch(monkeypatch):
    slices = [slice(0, 5), slice(5, 9)]  # 10 and 6 pairs
    monkeypatch.setenv("CKA_GRAM_BUDGET", str(3 * 16 * 4))
    assert fits_budget(3, slices) and not fits_budget(4, slices)


def test_above_the_budget_nothing_is_kept_and_the_result_is_the_same(store, monkeypatch):
    monkeypatch.setenv("CKA_GRAM_BUDGET", "1000")
    monkeypatch.setattr(tallies, "SAVE_SUMS_EVERY", 0.0)

    def stop(progress: Progress) -> None:
        if progress.detail.startswith("minibatch 2"):
            raise Stopped

    with pytest.raises(Stopped):
        engine.run(spec(), store, stop)
    assert store.entries("grams") == [] and len(store.entries("partial")) == 1
    seen = []
    made = engine.run(spec(), store, seen.append)
    assert not any(progress.detail.startswith("minibatch 1") for progress in seen)
    assert store.entries("grams") == [] and store.entries("partial") == []
    monkeypatch.delenv("CKA_GRAM_BUDGET")
    assert np.abs(made.matrix - engine.run(spec(), store).matrix).max() < 1e-6


def test_different_samples_are_different_results():
    assert spec().key != spec(n=41).key != dataclasses.replace(spec(), batch_size=17).key


def test_how_pixels_enter_is_part_of_the_key_where_it_was_asked_for(store):
    auto, asked = spec(n=20), spec(n=20, preprocessing="imagenet-torch")
    assert auto.key != asked.key != spec(n=20, preprocessing="none").key
    assert CompareSpec.from_json(dataclasses.asdict(asked)) == asked
    before = dataclasses.asdict(auto)
    del before["preprocessing"]  # as a job queued by version 0.2 says it
    assert CompareSpec.from_json(before) == auto
    first = engine.run(auto, store)
    kept = {entry.path for entry in store.entries("grams")}
    other = engine.run(asked, store)
    assert kept < {entry.path for entry in store.entries("grams")}
    assert np.abs(first.matrix - other.matrix).max() > 1e-3
    model, images = build_network("cifar-resnet-8x1"), load_images("cifar10-mini", "test", 20, 0)
    live = compare(model, build_network("cifar-resnet-8x1", seed=1), images, batch_size=16,
                   preprocessing="imagenet-torch")  # fmt: skip
    assert np.abs(live.matrix - other.matrix).max() < 1e-6
    assert other.provenance["preprocessing"] == "imagenet-torch"
    assert "--preprocessing imagenet-torch" in other.provenance["command"]


def test_the_keys_of_what_was_kept_before_are_the_same(store):
    """A key of version 0.2, written down."""
    sample = SampleSpec("cifar10-mini", "test", 768, 0)
    chosen = CompareSpec(catalogue.find("cifar-resnet-14x1").spec, catalogue.find("resnet50").spec, sample)
    assert chosen.key == "b561a555e9912340b0fce5c7"


def test_progress_grows_to_the_end(store):
    seen: list[Progress] = []
    engine.run(spec(), store, seen.append)
    done = [progress.done for progress in seen if progress.phase == "comparing"]
    assert done == sorted(done) and seen[-1].fraction == 1.0
    assert any("loading" in progress.phase for progress in seen)


def test_a_network_that_changed_since_it_was_chosen_is_refused(store, tmp_path):
    path = tmp_path / "mine.keras"
    build_network("cifar-resnet-8x1").save(path)
    chosen = CompareSpec(*(catalogue.find(str(path), store).spec,) * 2, SampleSpec(n=8))
    build_network("cifar-resnet-8x1", seed=1).save(path)
    with pytest.raises(ValueError, match="mine.keras has changed"):
        engine.run(chosen, store)
    bundled = catalogue.find(TRAINED, store).spec
    other = dataclasses.replace(bundled, weights="0" * 32)
    with pytest.raises(ValueError, match="other weights"):
        engine.run(CompareSpec(other, other, SampleSpec(n=8)), store)


def test_provenance_follows_the_weights_when_they_change():
    x = load_images("cifar10-mini", "test", 8, 0).x
    model = build_network("cifar-resnet-8x1", seed=0)

    def digest():
        return compare(model, model, x, layers=["stem_conv"]).provenance["network_a"]["weights"]

    first = digest()
    assert digest() == first
    kernel = model.get_layer("stem_conv").kernel
    kernel.assign(kernel.numpy()[..., ::-1])
    assert digest() != first


def test_tokens_of_keras_layers_are_averaged_or_one_is_taken():
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 5))
    hidden = keras.layers.Dense(4, activation="tanh", name="mix")(inputs)
    padded = keras.layers.ZeroPadding1D(1, name="pad")(hidden)
    model = keras.Model(inputs, keras.layers.Flatten(name="flat")(padded))
    x = np.random.default_rng(0).random((16, 6, 5), np.float32)
    mix = np.asarray(keras.Model(inputs, hidden)(x), np.float64)
    pad = np.pad(mix, ((0, 0), (1, 1), (0, 0)))
    flat = pad.reshape(16, -1)
    for tokens, wanted in {
        "flatten": [mix, pad, flat], "mean": [mix.mean(1), pad.mean(1), flat], "last": [mix[:, -1], flat],
    }.items():  # fmt: skip
        layers = None if tokens != "last" else ["mix", "flat"]  # the last token of the padding is all zeros
        result = compare(model, model, x, tokens=tokens, layers=layers)
        assert np.abs(result.matrix - matrix(wanted, wanted)).max() < 1e-5
        assert result.provenance["tokens"] == tokens


def test_a_function_chooses_layers_and_what_is_for_pytorch_is_refused(small):
    x = load_images("cifar10-mini", "test", 16, 0).x
    result = compare(*small, x, layers=lambda layer: layer.kind == "Add")
    assert result.matrix.shape == (3, 6)
    with pytest.raises(ValueError, match="by a function"):
        compare(*small, x, layers=lambda layer: False)
    with pytest.raises(ValueError, match="for PyTorch models"):
        compare(*small, x, forward=lambda model, batch: model(batch))
    with pytest.raises(ValueError, match="flatten, mean, first, last"):
        compare(*small, x, tokens="all")
