"""The images are CIFAR-10's, the samples are what was asked for, and what cannot be had says how to get it."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest

from cka_core.images import sets
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
        (("cifar100", "test"), "Valid: cifar10-mini, cifar10"),
        (("cifar10-mini", "dev"), "Valid: test, train"),
        (("cifar10-mini", "test", 1001), "Expected 1 to 1,000"),
        (("cifar10-mini", "test", 0), "Expected 1 to 1,000"),
    ],
)
def test_what_does_not_exist_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_images(*arguments)


def test_without_a_connection_the_error_says_three_ways(monkeypatch, store):
    import keras

    def offline():
        raise OSError("no route to host")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", offline)
    with pytest.raises(ImagesUnavailable) as error:
        load_images("cifar10", "test", store=store)
    for way in ("(1) connect", "cifar10.npz", "cifar-10-binary.tar.gz"):
        assert way in str(error.value)


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
