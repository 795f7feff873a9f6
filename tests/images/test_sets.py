"""The images are CIFAR-10's, the samples are what was asked for, and what cannot be had says how to get it."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cka_core.base.npz import NotReadable
from cka_core.images import cifar10_files, pictures, sets
from cka_core.images.sets import ImagesUnavailable, choose, import_cifar10, load_images


def test_the_bundle_is_a_balanced_sixteenth():
    train, test = load_images("cifar10-mini", "train"), load_images("cifar10-mini", "test")
    assert train.x.shape == (3125, 32, 32, 3) and train.x.dtype == np.uint8
    assert set(np.bincount(train.y)) == {312, 313}
    assert (np.bincount(test.y) == 100).all()
    # Real photographs, near CIFAR-10's published channel means (125.3, 123.0, 113.9).
    assert np.allclose(train.x.mean((0, 1, 2)), [125.3, 123.0, 113.9], atol=2)


def test_first_and_seeded_samples():
    everything = load_images("cifar10-mini", "test")
    first = load_images("cifar10-mini", "test", 50)
    assert (first.x == everything.x[:50]).all()
    drawn, again, other = (load_images("cifar10-mini", "test", 50, seed) for seed in (1, 1, 2))
    assert (drawn.x == again.x).all() and drawn.digest == again.digest
    assert drawn.digest != other.digest != first.digest
    assert len({image.tobytes() for image in drawn.x}) == 50


def test_balanced_sample():
    assert set(np.bincount(load_images("cifar10-mini", "test", 95, 0, balanced=True).y)) == {9, 10}
    with pytest.raises(ValueError, match="class 1 has only 2. Ask for at most 4"):
        choose(np.array([0, 0, 0, 0, 1, 1]), 6, 0, balanced=True)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("imagenet", "test"), "Valid: cifar10-mini, cifar10"),
        (("cifar10-mini", "dev"), "Valid: test, train"),
        (("cifar10-mini", "test", 1001), "Expected 1 to 1,000"),
        (("cifar10-mini", "test", 0), "Expected 1 to 1,000"),
        (("cifar10-mini", "test", "50"), "Expected n as a whole number of images, or None for all, got '50'"),
        (("cifar10-mini", "test", 2.5), "Expected n as a whole number of images, .* got 2.5"),
        (("cifar10-mini", "test", 50, -1), "Expected seed as a whole number from 0, .* got -1"),
        (("cifar10-mini", "test", 50, "first"), "Expected seed as a whole number from 0, .* got 'first'"),
        ((None, "test"), "Unknown image set None. Valid: cifar10-mini"),
    ],
)
def test_what_does_not_exist_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_images(*arguments)


def test_a_balanced_sample_is_asked_for_or_not():
    with pytest.raises(ValueError, match="Expected balanced=True or balanced=False, got 'no'."):
        load_images("cifar10-mini", "test", 10, 0, balanced="no")


def test_without_a_connection_the_error_says_three_ways(monkeypatch, store):
    import keras

    def offline():
        raise OSError("no route to host")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", offline)
    with pytest.raises(ImagesUnavailable) as error:
        load_images("cifar10", "test", store=store)
    for way in ("(1) connect", "cifar10.npz", "cifar-10-binary.tar.gz"):
        assert way in str(error.value)


def gzipped(x: np.ndarray) -> bytes:
    """As the files of Fashion-MNIST are: a few numbers of description, then the bytes."""
    description = b"\0\0\x08" + bytes([x.ndim]) + b"".join(side.to_bytes(4, "big") for side in x.shape)
    return gzip.compress(description + x.tobytes())


def test_keras_own_loaders_fetch_other_sets_and_the_store_keeps_them(tmp_path, monkeypatch, store):
    from keras.src.backend import config

    rng = np.random.default_rng(0)
    monkeypatch.setattr(config, "keras_home", lambda: str(tmp_path / "keras"))
    folder = tmp_path / "keras" / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    written = {}
    for part, long in (("train", "train"), ("test", "t10k")):
        written[part] = rng.integers(0, 256, (20, 28, 28), np.uint8), rng.integers(0, 10, 20, np.uint8)
        (folder / f"{long}-images-idx3-ubyte.gz").write_bytes(gzipped(written[part][0]))
        (folder / f"{long}-labels-idx1-ubyte.gz").write_bytes(gzipped(written[part][1]))
    images = load_images("fashion-mnist", "test", 10, store=store)
    shutil.rmtree(folder)
    assert images.x.shape == (10, 28, 28, 1) and images.classes[0] == "t-shirt"
    again = load_images("fashion-mnist", "train", store=store)  # from the store: the loader's files are gone
    assert np.array_equal(again.x[..., 0], written["train"][0]) and np.array_equal(again.y, written["train"][1])


@pytest.mark.parametrize("name, loader", [("mnist", "mnist"), ("cifar100", "cifar100")])
def test_what_a_loader_gives_is_checked_and_kept(monkeypatch, store, name, loader):
    import keras

    shape = (9, 28, 28) if name == "mnist" else (9, 32, 32, 3)
    x, y = np.zeros(shape, np.uint8), np.arange(9)[:, None]
    monkeypatch.setattr(getattr(keras.datasets, loader), "load_data", lambda: ((x, y), (x, y)))
    images = load_images(name, "test", store=store)
    assert images.x.shape[1:] == sets.image_set(name).shape and len(images.classes) == {"mnist": 10}.get(name, 100)
    monkeypatch.setattr(getattr(keras.datasets, loader), "load_data", lambda: ((x, y + 100), (x, y)))
    with pytest.raises(ValueError, match="the download: expected classes 0 to"):
        load_images(name, "test", store=type(store)(store.root + "-other"))


@pytest.fixture
def small():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 32, 32, 3), np.uint8), rng.integers(0, 10, 60, np.uint8)
    return x[:50], y[:50], x[50:], y[50:]


def test_import_npz(tmp_path, small, store):
    x_train, y_train, x_test, y_test = small
    path = tmp_path / "c.npz"
    np.savez(path, x_train=x_train, y_train=y_train[:, None], x_test=x_test, y_test=y_test[:, None])
    assert not sets.is_available("cifar10", store)
    assert import_cifar10(path, store) == {"train": 50, "test": 10}
    assert sets.is_available("cifar10", store)
    assert (load_images("cifar10", "train", store=store).x == x_train).all()
    assert (load_images("cifar10", "test", store=store).y == y_test).all()


def test_import_binary_archive(tmp_path, small, store):
    x_train, y_train, x_test, y_test = small
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        parts = {f"data_batch_{i + 1}.bin": (x_train[i * 10 :][:10], y_train[i * 10 :][:10]) for i in range(5)}
        for name, (x, y) in (parts | {"test_batch.bin": (x_test, y_test)}).items():
            data = np.concatenate([y[:, None], x.transpose(0, 3, 1, 2).reshape(len(x), -1)], axis=1).tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    import_cifar10(path, store)
    loaded = load_images("cifar10", "train", store=store)
    assert (loaded.x == x_train).all() and (loaded.y == y_train).all()


@pytest.mark.parametrize(
    "content, message",
    [
        (lambda p: p.write_bytes(b"hello"), "neither a zip nor a tar"),
        (lambda p: np.savez(p, x_train=np.zeros(3)), "y_train, x_test, y_test missing"),
        (
            lambda p: np.savez(
                p, x_train=np.zeros((2, 3)), y_train=np.zeros(2), x_test=np.zeros(1), y_test=np.zeros(1)
            ),
            r"expected x_train as uint8 \(n, 32, 32, 3\)",
        ),
        (
            lambda p: np.savez(p, x_train=np.array([{}]), y_train=np.zeros(2), x_test=np.zeros(1), y_test=np.zeros(1)),
            "pickle",
        ),
    ],
)
def test_a_wrong_file_is_refused_and_never_unpickled(tmp_path, store, content, message):
    path = tmp_path / "c.npz"
    content(path)
    with pytest.raises(ValueError, match=message):
        import_cifar10(path, store)
    assert not sets.is_available("cifar10", store)


def archive_of(path, x_train, y_train, x_test, y_test, **options):
    """The official form, of any images."""
    with tarfile.open(path, "w:gz", **options) as archive:
        parts = {f"data_batch_{i + 1}.bin": (x_train[i::5], y_train[i::5]) for i in range(5)}
        for name, (x, y) in (parts | {"test_batch.bin": (x_test, y_test)}).items():
            data = np.concatenate([y[:, None], x.transpose(0, 3, 1, 2).reshape(len(x), -1)], axis=1).tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_an_archive_with_a_flipped_bit_is_refused_wherever_it_is(tmp_path, small, store):
    path = archive_of(tmp_path / "c.tar.gz", *small, compresslevel=0)  # stored, so that only the checksum can tell
    whole = path.read_bytes()
    for position in (len(whole) // 3, len(whole) // 2, len(whole) - 6):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(NotReadable):
            import_cifar10(path, store)
    path.write_bytes(whole[:-9])
    with pytest.raises(NotReadable, match="or a damaged one"):
        import_cifar10(path, store)
    assert not sets.is_available("cifar10", store)


def test_a_copy_of_the_official_archive_that_differs_in_a_byte_is_refused(tmp_path, small, store, monkeypatch):
    path = archive_of(tmp_path / "c.tar.gz", *small)
    monkeypatch.setattr(cifar10_files, "OFFICIAL_BYTES", path.stat().st_size)
    with pytest.raises(NotReadable, match="SHA-256 is another"):
        import_cifar10(path, store)
    monkeypatch.setattr(cifar10_files, "OFFICIAL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    assert import_cifar10(path, store) == {"train": 50, "test": 10}


def zeros_npz(path):
    """13 MB that unpack to 3 GB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, form in (
            ("x_train", (10**6, 32, 32, 3)),
            ("y_train", (10**6,)),
            ("x_test", (1, 32, 32, 3)),
            ("y_test", (1,)),
        ):
            header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {form}, }}".ljust(117).encode() + b"\n"
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(b"\x93NUMPY\1\0v\0" + header)
                for _ in range(int(np.prod(form)) >> 20):
                    member.write(bytes(1 << 20))


