"""Files of arrays from any framework: what was written is read, some rows at a time; anything else is refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from cka_core.base import foreign_arrays
from cka_core.base.npz import NotReadable

RNG = np.random.default_rng(0)
X = {"first": RNG.standard_normal((20, 3, 4)), "block/second": RNG.standard_normal((20, 7)).astype("f4")}
IDS = np.array([f"img{i:02}" for i in range(20)])


def safetensors(arrays: dict[str, np.ndarray], about: dict | None = None, **changes) -> bytes:
    """A file as the format's description says; ``changes``: the header's entry of an array."""
    names = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "uint16": "BF16", "uint8": "U8"}
    header, data = {"__metadata__": about} if about else {}, b""
    for name, x in arrays.items():
        header[name] = {
            "dtype": names[x.dtype.name], "shape": list(x.shape), "data_offsets": [len(data), len(data) + x.nbytes],
        } | changes.get(name.replace("/", "_"), {})  # fmt: skip
        data += x.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def npy(x: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, x)
    return file.getvalue()


def npz(compressed: bool = False, **arrays) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(
        file, **{name.replace("__", "/"): x for name, x in arrays.items()}
    )
    return file.getvalue()


def zipped(members: dict[str, bytes], link: str = "") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if name == link else 0o100644) << 16
            archive.writestr(info, data)
    return file.getvalue()


def hdf5(path: Path, **arrays) -> bytes:
    with h5py.File(path, "w") as file:
        for name, x in arrays.items():
            file[name.replace("__", "/")] = x
    return path.read_bytes()


def read(path: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...] | None]:
    """All of it, in pieces of 6 rows."""
    with foreign_arrays.opened(path) as found:
        n = len(next(iter(found.arrays.values())))
        pieces = [slice(i, min(i + 6, n)) for i in range(0, n, 6)]
        return {k: np.concatenate([v[p] for p in pieces]) for k, v in found.arrays.items()}, found.ids


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return list(found) == list(expected) and all(np.array_equal(found[name], expected[name]) for name in expected)


def test_each_form_gives_what_was_written(tmp_path):
    written = {"first": X["first"], "block__second": X["block/second"]}
    files = {
        "a.npz": npz(**written, sample_ids=IDS),
        "b.npz": npz(compressed=True, **written, sample_ids=IDS),
        "c.safetensors": safetensors(X, {"sample_ids": json.dumps(list(IDS))}),
        "d.zip": zipped({"acts/first.npy": npy(X["first"]), "acts/block/second.npy": npy(X["block/second"]),
                         "acts/sample_ids.txt": "\n".join(IDS).encode(), "acts/.DS_Store": b"x"}),
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        found, ids = read(tmp_path / name)
        assert same(found, X) and ids == tuple(IDS), name
    hdf5(tmp_path / "e.h5", **written, sample_ids=[str(one) for one in IDS])
    found, ids = read(tmp_path / "e.h5")
    assert same(dict(sorted(found.items(), reverse=True)), X) and ids == tuple(IDS)
    (tmp_path / "f" / "block").mkdir(parents=True)
    np.save(tmp_path / "f" / "first.npy", np.asfortranarray(X["first"]))
    np.save(tmp_path / "f" / "block" / "second.npy", X["block/second"])
    assert same(dict(sorted(read(tmp_path / "f")[0].items(), reverse=True)), X)
    np.save(tmp_path / "g.npy", X["first"])
    assert same(read(tmp_path / "g.npy")[0], {"g": X["first"]})


def test_a_colon_in_a_layers_name_is_the_names_own(tmp_path):
    """Second calls (``relu:1``), TensorFlow's tensors (``conv/BiasAdd:0``), and whatever else is no drive."""
    names = ["relu", "relu:1", "conv/BiasAdd:0", "layer1.0.relu:1", "a:b", "x:", "[x](http:evil)"]
    written = {name: X["block/second"] + i for i, name in enumerate(names)}
    np.savez(tmp_path / "colon.npz", **written)
    assert same(read(tmp_path / "colon.npz")[0], written)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4", "u1", "i4", "i8", "?"])
