"""What version 0.2.0 wrote into a store is read by this one, and work that it left undone goes on.

``data/store-0.2.0.zip`` is a store of that version, with what must be found in it; ``data/make_store.py`` made it.
Where a test here fails, what users keep is lost to the next version: the code is to be changed, not the file.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cka_core.atlas import result
from cka_core.base.store import Store
from cka_core.comparing import engine, sources
from cka_core.comparing import estimate as comparing_estimate
from cka_core.images.sets import SampleSpec, load_images
from cka_core.jobs import records, submit, trainings, worker
from cka_core.library import catalogue, inventory, keeping
from cka_core.networks.building import weights_digest
from cka_core.results import activation_sets, comparison
from cka_core.results.comparison import CompareSpec
from cka_core.studies import build, steps
from cka_core.training import estimate as training_estimate
from cka_core.training import fit, state
from cka_core.training.recipe import TrainSpec

FILE = Path(__file__).parent / "data" / "store-0.2.0.zip"
with zipfile.ZipFile(FILE) as _archive:
    EXPECTED: dict[str, Any] = json.loads(_archive.read("expected.json"))

SAMPLE = SampleSpec(**{key: value for key, value in EXPECTED["sample"].items() if key != "batch_size"})
BATCH_SIZE = EXPECTED["sample"]["batch_size"]
NETWORK = EXPECTED["trainings"]["trained"]["name"]
COMPUTED_AGAIN = 1e-5
"""How far a value may be from what another machine made of the same weights and images."""


@pytest.fixture(autouse=True)
def old(store: Store, tmp_path: Path) -> Store:
    """The store of this test, as version 0.2.0 left it."""
    with zipfile.ZipFile(FILE) as archive:
        archive.extractall(tmp_path)
    assert Path(store.root) == tmp_path / "store"
    return store


@pytest.fixture
def same_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights are drawn by Keras, so Gram matrices of untrained networks count for its version only."""
    monkeypatch.setattr(sources, "version", EXPECTED["versions"].__getitem__)


def spec_of(a: str, b: str, store: Store) -> CompareSpec:
    return CompareSpec(catalogue.find(a, store).spec, catalogue.find(b, store).spec, SAMPLE, BATCH_SIZE)


def values(rows: list[list[float | None]]) -> np.ndarray:
    return np.array([[np.nan if value is None else value for value in row] for row in rows])


def is_the_same(found: np.ndarray, rows: list[list[float | None]]) -> bool:
    """To the last digit."""
    return np.array_equal(found, values(rows), equal_nan=True)


def is_near(found: np.ndarray, rows: list[list[float | None]]) -> bool:
    return np.allclose(found, values(rows), rtol=0, atol=COMPUTED_AGAIN, equal_nan=True)


# Comparisons and their Gram matrices


def test_a_comparison_is_found_by_what_was_asked_and_is_the_same_to_the_last_digit(old):
    expected = EXPECTED["comparison"]
    spec = spec_of(expected["a"], expected["b"], old)
    assert spec.key == expected["key"]
    found = comparison.find(spec, old)
    assert found is not None and repr(found) == expected["text"]
    assert is_the_same(found.matrix, expected["matrix"])
    assert [layer.name for layer in found.layers_a] == expected["layers"]
    turned = comparison.find(spec.swapped(), old)
    assert turned is not None and np.array_equal(turned.matrix, found.matrix.T)


def test_gram_matrices_are_used_again(old, same_packages):
    """A comparison of two networks that others were compared with loads neither of them."""
    expected, kept, phases = EXPECTED["third"], old.entries("grams"), set()
    spec = spec_of(expected["a"], expected["b"], old)
    found = engine.run(spec, old, lambda progress: phases.add(progress.phase))
    assert "comparing" in phases and "loading networks" not in phases
    assert {entry.path for entry in old.entries("grams")} == {entry.path for entry in kept}
    assert spec.key == expected["key"] and is_near(found.matrix, expected["matrix"])


def test_those_of_a_trained_network_are_used_whatever_packages_there_are(old):
    """It is known by its weights alone. The second network has none yet, and is loaded."""
    told = []
    engine.run(spec_of(NETWORK, "second", old), old, told.append)
    assert [progress.phase for progress in told].count("loading networks") == 1
    assert len({entry.key.split("/")[0] for entry in old.entries("grams")}) == 4


def test_a_comparison_that_was_stopped_goes_on_from_its_sums(old, monkeypatch):
    """Its Gram matrices did not fit the budget: what is kept are the sums of the first minibatch."""
    expected, told = EXPECTED["stopped"], []
    monkeypatch.setenv("CKA_GRAM_BUDGET", "0")
    record = records.record(expected["key"], old)
    assert record is not None and old.has("partial", expected["key"])
    found = engine.run(CompareSpec.from_json(record["spec"]), old, told.append)
    details = [progress.detail for progress in told if progress.phase == "comparing"]
    assert details and all(detail.startswith("minibatch 2 of 2") for detail in details)
    assert is_near(found.matrix, expected["matrix"]) and not old.entries("partial")


