"""Images that somebody brings: an npz of arrays, or a zip of pictures with a folder a class; bounded, never unpacked.

Everything of one set has one size. A picture is decoded in memory after its own header was held against the bounds.
"""

from __future__ import annotations

import dataclasses
import io
import math
import stat
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from cka_core.base import npz
from cka_core.base.keys import leads_out
from cka_core.base.picture_shapes import is_picture

if TYPE_CHECKING:
    from PIL import Image

WHAT = "images: an npz with images (and labels, class_names), or a zip of pictures with a folder a class,"
PICTURES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
MOST_BYTES = 1 << 30
"""Of all images of a set, as numbers."""
LARGEST_PICTURE = 64 << 20
"""Pixels of one picture."""
PHOTO_WITH_PREVIEWS = "MPO"
"""Pillow's name for a .jpg of many a telephone: the photo, and behind it smaller ones of the same."""
MOST_CLASSES = 20_000
BOUNDS = npz.Bounds(members=100_000, unpacked=MOST_BYTES + (64 << 20), ratio=200)
WHOLE, SPLITS = "all", ("train", "test")
NAMINGS = (
    {WHOLE: ("images", "labels")},
    {part: (f"x_{part}", f"y_{part}") for part in SPLITS},
    {part: (f"{part}_images", f"{part}_labels") for part in SPLITS},
)
"""What arrays of images and labels are called in an npz, by part of the set."""
GREY, DEEP = ("1", "L", "LA", "La"), "I;16"
"""What Pillow calls pictures without colour, with and without transparency, and those of 16 bits a pixel."""


@dataclasses.dataclass(frozen=True, eq=False)
class OwnImages:
    """``parts``: images (n, ...) and classes int64 (n,) by the name of the part, "all", or "train" and "test"."""

    parts: dict[str, tuple[np.ndarray, np.ndarray]]
    classes: tuple[str, ...]


def is_one(names: set[str]) -> bool:
    """Whether an archive with these members is meant as images."""
    arrays = {name.removesuffix(".npy") for name in names if name.endswith(".npy")}
    if _naming(arrays) is not None:
        return True
    return not arrays and any(name.lower().endswith(PICTURES) for name in names)


def read(source: Path | IO[bytes], file_name: str) -> OwnImages:
    """The images in a file; `npz.NotReadable`, saying what is wrong with it, for anything else."""
    with npz.reading(WHAT, file_name), npz.opened(source, BOUNDS) as archive:
        names = {member.filename for member in archive.infolist()}
        return _arrays(archive) if any(name.endswith(".npy") for name in names) else _pictures(archive)


def _naming(arrays: set[str]) -> dict[str, tuple[str, str]] | None:
    """Which of `NAMINGS` these names follow, by their images; None if they follow none."""
    return next((naming for naming in NAMINGS if {images for images, _ in naming.values()} <= arrays), None)


def _arrays(archive: zipfile.ZipFile) -> OwnImages:
    names = {name.removesuffix(".npy") for name in archive.namelist()}
    pairs = _naming(names) or NAMINGS[0]
    known = {name for pair in pairs.values() for name in pair}
    if names - known - {"class_names"}:
        raise ValueError(
            f"{sorted(names - known)[0][:100]} in it is none of {', '.join(sorted(known))}, class_names. Leave it out"
        )
    with_labels = [labels in names for _, labels in pairs.values()]
    if any(with_labels) and not all(with_labels):
        raise ValueError("one of its parts has labels, the other has none")
    parts = {}
    labelled = False
    for part, (of_x, of_y) in pairs.items():
        x = _images(archive, of_x)
        labelled = of_y in names
        parts[part] = x, _labels(archive, of_y, len(x)) if labelled else np.zeros(len(x), np.int64)
    shapes = {x.shape[1:] for x, _ in parts.values()} | {str(x.dtype) for x, _ in parts.values()}
    if len(shapes) > 2:
        raise ValueError("its parts are of different sizes or types")
    if not labelled:
        return OwnImages(parts, ())
    if "class_names" in names:
        count = 1 + max(int(y.max()) for _, y in parts.values())
        return OwnImages(parts, _class_names(archive, count))
    # The first class may be 1, and there may be some without images.
    there = np.unique(np.concatenate([y for _, y in parts.values()]))
    parts = {part: (x, np.searchsorted(there, y)) for part, (x, y) in parts.items()}
    return OwnImages(parts, tuple(map(str, there.tolist())))


