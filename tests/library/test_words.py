"""What networks are called on screen: what differs comes first, and no two are called the same."""

from __future__ import annotations

import dataclasses

import pytest

from cka_core.base.store import Store
from cka_core.library import catalogue, words

PLAIN, PAPER = "cifar-resnet-38x1-plain-s0", "cifar-resnet-38x1-cifar10-mini-s0"


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return catalogue.comparable(Store(tmp_path_factory.mktemp("store") / "none"))


def test_labels_say_what_differs_first_and_are_never_the_same(networks):
    labels = words.network_labels(networks)
    assert set(labels) == set(networks) and len(set(labels.values())) == len(labels)
    for name, recipe in ((PLAIN, "plain"), (PAPER, "paper")):
        right = networks[name].test_accuracy
        assert labels[name] == f"38x1 · {recipe} recipe · seed 0 · {100 * right:.0f} %"
    assert labels["resnet50"] == "ResNet50 · untrained"
    assert "on cifar10 " in labels["cifar-resnet-20x1-cifar10-s0"]


def test_labels_stand_in_groups_by_depth_and_width(networks):
    order = [networks[name] for name in words.network_labels(networks)]
    trained = [bool(info.trained_on) for info in order]
    assert trained == sorted(trained, reverse=True)
    plain = [(info.depth, info.width) for info in order if "plain" in info.spec.name]
    assert plain == sorted(plain)


def test_two_that_are_alike_in_all_that_is_short_are_told_apart_by_more(networks):
    one = networks[PLAIN]
    spec = {**one.record["spec"], "epochs": 30}
    again = dataclasses.replace(one, spec=dataclasses.replace(one.spec, name="again"), record={"spec": spec})
    found = words.network_labels({PLAIN: one, "again": again})
    assert found[PLAIN].endswith(" · 25 epochs") and found["again"].endswith(" · 30 epochs")
    same = dataclasses.replace(again, record=one.record)
    found = words.network_labels({PLAIN: one, "again": same})
    assert len(set(found.values())) == 2 and found[PLAIN].endswith(PLAIN)


def test_a_name_that_somebody_gave_comes_first(networks):
    given = dataclasses.replace(networks[PLAIN].spec, name="monday", source="trained")
    found = words.network_labels({"monday": dataclasses.replace(networks[PLAIN], spec=given)})
    assert found["monday"].startswith("monday · plain recipe · seed 0")


def test_titles_of_two_networks_say_what_tells_them_apart(networks):
    def titles(a: str, b: str) -> tuple[str, str]:
        return words.titles(networks[a], networks[b])

    assert titles(PLAIN, PAPER) == ("ResNet 38x1, plain recipe", "ResNet 38x1, paper recipe")
    assert titles(PLAIN, "cifar-resnet-38x1-plain-s1") == ("ResNet 38x1, seed 0", "ResNet 38x1, seed 1")
    assert titles(PLAIN, PLAIN) == ("ResNet 38x1", "ResNet 38x1")
    assert titles(PLAIN, "cifar-resnet-38x1") == ("ResNet 38x1", "ResNet 38x1, untrained")


def test_titles_of_several_networks_tell_each_from_all_others(networks):
    second_seed, other = "cifar-resnet-38x1-plain-s1", "cifar-resnet-14x1-plain-s0"
    assert words.titles_of([networks[name] for name in (PLAIN, second_seed, PAPER, other)]) == [
        "ResNet 38x1, plain recipe, seed 0",
        "ResNet 38x1, plain recipe, seed 1",
        "ResNet 38x1, paper recipe",
        "ResNet 14x1",
    ]
    every = words.titles_of(list(networks.values()))
    assert len(set(every)) == len(every)
    assert words.titles_of([networks[PLAIN]]) == ["ResNet 38x1"]
