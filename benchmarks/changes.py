"""How a valid file becomes a malformed one: seeded changes of its bytes, each for a kind of file."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from typing import Any

import numpy as np

VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1e308, "", "x", "<b>", "../../x", "9" * 5000, "x" * 3000, [], {}, [[[[[[]]]]]], {"a": 1},
    [None] * 50, "\ud83d\ude00", 2.5,
)  # fmt: skip


def flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def repeat(data: bytes, rng: random.Random) -> bytes:
    first, last = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:last] + data[first:last] * rng.choice((1, 2, 50)) + data[last:]


def noise(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.choice((1, 16, 4096))) + data[at + rng.choice((0, 16)) :]


def of_json(text: bytes, rng: random.Random) -> bytes:
    """JSON with a few of its values replaced, removed, or the whole nested deeply."""
    if rng.random() < 0.05:
        return b"[" * rng.choice((40, 1000, 100_000)) + text
    value = json.loads(text)
    for _ in range(rng.choice((1, 1, 3))):
        holder: Any = value
        while isinstance(holder, dict | list) and holder:
            key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
            inner = holder[key]
            if not isinstance(inner, dict | list) or not inner or rng.random() < 0.4:
                if rng.random() < 0.2:
                    del holder[key]
                else:
                    holder[key] = rng.choice(VALUES)
                break
            holder = inner
    return json.dumps(value).encode().replace(b'"x"', rng.choice((b'"x"', b"NaN", b"1e999", b'"\\ud800"')))


def of_array(data: bytes, rng: random.Random) -> bytes:
    """An array's file, its header changed, or the JSON in it."""
    if b'{"' in data[64:200]:
        text = of_json(data[128:] if data[6:8] == b"\1\0" else data, rng)
        file = io.BytesIO()
        np.save(file, np.frombuffer(text, np.uint8))
        return file.getvalue()
    return rng.choice((flip, cut, repeat, noise, lambda data, rng: flip(data[:128], rng) + data[128:]))(data, rng)


def of_zip(data: bytes, rng: random.Random) -> bytes:
    """An archive with a member changed, left out, doubled, unpacking to much, or packed another way."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    kind = rng.randrange(6)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[f"{name}{rng.choice(('.npy', 'x', '/../x'))}"] = members[name]
    elif kind == 2:
        members[name] = members[name] + bytes(rng.choice((1, 10**6, 3 * 10**7)))
    else:
        change = of_array if name.endswith(".npy") else of_json if name.endswith(".json") else flip
        members[name] = change(members[name], rng)
    packing = rng.choice((0, 0, 0, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    changed = bytearray(file.getvalue())
    if rng.random() < 0.15:  # what the table of contents says
        at = changed.rfind(b"PK\1\2")
        changed[at + rng.choice((8, 10, 20, 24, 28, 42))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def of_gzip(data: bytes, rng: random.Random) -> bytes:
    return gzip.compress(rng.choice((flip, cut, repeat, noise))(gzip.decompress(data), rng), 1)


def of_toml(data: bytes, rng: random.Random) -> bytes:
    lines = data.decode().splitlines()
    at = rng.randrange(len(lines))
    line = lines[at].partition("=")[0] + "= " + rng.choice(
        ("[" * 500, "nan", "1e999", "-1", '"x"', "[[]]", "{a={}}", "9" * 5000, "1979-05-27", "true",
         "[1" + ", 1" * 5000 + "]")
    )  # fmt: skip
    lines[at] = line
    return "\n".join(lines).encode()


def of_safetensors(data: bytes, rng: random.Random) -> bytes:
    """The header's JSON changed, its length as it is now or as it was."""
    length = int.from_bytes(data[:8], "little")
    text = of_json(data[8 : 8 + length], rng)
    return (len(text) if rng.random() < 0.8 else length).to_bytes(8, "little") + text + data[8 + length :]