def test_an_uploaded_comparison_opens(old):
    expected = EXPECTED["uploaded"]
    opened = inventory.opened(expected["key"], old)
    assert opened is not None and is_the_same(opened[0].matrix, expected["matrix"])


def test_what_was_thrown_away_is_put_back(old):
    expected = EXPECTED["trashed"]
    (removed,) = keeping.trash(old)
    assert (removed.id, removed.kind, removed.title) == (expected["id"], "comparisons", expected["title"])
    assert keeping.restore(removed.id, old) == expected["title"] and not keeping.trash(old)
    found = comparison.read(expected["key"], old)
    assert found is not None and is_the_same(found.matrix, expected["matrix"])


# The library


@pytest.mark.parametrize("name", EXPECTED["networks"])
def test_a_trained_network_is_listed_and_loads(old, name):
    expected = EXPECTED["networks"][name]
    info = catalogue.networks(old)[name]
    assert {field: info.record[field] for field in expected} == expected
    assert (info.spec.weights, info.test_accuracy) == (expected["weights"], expected["test_accuracy"])
    kept = {f"{name}@{epoch}": weights for epoch, weights in expected["checkpoints"].items()}
    for called, weights in [(name, expected["weights"]), *kept.items()]:
        spec = catalogue.find(called, old).spec
        assert spec.weights == weights == weights_digest(catalogue.load_model(spec, old))


def test_an_activation_set_is_listed_and_compares(old, same_packages):
    """Its network is not needed: what comes out is what the network itself gives."""
    expected = EXPECTED["activations"]
    found = catalogue.sets(old)[expected["name"]]
    activation_sets.check(found)
    assert found.digest == expected["digest"] and found.network["name"] == expected["network"]
    assert [layer.name for layer in found.layers] == expected["layers"]
    keeping.remove("networks", expected["network"], "its network", old)
    compared = engine.run(spec_of(EXPECTED["third"]["a"], expected["name"], old), old)
    assert is_near(compared.matrix, EXPECTED["third"]["matrix"])


def test_everything_is_listed_and_nothing_is_damaged(old):
    networks = {row.name: row for row in inventory.networks(old) if not row.fixed}
    assert networks.keys() == EXPECTED["networks"].keys()
    assert all(row.origin == "trained" and row.size > 300_000 for row in networks.values())

    rows = inventory.activation_sets(old)
    sets, stacks = ([row for row in rows if row.kind == kind] for kind in ("activations", "grams"))
    assert [row.key for row in sets] == [EXPECTED["activations"]["name"]]
    assert {row.name for row in stacks} == {*(EXPECTED["comparison"][side] for side in "ab"), NETWORK}
    assert all(row.whole and row.made for row in stacks)
    assert all(activation_sets.read(keeping.download("grams", row.key, old)).parts for row in stacks)

    origins = {row.key: row.origin for row in inventory.comparisons(old) if not row.fixed}
    assert origins == {EXPECTED["comparison"]["key"]: "computed", EXPECTED["uploaded"]["key"]: "brought in"}
    addresses = {row.key: row.address for row in inventory.comparisons(old)}
    address = addresses[EXPECTED["comparison"]["key"]]
    assert (address["a"], address["b"]) == (EXPECTED["comparison"]["a"], EXPECTED["comparison"]["b"])

    kinds = {name.split("/")[0] for name in old.names("")}
    assert {"activations", "atlas", "comparisons", "grams", "images", "networks", "partial"} <= kinds
    assert all(old.is_whole(entry) for kind in kinds for entry in old.entries(kind))
    assert not inventory.damaged(old)


@pytest.mark.parametrize("split", EXPECTED["cifar10"])
def test_imported_images_are_there(old, split):
    assert load_images("cifar10", split, store=old).digest == EXPECTED["cifar10"][split]


# Jobs and trainings

KEYS = {
    "compare": lambda spec: CompareSpec.from_json(spec).key,
    "check": lambda spec: submit.CheckSpec(**spec).key,
    "train": lambda spec: TrainSpec.from_json(spec).key,
    "measure": lambda spec: training_estimate.MeasureSpec(TrainSpec.from_json(spec["training"])).key,
    "atlas": lambda spec: steps.AtlasPart.from_json(spec).key,
    "atlas-train": lambda spec: steps.AtlasPart.from_json(spec).key,
}
"""The key of a job of each kind, by its spec as the record has it."""


