"""Networks and images of one's own: brought in, listed, compared, with what is done to images said."""

from __future__ import annotations

import dataclasses
import io
import signal
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cka_core.base.keys import canonical_json
from cka_core.cli import app
from cka_core.comparing import engine, kept_grams
from cka_core.images import own, sets
from cka_core.images.sets import SampleSpec, load_images
from cka_core.jobs import trainings
from cka_core.library import arrivals, belongings, catalogue, incoming, inventory, keeping, raw_activations
from cka_core.networks import fitting, layouts
from cka_core.networks.building import build_network
from cka_core.results import comparison, words
from cka_core.results.comparison import CompareSpec
from cka_core.training import fit
from cka_core.training.images import TrainingImages, of_part
from cka_core.training.recipe import TrainSpec, trainable
from tests.base.test_foreign_arrays import npz, zipped

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (60, 28, 28), np.uint8)
LABELS = np.arange(60) % 3


def take(store, name: str, data: bytes) -> tuple[str, str]:
    return arrivals.bring_in(io.BytesIO(data), name, store)


def grey_network(folder, name: str = "grey"):
    model = keras.Sequential([
        keras.Input((28, 28, 1)), keras.layers.Conv2D(3, 3, name="conv"), keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, name="head"),
    ])  # fmt: skip
    model.save(folder / f"{name}.keras")
    return model, folder / f"{name}.keras"


def png(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, shape, np.uint8)).save(file, "PNG")
    return file.getvalue()


def pictures(sizes=((16, 12),), grey: bool = False) -> bytes:
    members = {}
    for number in range(12):
        shape = (*sizes[number % len(sizes)][::-1], *(() if grey else (3,)))
        members[f"photos/{'cat' if number < 7 else 'dog'}/{number:02}.png"] = png(shape)
    return zipped(members)


# Networks


def test_what_is_no_picture_is_counted_in_numbers(store):
    _, name = take(store, "tokens.npz", npz(images=RNG.integers(0, 9, (60, 7), np.int32)))
    (row,) = [row for row in inventory.images(store) if row.name == name]
    assert row.what == "60 images of 7 numbers"
    assert layouts.enters((28, 28, 1), (28, None, 1)) and not layouts.enters((28, 28), (28, 28, 1))
    assert layouts.counted_text((28, 28, 1)) == "28 × 28, grey"
    assert layouts.counted_text((1,)) == "1 number" and layouts.counted_text((None,)) == "any number of numbers"


def test_a_network_is_read_in_another_process_described_and_compared_on_its_own_images(store, tmp_path):
    model, path = grey_network(tmp_path)
    with open(path, "rb") as file:
        assert incoming.take(file, "grey.keras", store) == ("networks", "grey")
    info = catalogue.networks(store)["grey"]
    assert next(iter(catalogue.networks(store))) == next(iter(catalogue.comparable(store))) == "grey"
    assert info.input_shape == (28, 28, 1) and info.parameters == model.count_params()
    assert [layer.name for layer in info.layers][0] == "conv" and "takes 28 × 28, grey" in info.subtitle
    assert belongings.key_of("networks", "grey", store) == info.spec.weights
    (row,) = [row for row in inventory.networks(store) if not row.fixed]
    assert row.origin == "brought in" and inventory.damaged(store) == []
    _, name = take(store, "digits.npz", npz(images=GREY, labels=LABELS))
    result = engine.run(CompareSpec(info.spec, info.spec, SampleSpec(name, "all", 40, 0), 20), store)
    x = load_images(name, "all", 40, 0, store=store).x[..., None]
    assert np.allclose(result.matrix, engine.compare(model, model, x, batch_size=20).matrix, atol=1e-5)
    keeping.rename("grey", "mine", store)
    assert catalogue.find("mine", store).spec.identity == info.spec.identity
    assert take(store, "again.keras", path.read_bytes()) == ("networks", "mine")


@keras.saving.register_keras_serializable("strangers")
class Mine(keras.layers.Layer):
    pass


