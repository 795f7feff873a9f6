"""The library: what has a name, keeps its comparisons when it gets another one, and comes back when it was removed."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest

from cka_core.base import shipped
from cka_core.base.records import LARGEST_SEED
from cka_core.comparing import engine
from cka_core.images.sets import SampleSpec
from cka_core.library import arrivals, catalogue, inventory, keeping, usage
from cka_core.networks.architectures import NetworkSpec, UnknownNetwork
from cka_core.results import comparison as results
from cka_core.results.comparison import CompareSpec
from tests.results.test_activation_sets import made
from tests.synthetic import comparison

BUNDLED = "cifar-resnet-14x1-cifar10-mini-s0"


def trained(store, name="mine", weights="0" * 32, checkpoints=()) -> None:
    """A network in the library, with the bundled one's file and, if any, weights kept along the way."""
    record = json.loads((shipped.NETWORKS / f"{BUNDLED}.json").read_text())
    file = shipped.NETWORKS / f"{BUNDLED}.keras"
    store.put_file("networks", name, file, "keras")
    for epoch in checkpoints:
        store.put_file("networks", f"{name}@{epoch}", file, "keras")
    kept = {str(epoch): f"{epoch:032d}" for epoch in checkpoints}
    record |= {"name": name, "weights": weights, "checkpoints": kept}
    store.write_record(f"networks/{name}.json", record)


def keep(store, a, b) -> CompareSpec:
    """A finished comparison of two networks of the library, with made-up numbers."""
    spec = CompareSpec(
        catalogue.find(a, store).spec, catalogue.find(b, store).spec, SampleSpec("cifar10-mini", "test", 768)
    )
    result = comparison("cifar-resnet-14x1", "cifar-resnet-14x1")
    networks = {
        side: dataclasses.asdict(network) | {"set": network.weights if network.source == "activations" else None}
        for side, network in (("network_a", spec.a), ("network_b", spec.b))
    }
    result = dataclasses.replace(result, provenance=result.provenance | networks)
    store.put("comparisons", spec.key, result.to_bytes())
    return spec


# Names


def test_weights_kept_along_a_training_are_found_by_epoch_and_are_no_networks_of_the_list(store):
    trained(store, checkpoints=(5, 10))
    assert "mine" in catalogue.networks(store) and not any("@" in name for name in catalogue.networks(store))
    info = catalogue.find("mine@5", store)
    assert info.spec == NetworkSpec("mine@5", "trained", "cifar-resnet-14x1", 0, f"{5:032d}")
    assert info.subtitle.endswith("after epoch 5") and info.test_accuracy is None
    with pytest.raises(UnknownNetwork, match="after epoch '7' were not kept. Epochs kept: 5, 10"):
        catalogue.find("mine@7", store)
    with pytest.raises(UnknownNetwork, match="Epochs kept: none"):
        catalogue.find(f"{BUNDLED}@7", store)


def test_the_kept_weights_of_a_bundled_network_are_looked_for_in_the_store(store):
    kept = catalogue.find("cifar-resnet-14x1-plain-s0@5", store).spec
    assert kept.source == "trained"
    with pytest.raises(ValueError, match="missing or damaged in the store. Train it again"):
        catalogue.load_model(kept, store)


def test_weights_of_an_epoch_can_be_loaded(store):
    trained(store, checkpoints=(5,))
    assert catalogue.load_model(catalogue.find("mine@5", store).spec, store).count_params() > 100_000


def test_networks_and_activation_sets_never_share_a_name(store, tmp_path):
    trained(store, "taken", checkpoints=(3,))
    made(tmp_path / "s.npz")
    assert arrivals.import_set(tmp_path / "s.npz", store).name == "mine"
    for bad in ("taken", "mine", BUNDLED, "resnet50", "cifar-resnet-8x1", "", "../x", "a/b", "a:1", "a@3", "-x", ".x",
                "x.keras", "x.npz", "x" * 101, "ä"):  # fmt: skip
        with pytest.raises(ValueError):
            keeping.check_name(bad, store)
    assert keeping.free_name("taken", store) == "taken-2"
    assert keeping.free_name("my acts (1)", store) == "my-acts-1"
    assert keeping.free_name("../../etc", store) == "etc"
    with pytest.raises(ValueError, match="in the library already"):
        arrivals.import_set(made(tmp_path / "t.npz", seed=1).open().name, store, "taken")