def zeros_tar(path):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.size = 3073 * 10**6
        archive.addfile(member, Zeros())


class Zeros(io.RawIOBase):
    def read(self, size=-1):
        return bytes(size)


@pytest.mark.parametrize("write", [zeros_npz, zeros_tar])
def test_a_small_file_that_unpacks_to_gigabytes_is_refused_before_it_does(tmp_path, store, write):
    path = tmp_path / "cifar"
    write(path)
    assert path.stat().st_size < 20e6
    tracemalloc.start()
    with pytest.raises(NotReadable):
        import_cifar10(path, store)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert store.names("scratch") == []


def test_as_many_images_as_cifar10_that_are_not_its_own_are_noted(tmp_path, store, caplog):
    x, y = np.zeros((50_000, 32, 32, 3), np.uint8), np.zeros(50_000, np.uint8)
    np.savez(tmp_path / "c.npz", x_train=x, y_train=y, x_test=x[:10_000], y_test=y[:10_000])
    assert import_cifar10(tmp_path / "c.npz", store) == sets.IMAGE_SETS["cifar10"].sizes
    assert "not its images in their order" in caplog.text


def test_the_small_file_that_once_ended_in_a_traceback_is_refused_in_a_sentence(store):
    with pytest.raises(NotReadable, match=r"Expected an npz with x_train.* in zlib\.npz"):
        import_cifar10(Path(__file__).parent.parent / "data" / "faults" / "zlib.npz", store)