def test_a_hostile_or_unusual_network_gets_one_sentence(store, tmp_path):
    with pytest.raises(ValueError, match="Expected a network .* in x.keras"):
        take(store, "x.keras", b"hello")
    both = keras.Input((4,)), keras.Input((4,))
    keras.Model(both, keras.layers.Add()(both)).save(tmp_path / "two.keras")
    with pytest.raises(ValueError, match="two.keras takes 2 inputs"):
        take(store, "two.keras", (tmp_path / "two.keras").read_bytes())
    words_of = [
        keras.Input((1,), dtype="string"),
        keras.layers.StringLookup(vocabulary=["a"]),
        keras.layers.Embedding(2, 3),
    ]
    keras.Sequential(words_of).save(tmp_path / "words.keras")
    with pytest.raises(ValueError, match="words.keras takes text, and image sets hold numbers: write its activations"):
        take(store, "words.keras", (tmp_path / "words.keras").read_bytes())
    keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)]).save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match="code inside a file is never run"):
        take(store, "code.keras", (tmp_path / "code.keras").read_bytes())
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="first layer")]).save(tmp_path / "named.keras")
    with pytest.raises(ValueError, match="Layer 'first layer' of .* has a name under which TensorFlow runs no layer"):
        take(store, "named.keras", (tmp_path / "named.keras").read_bytes())
    assert store.names("networks") == []


@pytest.mark.parametrize(
    "shape, dtype, images",
    [
        ((1, 28, 28), "float32", GREY),
        ((784,), "float32", GREY),
        ((28, 28), "float32", GREY),
        ((7,), "int32", RNG.integers(0, 9, (60, 7), np.int32)),
        ((5,), "float32", RNG.standard_normal((60, 5)).astype("f4")),
        ((None, None, 1), "float32", GREY),
    ],
)
def test_any_input_of_a_single_input_network(store, tmp_path, shape, dtype, images):
    x = inputs = keras.Input(shape, dtype=dtype)
    x = keras.layers.Embedding(9, 4)(x) if dtype == "int32" else keras.layers.Rescaling(0.5)(x)
    x = keras.layers.GlobalAveragePooling2D()(x) if None in shape else keras.layers.Flatten()(x)
    keras.Model(inputs, keras.layers.Dense(2)(x)).save(tmp_path / "net.keras")
    _, network = take(store, "net.keras", (tmp_path / "net.keras").read_bytes())
    _, name = take(store, "own.npz", npz(images=images))
    info = catalogue.networks(store)[network]
    assert fitting.plan(sets.image_set(name, store).shape, info.input_shape).words == ""
    result = engine.run(CompareSpec(info.spec, info.spec, SampleSpec(name, "all", 20, 0)), store)
    assert np.isfinite(result.matrix).all()
    assert inventory.comparisons(store)[0].what.startswith(f"{len(info.layers)} ×")


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_a_network_that_looks_up_ids_of_any_number_takes_no_pictures(store, tmp_path, dtype):
    x = inputs = keras.Input((None,), dtype=dtype)
    for layer in (keras.layers.Embedding(1000, 4), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)):
        x = layer(x)
    keras.Model(inputs, x).save(tmp_path / "words.keras")
    take(store, "words.keras", (tmp_path / "words.keras").read_bytes())
    take(store, "ids.npz", npz(images=RNG.integers(0, 1000, (60, 9), np.int32)))
    info = catalogue.networks(store)["words"]
    assert info.subtitle == "takes any number of ids"
    told = "words takes any number of ids, and the images are 32 × 32, colour"
    with pytest.raises(ValueError, match=told):  # their pixels would be looked up, up to 255
        engine.run(CompareSpec(info.spec, info.spec, SampleSpec("cifar10-mini", "test", 20, 0)), store)
    with pytest.raises(fitting.DoesNotFit, match=told):
        fitting.plan((32, 32, 3), info.input_shape, "words", ids=info.takes_ids)
    asked = CompareSpec(info.spec, info.spec, SampleSpec("ids", "all", 20, 0))
    assert np.isfinite(engine.run(asked, store).matrix).all()
    with pytest.raises(ValueError, match="^What the pixels explain is taken out of pictures .*, and words takes ids"):
        engine.run(dataclasses.replace(asked, without="pixels"), store)


def test_ids_that_a_network_does_not_know_are_refused_by_its_name_in_the_library(store, tmp_path):
    layers = [keras.Input((7,), dtype="int32"), keras.layers.Embedding(100, 4), keras.layers.Flatten()]
    keras.Sequential(layers, name="another").save(tmp_path / "tokens.keras")
    take(store, "tokens.keras", (tmp_path / "tokens.keras").read_bytes())
    ids = RNG.integers(0, 100, (60, 7), np.int32)
    ids[59, 6] = 999
    take(store, "ids.npz", npz(images=ids))
    told = "tokens takes ids from 0 to 99, got 999. Give it the ids of the tokenizer that it was trained with."
    spec = catalogue.networks(store)["tokens"].spec
    with pytest.raises(ValueError) as refusal:
        engine.run(CompareSpec(spec, spec, SampleSpec("ids", "all", None, 0)), store)
    assert str(refusal.value) == told and store.names("grams") == []
    answer = CliRunner().invoke(app, ["compare", "tokens", "tokens", "--images", "ids", "--samples", "60"])
    assert answer.exit_code != 0 and str(answer.exception) == told


