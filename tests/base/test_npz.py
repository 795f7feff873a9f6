"""The door for foreign files: bounded before anything is unpacked, one error whatever a parser raises."""

from __future__ import annotations

import io
import lzma
import struct
import tokenize
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from cka_core.base import npz
from cka_core.base.npz import Bounds, NotReadable

WHAT = "a thing"


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as writer:
        for name, data in members.items():
            writer.writestr(name, data)
    file.seek(0)
    return file


def names(file: io.BytesIO, bounds: Bounds) -> list[str]:
    with npz.reading(WHAT), npz.opened(file, bounds) as opened:
        return opened.namelist()


def refusal(file: io.BytesIO, bounds: Bounds) -> str:
    with pytest.raises(NotReadable) as error:
        names(file, bounds)
    return str(error.value)


def test_what_is_within_its_bounds_is_opened():
    assert names(archive({"a": b"1", "b": b"22"}), Bounds()) == ["a", "b"]
    assert names(archive({"a": bytes(10_000)}, zipfile.ZIP_DEFLATED), Bounds()) == ["a"]


@pytest.mark.parametrize(
    "file, bounds, words",
    [
        (archive({str(i): b"" for i in range(17)}), Bounds(), "17 members, at most 16"),
        (archive({"a": bytes(2000)}), Bounds(unpacked=1000), "unpacks to 2,000 bytes, at most 1,000"),
        (archive({"a": bytes(10**6)}, zipfile.ZIP_DEFLATED), Bounds(free=1000), "far more than its own"),
        (archive({"a": b"1"}, zipfile.ZIP_DEFLATED), npz.STORED, "compressed or encrypted"),
        (archive({"a": b"1"}, zipfile.ZIP_LZMA), Bounds(), "compressed in a way that is not read"),
        (archive({"a": b"1"}, zipfile.ZIP_BZIP2), Bounds(), "compressed in a way that is not read"),
        (io.BytesIO(b"PK\5\6"), Bounds(), "no npz file"),
        (io.BytesIO(b""), Bounds(), "no npz file"),
    ],
)
def test_what_is_not_is_refused_by_what_it_says_of_itself(file, bounds, words):
    assert words in refusal(file, bounds)


def test_an_encrypted_member_is_refused():
    file = bytearray(archive({"a": b"1"}).getvalue())
    directory = file.index(b"PK\1\2")
    file[directory + 8] |= 1
    assert "encrypted" in refusal(io.BytesIO(bytes(file)), Bounds())


def test_members_that_share_their_bytes_are_refused():
    file = bytearray(archive({"a": bytes(1000), "b": bytes(1000)}).getvalue())
    second = file.index(b"PK\1\2", file.index(b"PK\1\2") + 1)
    struct.pack_into("<II", file, second + 20, 10**6, 10**6)
    assert "overlap" in refusal(io.BytesIO(bytes(file)), Bounds())


def test_two_members_of_one_name_are_refused():
    file = bytearray(archive({"a": b"1", "b": b"2"}).getvalue())
    assert "one name" in refusal(io.BytesIO(bytes(file).replace(b"b", b"a")), Bounds())


def test_a_table_of_contents_is_not_read_where_it_is_huge():
    file = archive({"a": b"1"})
    file.seek(0, io.SEEK_END)
    end = file.getvalue()[-22:]
    file.seek(-22, io.SEEK_END)
    file.write(bytes(8 << 20) + end[:12] + struct.pack("<I", 8 << 20) + end[16:])
    tracemalloc.start()
    assert "table of contents" in refusal(file, Bounds())
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "error",
    [
        zlib.error("-3"), lzma.LZMAError("x"), RuntimeError("encrypted"), RecursionError(), tokenize.TokenError("x"),
        OverflowError("x"), MemoryError(), SyntaxError("x"), NotImplementedError("x"), struct.error("x"),
        KeyError("x"), IndexError("x"), AttributeError("x"), UnicodeDecodeError("utf-8", b"", 0, 1, "x"), EOFError(),
        zipfile.BadZipFile("x"), OSError(22, "Invalid argument"), AssertionError(), ZeroDivisionError(),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_whatever_a_parser_raises_is_one_error_that_is_a_value_error(error):
    with pytest.raises(NotReadable, match=r"^Expected a thing in f\.npz, but it cannot be used: .+\.$"):
        with npz.reading(WHAT, "f.npz"):
            raise error
    assert issubclass(NotReadable, ValueError)


@pytest.mark.parametrize("error", [FileNotFoundError("f"), PermissionError("f"), KeyboardInterrupt()])
def test_what_is_no_fault_of_the_file_passes(error):
    with pytest.raises(type(error)), npz.reading(WHAT):
        raise error


# Arrays


def written(array: np.ndarray) -> io.BytesIO:
    file = io.BytesIO()
    np.savez_compressed(file, a=array)
    file.seek(0)
    return file


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3))])
def test_an_array_is_read_as_it_was_written_in_either_order(array):
    with npz.opened(written(array), Bounds()) as opened:
        assert (npz.array(opened, "a", "<f8", (2, 3)) == array).all()


@pytest.mark.parametrize(
    "array, shape", [(np.zeros((2, 3)), (3, 2)), (np.zeros((2, 3), "f4"), (2, 3)), (np.zeros(6), (2, 3))]
)
def test_an_array_of_another_form_is_refused(array, shape):
    with npz.opened(written(array), Bounds()) as opened, pytest.raises(ValueError, match="expected a as float64"):
        npz.array(opened, "a", "<f8", shape)


def test_an_archive_that_describes_itself_at_too_great_a_length_is_not_unpacked(monkeypatch):
    file = io.BytesIO()
    np.savez(file, about=np.frombuffer(b'{"name": "a thing"}', np.uint8))
    with npz.opened(file, Bounds()) as opened:
        assert npz.description(opened) == {"name": "a thing"}
        monkeypatch.setattr(npz.records, "LARGEST", 20)
        with pytest.raises(ValueError, match="it describes itself in .* bytes, at most 20 are read"):
            npz.description(opened)


def test_what_is_wrong_is_told_without_the_sentence_around_it():
    with pytest.raises(NotReadable) as raised, npz.reading(WHAT, "thing.npz"):
        raise ValueError("its matrix has infinite values")
    assert npz.why(raised.value) == "its matrix has infinite values"
    assert npz.why(OSError("It is on fire.")) == "It is on fire"


def test_every_form_that_numpy_writes_is_understood():
    for array in (np.zeros(()), np.zeros(3, "u1"), np.zeros((0, 4), ">i2"), np.zeros((2, 2, 2), bool)):
        file = io.BytesIO()
        np.save(file, array)
        file.seek(0)
        assert npz.header(file) == (array.shape, False, array.dtype)
        assert file.read() == array.tobytes()


@pytest.mark.parametrize(
    "text",
    [
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"{'descr': '<f8'}", b"-" * 9000 + b"1",
        b"(" * 5000, b"'" * 7, b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", b"__import__('os')",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"9" * 30 + b",), }",
    ],
    ids=lambda text: text[:12].decode(),
)  # fmt: skip
def test_a_header_of_another_form_is_refused_and_not_parsed(text):
    file = io.BytesIO(b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(ValueError):
        npz.header(file)


def test_an_array_that_says_it_is_larger_than_its_member_costs_no_memory():
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117) + b"\n"
    file = archive({"a.npy": b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(8)})
    tracemalloc.start()
    with npz.opened(file, Bounds()) as opened, pytest.raises(ValueError, match="says that it is"):
        npz.array(opened, "a", "<f8")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