def test_a_name_that_begins_like_another_is_another(store):
    store.put("networks", "net.5", b"five", "keras")
    assert store.get("networks", "net") is None
    store.put("networks", "net", b"net", "keras")
    assert (store.get("networks", "net"), store.get("networks", "net.5")) == (b"net", b"five")
    store.write_record("networks/net.0123456789abcdef.json", {})
    assert {entry.key for entry in store.entries("networks")} == {"net", "net.5"}


def test_a_name_says_which_letters_it_takes(store):
    with pytest.raises(ValueError, match=r"letters \(a to z, A to Z\), digits, .*got 'für'"):
        keeping.check_name("für", store)


def test_a_seed_is_one_that_a_record_can_hold(store):
    """A larger one was computed for, and its result set aside as damaged."""
    assert catalogue.find(f"cifar-resnet-14x1:{LARGEST_SEED}", store).spec.seed == LARGEST_SEED
    assert catalogue.find("cifar-resnet-14x1:0000000000000000007", store).spec.seed == 7
    for seed in (str(LARGEST_SEED + 1), "9" * 20, "9" * 5000):
        with pytest.raises(UnknownNetwork, match="Expected a seed from 0 to 2,147,483,647 after the colon, got 'cifar"):
            catalogue.by_name(f"cifar-resnet-14x1:{seed}", store)


# Renaming


def test_a_renamed_network_takes_its_epochs_and_its_comparisons_along(store):
    trained(store, checkpoints=(5,))
    before, at_5 = keep(store, "mine", BUNDLED), keep(store, "mine@5", "resnet50")
    keeping.rename("mine", "better", store)
    assert "mine" not in catalogue.networks(store)
    with pytest.raises(UnknownNetwork):
        catalogue.find("mine", store)
    for old, a, b in ((before, "better", BUNDLED), (at_5, "better@5", "resnet50")):
        spec = CompareSpec(catalogue.find(a, store).spec, catalogue.find(b, store).spec, old.sample)
        assert spec.key == old.key
        assert results.find(spec, store).name_a == a
    assert catalogue.load_model(catalogue.find("better", store).spec, store) is not None


def test_a_renamed_set_is_the_same_set(store, tmp_path):
    made(tmp_path / "s.npz")
    before = catalogue.find(arrivals.import_set(tmp_path / "s.npz", store).name, store).spec
    keeping.rename("mine", "acts", store)
    after = catalogue.find("acts", store).spec
    assert after.identity == before.identity and after.name == "acts"
    assert catalogue.load_set(after, store).minibatch(0).m == 8
    with pytest.raises(ValueError, match="not in the library any more"):
        catalogue.load_set(before, store)
    other = arrivals.import_set(keeping.download("activations", "acts", store), type(store)(tmp_path / "elsewhere"))
    assert (other.name, other.digest) == ("acts", before.weights)


def test_what_ships_stays_as_it_is(store):
    for name in (BUNDLED, "resnet50"):
        with pytest.raises(ValueError, match="it stays as it is"):
            keeping.rename(name, "mine", store)
    with pytest.raises(UnknownNetwork):
        keeping.rename("nothing", "mine", store)


# Bringing in


def test_a_set_is_brought_in_once_and_only_if_it_is_whole(store, tmp_path):
    made(tmp_path / "s.npz")
    with open(tmp_path / "s.npz", "rb") as file:
        assert arrivals.bring_in(file, "s.npz", store) == ("activations", "mine")
        assert arrivals.bring_in(file, "again.npz", store) == ("activations", "mine")
    assert list(catalogue.sets(store)) == ["mine"]
    data = bytearray((tmp_path / "s.npz").read_bytes())
    data[data.index(b"\x93NUMPY") + 140] ^= 255
    (tmp_path / "damaged.npz").write_bytes(data)
    with open(tmp_path / "damaged.npz", "rb") as file, pytest.raises(ValueError, match="damaged"):
        arrivals.bring_in(file, "damaged.npz", type(store)(tmp_path / "other"))