# Images


def test_pictures_in_folders_are_images_with_classes(store):
    assert take(store, "pets.zip", pictures()) == ("images", "pets")
    found = sets.image_set("pets", store)
    assert (found.shape, found.classes, found.sizes) == (
        (12, 16, 3),
        ("cat", "dog"),
        {"all": 12, "train": 10, "test": 2},
    )
    images = load_images("pets", "all", store=store)
    assert images.y.tolist() == [0] * 7 + [1] * 5 and images.x.dtype == np.uint8
    assert next(iter(sets.image_sets(store))) == "pets" and "pets" in trainable(store)
    parts = [load_images("pets", part, store=store) for part in ("train", "test")]
    assert {x.tobytes() for part in parts for x in part.x} == {x.tobytes() for x in images.x}
    (row,) = inventory.images(store)
    assert (row.what, row.how) == ("12 images of 12 × 16, colour", "2 classes · from pets.zip")
    assert take(store, "again.zip", keeping.download("images", "pets", store)) == ("images", "pets")
    keeping.rename("pets", "animals", store)
    identifier = keeping.remove("images", "animals", "animals", store)
    with pytest.raises(ValueError, match="Unknown image set 'animals'"):
        load_images("animals", "all", store=store)
    keeping.restore(identifier, store)
    assert load_images("animals", "all", store=store).digest == images.digest


def saved(picture: Image.Image, ending: str = "PNG", behind_it: Sequence[Image.Image] = ()) -> bytes:
    file = io.BytesIO()
    picture.save(file, ending, **({"save_all": True, "append_images": list(behind_it)} if behind_it else {}))
    return file.getvalue()


@pytest.mark.parametrize(
    "names", ["x_train y_train x_test y_test", "train_images train_labels test_images test_labels"]
)
def test_arrays_may_be_called_as_keras_calls_them(store, names):
    arrays = dict(zip(names.split(), (GREY, LABELS, GREY[:9], LABELS[:9]), strict=True))
    assert take(store, "mine.npz", npz(**arrays)) == ("images", "mine")
    assert sets.image_set("mine", store).sizes == {"train": 60, "test": 9}
    loaded = load_images("mine", "test", store=store)
    assert (loaded.x == GREY[:9]).all() and (loaded.y == LABELS[:9]).all()


@pytest.mark.parametrize("kind", ["i1", "<u2", ">i4", "i8", "u8"])
def test_pixels_from_0_to_255_are_pixels_in_whole_numbers_of_any_width(store, kind):
    pixels = GREY // 2
    take(store, "wide.npz", npz(images=pixels.astype(kind), labels=LABELS))
    assert sets.image_set("wide", store).dtype == "uint8"
    assert (load_images("wide", "all", store=store).x == pixels).all()


def test_whole_numbers_of_no_picture_stay_as_they_are(store):
    for name, ids in (("rows", RNG.integers(0, 900, (60, 784))), ("series", RNG.integers(0, 99, (60, 20, 5)))):
        take(store, f"{name}.npz", npz(images=ids))
        assert sets.image_set(name, store).dtype == "int64"
        assert (load_images(name, "all", store=store).x == ids).all()


def test_a_series_is_no_grey_picture_and_no_resizing_makes_one_of_it(store, tmp_path):
    assert layouts.shape_text((20, 5)) == "20 × 5" and layouts.shape_text((None, 5)) == "any × 5"
    assert layouts.shape_text((28, 28)) == "28 × 28, grey" and layouts.shape_text((20, 5, 1)) == "20 × 5, grey"
    take(store, "steps.npz", npz(images=RNG.standard_normal((60, 20, 5))))
    assert inventory.images(store)[0].what == "60 images of 20 × 5"
    assert fitting.plan((20, 5), (20, 5)).plain and fitting.plan((20, 5), (100,)).row
    assert fitting.plan((20, 5), (20, 5, 1)).words == "", "an axis more changes nothing"
    with pytest.raises(fitting.DoesNotFit, match=r"20 × 5, which may be a series as well as a picture. Grey pictures"):
        fitting.plan((20, 5), (32, 32, 3))
    assert "resized" in fitting.plan((20, 5, 1), (32, 32, 3)).words


