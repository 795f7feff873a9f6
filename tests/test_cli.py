"""The commands people type: they do what they say, say where they wrote, and refuse in one sentence."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cka_core import Comparison, load_images
from cka_core.cli import app
from cka_core.library import catalogue
from cka_core.training import fit

ROOT = Path(__file__).parent.parent
TRAINED = "cifar-resnet-14x1-cifar10-mini-s0"


def run(*words: str):
    return CliRunner().invoke(app, list(words))


def test_compare_without_a_connection_prints_where_it_wrote(tmp_path, store):
    """In a process of its own, as a new user would, with no way out to a network."""
    out, figure = tmp_path / "r.npz", tmp_path / "r.png"
    command = [sys.executable, "-m", "cka_core", "compare", "cifar-resnet-8x1", TRAINED, "--samples", "64"]
    environment = os.environ | {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [*command, "--images", "cifar10-mini", "--out", str(out), "--figure", str(figure)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"Wrote {out}" in done.stdout and f"Wrote {figure}" in done.stdout
    assert "29 × 50 layers" in done.stdout
    assert "100%" in done.stderr
    result = Comparison.load(out)
    assert result.matrix.shape == (29, 50)
    assert result.provenance["images"] == {
        "images": "cifar10-mini", "split": "test", "n": 64, "seed": 0, "balanced": False,
        "digest": result.provenance["images"]["digest"],
    }  # fmt: skip
    with Image.open(figure) as picture:
        assert picture.size == (2000, 1600)


def test_the_printed_command_makes_the_same_result_again(tmp_path):
    first = run(
        "compare", "cifar-resnet-8x1", "cifar-resnet-8x1:1", "--samples", "20", "--out", str(tmp_path / "a.npz")
    )
    assert first.exit_code == 0, first.output
    one = Comparison.load(tmp_path / "a.npz")
    words = one.provenance["command"].split()[3:-4]
    again = run(*words, "--again", "--out", str(tmp_path / "b.npz"))
    assert again.exit_code == 0, again.output
    assert (Comparison.load(tmp_path / "b.npz").matrix == one.matrix).all()
    assert "nothing to compute" in run(*words).output


def test_options_choose_sample_layers_and_form(tmp_path):
    out, figure = tmp_path / "r.csv", tmp_path / "r.svg"
    done = run(
        "compare", TRAINED, TRAINED, "--split", "train", "--samples", "16", "--first", "--batch-size", "8",
        "--layers", "*_add", "--layers", "Dense", "--out", str(out), "--figure", str(figure), "--size", "6x6",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    header, *rows = csv.reader(out.read_text().splitlines())
    assert len(rows) == 7 and header[-1] == "head_logits"
    values = np.array([[float(cell) for cell in row[1:]] for row in rows])
    assert np.abs(np.diag(values) - 1).max() < 1e-6
    assert figure.read_text().lstrip().startswith("<?xml")


def test_the_seeds_figure_size(tmp_path):
    figure = tmp_path / "r.png"
    words = [
        "compare",
        TRAINED,
        TRAINED,
        "--samples",
        "768",
        "--figure",
        str(figure),
        "--size",
        "30x15",
        "--dpi",
        "400",
    ]
    assert run(*words).exit_code == 0
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(figure) as picture:
        assert picture.size == (12000, 6000)


@pytest.mark.parametrize(
    "words, message",
    [
        (("compare", "nonsense", TRAINED), "Unknown network 'nonsense'. In the library: cifar-resnet-14x1-cifar10"),
        (("compare", "cifar-resnet-15x1", TRAINED), "The nearest are 14 and 20"),
        (("compare", TRAINED, TRAINED, "--samples", "3"), "at least 4 images"),
        (("compare", TRAINED, TRAINED, "--samples", "2000"), "Expected 1 to 1,000"),
        (("compare", TRAINED, TRAINED, "--samples", "16", "--layers", "stage9"), "No layer is called 'stage9'"),
        (("compare", TRAINED, TRAINED, "--out", "r.pickle"), "ending in .npz, .csv"),
        (("compare", TRAINED, TRAINED, "--images", "imagenet"), "Valid: cifar10-mini, cifar10"),
        (("compare", TRAINED, "nowhere.keras"), "does not exist"),
        (("train", "cifar-resnet-15x1"), "The nearest are 14 and 20"),
        (("train", "cifar-resnet-8x1", "--preset", "mine"), "Valid: paper, notebook"),
        (("data", "import", "cifar10", "nowhere.npz"), "does not exist"),
        (("data", "import", "mnist", "x.npz"), "does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(words, message):
    done = subprocess.run([sys.executable, "-m", "cka_core", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def test_train_writes_its_history_and_the_network_can_be_compared(tmp_path):
    history = tmp_path / "history.json"
    words = [
        "train",
        "cifar-resnet-8x1",
        "--images",
        "cifar10-mini",
        "--epochs",
        "1",
        "--batch-size",
        "512",
        "--seed",
        "3",
    ]
    done = run(*words, "--history", str(history))
    assert done.exit_code == 0, done.output
    assert "cifar-resnet-8x1-cifar10-mini-s3: test accuracy" in done.output
    content = json.loads(history.read_text())
    assert content["epochs_done"] == 1 and len(content["history"]["val_accuracy"]) == 1
    assert "cifar-resnet-8x1-cifar10-mini-s3" in run("networks").output
    compared = run("compare", "cifar-resnet-8x1-cifar10-mini-s3", "cifar-resnet-8x1:3", "--samples", "16")
    assert compared.exit_code == 0, compared.output


def test_training_on_a_share_says_how_many_images_it_has_and_how_many_are_an_epoch(monkeypatch):
    def started(*_, **options):
        raise ValueError("started")

    monkeypatch.setattr(fit, "train", started)
    share = ("train", "cifar-resnet-8x1", "--fraction", "0.5", "--held-out", "0")
    for words, told in (((), "held out.\n"), (("--epoch-images", "500"), "held out, 500 of them an epoch.\n")):
        done = run(*share, *words)
        assert "Training on 1,562 images, 0.5 of all less those " + told in done.output
        assert str(done.exception) == "started"


def test_the_seeds_preset_holds_nothing_out_and_keeps_the_last_epoch(tmp_path):
    history = tmp_path / "history.json"
    words = [
        "train",
        "cifar-resnet-8x1",
        "--preset",
        "seed",
        "--weights",
        "random",
        "--epochs",
        "1",
        "--batch-size",
        "1024",
    ]
    done = run(*words, "--history", str(history))
    assert done.exit_code == 0, done.output
    content = json.loads(history.read_text())
    assert "val_loss" not in content["history"]
    assert content["spec"]["optimizer"] == "adam" and content["spec"]["learning_rate"] == 1e-3
    assert "(epoch 1 of 1 kept)" in done.output


def test_a_keras_file_is_compared_under_its_name(tmp_path):
    from cka_core import build_network

    path = tmp_path / "mine.keras"
    build_network("cifar-resnet-8x1", seed=5).save(path)
    done = run("compare", str(path), "cifar-resnet-8x1:5", "--samples", "16", "--out", str(tmp_path / "r.npz"))
    assert done.exit_code == 0, done.output
    result = Comparison.load(tmp_path / "r.npz")
    assert result.name_a == "mine"
    assert np.abs(np.diag(result.matrix) - 1).max() < 1e-6


def test_code_in_a_keras_file_is_never_run(tmp_path):
    import keras

    marker = str(tmp_path / "ran")
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: (open(marker, "w").close(), x)[1])(inputs))
    Path(marker).unlink(missing_ok=True)
    path = tmp_path / "evil.keras"
    model.save(path)
    done = subprocess.run(
        [sys.executable, "-m", "cka_core", "compare", str(path), str(path), "--samples", "8"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "never run" in done.stderr
    assert not Path(marker).exists()


def test_data_list_and_networks():
    assert "cifar10-mini: " in run("data", "list").output and "not here yet" in run("data", "list").output
    listed = run("networks").output
    for name in (TRAINED, "resnet50", "resnet152", "cifar-resnet-56x1"):
        assert name in listed


def test_compare_by_other_measures_writes_a_file_each(tmp_path, store):
    words = ["compare", "cifar-resnet-8x1", "cifar-resnet-8x1:1", "--samples", "32", "--out", str(tmp_path / "r.npz")]
    done = run(*words, "--measure", "ridge")
    assert done.exit_code == 0, done.output
    assert "ridge R² of rows from columns" in done.stdout
    assert Comparison.load(tmp_path / "r.npz").provenance["measure"] == "ridge"
    done = run(*words, "--measures", "all")
    assert done.exit_code == 0, done.output
    names = {path.stem.removeprefix("r-") for path in tmp_path.glob("r-*.npz")}
    assert names == {
        "cka", "cka-biased", "cka-rbf", "rsa-pearson", "rsa-spearman", "mutual-knn", "svcca", "ridge", "procrustes",
    }  # fmt: skip
    assert Comparison.load(tmp_path / "r-procrustes.npz").matrix.shape == (3, 3)
    told = "Compared are layers of the kind Add alone, as each pair takes long; --layers asks for others."
    assert done.stdout.count(told) == 1 and done.stdout.index(told) > done.stdout.index("3 × 3 layers, Procrustes")
    assert told not in run(*words, "--measure", "procrustes", "--layers", "Add").stdout
    few = [word if word != "32" else "8" for word in words]
    some = run(*few, "--measures", "mutual-knn,ridge,svcca")
    assert some.exit_code == 1 and "Expected minibatches of more than 11 images" in str(some.exception)
    assert "r-ridge.npz" in some.stdout and "r-svcca.npz" in some.stdout, "the others are made"
    refused = run(*words, "--measure", "cca")
    assert refused.exit_code == 1 and "Unknown measure 'cca'. Valid: cka, " in str(refused.exception)


def test_a_csv_has_its_intervals_beside_it(tmp_path, store):
    out = tmp_path / "r.csv"
    done = run("compare", "cifar-resnet-8x1", "cifar-resnet-8x1:1", "--samples", "32", "--out", str(out))
    assert done.exit_code == 0, done.output
    cells = tmp_path / "r-cells.csv"
    assert f"Wrote {out}" in done.stdout and f"Wrote {cells}" in done.stdout
    rows = list(csv.DictReader(cells.open()))
    assert len(rows) == 29 * 29
    few = [row for row in rows if float(row["n_eff"]) < 30]
    assert few and {(row["low"], row["high"]) for row in few} == {("", "")}
    done = run("compare", "cifar-resnet-8x1", "cifar-resnet-8x1:1", "--samples", "128", "--out", str(out))
    assert done.exit_code == 0, done.output
    rows = [row for row in csv.DictReader(cells.open()) if float(row["n_eff"]) >= 30]
    assert rows and all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows)


def test_pixels_enter_a_file_as_it_expects_them_and_the_command_says_so(tmp_path):
    import keras

    from tests import reference

    keras.utils.set_random_seed(0)
    path, out = tmp_path / "mine.keras", tmp_path / "r.npz"
    inputs = keras.Input((32, 32, 3))
    hidden = keras.layers.Conv2D(4, 3, activation="softplus", name="conv")(keras.layers.Rescaling(1 / 255)(inputs))
    keras.Model(inputs, keras.layers.Flatten(name="flat")(hidden)).save(path)
    words = ("compare", str(path), TRAINED, "--samples", "32", "--layers", "conv", "--layers", "head_flatten")
    done = run(*words, "--out", str(out))
    assert done.exit_code == 0, done.output
    assert "Pixels entered mine as they are (a Rescaling of its own, rescaling" in done.output
    assert f"Pixels entered {TRAINED} divided by 255 (no Rescaling or Normalization of its own)." in done.output
    x = load_images("cifar10-mini", "test", 32, 0).x
    trained = catalogue.load_model(catalogue.find(TRAINED).spec)
    other = keras.Model(trained.inputs, trained.get_layer("head_flatten").output).predict(x / np.float32(255))
    expected = reference.cka(keras.models.load_model(path).predict(x.astype(np.float32)), other)
    assert abs(Comparison.load(out).matrix[0, 0] - expected) <= 1e-5

    asked = run(*words, "--preprocessing", "divide-by-255", "--out", str(out))
    assert asked.exit_code == 0, asked.output
    assert "Found in the store" not in asked.output and "Pixels entered each network divided by 255" in asked.output
    result = Comparison.load(out)
    assert abs(result.matrix[0, 0] - expected) > 1e-4
    assert "--preprocessing divide-by-255" in result.provenance["command"]
    refused = run(*words, "--preprocessing", "imagenet")
    assert "Valid: auto, divide-by-255, none, imagenet-caffe" in str(refused.exception)
