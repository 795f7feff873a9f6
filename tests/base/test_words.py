"""Results, networks and numbers in the words of the screen."""

from __future__ import annotations

import dataclasses
import re

import pytest

from cka_core.base import words
from cka_core.library import catalogue
from cka_core.library import words as network_words
from cka_core.results import words as result_words
from cka_core.results.activation_sets import Sample
from tests.synthetic import comparison


def test_accuracy_carries_its_interval():
    assert words.accuracy_text(0.503, 1000) == "50 % ±3"
    assert words.accuracy_text(0.503, 10000) == "50 % ±1"
    assert words.accuracy_text(1.0, 1000) == "100 % ±1"


@pytest.mark.parametrize(
    "seconds, text",
    [(0.04, "0.1 s"), (0.42, "0.4 s"), (6.2, "6 s"), (130, "2 min 10 s"), (120, "2 min"), (4020, "1 h 7 min")],
)
def test_seconds_in_words(seconds, text):
    assert words.seconds_text(seconds) == text


@pytest.mark.parametrize("count, text", [(994, "994"), (566_650, "567k"), (2_780_618, "2.8M"), (999_900, "1.0M")])
def test_counts_in_words(count, text):
    assert words.count_text(count) == text


def test_facts_say_what_the_result_rests_on():
    assert result_words.facts(comparison()) == "768 test images · unbiased CKA · 0.4 s"
    first = comparison()
    first.provenance["images"] |= {"seed": None, "images": "cifar10", "n": 10000}
    assert result_words.facts(first) == "first 10,000 test images of cifar10 · unbiased CKA · 0.4 s"


def test_the_command_writes_numbers_and_figure():
    line = result_words.command(comparison())
    assert line.startswith("python -m cka_core compare cifar-resnet-14x1 cifar-resnet-38x1 ")
    assert line.endswith("--samples 768 --out result.npz --figure result.png")


def test_titles_tell_two_networks_apart(store):
    one, other = catalogue.find("cifar-resnet-14x1", store), catalogue.find("cifar-resnet-14x1:3", store)
    deep = catalogue.find("cifar-resnet-38x1", store)
    assert network_words.titles(one, deep) == ("ResNet 14x1, untrained", "ResNet 38x1, untrained")
    first, second = network_words.titles(one, other)
    assert first != second
    assert len(set(network_words.titles(one, one))) == 1


def test_picker_labels_are_unique(store):
    networks = catalogue.networks(store)
    labels = network_words.network_labels(networks | {"again": networks["resnet50"]})
    assert len(set(labels.values())) == len(labels) == len(networks) + 1


def test_trained_and_untrained_know_each_other(store):
    networks = catalogue.networks(store)
    plain = networks["cifar-resnet-14x1"]
    trained = dataclasses.replace(
        plain, spec=dataclasses.replace(plain.spec, name="t"), trained_on="cifar10-mini", untrained_name=plain.spec.name
    )
    assert network_words.counterpart(trained, networks) == "cifar-resnet-14x1"
    assert network_words.counterpart(plain, {"t": trained, plain.spec.name: plain}) == "t"
    assert network_words.counterpart(networks["resnet50"], {"resnet50": networks["resnet50"]}) is None


def test_time_left_goes_by_the_speed_seen():
    assert words.left_text(0.5, 0.25, 100, 110) == "20 s left"
    assert words.left_text(0.26, 0.25, 100, 110) == ""
    assert words.left_text(0.5, 0.25, 100, 100.5) == ""


def test_a_moment_is_written_to_the_second_and_says_that_it_is_utc():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", words.now())


@pytest.mark.parametrize("size, text", [
    (0, "0 B"), (999, "999 B"), (1234, "1.2 kB"), (346_000, "346 kB"), (999_900, "1 MB"), (271e6, "271 MB"),
    (4_000_000_000, "4 GB"),
])  # fmt: skip
def test_sizes_are_said_as_people_say_them(size, text):
    assert words.size_text(size) == text


def test_the_images_of_an_activation_set_are_said_as_far_as_they_are_known():
    known = Sample("cifar10", "test", 1024, 3, True, "d" * 32)
    assert result_words.sample_text(known) == "1,024 test images of cifar10, seed 3, balanced over the classes"
    assert result_words.sample_text(dataclasses.replace(known, seed=None, balanced=False)).endswith(", the first ones")
    assert result_words.sample_text(Sample("", "", 20, None, False, "", "mine")) == "20 images, labelled “mine”"
    assert result_words.sample_text(Sample("", "", 20, None, False, "")) == "20 images"


@pytest.mark.parametrize("number, text", [(0, "0 layers"), (1, "1 layer"), (3000, "3,000 layers")])
def test_what_is_counted_is_one_or_several(number, text):
    assert words.counted(number, "layer") == text