def _form(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    with archive.open(f"{name}.npy") as member:
        shape, _, dtype = npz.header(member)
    return shape, dtype


def _images(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    shape, dtype = _form(archive, name)
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise ValueError(
            f"{name} is {dtype}; expected uint8, other whole numbers, or floats of at most 64 bits. Convert it with "
            "astype"
        )
    if 0 in shape:
        raise ValueError(f"{name} has the shape {shape}: there is nothing in it")
    if len(shape) < 2:
        raise ValueError(f"{name} is {dtype} {shape}; expected (n, height, width) or (n, height, width, channels)")
    if math.prod(shape) * dtype.itemsize > MOST_BYTES:
        raise ValueError(f"{name} has {math.prod(shape) * dtype.itemsize:,} bytes, at most {MOST_BYTES:,} are taken")
    x = npz.array(archive, name, dtype.str, shape)
    x = np.ascontiguousarray(x.astype(dtype.newbyteorder("="), copy=False))
    if dtype.kind == "f":
        _check_floats(x, name)
    return _pixels(x, name) if dtype.kind in "iu" and is_picture(shape[1:]) else x


def _check_floats(x: np.ndarray, name: str) -> None:
    with np.errstate(over="ignore"):
        wrong = ~np.isfinite(x.astype(np.float32, copy=False)).reshape(len(x), -1).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        why = "has numbers beyond float32, in which networks compute" if np.isfinite(x[row]).all() else (
            "is not finite (NaN or infinity)"
        )  # fmt: skip
        raise ValueError(f"image {row} of {name} {why}")


def _pixels(x: np.ndarray, name: str) -> np.ndarray:
    """Whole numbers of any width that are a picture's, as uint8. ValueError for such as say not what is white: twelve
    bits in sixteen, or 0 and 1."""
    if x.dtype == np.uint8:
        return x
    low, high = int(x.min()), int(x.max())
    if low < 0 or not 1 < high < 256:
        raise ValueError(
            f"{name} is {x.dtype}, from {low:,} to {high:,}; expected pixels as whole numbers from 0 to 255, or "
            "floats, which are taken as they are. Bring them to one of these, and save them as uint8 or float32"
        )
    return x.astype(np.uint8)


def _labels(archive: zipfile.ZipFile, name: str, count: int) -> np.ndarray:
    shape, dtype = _form(archive, name)
    if shape not in ((count,), (count, 1)):
        todo = (
            f". Of a column a class, {name}.argmax(axis=1) makes them" if len(shape) == 2 and shape[0] == count else ""
        )
        raise ValueError(
            f"{name} has the shape {shape}, and there are {count:,} images; expected a label for each{todo}"
        )
    if dtype.kind not in "biu":
        raise ValueError(
            f"{name} are {'text' if dtype.kind in 'SU' else dtype}; expected whole numbers, the first class 0. "
            f"class_names, {name} = numpy.unique({name}, return_inverse=True) makes them"
        )
    y = npz.array(archive, name, dtype.str, shape).astype(np.int64).reshape(-1)
    if y.min() < 0 or y.max() >= MOST_CLASSES:
        raise ValueError(f"{name} go from {y.min():,} to {y.max():,}; expected whole numbers, the first class 0")
    return y


def _class_names(archive: zipfile.ZipFile, count: int) -> tuple[str, ...]:
    shape, dtype = _form(archive, "class_names")
    if len(shape) != 1 or dtype.kind not in "US" or not count <= shape[0] <= MOST_CLASSES or dtype.itemsize > 4000:
        raise ValueError(f"class_names are {dtype} {shape}; expected at least {count} short texts")
    values = npz.array(archive, "class_names", dtype.str, shape)
    return tuple(one.decode() if isinstance(one, bytes) else str(one) for one in values.tolist())


def _pictures(archive: zipfile.ZipFile) -> OwnImages:
    members = []
    for member in archive.infolist():
        name = member.filename
        last = name.rsplit("/", 1)[-1]
        if (
            member.is_dir()
            or name.startswith("__MACOSX/")
            or last.startswith("._")
            or last in (".DS_Store", "Thumbs.db", "desktop.ini")
        ):
            continue
        if leads_out(name):
            raise ValueError(f"a member is called {name[:100]!r}, which leads out of the archive")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"{name[:100]} in it is a symbolic link; put the picture itself there")
        if not name.lower().endswith(PICTURES):
            raise ValueError(f"{name[:100]} in it is no picture ({', '.join(PICTURES)}). Leave it out of the zip")
        members.append(member)
    members.sort(key=lambda member: member.filename)
    if not members:
        raise ValueError("there is no picture in it")
    folders = [tuple(member.filename.split("/")[:-1]) for member in members]
    part_of, classes = _arranged(dict.fromkeys(folders))
    x = _decoded(archive, members)
    y = np.array([classes.index(folder[-1]) if classes else 0 for folder in folders], np.int64)
    of = np.array([part_of[folder] for folder in folders])
    return OwnImages({part: (x[of == part], y[of == part]) for part in (WHOLE, *SPLITS) if part in of}, tuple(classes))


def _arranged(folders: Iterable[tuple[str, ...]]) -> tuple[dict[tuple[str, ...], str], list[str]]:
    """Which part of the set the pictures in each folder are, and the classes; a folder is the names on its path.

    Folders side by side are classes, or parts without classes if they are train and test; side by side in a folder
    train and a folder test they are classes of both. Pictures of one folder, or of it and none, have no classes.
    ValueError for anything else.
    """
    found = list(folders)
    named = [folder for folder in found if folder]
    if len(named) < 2:
        return dict.fromkeys(found, WHOLE), []
    above = {folder[:-1] for folder in named}
    if found == named and len(above) == 1:
        if _are_parts(named):
            return {folder: folder[-1].lower() for folder in named}, []
        return dict.fromkeys(named, WHOLE), sorted(folder[-1] for folder in named)
    if found == named and all(above) and _are_parts(above):
        return {folder: folder[-2].lower() for folder in named}, sorted({folder[-1] for folder in named})
    odd = next((folder for folder in found if len(folder) != len(named[0])), named[-1])
    first, other = ("/".join(folder)[:60] for folder in (named[0], odd))
    raise ValueError(
        f"its folders are not one a class, side by side: pictures are in {first} and in {other or 'no folder'}. Put "
        "those of each class into one folder, or into one in a folder train and one in a folder test"
    )


def _are_parts(folders: Iterable[tuple[str, ...]]) -> bool:
    """Whether these are a folder train and a folder test, side by side."""
    return {folder[-1].lower() for folder in folders} == set(SPLITS) and len({folder[:-1] for folder in folders}) == 1


def _decoded(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> np.ndarray:
    from PIL import Image, ImageOps

    grey: bool | None = None
    pictures: list[np.ndarray] = []
    first, size = members[0].filename, (0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for member in members:
            try:
                with Image.open(io.BytesIO(archive.read(member))) as opened:
                    if opened.width * opened.height > LARGEST_PICTURE:
                        raise Image.DecompressionBombError
                    several = getattr(opened, "n_frames", 1) if opened.format != PHOTO_WITH_PREVIEWS else 1
                    upright = ImageOps.exif_transpose(opened)
                    grey = (grey is not False) and (upright.mode in GREY or upright.mode.startswith(DEEP))
                    mode, shown = upright.mode, as_seen(upright)
                    picture = None if shown is None else np.asarray(shown)
            except MemoryError:
                raise
            except Exception as error:
                large = isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning)
                why = f"more than {LARGEST_PICTURE:,} pixels" if large else "it is damaged, or no picture at all"
                raise ValueError(
                    f"{member.filename[:100]} is no picture that can be read ({why}). "
                    f"{'Make it smaller' if large else 'Write it again, or leave it out'}"
                ) from error
            if several > 1:
                raise ValueError(
                    f"{member.filename[:100]} holds {several:,} pictures, one after another. Bring those that are "
                    "meant as files of their own"
                )
            if picture is None:
                raise ValueError(
                    f"{member.filename[:100]} does not say which of its numbers is white (Pillow's mode {mode}). Bring "
                    "pictures of 8 bits, PNG or TIFF of 16, or the numbers as an npz with images"
                )
            if pictures and picture.shape[:2] != size:
                raise ValueError(
                    f"its pictures are of unlike sizes (height × width): {first[:60]} has {size[0]} × {size[1]} "
                    f"pixels, {member.filename[:60]} {picture.shape[0]} × {picture.shape[1]}. Bring all to one size "
                    "first"
                )
            size = picture.shape[:2]
            if len(members) * picture.nbytes > MOST_BYTES:
                raise ValueError(
                    f"its {len(members):,} pictures take more than {MOST_BYTES >> 30} GB. Make them smaller"
                )
            pictures.append(picture[:, :, :1] if grey else picture)
    if grey:
        return np.stack(pictures)
    return np.stack([np.repeat(one, 3, 2) if one.shape[2] == 1 else one for one in pictures])


def as_seen(picture: Image.Image) -> Image.Image | None:
    """A picture in colour as one sees it: what is transparent over white, of 16 bits a pixel the upper 8.

    None for pixels of 32 bits, whole numbers or floats: nothing says how bright they are.
    """
    from PIL import Image

    if picture.mode.startswith(DEEP):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        return None
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        white.alpha_composite(picture.convert("RGBA"))
        return white.convert("RGB")
    return picture.convert("RGB")