def test_numbers_of_every_type_are_read(tmp_path, kind):
    x = (RNG.standard_normal((8, 5)) * 10).astype(kind)
    for compressed in (False, True):
        (tmp_path / "a.npz").write_bytes(npz(compressed, x=x))
        found = read(tmp_path / "a.npz")[0]["x"]
        assert np.array_equal(found, x) and found.dtype.isnative and found.dtype.kind in "fiu"


def test_bfloat16_is_read_as_the_float32_that_it_begins(tmp_path):
    x = RNG.standard_normal((8, 5)).astype("f4")
    half = (x.view("u4") >> 16).astype("u2")
    expected = (half.astype("u4") << 16).view("f4")
    assert np.allclose(expected, x, rtol=1e-2)
    (tmp_path / "a.safetensors").write_bytes(safetensors({"x": half}))
    np.savez(tmp_path / "b.npz", x=half.view("V2"))
    for name in ("a.safetensors", "b.npz"):
        assert np.array_equal(read(tmp_path / name)[0]["x"], expected)


def test_a_file_is_never_whole_in_memory(tmp_path):
    x = np.tile(RNG.standard_normal(1000), (64, 100))  # 51 MB
    x[:, ::5] = RNG.standard_normal((64, 20_000)).round(2)
    np.savez(tmp_path / "a.npz", x=x)
    np.savez_compressed(tmp_path / "b.npz", x=x)
    del x
    for name in ("a.npz", "b.npz"):
        tracemalloc.start()
        with foreign_arrays.opened(tmp_path / name) as found:
            for first in range(0, 64, 8):
                assert np.isfinite(found.arrays["x"][first : first + 8]).all()
        assert tracemalloc.get_traced_memory()[1] < 30e6
        tracemalloc.stop()


def test_a_compressed_array_is_read_again_from_its_beginning(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz(True, x=X["first"]))
    with foreign_arrays.opened(tmp_path / "a.npz") as found:
        rows = found.arrays["x"]
        assert np.array_equal(rows[12:20], X["first"][12:]) and np.array_equal(rows[3:5], X["first"][3:5])


HUGE = (
    b"\x93NUMPY\1\0v\0" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 1000000), }".ljust(117) + b"\n"
)
NEGATIVE = HUGE.replace(b"(100000, 1000000)", b"(-5, 4)          ")
GOOD = npy(X["first"])


def twice() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            archive.writestr("x.npy", GOOD)
    return file.getvalue()


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as member:
        member.write(HUGE.replace(b"(100000, 1000000)", b"(1000, 16384)    ") + bytes(1000 * 16384 * 4))
    return file.getvalue()


def damaged() -> bytes:
    data = bytearray(npz(x=RNG.standard_normal((200, 500))))
    data[-5000] ^= 1
    return bytes(data)


def doubled() -> bytes:
    one = json.dumps({"dtype": "U8", "shape": [2, 2], "data_offsets": [0, 4]})
    text = f'{{"x": {one}, "x": {one}}}'.encode()
    return len(text).to_bytes(8, "little") + text + bytes(4)


