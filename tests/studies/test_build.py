"""A study ends in the same atlas however often it is interrupted, and its numbers are those of the plain functions."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cka_core.atlas.packing import from_bytes, in_bytes
from cka_core.atlas.result import Atlas
from cka_core.atlas.study import Study, study_of
from cka_core.base.store import Store
from cka_core.comparing.engine import compare
from cka_core.library import catalogue
from cka_core.measures import centring, components
from cka_core.measures.hsic import HsicSums
from cka_core.measures.probes import probe
from cka_core.networks.activations import Extractor
from cka_core.networks.building import build_network
from cka_core.studies import build as atlas_build
from cka_core.studies import falls, trying
from cka_core.studies import look as atlas_look
from cka_core.studies import steps as atlas_steps
from cka_core.studies import verify as verifying

ROOT = Path(__file__).parent.parent.parent
TINY = study_of(
    {
        "name": "tiny", "samples": 64, "batch_size": 32, "probes": 40, "influential": 2,
        "recipe": {
            "epochs": 2, "fraction": 0.0625, "batch_size": 64, "augment": False, "held_out": 0.0, "keep_every": 1,
            "deterministic": True,
        },
        "networks": [{"depths": [8], "widths": [1], "seeds": [0, 1]}],
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    seen = []
    folder = tmp_path_factory.mktemp("atlas")
    return store, atlas_build.build(TINY, store, folder, seen.append), seen, folder


@pytest.fixture
def finished(built, store):
    """A store in which the study has been built, of its own."""
    shutil.copytree(built[0].root, store.root, dirs_exist_ok=True)
    return store


def test_every_network_is_there_with_its_epochs(built):
    _, atlas, _, _ = built
    assert [member.seed for member in atlas.members] == [0, 1]
    for member in atlas.members:
        assert member.epochs == (0, 1, 2) and len(member.layers) == 29
        assert len(member.probes) == 3 and len(member.deletions) >= 4 and len(member.influential) == 2
        assert atlas.scores(member.name).shape == (29, 64) and atlas.outputs(member.name).shape == (1000, 10)
    assert atlas.grid() == ([8], [1])


def test_maps_are_what_compare_gives(built):
    store, atlas, _, _ = built
    images = atlas.sample.load(store)
    a, b = (catalogue.load_model(catalogue.find(m.name, store).spec, store) for m in atlas.members)
    pair = compare(a, b, images, batch_size=32)
    own = compare(a, a, images, batch_size=32)
    assert np.allclose(atlas.pair(atlas.members[0].name, atlas.members[1].name), pair.matrix, atol=2e-6, equal_nan=True)
    assert np.allclose(atlas.pair(atlas.members[1].name, atlas.members[0].name), pair.matrix.T, atol=2e-6)
    assert np.allclose(atlas.map(atlas.members[0].name), own.matrix, atol=2e-5)
    assert atlas.comparison(atlas.members[0].name).is_self


@pytest.mark.parametrize("unscaled", [-1, 4])
def test_minibatches_in_units_of_their_own_give_the_same(built, elsewhere, tmp_path, monkeypatch, unscaled):
    """Gram matrices of large layers are kept in units of 2**exponent, another one for each minibatch."""
    _, atlas, _, _ = built
    monkeypatch.setattr(centring, "UNSCALED", unscaled)
    study = dataclasses.replace(
        TINY, trainings=tuple(dataclasses.replace(spec, keep_every=0) for spec in TINY.trainings)
    )
    for name, spec in zip(study.names, study.trainings, strict=True):
        record = elsewhere.read_record(f"networks/{name}.json")
        elsewhere.write_record(f"networks/{name}.json", record | {"training_key": spec.key, "checkpoints": {}})
    again = atlas_build.build(study, elsewhere, tmp_path)
    name = TINY.names[0]
    for removed in ("nothing", "component", "images"):
        assert np.allclose(again.map(name, removed=removed), atlas.map(name, removed=removed), atol=2e-5), removed
    assert np.allclose(again.scores(name), atlas.scores(name), rtol=1e-3, atol=1e-4 * np.abs(atlas.scores(name)).max())
    assert again.member(name).influential == atlas.member(name).influential
    assert again.member(name).final.blocks == atlas.member(name).final.blocks
    assert np.allclose(again.pair(*TINY.names), atlas.pair(*TINY.names), atol=2e-6)


def test_what_explains_a_map_is_what_the_activations_say(built):
    """Components, their scores and the maps without them, against float64 activations and `analysis` alone."""
    store, atlas, _, _ = built
    member = atlas.members[0]
    model = catalogue.load_model(catalogue.find(member.name, store).spec, store)
    found: dict[int, np.ndarray] = {}
    for positions, arrays in Extractor(model).activations(atlas.sample.load(store).x):
        found |= {position: np.array(x, np.float64) for position, x in zip(positions, arrays, strict=True)}
    at = sorted(found)  # those that only reshape another are not computed again
    assert len(at) >= 25
    parts = [np.array([components.centred_gram(found[one][start : start + 32]) for one in at]) for start in (0, 32)]
    decomposed = [components.principal_components(part) for part in parts]
    shares = np.mean([one.shares[:, 0] for one in decomposed], axis=0)
    assert np.allclose(np.array(member.final.shares)[at], shares, atol=1e-4)
    scores = np.abs(np.concatenate([one.scores[:, 0] for one in decomposed], axis=1))
    assert np.allclose(np.abs(atlas.scores(member.name))[at], scores, atol=0.01 * scores.max(axis=1, keepdims=True))
    without = components.cka_matrix([components.without_components(part, 1) for part in parts])
    assert np.allclose(atlas.map(member.name, removed="component")[np.ix_(at, at)], without, atol=1e-3)
    removed = components.most_influential(parts, 2)
    without = components.cka_matrix([components.without_images(*both) for both in zip(parts, removed, strict=True)])
    assert member.influential == tuple(32 * i + int(one) for i, part in enumerate(removed) for one in part)
    assert np.allclose(atlas.map(member.name, removed="images")[np.ix_(at, at)], without, atol=1e-4)


def test_epoch_zero_is_the_untrained_network(built):
    store, atlas, _, _ = built
    untrained = build_network("cifar-resnet-8x1", seed=1)
    expected = compare(untrained, untrained, atlas.sample.load(store), batch_size=32).matrix
    found = atlas.comparison(atlas.members[1].name, epoch=0)
    assert np.allclose(found.matrix, np.clip(expected, 0, 1), atol=0.5 / 254 + 2e-5)
    assert found.provenance["precision"] == "8 bits" and "(value - 1) / 254" in atlas.facts["eight_bit"]
    assert "precision" not in atlas.comparison(atlas.members[1].name).provenance


def test_a_map_in_eight_bits_keeps_what_the_eye_can_tell():
    matrix = np.array([[1.0, 0.123, -0.02], [np.nan, 0.5, 0.999]])
    found = from_bytes(in_bytes(matrix))
    assert in_bytes(matrix).dtype == np.uint8 and np.isnan(found[1, 0])
    assert np.nanmax(np.abs(found - np.clip(matrix, 0, 1))) <= 0.5 / 254


def test_an_atlas_is_verified_from_its_networks_weights(built):
    store, atlas, _, _ = built
    members, gone = verifying.chosen(atlas, store, 0.1, 0)
    assert [member.name for member in members] == list(TINY.names) and not gone
    checks = list(verifying.verify(atlas, members, store))
    assert len(checks) == 12 and all(check.holds for check in checks), checks
    name = TINY.names[1]
    wrong = {key: np.asarray(atlas._maps[key]) for key in atlas._maps}
    wrong[f"self/{name}/2/nothing"] = wrong[f"self/{name}/2/nothing"] + np.float32(0.001)
    found = {check.what: check for check in verifying.verify(Atlas(atlas._about, wrong), members, store)}
    assert [what for what, check in found.items() if not check.holds] == [f"{name}, its map"]


@pytest.mark.parametrize("what", ["the images", "its blocks", "its blocks before", "its training accuracy"])
def test_a_number_of_an_atlas_that_was_changed_is_found(built, what):
    store, atlas, _, _ = built
    about = json.loads(json.dumps(atlas._about))
    first, last = about["members"][0]["snapshots"][0], about["members"][0]["snapshots"][-1]
    if what == "the images":
        about["facts"]["images"]["digest"] = "0" * 32
    elif what == "its training accuracy":
        last["train_accuracy"] = 1.0
    else:
        (last if what == "its blocks" else first)["blocks"] = [{"start": 5, "stop": 15, "strength": 0.9, "fall": 0.5}]
    changed = Atlas(about, atlas._maps)
    checks = verifying.verify(changed, [changed.members[0]], store)
    wrong = [check.what for check in checks if not check.holds]
    assert len(wrong) == 1 and wrong[0].endswith(what.removesuffix(" before"))


def test_what_cannot_be_verified_is_named(built, store):
    source, atlas, _, _ = built
    with pytest.raises(ValueError, match="None of this atlas's networks is here"):
        verifying.chosen(atlas, store, 0.1, 0)
    name = TINY.names[0]
    store.put("networks", name, source.get("networks", name), "keras")
    store.write_record(f"networks/{name}.json", source.read_record(f"networks/{name}.json"))
    members, gone = verifying.chosen(atlas, store, 1.0, 0)
    assert [member.name for member in members] == [name] and gone == [TINY.names[1]]
    with pytest.raises(ValueError, match="a share of the atlas above 0"):
        verifying.chosen(atlas, store, 0.0, 0)


def test_of_the_kept_epochs_those_asked_for_are_looked_at(built):
    study = dataclasses.replace(TINY, epochs=(1, 7))
    spec = dataclasses.replace(TINY.trainings[0], epochs=10, keep_every=1)
    assert atlas_steps.looked_at(study, spec) == (1, 7)
    assert atlas_steps.looked_at(TINY, spec) == tuple(range(1, 10))
    assert atlas_steps.place(study, 0) != atlas_steps.place(TINY, 0)
    assert Study.from_json(json.loads(json.dumps(study.to_json()))) == study


def test_a_network_that_ships_as_maps_stays_as_it_was_known(built, store, tmp_path):
    """It is not trained again to compare others, which are compared with each other only."""
    source, atlas, _, _ = built
    study = dataclasses.replace(TINY, ship=("whole", "maps"))
    atlas.save(tmp_path)
    keep, gone = TINY.names
    store.put("networks", keep, source.get("networks", keep), "keras")
    store.write_record(f"networks/{keep}.json", source.read_record(f"networks/{keep}.json"))
    atlas_steps.prepare(study, store, tmp_path)
    assert atlas_steps.compared(study, store) == [0]
    assert left_of(study, store) == [("minibatch", 0), ("minibatch", 1)]
    again = atlas_build.build(study, store, tmp_path)
    equal(again, atlas)
    assert again.member(gone).snapshots == atlas.member(gone).snapshots
    assert np.array_equal(again.scores(gone), atlas.scores(gone))


def test_accuracies_are_those_of_the_training(built):
    store, atlas, _, _ = built
    for member in atlas.members:
        record = catalogue.find(member.name, store).record
        assert member.final.test_accuracy == pytest.approx(record["test_accuracy"])
        assert member.final.train_accuracy == pytest.approx(record["train_accuracy"])
        assert (atlas.outputs(member.name).argmax(1) == atlas.labels).mean() == pytest.approx(record["test_accuracy"])
        assert member.deletions[0].blocks == ()


def test_how_sure_the_blocks_are_is_measured_with_the_study_and_later_too(built):
    store, atlas, _, _ = built
    assert all(member.halves == ((), ()) for member in atlas.members)  # untrained by and large: no block on either half
    plain = atlas.with_members([dataclasses.replace(member, halves=None) for member in atlas.members])
    again = falls.measure(plain, store)
    assert [member.halves for member in again.members] == [member.halves for member in atlas.members]
    assert [member.final.blocks for member in again.members] == [member.final.blocks for member in atlas.members]
    others = plain.with_members([dataclasses.replace(member, weights="others") for member in plain.members])
    assert [member.halves for member in falls.measure(others, store).members] == [None, None]


def test_progress_grows_to_the_end(built):
    _, _, seen, _ = built
    done = [progress.done for progress in seen]
    assert done == sorted(done) and done[-1] == pytest.approx(seen[-1].total)


def cut(about, maps, name):
    maps[f"self/{name}/2/nothing"] = maps[f"self/{name}/2/nothing"][..., :5, :5]
    return about


DAMAGES = {
    lambda about, maps, name: [1, 2]: "",
    lambda about, maps, name: None: "",
    lambda about, maps, name: about | {"members": []}: "no networks",
    lambda about, maps, name: maps.pop(f"self/{name}/1/nothing") is None or about: "after epoch 1 is missing",
    cut: r"expected self/.*/2/nothing of shape \(29, 29\), got \(5, 5\)",
}


def test_an_array_that_cannot_be_read_is_said_when_it_is_asked_for(built, tmp_path):
    _, atlas, _, _ = built
    atlas.save(tmp_path)
    name = atlas.members[0].name
    with zipfile.ZipFile(tmp_path / "maps.npz") as archive:
        entry = archive.getinfo(f"outputs/{name}.npy")
    data = bytearray((tmp_path / "maps.npz").read_bytes())
    data[entry.header_offset + 400] ^= 0xFF
    (tmp_path / "maps.npz").write_bytes(data)
    with pytest.raises(ValueError, match=f"outputs/{name} of this atlas is damaged"):
        Atlas.load(tmp_path).outputs(name)


def test_damaged_steps_are_made_again_in_one_go(built, finished, tmp_path):
    for index in (0, 1):
        entry = next(e for e in finished.entries(atlas_steps.place(TINY, index)) if e.key == "network")
        Path(entry.path).write_bytes(b"damaged")
    equal(atlas_build.build(TINY, finished, tmp_path), built[1])
    assert len(finished.damaged()) == 2


def test_damaged_weights_are_trained_again_in_one_go(built, finished, tmp_path):
    name = TINY.names[1]
    network = next(e for e in finished.entries("networks") if e.key == name)
    step = next(e for e in finished.entries(atlas_steps.place(TINY, 1)) if e.key == "network")
    for entry in (network, step):
        Path(entry.path).write_bytes(b"damaged")
    equal(atlas_build.build(TINY, finished, tmp_path), built[1])
    assert len(finished.damaged()) == 2


def test_an_atlas_survives_its_files(built, tmp_path):
    _, atlas, _, folder = built
    again = Atlas.load(folder)
    again.save(tmp_path / "copy")
    copy = Atlas.load(tmp_path / "copy")
    assert copy.members[0].snapshots[-1].blocks == atlas.members[0].snapshots[-1].blocks
    assert np.array_equal(copy.map(atlas.members[0].name), atlas.map(atlas.members[0].name))
    (folder / "atlas.json").write_text("{}")
    with pytest.raises(ValueError, match="Build it again"):
        Atlas.load(folder)
    for damage, words in DAMAGES.items():
        atlas.save(tmp_path / "damaged")
        about = json.loads((tmp_path / "damaged" / "atlas.json").read_text())
        maps = dict(np.load(tmp_path / "damaged" / "maps.npz"))
        about = damage(about, maps, atlas.members[0].name)
        (tmp_path / "damaged" / "atlas.json").write_text(json.dumps(about))
        np.savez(tmp_path / "damaged" / "maps.npz", **maps)
        with pytest.raises(ValueError, match=f"{words}.*Build it again"):
            Atlas.load(tmp_path / "damaged")
    (tmp_path / "damaged" / "maps.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="Build it again"):
        Atlas.load(tmp_path / "damaged")
    with pytest.raises(ValueError, match="missing"):
        Atlas.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="No network 'x' in this atlas"):
        atlas.member("x")


def equal(a: Atlas, b: Atlas) -> None:
    for one, other in zip(a.members, b.members, strict=True):
        assert one.weights == other.weights
        assert np.allclose(a.map(one.name), b.map(one.name), atol=1e-6)
        assert [p.accuracy for p in one.probes] == [p.accuracy for p in other.probes]
    names = [member.name for member in a.members]
    assert np.allclose(a.pair(*names), b.pair(*names), atol=1e-6)


KILLED = """
import json, os, signal, sys
from pathlib import Path
from cka_core.studies import build as atlas_build
from cka_core.base.store import Store
from cka_core.atlas.study import Study