def test_a_saved_comparison_is_brought_in_but_answers_no_question(store, tmp_path):
    path = comparison().save(tmp_path / "r.npz")
    with open(path, "rb") as file:
        kind, key = arrivals.bring_in(file, "r.npz", store)
    assert kind == "comparisons" and key.startswith("uploaded-")
    opened = inventory.opened(key, store)
    assert opened is not None and (opened[0].matrix == comparison().matrix).all()
    row = next(row for row in inventory.comparisons(store) if row.key == key)
    assert (row.origin, row.address) == ("brought in", {"result": key})


@pytest.mark.parametrize("key", ["", "x" * 300, "x" * 20_000, "../../secret", "\x00", "a.npz", "é"])
def test_what_can_be_no_key_opens_nothing(store, key):
    assert inventory.opened(key, store) is None


@pytest.mark.parametrize(
    "name, words", [("net.keras", "Expected a network"), ("a.pickle", "convert"), ("x.npz", "Expected activations")]
)
def test_other_files_are_refused_with_what_to_do(store, tmp_path, name, words):
    (tmp_path / name).write_bytes(b"something")
    with open(tmp_path / name, "rb") as file, pytest.raises(ValueError, match=words):
        arrivals.bring_in(file, name, store)
    assert store.names("") == []


# Removing and putting back


def test_what_was_removed_comes_back_as_it_was(store, tmp_path):
    trained(store, checkpoints=(5,))
    made(tmp_path / "s.npz", "acts")
    arrivals.import_set(tmp_path / "s.npz", store)
    spec = keep(store, "mine", "acts")
    engine.run(CompareSpec(*(catalogue.find("cifar-resnet-8x1", store).spec,) * 2, SampleSpec(n=8)), store)
    stack = store.entries("grams")[0].key.split("/")[0]
    before = {name: store.fs.cat_file(store.path(name)) for name in store.names("")}
    for kind, key in (("networks", "mine"), ("activations", "acts"), ("comparisons", spec.key), ("grams", stack)):
        identifier = keeping.remove(kind, key, "it", store)
        assert not store.has(kind, key) and keeping.trash(store)[0].id == identifier
        assert keeping.restore(identifier, store) == "it"
        assert {name: store.fs.cat_file(store.path(name)) for name in store.names("")} == before
    assert keeping.trash(store) == []


def test_deleting_a_network_leaves_its_comparisons(store):
    trained(store)
    spec = keep(store, "mine", BUNDLED)
    keeping.remove("networks", "mine", "mine", store)
    assert results.find(spec, store) is not None
    row = next(row for row in inventory.comparisons(store) if row.key == spec.key)
    assert row.address == {"result": spec.key}
    found, a, b = inventory.opened(spec.key, store)
    assert (found.name_a, a.title, b.title) == ("mine", "mine", BUNDLED)


@pytest.mark.parametrize("name", ["con", "NUL", "com1.old", "ends.", "..", "a/b"])
def test_a_name_is_a_file_on_every_system(store, name):
    trained(store)
    with pytest.raises(ValueError, match="Expected a name of up to|a device on Windows"):
        keeping.rename("mine", name, store)


def test_what_is_no_thing_of_the_library_is_neither_removed_nor_sent(store):
    for kind in ("owners", "../..", "jobs"):
        with pytest.raises(ValueError, match="Expected one of networks"):
            keeping.remove(kind, "x", "x", store)
    for file in ("damaged/..", "damaged/.", "damaged/", "networks/../x"):
        with pytest.raises(ValueError, match="Expected a damaged file"):
            keeping.discard(file, store)
    with pytest.raises(ValueError, match="not in the library any more"):
        keeping.download("activations", "gone", store)


