"""Networks that differ from one in a single thing."""

from __future__ import annotations

import dataclasses

from cka_core.base.records import LARGEST_SEED
from cka_core.library import catalogue, siblings


def test_before_its_training(store):
    trained = catalogue.find("cifar-resnet-38x1-plain-s0", store)
    assert siblings.untrained(trained, store).spec == catalogue.find("cifar-resnet-38x1", store).spec
    assert siblings.untrained(catalogue.find("cifar-resnet-38x1", store), store) is None


def test_another_seed_is_of_the_same_recipe(store):
    networks = catalogue.networks(store)
    seeds = [networks[f"cifar-resnet-38x1-plain-s{seed}"] for seed in (0, 1, 10)]
    for info, following in zip(seeds, [*seeds[1:], seeds[0]], strict=True):  # the last one's is the first
        assert siblings.another_seed(info, networks, store) is following
    alone = networks["cifar-resnet-38x1-cifar10-mini-s0"]  # trained otherwise than the two
    assert siblings.another_seed(alone, networks, store) is None
    wanted = siblings.next_seed(alone, networks)
    assert wanted == {**alone.record["spec"], "seed": 1}
    assert siblings.next_seed(seeds[0], networks)["seed"] == 2, "the library has 0, 1 and 10"


def test_an_untrained_network_always_has_another_seed(store):
    networks = catalogue.networks(store)
    info = catalogue.find("cifar-resnet-14x1", store)
    assert siblings.another_seed(info, networks, store).spec.seed == 1
    assert siblings.next_seed(info, networks) is None
    last = catalogue.find(f"cifar-resnet-14x1:{LARGEST_SEED}", store)
    assert siblings.another_seed(last, networks, store).spec == info.spec


def test_a_pair_has_another_seed_where_one_of_them_has(store):
    networks = catalogue.networks(store)
    both = networks["cifar-resnet-38x1-plain-s0"], networks["cifar-resnet-14x4-plain-s0"]
    pair = siblings.both_of_another_seed(*both, networks, store)
    assert (pair.a.spec.name, pair.b) == ("cifar-resnet-38x1-plain-s1", both[1])
    mini = networks["cifar-resnet-38x1-cifar10-mini-s0"]
    assert siblings.both_of_another_seed(mini, mini, networks, store) is None
    assert siblings.both_untrained(both[0], catalogue.find("resnet50", store), store) is None


def test_two_seeds_of_one_training_are_two_networks_before_it_too(store):
    """Of which neither stands in for the other: a network with itself is 1, and two swapped are the same two."""
    networks = catalogue.networks(store)
    zero, one, ten = (networks[f"cifar-resnet-38x1-plain-s{seed}"] for seed in (0, 1, 10))
    before = siblings.both_untrained(zero, one, store)
    assert [(info.spec.architecture, info.spec.seed) for info in (before.a, before.b)] == [
        ("cifar-resnet-38x1", 0), ("cifar-resnet-38x1", 1),
    ]  # fmt: skip
    alone = siblings.both_untrained(one, one, store)
    assert alone.a.spec == alone.b.spec
    pair = siblings.both_of_another_seed(zero, one, networks, store)
    assert (pair.a, pair.b) == (ten, one), "there is one more, for one of them"
    assert siblings.both_of_another_seed(zero, zero, networks, store) == siblings.Pair(one, one)
    two = {name: info for name, info in networks.items() if info is not ten}
    assert siblings.both_of_another_seed(zero, one, two, store) is None
    early = dataclasses.replace(zero, spec=dataclasses.replace(zero.spec, name=f"{zero.spec.name}@5"))
    assert siblings.both_of_another_seed(early, one, two, store) is None, "nor does the end of its training"
    first = [catalogue.find(f"cifar-resnet-14x1:{seed}", store) for seed in (0, 1)]
    pair = siblings.both_of_another_seed(*first, networks, store)
    assert [info.spec.seed for info in (pair.a, pair.b)] == [2, 3]


def test_kept_epochs_are_in_order(store):
    info = catalogue.find("cifar-resnet-38x1-plain-s0", store)
    assert siblings.kept_epochs(info, store) == [], "those of a bundled network are not in the bundle"
    kept = dataclasses.replace(info, record={**info.record, "checkpoints": {"10": "x", "5": "y", "0": "z"}})
    for epoch in (10, 5):
        store.put("networks", f"{info.spec.name}@{epoch}", b"weights", "keras")
    assert siblings.kept_epochs(kept, store) == [5, 10]