def test_there_is_a_job_of_every_kind_and_in_every_state_it_may_end_or_wait_in():
    assert {job["kind"] for job in EXPECTED["jobs"].values()} == KEYS.keys() <= worker.KINDS.keys()
    assert {job["state"] for job in EXPECTED["jobs"].values()} == {"queued", "done", "failed", "stopped"}


@pytest.mark.parametrize("key", EXPECTED["jobs"])
def test_a_job_is_read_with_its_state(old, key):
    expected = EXPECTED["jobs"][key]
    record, job = records.record(key, old), submit.status(key, old)
    assert record is not None and {field: record[field] for field in expected} == expected
    assert job is not None and KEYS[job.kind](job.spec) == key
    if expected["state"] == "queued":
        assert job.state == submit.INTERRUPTED and "Resume begins it" in (job.error or "")
    else:
        assert (job.state, job.error) == (expected["state"], expected["error"])
    assert job in submit.listed(job.kind, old) and not submit.active(old)


def test_a_comparison_that_waits_is_carried_out(old):
    expected = EXPECTED["waiting"]
    spec = spec_of(expected["a"], expected["b"], old)
    assert spec.key == expected["key"] and comparison.find(spec, old) is None
    record = records.record(spec.key, old)
    assert record is not None and CompareSpec.from_json(record["spec"]) == spec
    worker.run_job(record["kind"], spec.key, record["attempt"], old.root)
    job = submit.status(spec.key, old)
    assert job is not None and (job.state, job.error) == (submit.DONE, None)
    found = comparison.find(spec, old)
    assert found is not None and is_near(found.matrix, expected["matrix"])


def test_trainings_are_understood(old):
    trained, waiting = EXPECTED["trainings"]["trained"], EXPECTED["trainings"]["waiting"]
    found = {training.key: training for training in trainings.trainings(old)}
    assert len(found) == 3  # and the second network, which no job trained
    done = found[trained["key"]]
    assert done.progress is not None and done.progress.name == NETWORK
    assert (done.state, done.epochs_done) == (submit.DONE, done.spec.epochs)
    assert done.result is not None and "test images right" in trainings.result_text(done.result)
    assert "Finished" in state.read_log(done.key, old)
    waits = found[waiting["key"]]
    assert (waits.state, waits.epochs_done) == (submit.INTERRUPTED, 0)
    assert trainings.ended_text(waits).endswith("No epoch was finished: Resume begins it.")


def test_what_is_trained_is_not_trained_again(old):
    found = trainings.find(EXPECTED["trainings"]["trained"]["key"], old)
    assert found is not None
    again = fit.train(found.spec, old, report=lambda progress: pytest.fail(f"it began: {progress}"))
    assert again == found.result == catalogue.networks(old)[NETWORK].record


def test_measured_speeds_count(old, tmp_path):
    measured, unmeasured = EXPECTED["speeds"], Store(tmp_path / "none")
    infos = [catalogue.find(EXPECTED["comparison"][side], old) for side in "ab"]
    seconds, nominal = (
        comparing_estimate.estimate_seconds(*infos, 1000, 250, place) - comparing_estimate.START_SECONDS
        for place in (old, unmeasured)
    )
    assert seconds == pytest.approx(nominal * measured["speed"]["factor"])
    spec = TrainSpec("cifar-resnet-8x1", batch_size=16, held_out=0.0)
    speed = measured["training-speed"]["cifar-resnet-8x1"]["16"]
    assert training_estimate.training_seconds(spec, old) == (pytest.approx(3125 / speed), True)


# Studies


def test_an_atlas_is_listed_and_is_the_same_to_the_last_digit(old):
    expected = EXPECTED["atlas"]
    atlas = result.Atlas.load(result.listed(old)[expected["name"]])
    assert atlas.study.key == expected["study"] and [one.name for one in atlas.members] == expected["members"]
    assert [list(one.epochs) for one in atlas.members] == expected["epochs"]
    assert [one.final.test_accuracy for one in atlas.members] == expected["accuracies"]
    assert is_the_same(atlas.map(expected["members"][0]), expected["map"])
    assert is_the_same(atlas.pair(*expected["members"]), expected["pair"])


def test_a_study_goes_on_where_it_was(old, tmp_path, monkeypatch):
    """All its steps are there: nothing is trained, looked at or compared again, unless networks are looked at in
    another way by now. They are tried out in another way: on all test images."""

    def began(progress) -> None:
        assert "trying out" in progress.detail, f"it began: {progress}"

    expected = EXPECTED["atlas"]
    atlas = result.Atlas.load(result.listed(old)[expected["name"]])
    monkeypatch.setattr(steps, "LOOK", atlas.facts["look"])
    again = build.build(atlas.study, old, tmp_path / "again", began)
    assert is_the_same(again.map(expected["members"][0]), expected["map"])
    assert is_near(again.pair(*expected["members"]), expected["pair"])