def test_images_of_any_kind_are_seen_in_colour_as_squares_and_what_is_none_is_not():
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (4, 32, 32, 3), np.uint8)
    assert (pictures.seen(colour) == colour).all() and (pictures.seen(colour, [2, 0]) == colour[[2, 0]]).all()
    assert (pictures.seen(colour.transpose(0, 3, 1, 2)) == colour).all()
    assert (pictures.seen(np.concatenate([colour, colour[..., :1]], axis=3)) == colour).all(), "without transparency"
    grey = colour[..., 0]
    for x in (grey, grey[..., None], grey[:, None]):
        assert (pictures.seen(x) == grey[..., None]).all() and pictures.seen(x).shape == colour.shape
    assert (pictures.seen(np.float32(colour) / 255) == colour).all()
    unit = np.float64(grey) / 255
    unit[0, 0, :2] = 0, 1
    assert (pictures.seen(3 * unit - 1) == np.rint(255 * unit)[..., None]).all(), "from the smallest to the largest"
    assert (pictures.seen(np.ones((2, 8, 8), np.int32)) == 0).all()
    oblong = pictures.seen(colour[:, 8:24])
    assert (oblong[:, 8:24] == colour[:, 8:24]).all() and not oblong[:, :8].any() and not oblong[:, 24:].any()
    assert pictures.seen(np.zeros((1, 300, 200, 3), np.uint8)).shape == (1, 64, 64, 3)
    for none in (np.zeros((4, 7)), np.zeros((4, 5, 6, 7)), np.zeros((4, 2, 3, 4, 3))):
        assert pictures.seen(none) is None
