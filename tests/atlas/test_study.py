"""A study says which networks are trained and how they are compared; what makes no sense is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from cka_core.atlas.study import Study, bundled, read_study, study_of

GRID = {"name": "a grid", "samples": 64, "networks": [{"depths": [8, 14], "widths": [1, 2], "seeds": [0, 1]}]}


def test_a_grid_is_depths_by_widths_by_seeds():
    study = study_of(GRID)
    assert len(study.trainings) == 8
    assert study.trainings[0].architecture == "cifar-resnet-8x1" and study.trainings[1].seed == 1
    assert study.names[-1] == "cifar-resnet-14x2-cifar10-mini-s1"


def test_a_group_changes_the_recipe():
    study = study_of(
        {"recipe": {"epochs": 7, "l2": 0.0}, "networks": [{"architectures": ["resnet50"], "recipe": {"epochs": 3}}]}
    )
    assert study.trainings[0].epochs == 3 and study.trainings[0].l2 == 0.0


def test_a_network_trained_on_the_whole_set_may_stand_beside_the_study():
    whole = {"depths": [20], "widths": [1], "images": "cifar10"}
    study = study_of({**GRID, "networks": [*GRID["networks"], whole]})
    assert study.names[-1] == "cifar-resnet-20x1-cifar10-s0" and study.sample.images == "cifar10-mini"
    with pytest.raises(ValueError, match="cifar10-mini, or some of them on cifar10, got cifar10"):
        study_of({**GRID, "networks": [whole]})


def test_a_part_of_the_images_is_no_training_set_for_the_whole():
    part = {"depths": [20], "widths": [1], "images": "cifar10-mini"}
    with pytest.raises(ValueError, match="compares them on, cifar10, got cifar10, cifar10-mini"):
        study_of({**GRID, "images": "cifar10", "networks": [*GRID["networks"], part]})


def test_a_study_survives_json():
    study = study_of(GRID)
    assert Study.from_json(study.to_json()) == study and Study.from_json(study.to_json()).key == study.key


def test_the_bundled_study_has_depth_width_and_seeds():
    study = bundled()
    names = {spec.architecture.removeprefix("cifar-resnet-") for spec in study.trainings}
    assert names >= {"14x1", "38x1", "14x2"}
    for twice in ("14x1", "38x1"):
        assert {s.seed for s in study.trainings if s.architecture.endswith(twice)} >= {0, 1}
    later = [s.seed for s in study.trainings if s.seed >= 10]
    assert len(set(later)) == len(later)  # distinct across architectures: the order of minibatches follows the seed


def test_a_toml_file_is_read(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('name = "tiny"\nsamples = 64\n[[networks]]\ndepths = [8]\nwidths = [1]\n')
    assert read_study(path).names == ("cifar-resnet-8x1-cifar10-mini-s0",)


@pytest.mark.parametrize("text, message", [("not toml", "is not TOML"), ("", "at least one network")])
def test_a_file_that_is_no_study_is_refused(tmp_path, text, message):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_study(path)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sampels": 3}, "Unknown in a study: sampels. Valid: batch_size"),
        ({"samples": 2}, "from 4 to 1,000"),
        ({"samples": 5000}, "from 4 to 1,000"),
        ({"networks": [{"depths": [8]}]}, "depths and widths, or architectures"),
        ({"networks": [{"depths": [9], "widths": [1]}]}, "nearest are 8 and 14"),
        ({"recipe": {"epoch": 3}}, "Unknown in a recipe: epoch. Valid: augment"),
        ({"networks": GRID["networks"] * 2}, "more than once"),
        ({"batch_size": 6}, "at least 9 images in each minibatch"),
        ({"samples": 516}, "got 4 in one"),
        ({"samples": 8}, "at least 9 images in each minibatch"),
        ({"name": "bundled"}, "the study that comes with CKA Explorer"),
        ({"name": "../up"}, "a study's name"),
        ({"networks": [{"depths": [8], "widths": [1], "names": ["a", "b"]}]}, "Expected 1 names"),
        ({"networks": [{"depths": [8], "widths": [1], "names": ["../../x"]}]}, "Expected a name of up to 100 letters"),
        ({"networks": 3}, "networks in a study to be tables"),
        ({"networks": {"depths": [8]}}, "networks in a study to be tables"),
        ({"networks": [3]}, r"Expected \[\[networks\]\] to be a table"),
        ({"networks": [{"depths": 8, "widths": [1]}]}, "depths in .* to be a list of whole numbers, got 8"),
        ({"networks": [{"depths": [8], "widths": [1], "seeds": [True]}]}, "seeds in .* list of whole numbers"),
        ({"networks": [{"architectures": [3]}]}, "architectures in .* list of texts"),
        ({"name": 5}, "name in a study to be a text, got 5"),
        ({"probes": 2.5}, "probes in a study to be a whole number, got 2.5"),
        ({"probes": 3}, "to be 0, for none, or from its 10 classes, got 3"),
        ({"epochs": [99]}, "weights are kept, got 99. Kept before the last: none, for which a recipe wants keep_every"),
        ({"epochs": [2, 3], "recipe": {"epochs": 5, "keep_every": 2}}, "got 3. Kept before the last: 2, 4"),
        ({"sample_seed": -1}, "sample_seed in a study to be a whole number"),
        ({"sample_seed": 2**53 + 1}, "Expected a seed of at most 9,007,199,254,740,992"),
        ({"networks": [{"depths": [8], "widths": [1], "seeds": [2**53 + 1]}]}, "seed from 0 to 9,007,199,254,740,992"),
        ({"recipe": 3}, "recipe in a study to be a table"),
        ({"recipe": {"epochs": "ten"}}, "Expected epochs to be a whole number, got 'ten'"),
        ({"recipe": {"epochs": 1.5}}, "Expected epochs to be a whole number, got 1.5"),
        ({"recipe": {"augment": "no"}}, "Expected augment to be true or false, got 'no'"),
        ({"recipe": {"learning_rate": "fast"}}, "Expected learning_rate to be a number"),
        ({"recipe": {"start": "imagenet"}}, "no ImageNet weights for cifar-resnet-8x1"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        study_of({**GRID, **changes})


def test_a_file_that_begins_with_the_mark_of_an_editor_is_read(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text("[[networks]]\ndepths = [8]\nwidths = [1]\n", encoding="utf-8-sig")
    assert read_study(path).names == ("cifar-resnet-8x1-cifar10-mini-s0",)


def test_a_study_without_a_name_is_called_like_its_file(tmp_path):
    for stem, name in (("wide (1)", "wide -1-"), ("grid", "grid")):
        path = tmp_path / f"{stem}.toml"
        path.write_text("[[networks]]\ndepths = [8]\nwidths = [1]\n")
        assert read_study(path).name == name
    path.write_text('name = "mine"\n' + path.read_text())
    assert read_study(path).name == "mine"


def test_a_study_nested_too_deeply_or_too_long_is_refused_in_a_sentence(tmp_path):
    deep = Path(__file__).parent.parent / "data" / "faults" / "deep.toml"
    with pytest.raises(ValueError, match="deep.toml is nested 500 deep"):
        read_study(deep)
    (tmp_path / "dots.toml").write_text("a" + ".a" * 5000 + " = 1")
    (tmp_path / "long.toml").write_text("#" * (2 << 20))
    (tmp_path / "many.toml").write_text(f"[[networks]]\ndepths = {[14] * 200}\nwidths = {[1] * 200}")
    refused = {"dots": "dots.toml", "long": "more than 1,048,576 bytes", "many": "at most 10,000 networks"}
    for name, words in refused.items():
        with pytest.raises(ValueError, match=words):
            read_study(tmp_path / f"{name}.toml")