MALFORMED = {
    "text": ("a.npz", b"hello, this is no array at all", "its first bytes"),
    "another form": ("a.safetensors", npz(x=X["first"]), "first bytes are those of a zip file"),
    "truncated zip": ("a.npz", npz(x=X["first"])[:-40], "copy it again"),
    "truncated npy": ("a.npy", GOOD[:-1], "which is 1,920 bytes; it has 1,919"),
    "truncated safetensors": ("a.safetensors", safetensors(X)[:-1], "copy it again"),
    "objects": ("a.npy", npy(np.array([{}, {}], object)), "no pickle is read"),
    "structured": ("a.npy", npy(np.zeros(4, [("x", "f4")])), "does not say what it is"),
    "pickle": ("a.npy", pickle.dumps([1, 2]), "it is a pickle, which can run code"),
    "checkpoint": ("a.zip", zipped({"archive/data.pkl": b"x", "archive/data/0": b"y"}), "PyTorch checkpoint"),
    "bomb": ("a.npz", bomb(), "far more than its own"),
    "traversal": ("a.zip", zipped({"../x.npy": GOOD}), "leads out of the archive"),
    "absolute": ("a.zip", zipped({"/etc/x.npy": GOOD}), "leads out of the archive"),
    "backslash": ("a.zip", zipped({"..\\x.npy": GOOD}), "leads out of the archive"),
    "traversal below": ("a.zip", zipped({"a/../../x.npy": GOOD}), "leads out of the archive"),
    "absolute backslash": ("a.zip", zipped({"\\x.npy": GOOD}), "leads out of the archive"),
    "backslash below": ("a.zip", zipped({"a\\..\\..\\x.npy": GOOD}), "leads out of the archive"),
    "one name with both": ("a.zip", zipped({"a\\x.npy": GOOD, "a/x.npy": GOOD}), "two of its members have one name"),
    "a network": ("a.zip", zipped({"mine.keras": b"x"}), "it has mine.keras in it. Unpack it, and bring in that file"),
    "a network in a folder": (
        "a.zip",
        zipped({"mine/config.json": b"", "mine/metadata.json": b"", "mine/model.weights.h5": b""}),
        "it is a network (.keras) that was unpacked. Zip its files themselves, not their folder",
    ),
    "packed twice": ("a.zip", zipped({"acts/A.NPZ": b"x", "b.txt": b""}), "it has acts/A.NPZ in it. Unpack it, and"),
    "drive": ("a.zip", zipped({"C:/x.npy": GOOD}), "leads out of the archive"),
    "drive backslash": ("a.zip", zipped({"c:\\x.npy": GOOD}), "leads out of the archive"),
    "drive alone": ("a.zip", zipped({"x.npy": GOOD, "C:": GOOD}), "leads out of the archive"),
    "link": ("a.zip", zipped({"x.npy": b"/etc/passwd"}, link="x.npy"), "symbolic link"),
    "huge": ("a.npy", HUGE + bytes(100), "which is 400,000,000,000 bytes"),
    "huge in a zip": ("a.zip", zipped({"x.npy": HUGE + bytes(100)}), "which is 400,000,000,000 bytes"),
    "negative": ("a.npy", NEGATIVE + bytes(80), "does not say what it is"),
    "negative safetensors": ("a.safetensors", safetensors(X, first={"shape": [-20, 12]}), "not negative"),
    "duplicate": ("a.zip", twice(), "two of its members have one name"),
    "duplicate safetensors": ("a.safetensors", doubled(), "two of its arrays have one name"),
    "overlap": ("a.safetensors", safetensors(X, block_second={"data_offsets": [0, 560]}), "does not begin where"),
    "long header": ("a.safetensors", (1 << 60).to_bytes(8, "little") + b"{" + bytes(50), "its first bytes"),
    "complex": ("a.npy", npy(np.ones((5, 2), complex)), "complex128; expected float16"),
    "no images": ("a.npy", npy(np.ones((0, 2))), "expected (images, features...)"),
    "a number": ("a.npy", npy(np.array(3.0)), "expected (images, features...)"),
    "other": ("a.zip", zipped({"x.npy": GOOD, "run.py": b"print()"}), "run.py in it is no .npy file"),
    "telephone": ("a.zip", zipped({"a/1.heic": b"x"}), "1.heic in it is no .npy file; activations are these, and"),
    "nothing": ("a.npz", b"", "there is nothing in it; copy it again"),
    "a step": (
        "a.npz",
        npz(x=X["first"], step=np.array(3)),
        "...). Leave it out of the file if it is no layer",
    ),
    "names": ("a.npz", npz(x=X["first"], names=np.array(["a"] * 20)), "Leave it out of the file if it is no layer"),
    "empty": ("a.zip", zipped({}), "there is no array in it"),
    "unequal": ("a.npz", npz(x=np.ones((5, 2)), y=np.ones((6, 2))), "x has 5, y 6"),
    "fewer ids": ("a.npz", npz(x=X["first"], sample_ids=IDS[:5]), "5 sample_ids for 20 images"),
    "one id twice": ("a.npz", npz(x=X["first"], sample_ids=np.zeros(20, int)), "two rows have the id '0'"),
    "ids in a group": ("a.npz", npz(x=X["first"], net__sample_ids=np.arange(20)), "expected sample_ids at the top"),
    "ids in a folder": (
        "a.zip",
        zipped({"x.npy": GOOD, "net/sample_ids.npy": npy(np.arange(20))}),
        "expected sample_ids at the top",
    ),
    "ids in a tensor": (
        "a.safetensors",
        safetensors(X | {"net/sample_ids": np.arange(20, dtype=np.int64)}),
        "expected sample_ids at the top",
    ),
    "damaged": ("a.npz", damaged(), "its checksum is another"),
    "Fortran": ("a.npz", npz(True, x=np.asfortranarray(np.ones((5, 2)))), "np.ascontiguousarray"),
}


