"""Activations that any framework wrote become an activation set, and are compared as if they were at hand."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from cka_core import compare_activations, load_images
from cka_core.cli import app
from cka_core.comparing import engine
from cka_core.images.sets import SampleSpec
from cka_core.library import arrivals, catalogue, incoming
from cka_core.measures.centring import NonFiniteActivation
from cka_core.results.activation_sets import Sample, assumption, shared_sample
from cka_core.results.comparison import CompareSpec
from tests.base.test_foreign_arrays import MALFORMED, npz, safetensors
from tests.synthetic import comparison

N = 40
RNG = np.random.default_rng(1)
A = {"conv": RNG.standard_normal((N, 4, 4, 3)).astype("f4"), "head": RNG.standard_normal((N, 6)).astype("f4")}
B = {"mixer": A["conv"] @ RNG.standard_normal((3, 5)).astype("f4"), "out": A["head"] ** 2}
IDS = np.arange(N)


def run(*words: str):
    return CliRunner().invoke(app, [str(word) for word in words])


def taken(store, arrays=A, name="a.npz", **more) -> str:
    return arrivals.bring_in(io.BytesIO(npz(**arrays, **more)), name, store)[1]


def compared(store, a: str, b: str, batch_size: int = 256):
    sides = [catalogue.find(name, store) for name in (a, b)]
    sample, _ = shared_sample([side.activations for side in sides])
    return engine.run(CompareSpec(sides[0].spec, sides[1].spec, sample.spec, batch_size), store)


def test_two_files_are_compared_as_their_arrays_are(store):
    result = compared(store, taken(store), incoming.take(io.BytesIO(safetensors(B)), "b.safetensors", store)[1])
    assert np.allclose(result.matrix, compare_activations(A, B).matrix, atol=1e-12)
    assert [layer.shape for layer in result.layers_a] == [(4, 4, 3), (6,)]
    assert store.names("scratch") == []


def test_without_ids_the_order_is_said_to_be_assumed(store):
    a, b = taken(store), taken(store, B, "b.npz", sample_ids=IDS)
    (warning,) = compared(store, a, b).warnings
    assert "order of the images is assumed: nothing in a says" in warning
    assert warning.endswith("of the other. sample_ids in both files are checked.")
    shown = Sample("mine", "all", N, None, False, "of the images")
    network = assumption(catalogue.find(a, store).activations, shown, "the images of mine", both_files=False)
    assert network.endswith("is the image of row i of the other."), "of which one is no file"
    c = taken(store, A, "c.npz", sample_ids=IDS)
    assert compared(store, c, b).warnings == ()
    assert compared(store, a, a).warnings == ()


def test_ids_that_are_not_the_same_refuse(store):
    a, b = taken(store, sample_ids=IDS), taken(store, B, "b.npz", sample_ids=IDS[::-1])
    with pytest.raises(ValueError, match="sample_ids of a and b are not the same, or not in the same order"):
        compared(store, a, b)


def test_ids_may_come_in_a_text_file(store, tmp_path):
    text = "\n".join(map(str, IDS)).encode()
    assert incoming.take(io.BytesIO(npz(**A)), "a.npz", store, ids=text) == ("activations", a := "a")
    b = taken(store, B, "b.npz", sample_ids=IDS)
    assert compared(store, a, b).warnings == ()
    (tmp_path / "c.npz").write_bytes(npz(**A))
    (tmp_path / "c.sample_ids.txt").write_bytes(text)
    assert run("activations", "import", tmp_path / "c.npz").exit_code == 0
    assert catalogue.sets(store)["a"].sample == catalogue.sets(store)["b"].sample
    with pytest.raises(ValueError, match="got 39"):
        incoming.take(io.BytesIO(npz(**A)), "d.npz", store, ids=text[: text.rindex(b"\n")])


def test_a_network_is_shown_the_images_that_somebody_says_they_are(store, tmp_path):
    images = load_images("cifar10-mini", "test", N, seed=3)
    (tmp_path / "mine.npz").write_bytes(npz(pixels=images.x.astype("f4")))
    words = ("--images", "cifar10-mini", "--samples", N, "--seed", 3)
    assert run("activations", "import", tmp_path / "mine.npz", *words).exit_code == 0
    answer = run("compare", "mine", "cifar-resnet-8x1")
    assert answer.exit_code == 0 and "assumed" not in answer.output
    # Nobody said which: then the comparison does, and it says what was assumed.
    answer = run("activations", "import", tmp_path / "mine.npz", "--name", "other")
    assert "their order is assumed" in answer.output
    spec = CompareSpec(
        catalogue.find("other", store).spec, catalogue.find("cifar-resnet-8x1", store).spec,
        SampleSpec("cifar10-mini", "test", N, 3),
    )  # fmt: skip
    result = engine.run(spec, store)
    assert "assumed: nothing in other says" in result.warnings[-1]
    with pytest.raises(ValueError, match="made from other images"):
        engine.run(CompareSpec(spec.a, spec.b, SampleSpec("cifar10-mini", "test", N + 1, 3)), store)


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_malformed_leaves_nothing_in_the_store(store, kind):
    name, data, words = MALFORMED[kind]
    with pytest.raises(ValueError, match=re.escape(name)) as refusal:
        arrivals.bring_in(io.BytesIO(data), name, store)
    assert words in str(refusal.value) or "." in str(refusal.value)
    assert [found for found in store.names("") if not found.startswith("owners")] == []


@pytest.mark.parametrize(
    "name, words", [("model.pt", "ten lines"), ("model.pth", "PyTorch checkpoint"), ("x.pkl", "run code")]
)
def test_a_checkpoint_is_told_what_to_write_instead(store, name, words):
    with pytest.raises(ValueError, match=words):
        incoming.take(io.BytesIO(b"PK"), name, store)


def test_what_is_not_finite_is_named(store, tmp_path):
    wrong = {name: x.copy() for name, x in A.items()}
    wrong["head"][17, 2] = np.nan
    with pytest.raises(NonFiniteActivation, match="Layer 'head' is not finite .* for image 17"):
        arrivals.bring_in(io.BytesIO(npz(**wrong)), "a.npz", store)
    with pytest.raises(NonFiniteActivation, match="^a.npz: Layer 'head'") as refusal:
        arrivals.bring_in(io.BytesIO(npz(**wrong)), "a.npz", store)
    assert (refusal.value.layer, refusal.value.image) == ("head", 17)
    assert store.names("") == []


def test_a_saved_comparison_is_no_activations_and_is_said_to_be_one(tmp_path):
    comparison().save(tmp_path / "result.npz")
    for command in (["activations", "import"], ["compare", "cifar-resnet-8x1"]):
        answer = run(*command, str(tmp_path / "result.npz"))
        assert answer.exit_code != 0
        assert "result.npz, but it cannot be used: it is a saved comparison, which" in str(answer.exception)
        assert str(answer.exception).endswith("Comparison.load in Python.")


@pytest.mark.parametrize("scale", [1e306, 1e-306])
def test_numbers_at_either_end_of_float64_are_compared_as_any(store, scale):
    names = [taken(store, {"head": A["head"].astype("f8") * times}, f"{times}.npz") for times in (1.0, scale)]
    assert compared(store, *names).matrix == pytest.approx(1, abs=1e-6)


def test_the_command_line_says_how_arrays_that_may_be_images_become_an_image_set(tmp_path):
    np.savez(tmp_path / "mine.npz", x_test=np.zeros((N, 8, 8, 3), np.uint8), y_test=IDS)
    said = run("activations", "import", tmp_path / "mine.npz").stdout
    assert "If 'x_test' are images: rename it to images" in said and "python -m cka_core data import NAME FILE" in said
    np.savez(tmp_path / "acts.npz", **{"head": A["head"]})
    assert "images: rename" not in run("activations", "import", tmp_path / "acts.npz").stdout


def test_few_images_and_many_layers_are_refused(store, tmp_path):
    with pytest.raises(ValueError, match="at least 4"):
        arrivals.bring_in(io.BytesIO(npz(x=np.ones((3, 2)))), "a.npz", store)
    with pytest.raises(ValueError, match="^a.npz: Expected at least 4 images, got 3"):
        arrivals.bring_in(io.BytesIO(npz(x=np.ones((3, 2)))), "a.npz", store)


def test_a_set_of_arrays_says_in_its_file_whose_order_is_assumed(store, tmp_path):
    name = taken(store, sample_ids=IDS)
    about = json.loads(json.dumps(catalogue.sets(store)[name].about()))
    assert about["sample"]["assumed"] is True and len(about["sample"]["ids"]) == 32
    assert about["network"]["source"] == "arrays in a.npz"


def test_stored_arrays_may_carry_ids(store):
    assert compare_activations(A | {"sample_ids": IDS}, B, sample_ids_b=IDS).matrix.shape == (2, 2)
    with pytest.raises(ValueError, match="row 0 of '0' and of '39'.*another order"):
        compare_activations(A, B, sample_ids_a=IDS, sample_ids_b=IDS[::-1])
    with pytest.raises(ValueError, match="Expected 40 sample_ids of b"):
        compare_activations(A, B, sample_ids_a=IDS, sample_ids_b=IDS[:5])
    named = compare_activations(A, B, name_a="mine", name_b="theirs")
    assert (named.name_a, named.name_b) == ("mine", "theirs")


@pytest.mark.parametrize("tokens, function", [
    ("mean", lambda x: x.mean(1)), ("first", lambda x: x[:, 0]), ("last", lambda x: x[:, -1]), ("flatten", lambda x: x),
])  # fmt: skip
def test_tokens_of_stored_arrays_are_reduced(tokens, function):
    x = {"hidden": RNG.standard_normal((N, 7, 5))}
    expected = compare_activations({"hidden": function(x["hidden"])}, A).matrix
    result = compare_activations(x, A, tokens=tokens)
    assert np.allclose(result.matrix, expected)
    assert result.provenance.get("tokens", "flatten") == tokens