def kill(progress):
    if progress.detail.startswith("comparing all networks, minibatch 2"):
        os.kill(os.getpid(), signal.SIGKILL)

study = Study.from_json(json.loads(sys.argv[1]))
atlas_build.build(study, Store(sys.argv[2]), Path(sys.argv[3]), kill)
"""


@pytest.mark.usefixtures("finished")
def test_killed_during_the_comparison_it_goes_on(built, store, tmp_path):
    atlas_steps.forget(TINY, store)  # how alike the networks are; how each was trained and looked at stays
    assert left_of(TINY, store) == [("minibatch", 0), ("minibatch", 1)]
    arguments = [json.dumps(TINY.to_json()), store.root, str(tmp_path / "atlas")]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert left_of(TINY, store) == [("minibatch", 1)]
    equal(atlas_build.build(TINY, store, tmp_path / "atlas"), built[1])


def test_damaged_gram_matrices_are_made_again(built, store, tmp_path):
    source, atlas, _, _ = built
    for entry in source.entries("networks"):
        store.put("networks", entry.key, source.get("networks", entry.key), "keras")
    for name in TINY.names:
        store.write_record(f"networks/{name}.json", source.read_record(f"networks/{name}.json"))
    parts = atlas_steps.parts(TINY)
    for part in parts[:-2]:
        atlas_build.do(part, store)
    place = atlas_steps.place(TINY, 0)
    damaged = next(entry for entry in store.entries(place) if entry.key == "grams-1")
    Path(damaged.path).write_bytes(b"damaged")
    equal(atlas_build.build(TINY, store, tmp_path / "atlas"), atlas)
    assert len(store.damaged()) == 1


def test_more_networks_begin_with_what_was_found(built, tmp_path):
    """Gram matrices of a finished study are removed; what was found of its networks is taken over."""
    store, atlas, _, _ = built
    atlas_steps.forget(TINY, store)
    names = {entry.key for index in (0, 1) for entry in store.entries(atlas_steps.place(TINY, index))}
    assert names == {"network", atlas_steps.TRIED_OUT}
    more = dataclasses.replace(TINY, name="more", trainings=TINY.trainings[::-1], names=TINY.names[::-1])
    left = [part.part for part in atlas_steps.parts(more) if not atlas_steps.is_done(part, store)]
    assert left == ["minibatch", "minibatch"]
    again = atlas_build.build(more, store, tmp_path / "more")
    assert np.allclose(again.pair(*more.names), atlas.pair(*TINY.names).T, atol=1e-6)


@pytest.fixture
def elsewhere(built, store):
    """A store with the finished networks, but without the weights along their training and without what was found."""
    source = built[0]
    for name in TINY.names:
        store.put("networks", name, source.get("networks", name), "keras")
        store.write_record(f"networks/{name}.json", source.read_record(f"networks/{name}.json"))
    return store


def left_of(study: Study, store: Store) -> list[tuple[str, int]]:
    return [(part.part, part.index) for part in atlas_steps.parts(study) if not atlas_steps.is_done(part, store)]


def test_a_study_that_grew_begins_with_its_atlas_so_far(built, elsewhere, tmp_path):
    atlas = built[1]
    assert ("train", 0) in left_of(TINY, elsewhere)
    atlas.save(tmp_path)
    third = dataclasses.replace(TINY.trainings[0], seed=2)
    grown = dataclasses.replace(TINY, trainings=(*TINY.trainings, third), names=(*TINY.names, third.default_name))
    atlas_steps.take_over(grown, elsewhere, tmp_path)
    assert left_of(grown, elsewhere) == [("train", 2), ("network", 2), ("tried", 2), ("minibatch", 0), ("minibatch", 1)]
    again = atlas_build.build(TINY, elsewhere, tmp_path)
    equal(again, atlas)
    for name in TINY.names:
        assert again.member(name).snapshots[0] == atlas.member(name).snapshots[0]
        assert np.array_equal(again.outputs(name), atlas.outputs(name))


@pytest.mark.parametrize("what", ["images", "versions", "look", "weights", "recipe", "damaged", "none"])
def test_an_atlas_of_something_else_is_not_begun_with(built, elsewhere, tmp_path, monkeypatch, what):
    built[1].save(tmp_path)
    about, study = json.loads((tmp_path / "atlas.json").read_text()), TINY
    if what == "images":
        study = dataclasses.replace(TINY, sample=dataclasses.replace(TINY.sample, seed=1))
    elif what == "versions":
        about["facts"]["versions"]["keras"] = "3.0.0"
    elif what == "look":
        about["facts"]["look"] = 1
    elif what == "weights":
        about["members"][0]["weights"] = about["members"][1]["weights"] = "0" * 32
    elif what == "recipe":
        study = dataclasses.replace(TINY, trainings=tuple(dataclasses.replace(spec, l2=0.0) for spec in TINY.trainings))
    elif what == "damaged":
        (tmp_path / "maps.npz").write_bytes((tmp_path / "maps.npz").read_bytes()[:1000])
    (tmp_path / "atlas.json").write_text(json.dumps(about))
    before = left_of(study, elsewhere)
    atlas_steps.take_over(study, elsewhere, tmp_path / "nowhere" if what == "none" else tmp_path)
    assert left_of(study, elsewhere) == before


def test_minibatches_computed_apart_add_up():
    model = build_network("cifar-resnet-8x1", seed=5)
    x = np.random.default_rng(0).random((48, 32, 32, 3), np.float32)
    extractor = Extractor(model)
    whole = HsicSums(29, 29)
    apart = []
    for start in (0, 16, 32):
        batch = extractor.grams(x[start : start + 16] * np.float32(10.0**start), start)
        whole.add(batch, batch)
        apart.append(atlas_build.all_pairs([batch]))
    merged = HsicSums.from_state(apart[2].state())
    merged.merge(apart[0])
    merged.merge(apart[1])
    assert np.allclose(merged.matrix(), whole.matrix(), atol=1e-12) and merged.images == 48
    with pytest.raises(ValueError, match="Expected sums of"):
        merged.merge(HsicSums(2, 2))


@pytest.mark.parametrize("scale", [1.0, 1e14, 1e-10])
def test_the_gram_matrix_is_won_back_from_its_triangle(scale):
    """HKH from the stored triangle and the norms, against the activations themselves in float64."""
    import keras

    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(40, name="hidden")(inputs)
    extractor = Extractor(keras.Model(inputs, hidden))
    x = (np.random.default_rng(1).normal(3, 1, (24, 6)) * scale).astype(np.float32)
    batch = extractor.grams(x)
    found = np.ldexp(atlas_look.centred(batch)[0].astype(np.float64), int(batch.exponents[0]))
    activations = np.asarray(extractor.model(x), np.float64)
    expected = components.centred_gram(activations)
    assert np.allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_two_workers_and_one_of_them_killed(built, store, tmp_path, monkeypatch):
    """On a cluster of two worker processes, each of any role, one of which is killed while it is at work."""
    from scripts.running import free_port
    from tests.clusters import wait_for

    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    scheduler = f"tcp://127.0.0.1:{port}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port),
             "--no-dashboard"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
    ]  # fmt: skip
    for _ in range(2):
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--nthreads", "1", "--no-dashboard",
                 "--resources", "compare=1 train=1", "--nanny", "--local-directory", str(tmp_path / "work")],
                env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
    monkeypatch.setenv("CKA_SCHEDULER", scheduler)
    killed = []

    def kill_one(progress):
        import psutil

        if not killed and "training" in progress.detail:
            children = psutil.Process(processes[1].pid).children(recursive=True)
            victim = next(child for child in children if "spawn_main" in " ".join(child.cmdline()))
            victim.kill()
            killed.append(victim)

    from cka_core.jobs import cluster
    from cka_core.jobs import studies as study_jobs

    try:
        wait_for(lambda: _reached(cluster, store))
        equal(study_jobs.build(TINY, store, tmp_path / "atlas", kill_one), built[1])
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)
    assert killed


def _reached(cluster, store) -> bool:
    try:
        with cluster.connection(store, "compare"):
            return True
    except cluster.ClusterUnavailable:
        return False


def test_a_network_trained_to_other_weights_is_looked_at_again(built, elsewhere, tmp_path):
    _, atlas, _, _ = built
    atlas.save(tmp_path)
    atlas_steps.take_over(TINY, elsewhere, tmp_path)
    first, second = TINY.names
    record = elsewhere.read_record(f"networks/{first}.json")
    elsewhere.put("networks", first, elsewhere.get("networks", second), "keras")
    other = elsewhere.read_record(f"networks/{second}.json")["weights"]
    elsewhere.write_record(f"networks/{first}.json", record | {"weights": other})
    atlas_steps.prepare(TINY, elsewhere, tmp_path / "nowhere")
    assert ("network", 0) in left_of(TINY, elsewhere) and ("network", 1) not in left_of(TINY, elsewhere)


def test_networks_without_a_name_take_no_other_recipes(store):
    study = study_of({"recipe": {"epochs": 1}, "networks": [{"depths": [14], "widths": [1], "seeds": [0, 1]}]})
    assert study.names == ("cifar-resnet-14x1-cifar10-mini-s0", "cifar-resnet-14x1-cifar10-mini-s1")
    named = atlas_steps.named(study, store)  # the first is the name of a bundled network
    assert named.names == (f"{study.names[0]}-{study.trainings[0].key[:6]}", study.names[1])
    assert atlas_steps.named(named, store) == named


def test_a_taken_name_is_said_before_anything_is_trained(store, tmp_path):
    networks = [{"depths": [8], "widths": [1]}, {"depths": [8], "widths": [2], "names": ["cifar-resnet-14x1"]}]
    with pytest.raises(ValueError, match="what the untrained network is called"):
        atlas_build.build(study_of({"networks": networks}), store, tmp_path, lambda progress: pytest.fail("began"))


def test_weights_after_the_best_epoch_are_not_part_of_the_training(built, elsewhere):
    """With held-out images the best epoch may be before the last one kept."""
    name, spec = TINY.names[0], TINY.trainings[0]
    for epoch in (1, 2):
        elsewhere.put("networks", f"{name}@{epoch}", built[0].get("networks", f"{name}@{epoch}"), "keras")
    record = elsewhere.read_record(f"networks/{name}.json")
    elsewhere.write_record(f"networks/{name}.json", record | {"kept_epoch": 1})
    model = catalogue.load_model(catalogue.find(name, elsewhere).spec, elsewhere)
    assert [epoch for epoch, _ in atlas_look._moments(TINY, spec, name, model, elsewhere)] == [0, 1]


def test_probes_take_as_many_of_each_class_as_there_are(store):
    """Held-out images may leave some classes larger than others."""
    study = study_of(
        {"probes": 3125, "samples": 64, "recipe": {"fraction": 0.1}, "networks": [{"depths": [8], "widths": [1]}]}
    )
    model = build_network("cifar-resnet-8x1", seed=0)
    train, test = trying.images_of(study, study.trainings[0], store)
    assert len(set(np.bincount(train.y))) > 1
    probes = list(trying.probes(model, Extractor(model), study.probes, train, test))
    assert len(probes) == 3 and all(0 < probe.accuracy < 1 for probe in probes)


def test_probes_are_those_of_the_layers_activations_on_all_test_images(store, monkeypatch):
    """Of layers with more and with fewer features than there are images; several at once and one by one."""
    study = study_of({"samples": 64, "networks": [{"depths": [8], "widths": [1]}]})
    model = build_network("cifar-resnet-8x1", seed=0)
    train, test = trying.images_of(study, study.trainings[0], store)
    test = dataclasses.replace(test, x=test.x[:300], y=test.y[:300])
    x, y = train.x[:200], train.y[:200]
    names = ["stage2_block1_add", "stage3_block1_add", "head_pool"]
    found = list(trying._probe_layers(model, names, x, y, test))
    for name, one in zip(names, found, strict=True):
        (_, (inside,)), (_, (outside,)) = (next(Extractor(model, [name]).activations(some)) for some in (x, test.x))
        flat = [np.array(values, np.float64).reshape(len(values), -1) for values in (inside, outside)]
        again = probe(flat[0], y, flat[1], test.y)
        assert again.accuracy > 0.1
        assert (one.accuracy, one.train_accuracy) == pytest.approx((again.accuracy, again.train_accuracy), abs=1 / 200)
    together = list(trying.probes(model, Extractor(model), 200, train, test))
    monkeypatch.setattr(trying, "FEATURES_AT_ONCE", 1)
    assert list(trying.probes(model, Extractor(model), 200, train, test)) == together


def test_what_was_tried_in_another_way_is_tried_again_and_nothing_else(built, tmp_path):
    store, atlas, _, _ = built
    finer = dataclasses.replace(TINY, probes=60)
    folder = tmp_path / "atlas"
    atlas.save(folder)
    atlas_steps.prepare(finer, store, folder)
    left = [part for part in atlas_steps.parts(finer) if not atlas_steps.is_done(part, store)]
    assert {part.part for part in left} == {"tried", "minibatch"}


def test_a_layer_that_varies_in_one_minibatch_only_has_a_share():
    nan = float("nan")
    found = atlas_look._average([np.array([0.2, nan, nan]), np.array([0.4, 0.3, nan])])
    assert np.allclose(found, [0.3, 0.3, nan], equal_nan=True)


def test_a_study_is_plain_values():
    assert Study.from_json(json.loads(json.dumps(TINY.to_json()))) == TINY