def test_a_name_taken_meanwhile_keeps_what_was_removed_in_the_trash(store):
    trained(store)
    identifier = keeping.remove("networks", "mine", "mine", store)
    trained(store, weights="1" * 32)
    with pytest.raises(ValueError, match="Something else is called mine by now"):
        keeping.restore(identifier, store)
    keeping.rename("mine", "second", store)
    keeping.restore(identifier, store)
    assert catalogue.find("mine", store).spec.weights == "0" * 32
    with pytest.raises(ValueError, match="not in the trash any more"):
        keeping.restore("../../etc", store)


def test_the_trash_is_emptied_after_a_week_or_when_asked(store, monkeypatch):
    trained(store)
    keeping.remove("networks", "mine", "mine", store)
    keeping.empty_trash(store, keeping.TRASH_SECONDS)
    assert keeping.trash(store)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + keeping.TRASH_SECONDS + 1)
    keeping.empty_trash(store, keeping.TRASH_SECONDS)
    assert store.names("trash") == []


# What is listed


def test_every_kind_is_listed_newest_first_with_size_and_origin(store, tmp_path):
    trained(store, checkpoints=(5,))
    made(tmp_path / "s.npz", "acts")
    arrivals.import_set(tmp_path / "s.npz", store)
    engine.run(CompareSpec(*(catalogue.find("cifar-resnet-8x1", store).spec,) * 2, SampleSpec(n=8)), store)
    networks = inventory.networks(store)
    assert [row.made for row in networks] == sorted((row.made for row in networks), reverse=True)
    mine = next(row for row in networks if row.name == "mine")
    file = (shipped.NETWORKS / f"{BUNDLED}.keras").stat().st_size
    assert (mine.origin, mine.size, mine.fixed) == ("trained", 2 * file, False)
    assert "trained on cifar10-mini, seed 0" in mine.how and "50 epochs" in mine.how
    acts, cached = inventory.activation_sets(store)
    assert (acts.name, acts.origin, acts.what) == ("acts", "brought in", "2 layers of net")
    assert (cached.name, cached.origin, cached.whole) == ("cifar-resnet-8x1", "cached", True)
    assert cached.how == "8 test images of cifar10-mini, seed 0 · minibatches of 256"
    computed = inventory.comparisons(store)[0]
    assert (computed.name, computed.origin) == ("cifar-resnet-8x1 × itself", "computed")
    assert computed.address["a"] == "cifar-resnet-8x1" and computed.address["n"] == "8"
    assert sum(row.fixed for row in inventory.comparisons(store)) == len(list(shipped.COMPARISONS.glob("*.npz")))
    assert len(inventory.table(networks)) == len(networks)
    assert inventory.damaged(store) == []


def test_the_librarys_tables_give_a_spreadsheet_no_formula():
    row = inventory.Row("comparisons", "key", "=cmd() × itself", "+what", "-how", "brought in", "", 0)
    (shown,) = inventory.table([row]).itertuples(index=False)
    assert tuple(shown[:3]) == ("'=cmd() × itself", "'+what", "'-how")


def test_what_a_comparison_cached_is_downloaded_as_an_activation_set(store, tmp_path):
    spec = CompareSpec(*(catalogue.find("cifar-resnet-8x1", store).spec,) * 2, SampleSpec(n=8))
    engine.run(spec, store)
    key = store.entries("grams")[0].key.split("/")[0]
    found = arrivals.import_set(keeping.download("grams", key, store), store, "cached")
    assert found.sample.spec == spec.sample and found.network["name"] == "cifar-resnet-8x1"
    same = engine.run(dataclasses.replace(spec, a=catalogue.find("cached", store).spec), store)
    assert np.abs(np.diag(same.matrix) - 1).max() < 1e-6
    store.remove(store.entries("grams")[0].path)
    with pytest.raises(ValueError, match="missing"):
        keeping.download("grams", key, store)


