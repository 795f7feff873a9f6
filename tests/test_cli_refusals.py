"""What cannot be is refused before any work, in one sentence; nothing that was typed is passed over in silence."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from cka_core import Comparison
from cka_core.atlas import result
from cka_core.base import full_disk
from cka_core.base.store import Store, gram_budget
from cka_core.cli import app, doctor
from cka_core.comparing import engine
from cka_core.images import downloads, sets
from cka_core.library import catalogue
from cka_core.results import paper
from cka_core.studies import build, falls

ROOT = Path(__file__).parent.parent
PAIR = ("cifar-resnet-14x1-plain-s0", "cifar-resnet-14x1-plain-s1")
NEVER = Path("/proc/nobody")  # where nobody, not even root, makes a file


def run(*words: str):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture
def nothing_is_computed(monkeypatch):
    monkeypatch.setattr(engine, "run", lambda *args, **values: pytest.fail("computed"))


@pytest.mark.parametrize(
    "words, message",
    [
        (("--colours", "jet"), "Unknown colour map 'jet'"),
        (("--figure", "a.png", "--dpi", "0"), "Expected dpi from 1 to 10,000 dots per inch, got 0."),
        (("--figure", "a.png", "--dpi", "100000"), "Expected dpi from 1 to 10,000 dots per inch, got 100000."),
        (
            ("--figure", "a.png", "--dpi", "9000"),
            "has 6,480 million pixels, at most 300 million are drawn.",
        ),
        (("--size", "0x5"), "Expected a size above 0 and up to 200 inches each way, such as 30x15, got '0x5'."),
        (("--first", "--seed", "3"), "Expected --first or --seed, got both: the first images are not drawn."),
        (("--range", "0.5:1"), "--range, --colours, --size and --dpi are of a figure: expected --figure or --bundle"),
        (("--colours", "viridis", "--out", "a.npz"), "are of a figure: expected --figure or --bundle"),
        (("--out", f"{NEVER}/a.npz"), "Nothing can be written to /proc: .* Name another file with --out."),
        (("--figure", f"{NEVER}/a.png"), "Nothing can be written to /proc: .* Name another file with --figure."),
        (("--bundle", f"{NEVER}/a.zip"), "Nothing can be written to /proc: .* Name another file with --bundle."),
        (("--figure", f"{'a' * 230}.png"), "Expected a shorter name with --figure, got one of 234 letters."),
        (("--out", f"{'网' * 80}.csv"), "Expected a shorter name with --out, got one of 84 letters."),
        (("--store", NEVER), "Nothing can be written to /proc: .* Set CKA_STORE, or --store, to a folder"),
    ],
)
def test_a_comparison_that_could_not_be_written_is_not_computed(words, message, nothing_is_computed):
    done = run("compare", *PAIR, "--samples", "64", *words)
    assert re.search(message, str(done.exception)), done.output + str(done.exception)


def test_a_seed_below_0_is_refused_by_its_option():
    for words in (("compare", *PAIR), ("train", PAIR[0][:17]), ("activations", "extract", PAIR[0], "--out", "a.npz")):
        done = run(*words, "--seed", "-1")
        assert done.exit_code == 2 and "'--seed'" in done.output


@pytest.mark.parametrize(
    "words",
    [
        ("train", "cifar-resnet-8x1", "--history", f"{NEVER}/h.json"),
        ("activations", "extract", PAIR[0], "--out", f"{NEVER}/a.npz"),
        ("train", "cifar-resnet-8x1", "--store", NEVER),
        ("data", "import", "mine", __file__, "--store", NEVER),
        ("data", "import", "cifar10", __file__, "--store", NEVER),
        ("activations", "import", __file__, "--store", NEVER),
        ("activations", "extract", PAIR[0], "--out", "a.npz", "--store", NEVER),
        ("atlas", "build", "bundled", "--store", NEVER),
        ("cluster", "start", "--store", NEVER),
    ],
)
def test_so_is_what_other_commands_could_not_write(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = str(run(*words).exception)
    assert said.startswith("Nothing can be written to /proc: it is read-only, or belongs to somebody else.")
    assert ".tmp-" not in said and "Errno" not in said


def test_a_store_that_is_a_file_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"")
    for words in (("networks",), ("compare", *PAIR), ("data", "list"), ("activations", "list")):
        said = str(run(*words, "--store", file).exception)
        assert said.startswith(f"Expected a folder for the store, got {file}, which is a file. Set CKA_STORE, or --sto")
    told = [one.told for one in doctor.place(Store(file)) if one.state == doctor.PROBLEM]
    assert told[0].startswith(f"Expected a folder for the store, got {file}")
    said = str(run("compare", *PAIR, "--samples", "64", "--store", file / "in it").exception)
    assert said.startswith(f"Expected a folder for the store, got {file}/in it: {file} is a file. Set CKA_STORE")


@pytest.mark.parametrize("to", ["nowhere", "link"], ids=["dangling", "loop"])
def test_a_link_that_leads_nowhere_is_no_folder(tmp_path, to, nothing_is_computed):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / to)
    for words in (("networks",), ("cluster", "status"), ("compare", *PAIR, "--samples", "64")):
        said = str(run(*words, "--store", link).exception)
        assert said.startswith(f"Expected a folder for the store, got {link}, which is a link that leads nowhere. Set")
    inside = f"Expected a folder for the store, got {link}/in it: {link} is a link that leads nowhere. Set CKA_STORE"
    for words in (("networks",), ("data", "list"), ("train", PAIR[0][:17])):
        assert str(run(*words, "--store", link / "in it").exception).startswith(inside)


@pytest.mark.parametrize("nothing", ["", " "])
def test_a_store_without_a_name_is_not_the_folder_one_is_in(nothing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (("networks",), ("doctor", "--quick")):
        assert str(run(*command, "--store", nothing).exception).startswith(
            "Expected a folder or a URL for the store, got"
        )
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_not_replaced_by_a_history(tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    said = str(run("train", "cifar-resnet-8x1", "--history", pipe).exception)
    assert said == f"Expected a file with --history, got {pipe}, which is no file but a device or a pipe."
    assert pipe.is_fifo()


def test_an_atlas_that_could_not_be_written_is_not_computed(tmp_path, store, monkeypatch):
    for module, name in ((build, "build"), (falls, "measure")):
        monkeypatch.setattr(module, name, lambda *args, **values: pytest.fail("computed"))
    said = str(run("atlas", "build", "bundled", "--out", NEVER).exception)
    assert said.startswith("Nothing can be written to /proc: it is read-only, or belongs") and "--out" in said
    (file := tmp_path / "file").write_bytes(b"")
    said = str(run("atlas", "build", "bundled", "--out", file).exception)
    assert said == f"Nothing can be written to {file}: {file} is a file. Name another folder with --out."
    assert str(run("atlas", "sure", "--store", NEVER).exception).startswith("Nothing can be written to /proc: it is")
    monkeypatch.setattr(result, "listed", lambda store: {"mine": NEVER.parent})
    assert "Copy the atlas to a folder of your own" in str(run("atlas", "sure", "mine").exception)


def test_a_folder_of_weights_is_called_one(tmp_path):
    said = str(run("train", "cifar-resnet-8x1", "--weights", tmp_path).exception)
    assert said == f"Expected --weights random, imagenet or a file, got {str(tmp_path)!r}, which is a folder."


def test_a_look_at_a_store_leaves_nothing_in_it(tmp_path):
    full_disk.check_store(Store(tmp_path / "new" / "store"))
    full_disk.check_folder(tmp_path, "")
    assert not list(tmp_path.iterdir())


def test_a_file_on_its_way_is_never_named(tmp_path):
    error = PermissionError(13, "Permission denied", str(tmp_path / ".x.npz.tmp-7222-311bf538"))
    said = full_disk.in_words(error, Store())
    assert said == f"Nothing can be written to {tmp_path}: {full_disk.MAY_NOT}. Name another folder."


def test_a_budget_that_is_no_number_is_told_of_by_its_name(monkeypatch, store):
    for wrong in ("abc", "-1", "4e9", ""):
        monkeypatch.setenv("CKA_GRAM_BUDGET", wrong)
        with pytest.raises(ValueError, match=f"^Expected CKA_GRAM_BUDGET to be a whole .* 4000000000, got '{wrong}'.$"):
            gram_budget()
    told = [one.told for one in doctor.findings(store, quick=True) if one.state == doctor.PROBLEM]
    assert any("Expected CKA_GRAM_BUDGET" in one and "ValueError" not in one for one in told)


@pytest.mark.parametrize(
    "words",
    [("networks",), ("data", "list"), ("cluster", "status"), ("compare", "--help")],
    ids=["long", "short", "printed elsewhere", "help"],
)
def test_an_output_that_is_full_is_not_taken_for_the_store(words):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cka_core", *words], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr.strip() == "error: The output could not be written: No space left on device."


def test_every_file_that_is_asked_for_is_written(tmp_path, store):
    names = [f"{name}.{ending}" for name in "ab" for ending in ("npz", "csv", "png", "svg")]
    words = [
        word for name in names for word in ("--out" if name[2:] in ("npz", "csv") else "--figure", tmp_path / name)
    ]
    done = run("compare", "cifar-resnet-8x1", "cifar-resnet-8x1", "--samples", "8", *words)
    assert done.exit_code == 0, done.output
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {*names, "a-cells.csv", "b-cells.csv"}
    assert Comparison.load(tmp_path / "a.npz").matrix.shape == (29, 29)
    assert len(list(csv.reader((tmp_path / "b.csv").open()))) == 30


def test_a_comparison_that_is_stopped_says_how_it_goes_on(monkeypatch):
    def pressed(*args, **values):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "run", pressed)
    done = run("compare", *PAIR, "--samples", "64")
    assert done.exit_code == 130
    assert "Stopped. The same command goes on from the minibatches that are finished." in done.stderr


def test_a_key_pressed_while_a_figure_is_drawn_says_so_too(tmp_path, monkeypatch):
    def pressed(*args, **values):
        raise KeyboardInterrupt

    monkeypatch.setattr(paper, "paper_figure", pressed)
    out, figure = tmp_path / "r.csv", tmp_path / "r.png"
    done = run("compare", *PAIR, "--samples", "64", "--out", str(out), "--figure", str(figure))
    assert done.exit_code == 130 and done.stderr.strip().endswith("Stopped.")
    assert f"Wrote {out}" in done.output and not figure.exists()
    monkeypatch.setattr(catalogue, "networks", pressed)
    done = run("networks")
    assert done.exit_code == 130 and done.stderr.strip() == "Stopped."


def arrays(path: Path, **named: np.ndarray) -> Path:
    np.savez(path, **named)
    return path


def test_what_is_named_in_another_way_is_said(tmp_path, store):
    layers = arrays(tmp_path / "my acts.npz", one=np.ones((8, 3), np.float32))
    script, damaged, folder = tmp_path / "mine.py", tmp_path / "corrupt.keras", tmp_path / "pets and more"
    script.write_text("")
    damaged.write_bytes(b"no network")
    folder.mkdir()
    for words, message in (
        (("compare", layers, layers), f"python -m cka_core activations import '{layers}' --name NAME"),
        (("compare", script, PAIR[0]), f"Expected a function of {script} that returns a model: {script}:FUNCTION."),
        (("compare", f"{script}:build", script), f"Expected a function of {script} that returns a model"),
        (("compare", damaged, PAIR[0], "--samples", "8"), "it is no .keras file, or a damaged one; copy it again, or "
         "write it again."),
        (("compare", *PAIR, "--images", "my.npz"), "in first: python -m cka_core data import NAME my.npz"),
        (("data", "import", "pets", folder), f"got {folder}, which is a folder. Of pictures, with a folder a class, "
         "make a zip first: python -m zipfile -c 'pets and more'.zip 'pets and more'"),
        (("data", "import", "cifar10", folder), f"got {folder}, which is a folder."),
        (("data", "import", "pets", tmp_path / "not"), f"got {tmp_path / 'not'}, which does not exist."),
    ):  # fmt: skip
        said = str(run(*words).exception)
        assert message in said and "safe_mode" not in said


def test_code_inside_a_network_is_not_advised_to_be_run(tmp_path):
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Lambda(lambda x: x)(inputs)))
    model.save(tmp_path / "lambda.keras")
    said = str(run("compare", tmp_path / "lambda.keras", tmp_path / "lambda.keras", "--samples", "8").exception)
    assert said.startswith("lambda.keras has a Lambda layer. It holds code, and code inside a file is never run: ")
    assert "compare mine.py:build OTHER" in said and "safe_mode" not in said


def test_layers_that_are_not_near_are_not_called_near():
    for pattern in ("zzz", ""):
        said = str(run("compare", *PAIR, "--samples", "8", "--layers", pattern).exception)
        assert f"No layer is called {pattern!r}" in said and "None is near it: a comparison as .csv lists" in said
    assert "Near it: stage1_block1_add" in str(run("compare", *PAIR, "--layers", "stage1_block1_ad").exception)


def test_images_in_one_part_are_counted_in_whole_words(tmp_path, store):
    x = np.random.default_rng(0).integers(0, 256, (80, 8, 8, 3), np.uint8)
    assert run("data", "import", "nolab", arrays(tmp_path / "n.npz", images=x)).exit_code == 0
    layers = arrays(tmp_path / "acts.npz", one=np.random.default_rng(1).normal(size=(80, 3)).astype(np.float32))
    done = run("activations", "import", layers, "--name", "mine", "--images", "nolab", "--first")
    assert "1 layer on 80 images of nolab (the first, digest " in done.output
    assert "80 images of nolab (the first" in run("activations", "list").output
    said = str(run("compare", PAIR[0], PAIR[0], "--images", "nolab", "--samples", "81").exception)
    assert "Expected 1 to 80 of the images of nolab" in said


def test_doctor_says_of_each_image_set_what_compare_says(store, monkeypatch):
    told = {one.told.split()[0]: one.todo for one in doctor.data(store) if one.todo}
    assert set(told) == {"cifar10", "cifar100", "mnist", "fashion-mnist"}
    assert "python -m cka_core data import cifar10 cifar10.npz" in told.pop("cifar10")
    monkeypatch.setattr(downloads, "fetched", lambda name: 1 / 0)
    for name, todo in told.items():
        assert "data import" not in todo
        with pytest.raises(sets.ImagesUnavailable, match=re.escape(todo.partition(" Or ")[2].rstrip("."))):
            sets.load_images(name, store=store)


@pytest.mark.parametrize(
    "words, setting, told",
    [
        (
            ("cluster", "start", "--store", "memory://"),
            "",
            "error: The store memory:// is not a folder of this machine",
        ),
        (
            ("cluster", "status"),
            "nonsense",
            "error: No Dask scheduler answers at nonsense (ValueError: missing port num",
        ),
        (("cluster", "status"), "tls://127.0.0.1:9", "error: No Dask scheduler answers at tls://127.0.0.1:9 (TypeErr"),
    ],
)
def test_a_cluster_that_cannot_be_is_told_of_in_one_line(words, setting, told, tmp_path):
    environment = os.environ | {"CKA_SCHEDULER": setting, "CKA_STORE": str(tmp_path)}
    command = [sys.executable, "-m", "cka_core", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1, "nothing comes after it, as of a client that was left half made"


def test_images_without_a_name_are_none(nothing_is_computed):
    for words in (("compare", *PAIR), ("activations", "extract", PAIR[0], "--out", "a.npz")):
        assert str(run(*words, "--images", "").exception).startswith("Unknown image set ''. Valid: cifar10-mini, ")


def test_a_folder_is_called_one_where_a_study_is_expected(tmp_path):
    said = str(run("atlas", "build", tmp_path).exception)
    assert said == f"Expected a study as a TOML file, got {tmp_path}, which is a folder."