@pytest.mark.parametrize("names", ["X y", "data target", "x_test y_test"])
def test_arrays_that_may_be_images_under_other_names_are_said_to_be_taken_as_activations(store, names):
    arrays = dict(zip(names.split(), (GREY[..., None], LABELS), strict=True))
    kind, name = take(store, "mine.npz", npz(**arrays))
    assert kind == "activations"
    assert raw_activations.may_be_images(catalogue.sets(store)[name]) == names.split()[0]
    _, name = take(store, "acts.npz", npz(conv=RNG.standard_normal((60, 8, 8, 16)), head=RNG.standard_normal((60, 9))))
    assert raw_activations.may_be_images(catalogue.sets(store)[name]) == ""


@pytest.mark.parametrize("ending", ["GIF", "TIFF", "WEBP"])
def test_pictures_one_after_another_in_a_file_are_not_taken_for_their_first(store, ending):
    one, other = (Image.new("RGB", (6, 5), colour) for colour in ("red", "blue"))
    with pytest.raises(
        ValueError, match=r"a/x\.\w+ holds 2 pictures, one after another\. Bring those that are meant as"
    ):
        take(store, "mine.zip", zipped({f"a/x.{ending.lower()}": saved(one, ending, [other])}))
    assert store.names("images") == []
    take(store, "mine.zip", zipped({f"a/x.{ending.lower()}": saved(one, ending)}))


def test_of_a_telephones_photo_the_previews_behind_it_do_not_count(store):
    photo, preview = Image.new("RGB", (16, 12), "red"), Image.new("RGB", (8, 6), "red")
    take(store, "mine.zip", zipped({"a/x.jpg": saved(photo, "MPO", [preview])}))
    assert load_images("mine", "all", store=store).x.shape == (1, 12, 16, 3)