def test_gram_matrices_of_an_earlier_version_are_read_listed_and_described_again(store):
    spec = CompareSpec(*(catalogue.find("cifar-resnet-8x1", store).spec,) * 2, SampleSpec(n=8))
    made = engine.run(spec, store)
    name = next(name for name in store.names("grams") if name.endswith("about.json"))
    about = store.read_record(name)
    store.write_record(name, {field: about[field] for field in ("layers", "steps", "weights")})
    (row,) = inventory.activation_sets(store)
    assert "earlier version" in row.how and not row.whole
    assert (engine.run(spec, store).matrix == made.matrix).all()
    (row,) = inventory.activation_sets(store)
    assert row.whole and "8 test images" in row.how


def test_the_budget_counts_gram_matrices_and_names_the_rest(store, monkeypatch):
    monkeypatch.setenv("CKA_GRAM_BUDGET", "1000")
    store.put("grams", "x/00000", bytes(250))
    store.put("comparisons", "y", bytes(2000))
    full = usage.budget(store)
    assert full.share == 0.25 and full.text.startswith("2.2 kB in all, of which 250 B of at most 1 kB")
    assert "2 kB comparisons" in full.rest and "free on the disk" in full.rest


def test_files_cut_short_are_damaged_and_not_in_the_tables(store, tmp_path):
    trained(store, "cut-network")
    made(tmp_path / "s.npz", "cut-set")
    arrivals.import_set(tmp_path / "s.npz", store)
    assert "cut-network" in [row.name for row in inventory.networks(store)]
    for kind in ("networks", "activations"):
        path = Path(store.entries(kind)[0].path)
        path.write_bytes(path.read_bytes()[:-1])
    assert "cut-network" not in [row.name for row in inventory.networks(store)]
    assert inventory.activation_sets(store) == []
    assert [damage.what for damage in inventory.damaged(store)] == [
        "cut-network: its file is not what was written", "cut-set: its file is not what was written"
    ]  # fmt: skip


def test_what_was_set_aside_is_called_what_it_was(store):
    for kind, key in (("comparisons", "0" * 24), ("networks", "mine"), ("images", "cifar10")):
        Path(store.put(kind, key, b"whole", "keras" if kind == "networks" else "npz")).write_bytes(b"altered")
        assert store.get(kind, key) is None
    assert sorted(damage.what for damage in inventory.damaged(store)) == [
        "A comparison", "The images of cifar10", "The weights of mine"
    ]  # fmt: skip


def test_damage_is_listed_with_what_to_do_and_can_be_removed(store, tmp_path):
    trained(store, "no-file")
    store.remove(store.entries("networks")[0].path)
    trained(store, "no-record")
    store.remove(store.path("networks/no-record.json"))
    trained(store, "bad-record")
    store.write_record("networks/bad-record.json", {"name": "bad-record"})
    for epoch in (5, 10):
        store.put("networks", f"only-kept@{epoch}", b"weights", "keras")
    made(tmp_path / "s.npz", "acts")
    arrivals.import_set(tmp_path / "s.npz", store)
    store.write_record("activations/acts.json", {"format": "other"})
    store.put("comparisons", "0" * 24, b"nothing")
    store.put("comparisons", "1" * 24, b"cut")
    store.fs.pipe_file(next(one.path for one in store.entries("comparisons") if one.key == "1" * 24), b"altered")
    assert store.get("comparisons", "1" * 24) is None
    found = {damage.what: damage for damage in inventory.damaged(store)}
    for what in ("no-file: its file is missing", "no-record: its description is missing",
                 "only-kept: only weights kept along its training are left",
                 "bad-record: its description is damaged", "acts: its description is damaged",
                 "A comparison that cannot be read"):  # fmt: skip
        assert found[what].advice
    assert set(catalogue.networks(store)).isdisjoint({"no-file", "no-record", "bad-record"})
    for damage in inventory.damaged(store):
        keeping.discard(damage.file, store)
    assert inventory.damaged(store) == []
    assert not store.entries("networks"), "both kept epochs are gone at once"
    assert len(keeping.trash(store)) == 6  # all but what had been set aside
    for wrong in ("../outside", "jobs/x", "damaged/../../x"):
        with pytest.raises(ValueError):
            keeping.discard(wrong, store)
