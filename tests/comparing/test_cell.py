"""A cell opened, from the Gram matrices that a comparison left: where they are, and what they say."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from cka_core.comparing import arrays, cell, engine, kept_grams
from cka_core.comparing.kept_grams import KeptGrams
from cka_core.images import own
from cka_core.images.own_files import OwnImages
from cka_core.images.sets import SampleSpec
from cka_core.library import arrivals, catalogue, keeping
from cka_core.measures.grams import grams
from cka_core.measures.hsic import minibatches
from cka_core.results import activation_sets
from cka_core.results.activation_sets import ActivationSet, Sample
from cka_core.results.comparison import CompareSpec, Comparison, find
from tests import reference

N, PARTS = 90, minibatches(90, 45)
PAIR = ("cifar-resnet-38x1-cifar10-mini-s0", "cifar-resnet-14x4-cifar10-mini-s0")


def activations() -> tuple[list[np.ndarray], list[np.ndarray]]:
    a, b = reference.network(1, N, layers=3), reference.network(2, N, layers=2)
    a[1][[3, 60]] *= 20
    return a, b


def kept(sample: SampleSpec | None = None) -> KeptGrams:
    a, b = activations()
    read = [lambda i, x=x: grams([one[PARTS[i]] for one in x], first=PARTS[i].start) for x in (a, b)]
    return KeptGrams(N, PARTS, True, sample, "", False, *read)


def comparison() -> Comparison:
    sides = ({f"layer {i}": x for i, x in enumerate(side)} for side in activations())
    return arrays.compare_activations(*sides, batch_size=45)


def unpacked(packed: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    length = int.from_bytes(packed[:4], "little")
    about = json.loads(packed[4 : 4 + length])
    found = {}
    for name, (kind, shape, offset) in about["arrays"].items():
        assert offset % 4 == 0
        found[name] = np.frombuffer(packed, kind, int(np.prod(shape)), 4 + length + offset).reshape(shape)
    return about, found


def test_the_overview_has_every_layer_on_the_first_images(store):
    about, found = unpacked(cell.overview(kept(), comparison(), store, "a name"))
    a, b = activations()
    few = reference.matrix([x[:45] for x in a], [y[:45] for y in b])
    assert np.abs(found["few"] - few).max() < 1e-5
    assert np.abs(found["cka"] - reference.matrix(a, b, PARTS)).max() < 1e-5
    entries = [found[f"{side}.entries"] * found[f"{side}.units"][:, None] for side in "ab"]
    assert np.abs(entries[0] @ entries[1].T / entries[0].shape[1] - few).max() < 1e-3, "two bytes are enough"
    assert (about["m"], about["n"], about["of"], about["whole"], about["name"]) == (45, N, N, True, "a name")
    assert [name for name, _ in about["layers"][0]] == ["layer 0", "layer 1", "layer 2"]
    assert about["labels"] == [] and about["sheet"] == "", "nobody knows which images these are"


def test_a_first_look_is_one_cell_of_the_overview(store):
    about, found = unpacked(cell.overview(kept(), comparison(), store, "a name"))
    first, one = unpacked(cell.overview(kept(), comparison(), store, "a name", (2, 1)))
    assert first["only"] == [2, 1] and about["only"] is None
    assert {**first, "only": None, "arrays": 0} == {**about, "arrays": 0}
    assert (one["cka"] == found["cka"]).all()
    assert np.isnan(one["few"]).sum() == one["few"].size - 1 and abs(one["few"][2, 1] - found["few"][2, 1]) < 1e-6
    for side, layer in (("a", 2), ("b", 1)):
        for name in ("entries", "units", "scores", "shares", "dimensions", "neighbours"):
            whole = found[f"{side}.{name}"][layer].astype(np.float64)
            assert np.abs(one[f"{side}.{name}"][0].astype(np.float64) - whole).max() <= 1e-5 * np.abs(whole).max() + 1


def test_pictures_and_classes_where_the_images_are_here(store):
    sample = SampleSpec("cifar10-mini", "test", N, 0)
    about, _ = unpacked(cell.overview(kept(sample), comparison(), store))
    images = sample.load(store)
    assert about["labels"] == images.y[:45].tolist() and about["classes"] == list(images.classes)
    assert about["sheet"].startswith("data:image/webp;base64,")
    made = cell.cell(kept(sample), 1, 0, store)
    assert [one["label"] for one in made["images"]] == [images.classes[images.y[one["at"]]] for one in made["images"]]


OF_ONES_OWN = {
    "grey": np.random.default_rng(0).integers(0, 256, (N, 28, 28), np.uint8),
    "float": np.random.default_rng(0).random((N, 1, 20, 30), np.float32) * 5 - 2,
    "tokens": np.arange(7 * N).reshape(N, 7),
}


@pytest.mark.parametrize("kind, labelled", [("grey", True), ("grey", False), ("float", True), ("tokens", True)])
def test_images_of_ones_own_have_pictures_where_they_are_some_and_classes_where_they_have_labels(store, kind, labelled):
    x, y = OF_ONES_OWN[kind], np.arange(N) % 3 if labelled else np.zeros(N, np.int64)
    classes = ("circle", "square", "star") if labelled else ()
    own.put("mine", OwnImages({"all": (x, y)}, classes), "Mine", store)
    about, _ = unpacked(cell.overview(kept(SampleSpec("mine", "all", N, None)), comparison(), store))
    assert (about["classes"], about["labels"]) == (list(classes), y[:45].tolist() if labelled else [])
    made = cell.cell(kept(SampleSpec("mine", "all", N, None)), 1, 0, store)
    assert [one["label"] for one in made["images"]] == [
        classes[y[one["at"]]] if labelled else "" for one in made["images"]
    ]
    assert [sheet.startswith("data:image/webp;base64,") for sheet in (about["sheet"], made["sheet"])] == [
        kind != "tokens"
    ] * 2


def test_an_own_set_that_is_gone_or_another_one_by_now_shows_no_pictures(store):
    own.put("mine", OwnImages({"all": (OF_ONES_OWN["grey"], np.arange(N) % 3)}, ("a", "b", "c")), "Mine", store)
    of = kept(SampleSpec("mine", "all", N, None))
    assert of.images(store) is not None
    assert dataclasses.replace(of, digest="of others").images(store) is None
    keeping.remove("images", "mine", "mine", store)
    assert of.images(store) is None
    own.put("mine", OwnImages({"all": (OF_ONES_OWN["grey"][:50], np.arange(50) % 3)}, ("a", "b", "c")), "Mine", store)
    assert of.images(store) is None


def test_what_images_add_sums_to_the_value_and_without_them_it_is_that_of_the_others(store):
    a, b = activations()
    found = cell.cell(kept(), 1, 0, store, most=N)
    exact = reference.matrix(a, b, PARTS)[1, 0]
    assert found["cka"] == pytest.approx(exact, abs=1e-6) == pytest.approx(found["together"], abs=1e-6)
    assert found["without"] is None, "nothing would be left"
    few = cell.cell(kept(), 1, 0, store, most=5)
    removed = [one["at"] for one in few["images"]]
    assert removed == [one["at"] for one in found["images"][:5]] and {3, 60} & set(removed)
    left = [np.setdiff1d(np.arange(part.start, part.stop), removed) for part in PARTS]
    parts, order = [slice(0, len(left[0])), slice(len(left[0]), N - 5)], np.concatenate(left)
    assert few["without"] == pytest.approx(reference.cka(a[1][order], b[0][order], parts), abs=1e-6)
    for side, x in enumerate((a[1], b[0])):
        own = np.array([one["shares"][side] for one in sorted(found["images"], key=lambda one: one["at"])])
        assert own.sum() == pytest.approx(1) and found["n_eff"][side] == pytest.approx(1 / np.square(own).sum())
        assert x.shape[0] == len(own)


def test_a_layer_without_cka_has_no_images_that_make_it(store):
    flat = KeptGrams(20, [slice(0, 20)], True, None, "", True, lambda _: grams([np.ones((20, 3))]), lambda _: None)
    assert cell.cell(flat, 0, 0, store)["cka"] is None


def test_the_map_without_images_is_that_of_the_others():
    a, b = activations()
    left = cell.without(kept(), [3, 60, 60])
    assert left.images == [3, 60]
    assert np.abs(left.before - reference.matrix(a, b, PARTS)).max() < 1e-6
    order = np.setdiff1d(np.arange(N), [3, 60])
    parts = [slice(0, 44), slice(44, 88)]
    assert np.abs(left.after - reference.matrix([x[order] for x in a], [y[order] for y in b], parts)).max() < 1e-6
    assert set(cell.without(kept(), 2).images) == {3, 60}, "the two that were made large"


@pytest.mark.parametrize("sizes, spare", [([768], 32), ([45, 45], 32), ([20, 8], 4), ([6], 2), ([4], 0)])
def test_the_overview_says_how_many_images_can_be_left_out_whichever_they_are(store, sizes, spare):
    stops = np.cumsum(sizes)
    parts = [slice(int(stop - size), int(stop)) for stop, size in zip(stops, sizes, strict=True)]
    x = [np.random.default_rng(0).standard_normal((int(stops[-1]), 3))]

    def read(index):
        return grams([one[parts[index]] for one in x], first=parts[index].start)

    found = KeptGrams(int(stops[-1]), parts, True, None, "", True, read, read)
    about, _ = unpacked(cell.overview(found, arrays.compare_activations({"x": x[0]}, {"x": x[0]}), store))
    assert about["spare"] == spare
    if spare:
        smallest = parts[int(np.argmin(sizes))]
        cell.without(found, list(range(smallest.start, smallest.start + spare)))


def test_what_cannot_be_left_out_is_said():
    for images in (0, [], 33, list(range(33))):
        with pytest.raises(ValueError, match="from 1 to 32 images to leave out"):
            cell.without(kept(), images)
    with pytest.raises(ValueError, match="positions of images from 0 to 89"):
        cell.without(kept(), [90])
    small = KeptGrams(
        5, [slice(0, 5)], True, None, "", True, lambda _: grams([reference.network(1, 5)[0]]), lambda _: None
    )
    with pytest.raises(ValueError, match="at least 4 images to be left in a minibatch, got 3 of"):
        cell.without(small, [0, 1])


def test_the_pair_that_the_app_opens_with_can_be_opened_without_running_anything(store):
    a, b = (catalogue.find(name, store).spec for name in PAIR)
    result = find(CompareSpec(a, b, SampleSpec("cifar10-mini", "test", 768, 0)), store)
    for sides, shown in (((a, b), result), ((b, a), result.transpose())):
        found = kept_grams.find(*sides, shown, store)
        assert (found.n, found.whole, found.sample.n) == (64, False, 64)
        about, made = unpacked(cell.overview(found, shown, store))
        assert made["few"].shape == shown.matrix.shape and about["of"] == 768
        assert np.abs(made["few"] - shown.matrix).mean() < 0.1, "64 of the same 768 images"
        for predicted, accuracy in zip(found.predicted, (0.5, 0.5), strict=True):
            assert np.mean(np.array(predicted) == about["labels"]) > accuracy
    assert kept_grams.find(a, b, dataclasses.replace(result, provenance={}), store) is None


def test_the_gram_matrices_of_all_images_or_of_few_are_found_where_a_comparison_left_them(store, monkeypatch):
    a = b = catalogue.find("cifar-resnet-8x1", store).spec
    spec = CompareSpec(a, b, SampleSpec("cifar10-mini", "test", 96, 0), 48)
    result = engine.run(spec, store)
    found = kept_grams.find(a, b, result, store)
    assert found.whole and found.n == 96 and [batch.m for batch, _ in found.minibatches()] == [48, 48]
    assert np.abs(cell.without(found, 1).before - result.matrix).max() < 1e-6
    assert kept_grams.asking(a, b, result) == spec
    assert found.passes == 1
    several = dataclasses.replace(result, provenance=result.provenance | {"passes": 3})
    assert kept_grams.find(a, b, several, store).passes == 3
    some = result.select([5, 2], [1])
    assert found.minibatch(0)[0].names[5] == kept_grams.find(a, b, some, store).minibatch(0)[0].names[0]
    store.remove_folder("grams")
    assert kept_grams.find(a, b, result, store) is None
    with pytest.raises(LookupError, match="not in the store any more"):
        found.minibatch(0)
    monkeypatch.setenv("CKA_GRAM_BUDGET", str(64 * 96 * 4))
    asked = kept_grams.asking(a, b, result)
    assert asked == dataclasses.replace(spec, sample=dataclasses.replace(spec.sample, n=64))
    monkeypatch.delenv("CKA_GRAM_BUDGET")
    few = engine.run(asked, store)
    found = kept_grams.find(a, b, result, store)
    assert (found.n, found.whole) == (64, False)
    assert np.abs(cell.without(found, 1).before - few.matrix).max() < 1e-6


def test_a_map_of_ones_own_images_that_were_made_to_fit_is_opened_and_asked_for_as_it_was_made(store, monkeypatch):
    own.put("mine", OwnImages({"all": (OF_ONES_OWN["grey"], np.arange(N) % 3)}, ("a", "b", "c")), "Mine", store)
    a = catalogue.find("cifar-resnet-8x1", store).spec
    spec = CompareSpec(a, a, SampleSpec("mine", "all", N, 0), 45, fit=True)
    result = engine.run(spec, store)
    found = kept_grams.find(a, a, result, store)
    assert found.whole and found.images(store).classes == ("a", "b", "c")
    assert kept_grams.asking(a, a, result, store) == spec
    store.remove_folder("grams")
    monkeypatch.setenv("CKA_GRAM_BUDGET", str(30 * N * 4))
    asked = kept_grams.asking(a, a, result, store)
    assert asked == dataclasses.replace(spec, sample=dataclasses.replace(spec.sample, n=64))
    monkeypatch.delenv("CKA_GRAM_BUDGET")
    engine.run(asked, store)
    few = kept_grams.find(a, a, result, store)
    assert (few.n, few.whole, len(few.images(store))) == (64, False, 64)


def test_activation_sets_of_unknown_images_are_opened_too_and_old_ones_say_what_they_lack(store, tmp_path):
    specs = []
    for name, side in zip(("mine", "yours"), activations(), strict=True):
        layers = [one for one in comparison().layers_a][: len(side)]
        sample = Sample("", "", N, None, False, "", "ours")
        header = ActivationSet(name, {"name": name}, tuple(layers), sample, "unknown", 45, has_norms=name == "mine")
        batches = [grams([x[part] for x in side], [one.name for one in layers], first=part.start) for part in PARTS]
        activation_sets.write(tmp_path / f"{name}.npz", header, batches)
        arrivals.import_set(tmp_path / f"{name}.npz", store)
        specs.append(catalogue.find(name, store))
    a, b = (info.spec for info in specs)
    result = engine.run(CompareSpec(a, b, specs[0].activations.sample.spec, 45), store)
    found = kept_grams.find(a, b, result, store)
    assert found.whole and found.images(store) is None
    about, made = unpacked(cell.overview(found, result, store))
    assert "lack the squared norms" in about["lacks"] and about["sheet"] == ""
    assert np.isfinite(made["a.shares"]).all() and np.isnan(made["b.shares"]).all()
    assert kept_grams.asking(a, b, result) is None, "no run can make them"
    keeping.remove("activations", "mine", "mine", store)
    assert kept_grams.find(a, b, result, store) is None