def test_a_zip_with_backslashes_in_it_as_some_programs_on_windows_write_is_read_as_any_other(tmp_path):
    inside = {"acts\\": b"", "acts\\block\\conv.npy": GOOD, "acts\\head.npy": GOOD}
    (tmp_path / "a.zip").write_bytes(zipped(inside))
    found, _ = read(tmp_path / "a.zip")
    assert list(found) == ["block/conv", "head"]


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_file_is_refused_by_name_saying_what_is_wrong(tmp_path, kind):
    name, data, words = MALFORMED[kind]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(NotReadable) as refusal:
        read(tmp_path / name)
    assert name in str(refusal.value) and words in str(refusal.value)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4, 4), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4, 4))
    file.create_virtual_dataset("x", layout)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda f: f.create_dataset("x", (4, 1 << 28), "f4", chunks=(1, 1 << 20), compression="gzip"), "far more than"),
        (lambda f: f.create_dataset("x", (4, 4), "f4", external=[("/etc/passwd", 0, 64)]), "lies in other files"),
        (virtual, "lies in other files"),
        (lambda f: f.__setitem__("x", h5py.SoftLink("/y")), "a link to another place"),
        (lambda f: f.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/y")), "a link to another place"),
        (lambda f: f.__setitem__("x", f["/"]), "deep"),
        (lambda f: f.create_dataset("x", (4,), h5py.string_dtype()), "object; expected float16"),
        (lambda f: f.create_dataset("net/sample_ids", data=range(4)), "expected sample_ids at the top"),
        (lambda f: f.attrs.__setitem__("keras_version", "3"), "a Keras model's weights"),
        (lambda f: f.attrs.__setitem__("model_config", "{}"), "network: keras.models.load_model"),
        (lambda f: f.create_group("layers"), "network: build it in Python, then model.load_weights"),
    ],
)
def test_a_malformed_hdf5_file_is_refused(tmp_path, make, words):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        make(file)
    with pytest.raises(NotReadable) as refusal:
        read(tmp_path / "a.h5")
    assert "a.h5" in str(refusal.value) and words in str(refusal.value)


def test_a_damaged_hdf5_file_says_what_to_do(tmp_path):
    whole = hdf5(tmp_path / "a.h5", x=RNG.standard_normal((20, 50)))
    packed = tmp_path / "c.h5"
    with h5py.File(packed, "w") as file:
        file.create_dataset("x", data=RNG.standard_normal((20, 50)), chunks=(20, 50), compression="gzip")
    chunk = bytearray(packed.read_bytes())
    chunk[-1000:] = bytes(1000)
    packed.write_bytes(bytes(chunk))
    (tmp_path / "a.h5").write_bytes(whole[:8] + b"\xff" * 2000)
    (tmp_path / "b.h5").write_bytes(whole[:-100])
    for name in ("a.h5", "b.h5", "c.h5"):
        with pytest.raises(NotReadable, match="it is no whole HDF5 file, or damaged; copy it again") as refusal:
            read(tmp_path / name)
        assert name in str(refusal.value)


def test_a_folder_with_a_link_or_anything_else_is_refused(tmp_path):
    (tmp_path / "x.npy").write_bytes(GOOD)
    (tmp_path / "y.npy").symlink_to(tmp_path / "x.npy")
    with pytest.raises(NotReadable, match="y.npy is a symbolic link"):
        read(tmp_path)
    os.replace(tmp_path / "x.npy", tmp_path / "y.npy")
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(NotReadable, match="notes.md is no .npy file"):
        read(tmp_path)