@pytest.mark.parametrize("ending", ["PNG", "TIFF"])
def test_pictures_of_16_bits_keep_their_upper_8_and_stay_grey(store, ending):
    deep = RNG.integers(0, 1 << 16, (3, 6, 5), np.uint16)
    members = {f"{i}.{ending.lower()}": saved(Image.fromarray(one), ending) for i, one in enumerate(deep)}
    take(store, "deep.zip", zipped(members))
    x = load_images("deep", "all", store=store).x
    assert x.shape == (3, 6, 5, 1) and (x[..., 0] == deep // 256).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white_whatever_colour_lies_under_it(store, mode):
    channels = len(mode)
    under = RNG.integers(0, 256, (3, 6, 5, channels), np.uint8)
    alpha = under[..., -1:] / 255.0
    take(store, "clear.zip", zipped({f"{i}.png": saved(Image.fromarray(one, mode)) for i, one in enumerate(under)}))
    x = load_images("clear", "all", store=store).x
    assert x.shape == (3, 6, 5, channels - 1)
    assert np.abs(x - (under[..., :-1] * alpha + 255 * (1 - alpha))).max() <= 1
    opaque = np.concatenate([under[..., :-1], np.full_like(under[..., :1], 255)], axis=-1)
    take(store, "opaque.zip", zipped({f"{i}.png": saved(Image.fromarray(one, mode)) for i, one in enumerate(opaque)}))
    assert (load_images("opaque", "all", store=store).x == under[..., :-1]).all()


def test_folders_called_train_and_test_are_the_parts_with_a_folder_a_class_or_none(store):
    members = {
        f"birds/{part}/{kind}/{number}.png": png((8, 8, 3))
        for part, kind, number in [("test", "owl", 0), ("train", "owl", 1), ("train", "auk", 2), ("train", "auk", 3)]
    }
    take(store, "birds.zip", zipped(members))
    found = sets.image_set("birds", store)
    assert (found.sizes, found.classes) == ({"train": 3, "test": 1}, ("auk", "owl"))
    train, test = (load_images("birds", part, store=store) for part in ("train", "test"))
    assert (train.y.tolist(), test.y.tolist()) == ([0, 0, 1], [1])
    with Image.open(io.BytesIO(members["birds/test/owl/0.png"])) as picture:
        assert (test.x[0] == np.asarray(picture)).all()
    take(
        store, "plain.zip", zipped({f"{part}/{i}.png": png((8, 8, 3)) for part in ("Test", "Train") for i in range(2)})
    )
    assert sets.image_set("plain", store).sizes == {"train": 2, "test": 2}
    assert sets.image_set("plain", store).classes == ()


def test_images_of_one_channel_stay_grey_and_those_without_labels_have_none(store):
    take(store, "grey.zip", pictures(grey=True))
    assert sets.image_set("grey", store).shape == (12, 16, 1)
    _, name = take(store, "plain.npz", npz(images=GREY.astype("f4") / 255))
    found = sets.image_set(name, store)
    assert found.classes == () and found.sizes == {"all": 60} and name not in trainable(store)
    with pytest.raises(ValueError, match="no labels"):
        load_images(name, "all", 10, 0, balanced=True, store=store)
    with pytest.raises(ValueError, match="no labels: there is nothing to learn"):
        TrainSpec("cifar-resnet-8x1", name)


def bad_names() -> bytes:
    return npz(images=GREY, labels=LABELS, class_names=np.array(["a"]))


@pytest.mark.parametrize(
    "data, words",
    [
        (npz(images=GREY, labels=LABELS[:9]), "there are 60 images; expected a label for each"),
        (npz(images=GREY, labels=LABELS - 1), "from -1 to 1"),
        (npz(images=GREY, labels=LABELS + 0.5), "expected whole numbers"),
        (npz(images=np.full((5, 4, 4), np.nan)), "image 0 of images is not finite"),
        (npz(images=np.zeros(4)), r"expected (n, height, width)"),
        (npz(images=GREY > 9), "images is bool; expected uint8"),
        (
            npz(images=np.uint16(GREY) * 16),
            "images is uint16, from 0 to 4,080; expected pixels as whole numbers from 0",
        ),
        (npz(images=GREY[..., None].astype("i8") - 1), "images is int64, from -1 to 254; expected pixels as whole"),
        (npz(images=(GREY > 9).astype("i4")), "images is int32, from 0 to 1; expected pixels as whole numbers from 0"),
        (npz(images=np.full((5, 4, 4), 1e39)), "image 0 of images has numbers beyond float32, in which networks"),
        (npz(images=np.ones((5, 4, 4), np.longdouble)), "floats of at most 64 bits. Convert it with astype"),
        (npz(images=GREY[:0]), "images has the shape (0, 28, 28): there is nothing in it"),
        (npz(images=GREY, labels=np.eye(3)[LABELS]), "Of a column a class, labels.argmax(axis=1) makes them"),
        (npz(images=GREY, labels=np.array(list("abc"))[LABELS]), "labels are text; expected whole numbers, the first"),
        (npz(images=np.array([{}])), "no pickle is read"),
        (npz(images=GREY, other=GREY), "other in it is none of"),
        (npz(x_train=GREY, x_test=GREY[:, :14]), "different sizes"),
        (npz(train_images=GREY, test_images=GREY, test_labels=LABELS), "one of its parts has labels"),
        (
            npz(train_images=GREY, test_images=GREY, val_images=GREY),
            "val_images in it is none of test_images, test_lab",
        ),
        (bad_names(), "at least 3 short texts"),
        (pictures(((16, 12), (8, 8))), "unlike sizes"),
        (
            pictures(((16, 12), (8, 6))),
            "(height × width): photos/cat/00.png has 12 × 16 pixels, photos/cat/01.png 6 × 8.",
        ),
        (zipped({"a/../../x.png": b"x"}), "leads out of the archive"),
        (zipped({"C:/x.png": b"x"}), "leads out of the archive"),
        (zipped({"a/x.png": b"x"}, link="a/x.png"), "symbolic link"),
        (zipped({"a/x.png": b"no picture"}), "no picture that can be read"),
        (zipped({"a/x.png": b"x"}), "a/x.png is no picture that can be read (it is damaged, or no picture at all)"),
        (zipped({"a/x.png": png((8, 8))[:40]}), "a/x.png is no picture that can be read (it is damaged"),
        (zipped({"a/x.png": b"x", "run.py": b""}), "run.py in it is no picture (.png, .jpg,"),
        (zipped({"a/x.png": b"x", "run.py": b""}), ". Leave it out of the zip"),
        (
            zipped({"x.png": png((8, 8)), "a/x.png": b"", "b/x.png": b""}),
            "pictures are in a and in no folder. Put those",
        ),
        (
            zipped({"p/x.png": png((8, 8)), "p/a/x.png": b"", "p/b/x.png": b""}),
            "pictures are in p/a and in p. Put those",
        ),
        (zipped({"x/a/x.png": png((8, 8)), "y/a/x.png": b""}), "pictures are in x/a and in y/a. Put those"),
        (zipped({"x.tif": saved(Image.new("F", (8, 8)), "TIFF")}), "x.tif does not say which of its numbers is white"),
    ],
)
def test_images_that_are_not_taken_say_why_and_leave_nothing(store, data, words):
    with pytest.raises(ValueError) as refusal:
        take(store, "mine.zip" if b"png" in data else "mine.npz", data)
    assert words in str(refusal.value) and "mine." in str(refusal.value)
    assert store.names("images") == []


def test_labels_of_yes_and_no_are_two_classes_and_labels_of_text_are_made_as_the_refusal_says(store):
    yes = LABELS > 0
    _, name = take(store, "yes.npz", npz(images=GREY, labels=yes))
    assert load_images(name, "all", store=store).y.tolist() == yes.astype(int).tolist()
    names = np.array(["cat", "dog", "axolotl"])[LABELS]
    class_names, labels = np.unique(names, return_inverse=True)
    _, name = take(store, "pets.npz", npz(images=GREY, labels=labels, class_names=class_names))
    found = load_images(name, "all", store=store)
    assert [found.classes[y] for y in found.y] == names.tolist()


def test_a_zip_that_windows_wrote_with_backslashes_has_its_folders(store):
    inside = {rf"pets\{one}\{number}.png": png((8, 8)) for one in ("cat", "dog") for number in range(3)}
    _, name = take(store, "pets.zip", zipped({"pets\\": b"", **inside}))
    assert load_images(name, "all", store=store).classes == ("cat", "dog")
    with pytest.raises(ValueError, match="leads out of the archive"):
        take(store, "out.zip", zipped({"..\\..\\x.png": png((8, 8))}))


def test_what_windows_and_macos_leave_in_a_folder_is_no_picture_that_is_missed(store):
    left = ("pets/cat/desktop.ini", "pets/dog/Thumbs.db", "pets/.DS_Store", "__MACOSX/pets/cat/._0.png")
    pets = {f"pets/{one}/{number}.png": png((8, 8)) for one in ("cat", "dog") for number in range(3)}
    _, name = take(store, "pets.zip", zipped(pets | dict.fromkeys(left, b"left")))
    assert load_images(name, "all", store=store).classes == ("cat", "dog")


def test_labels_may_begin_at_any_number_and_a_class_without_images_is_none(store):
    _, name = take(store, "mine.npz", npz(images=GREY, labels=2 * LABELS + 1))
    found = load_images(name, "all", store=store)
    assert found.classes == ("1", "3", "5") and (found.y == LABELS).all()
    assert inventory.images(store)[0].how == "3 classes · from mine.npz"
    take(store, "one.zip", zipped({"a/x.jfif": saved(Image.new("RGB", (8, 8)), "JPEG")}))
    assert [row.what for row in inventory.images(store) if row.key == "one"] == ["1 image of 8 × 8, colour"]


@pytest.mark.parametrize(
    "file, name",
    [
        ("Größe_0.5.npz", "Grosse_0.5"),
        ("réseau à l'œil.v2.npz", "reseau-a-l-oeil.v2"),
        ("層.npz", "unnamed"),
        (".npz", "npz"),
    ],
)
def test_what_is_brought_in_is_called_as_its_file_is_in_letters_that_every_disk_takes(store, file, name):
    assert take(store, file, npz(images=GREY)) == ("images", name)
    assert take(store, file, npz(conv=RNG.standard_normal((60, 9)))) == ("activations", f"{name}-2")


@pytest.mark.parametrize(
    "name, words",
    [
        ("cat.PNG", "One picture is no set of images: bring in a zip"),
        ("pets.tar.gz", "Pack what is in it as a .zip"),
        (
            "net.onnx",
            "It holds a network that is not run here. Run it where it is, and write what its layers put out, as",
        ),
        ("data.csv", "Write its numbers as arrays: "),
    ],
)
def test_one_picture_and_another_archive_say_what_to_bring_in(store, name, words):
    with pytest.raises(ValueError, match=f"^{name} was not taken. {words}"):
        take(store, name, png((8, 8)))


def test_a_picture_that_says_it_is_huge_is_not_decoded(store):
    file = io.BytesIO()
    Image.new("L", (12_000, 9_000)).save(file, "PNG")
    with pytest.raises(ValueError, match="no picture that can be read .*pixels"):
        take(store, "mine.zip", zipped({"a/x.png": file.getvalue()}))


def test_another_size_is_refused_until_somebody_says_so(store, tmp_path):
    take(store, "digits.npz", npz(images=GREY, labels=LABELS))
    words_of = ["compare", "cifar-resnet-8x1", "cifar-resnet-8x1", "--images", "digits", "--samples", "20"]
    answer = CliRunner().invoke(app, words_of)
    told = "resized from 28 × 28 to 32 × 32 (bilinear, antialiased), grey to colour (the same in all three channels)"
    assert answer.exit_code != 0 and told in str(answer.exception)
    answer = CliRunner().invoke(app, [*words_of, "--fit-images"])
    assert answer.exit_code == 0, answer.output
    assert f"For cifar-resnet-8x1 the images were {told}." in answer.output
    (row,) = [row for row in inventory.comparisons(store) if not row.fixed]
    found = inventory.opened(row.key, store)
    assert words.fitted(found[0].provenance) and "--fit-images" in found[0].provenance["command"]


def test_networks_are_trained_on_images_of_ones_own(store):
    take(store, "digits.npz", npz(images=GREY, labels=LABELS))
    assert TrainSpec("cifar-resnet-8x1", "digits", epochs=1).training_images == 43
    images = of_part("digits", "train", store)
    assert images.x.shape == (48, 32, 32, 3) and images.classes[:4] == ("0", "1", "2", "(no class 3)")
    record = fit.train(TrainSpec("cifar-resnet-8x1", "digits", epochs=1), store)
    told = "resized from 28 × 28 to 32 × 32 (bilinear, antialiased), grey to colour (the same in all three channels)"
    assert record["fit"] == told and trainings.result_text(record).endswith(f" · on images {told}")
    assert catalogue.networks(store)[record["name"]].record["fit"] == told


def test_a_name_that_goes_to_other_images_answers_for_them(store):
    """Comparisons and trainings are of what a set holds, not of what it is called."""
    colour = RNG.integers(0, 256, (2, 60, 32, 32, 3), np.uint8)
    take(store, "shots.npz", npz(images=colour[0], labels=LABELS))
    network = catalogue.by_name("cifar-resnet-8x1", store).spec

    def asked(name):
        return CompareSpec(network, network, SampleSpec(name, "all", 40, 0), 20), TrainSpec("cifar-resnet-8x1", name)

    before, training = asked("shots")
    first = engine.run(before, store)
    keeping.rename("shots", "old", store)
    renamed, same_training = asked("old")
    assert (renamed.key, same_training.key) == (before.key, training.key)
    assert comparison.find(renamed, store).provenance == first.provenance
    (row,) = [row for row in inventory.comparisons(store) if not row.fixed]
    assert row.address["images"] == "old"

    take(store, "shots.npz", npz(images=colour[1], labels=LABELS))
    seen = kept_grams.find(network, network, first, store).images(store)
    assert (seen.x == load_images("old", "all", 40, 0, store=store).x).all(), "an opened cell shows its own images"
    now, other_training = asked("shots")
    assert now.key != before.key and other_training.key != training.key
    assert comparison.find(now, store) is None
    made = engine.run(now, store)
    x = load_images("shots", "all", 40, 0, store=store).x
    model = build_network("cifar-resnet-8x1")
    assert np.allclose(made.matrix, engine.compare(model, model, x, batch_size=20).matrix, atol=1e-5)
    assert np.abs(made.matrix - first.matrix).max() > 1e-3
    assert made.provenance["images"]["held"] == SampleSpec("shots").held
    # What was asked for under the name that others have now is still what it was.
    assert CompareSpec.from_json(dataclasses.asdict(before)) == before
    assert (before.sample.load(store).x == renamed.sample.load(store).x).all()
    assert (TrainingImages(training, store).x == TrainingImages(same_training, store).x).all()


def test_images_that_were_removed_are_told_though_others_have_their_name(store):
    take(store, "digits.npz", npz(images=GREY, labels=LABELS))
    sample, training = SampleSpec("digits", "all", 20), TrainSpec("cifar-resnet-8x1", "digits")
    keeping.remove("images", "digits", "digits", store)
    with pytest.raises(sets.ImagesUnavailable, match="that were called digits are not here any more.$"):
        sample.load(store)
    take(store, "digits.npz", npz(images=GREY[::-1].copy(), labels=LABELS))
    for asked in (lambda: sample.load(store), lambda: TrainingImages(training, store)):
        with pytest.raises(sets.ImagesUnavailable, match="What is called digits now holds other images"):
            asked()


def test_what_was_asked_for_of_bundled_images_has_the_key_it_had():
    sample = SampleSpec("cifar10-mini", "test", 768, 0)
    assert sample.identity == {"images": "cifar10-mini", "split": "test", "n": 768, "seed": 0, "balanced": False}
    assert all('"held":' not in canonical_json(spec) for spec in (sample, TrainSpec("cifar-resnet-8x1")))


def test_resizing_and_grey_are_what_they_say():
    x = np.full((2, 8, 8, 3), (255, 0, 0), np.uint8)
    how = fitting.plan((8, 8, 3), (16, 16, 1))
    assert np.array_equal(fitting.fitted(x, how), np.full((2, 16, 16, 1), 76, np.uint8))
    assert np.array_equal(fitting.fitted(x, fitting.plan((8, 8, 3), (3, 8, 8))), x.transpose(0, 3, 1, 2))
    ramp = np.tile(np.arange(16, dtype="f4"), (1, 16, 1))
    first = x.transpose(0, 3, 1, 2)
    turned = fitting.plan((3, 8, 8), (8, 8, 3))
    assert turned.words == "" and np.array_equal(fitting.fitted(first, turned), x)
    for expected in [(16, 16, 1), (3, 6, 6), (8, 8), (3, 8, None)]:
        there, here = (fitting.plan(shape, expected) for shape in ((3, 8, 8), (8, 8, 3)))
        assert there.words == here.words
        assert np.array_equal(fitting.fitted(first, there), fitting.fitted(x, here))
    halved = fitting.fitted(ramp, fitting.plan((16, 16), (8, 8, 1)))[0, 4, 2:6, 0]
    assert np.allclose(halved, np.arange(2, 6) * 2 + 0.5, atol=1e-3)
    with pytest.raises(fitting.DoesNotFit, match="takes 77, and the images are 8 × 8, colour"):
        fitting.plan((8, 8, 3), (77,))
    assert own.TEST_SHARE == 5


def test_a_zip_of_arrays_is_activations_and_one_of_pictures_images(store):
    file = io.BytesIO()
    np.save(file, GREY[:8])
    assert take(store, "a.zip", zipped({"conv.npy": file.getvalue()}))[0] == "activations"
    assert zipfile.is_zipfile(io.BytesIO(pictures()))


# Killed between the two writes of an upload


KILLED = """
import io, os, signal, sys
from cka_core.base.store import Store
from cka_core.library import arrivals

def kill(self, name, value):
    os.kill(os.getpid(), signal.SIGKILL)

Store.write_record = kill
with open(sys.argv[1], "rb") as file:
    arrivals.bring_in(file, sys.argv[2], Store(sys.argv[3]))
"""


@pytest.mark.parametrize("kind, name", [("images", "digits.npz"), ("networks", "grey.keras")])
def test_what_a_killed_upload_left_is_a_row_that_says_so_and_can_be_removed(store, tmp_path, kind, name):
    file = tmp_path / name
    if kind == "images":
        file.write_bytes(npz(images=GREY, labels=LABELS))
    else:
        grey_network(tmp_path)
    command = [sys.executable, "-c", KILLED, str(file), name, store.root]
    assert subprocess.run(command, cwd=ROOT).returncode == -signal.SIGKILL
    (left,) = store.names(kind)
    stem = name.partition(".")[0]
    (damage,) = inventory.damaged(store)
    assert damage.file == left and damage.what == f"{stem}: its description is missing"
    assert "bring" in damage.advice.lower() and "remove this" in damage.advice
    with open(file, "rb") as again:  # the same file once more stands beside it, under a name of its own
        assert arrivals.bring_in(again, name, store) == (kind, f"{stem}-2")
    assert [one.file for one in inventory.damaged(store)] == [left]
    assert keeping.discard(damage.file, store) and inventory.damaged(store) == []
    rows = inventory.images(store) if kind == "images" else inventory.networks(store)
    assert [row.name for row in rows if not row.fixed] == [f"{stem}-2"]


def test_images_that_changed_in_the_store_are_damaged_and_not_in_the_table(store):
    take(store, "digits.npz", npz(images=GREY, labels=LABELS))
    (entry,) = store.entries("images")
    with open(entry.path, "ab") as file:
        file.write(b"more")
    assert inventory.images(store) == []
    assert [one.what for one in inventory.damaged(store)] == ["digits: its file is not what was written"]
