"""What several commands share: options, checks of what was typed, and a progress bar."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from cka_core.base import full_disk, leftovers
from cka_core.base.progress import Progress
from cka_core.base.store import Store

StoreOption = Annotated[
    str | None, typer.Option("--store", help="Folder of results; default: CKA_STORE or the user's cache folder.")
]


ImagesOption = Annotated[
    str, typer.Option("--images", help="Image set: cifar10-mini, cifar10, another of `data list`, or one of yours.")
]

SplitOption = Annotated[str, typer.Option("--split", help="test or train.")]
SamplesOption = Annotated[
    int | None, typer.Option("--samples", help="Number of images; all of the split if not given.")
]
FirstOption = Annotated[bool, typer.Option("--first", help="Take the first images instead of drawing them.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of the draw.")]
BalancedOption = Annotated[bool, typer.Option("--balanced", help="As many of each class.")]
BatchOption = Annotated[int, typer.Option("--batch-size", help="Images in a minibatch.")]
LayersOption = Annotated[
    list[str] | None,
    typer.Option("--layers", help="Only layers of this name, pattern (*_add) or kind (Conv2D); may be repeated."),
]


def opened(store: str | None, *, writes: bool = False) -> Store:
    """The store that was asked for; ValueError, before any work, where it is none or cannot be written to."""
    place = Store(store)
    full_disk.check_store(place, writes=writes)
    return place


def check_outputs(**paths: Path | None) -> None:
    """A ValueError, before any work, where a file that an option of this name asks for cannot be written."""
    for name, path in paths.items():
        if path is not None:
            target, option = Path(os.path.realpath(path.expanduser())), f"--{name}"
            if _is_too_long(target):
                raise ValueError(f"Expected a shorter name with {option}, got one of {len(str(path))} letters.")
            if target.exists() and not target.is_file():
                what = "a folder" if target.is_dir() else "no file but a device or a pipe"
                raise ValueError(f"Expected a file with {option}, got {path}, which is {what}.")
            full_disk.check_folder(target.parent, f"Name another file with {option}.")


def _is_too_long(target: Path) -> bool:
    """Whether the disk has no room for a file's name with what is added to it: of a measure, of a table of cells, and
    while it is written."""
    from cka_core.measures.registry import MEASURES

    added = f"-{max(MEASURES, key=len)}-cells"
    try:
        os.lstat(leftovers.temporary(str(target.with_name(f".{target.stem}{added}{target.suffix}"))))
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def seed_of(context: typer.Context, first: bool, seed: int) -> int | None:
    """The seed that images are drawn with, None for the first ones; ValueError where both were typed."""
    if first and given(context, "seed"):
        raise ValueError("Expected --first or --seed, got both: the first images are not drawn.")
    return None if first else seed


def given(context: typer.Context, *names: str) -> bool:
    """Whether any of these options was typed, rather than left at its default."""
    return any(getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE" for name in names)


def part_of(context: typer.Context, images: str, split: str, store: Store) -> str:
    """The part that is meant: of images of one's own that came in one part all, unless another was typed."""
    from cka_core.images import own, sets

    if not images:
        sets.image_set(images, store)  # says which there are
    found = None if given(context, "split") else own.registered(store).get(images)
    return split if found is None else next(iter(found.sizes))


def check_npz(out: Path) -> None:
    if out.suffix.lower() != ".npz":
        raise ValueError(f"Expected a file ending in .npz, got {out.name}.")


@contextmanager
def progress_bar(unit: str = "steps") -> Iterator[Callable[[Progress], None]]:
    """A tqdm bar that follows `Progress`."""
    from tqdm import tqdm

    layout = "{percentage:3.0f}%|{bar:24}| {elapsed}<{remaining} {desc}"
    with tqdm(total=1.0, unit=unit, bar_format=layout, dynamic_ncols=True, file=sys.stderr) as bar:

        def report(progress: Progress) -> None:
            if _pressed.is_set():
                _pressed.clear()
                raise KeyboardInterrupt
            bar.total = progress.total
            bar.set_description_str(progress.detail or progress.phase, refresh=False)
            bar.update(max(0.0, progress.done - bar.n))

        yield report


_pressed = threading.Event()


def _press(number: int, frame: FrameType | None) -> None:
    _pressed.set()
    raise KeyboardInterrupt


@contextmanager
def _heard() -> Iterator[None]:
    """Note the key that stops as well, since code of a library that catches everything (as Keras' and TensorFlow's does
    while a network is built) passes over it: the work then ends at its next report."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _pressed.clear()


@contextmanager
def stoppable(kept: str = "") -> Iterator[None]:
    """A key that stops the work ends the command in a sentence; ``kept`` says what becomes of what is finished."""
    try:
        with _heard():
            yield
    except KeyboardInterrupt:
        print(f"\nStopped. {kept}".rstrip(" "), file=sys.stderr)
        raise SystemExit(130) from None


def inches(text: str) -> tuple[float, float]:
    parts = text.lower().replace("×", "x").split("x")
    try:
        width, height = (float(part) for part in parts)
    except ValueError:
        raise ValueError(f"Expected a size in inches such as 30x15, got {text!r}.") from None
    if not (0 < width <= 200 and 0 < height <= 200):
        raise ValueError(f"Expected a size above 0 and up to 200 inches each way, such as 30x15, got {text!r}.")
    return width, height


def colour_range(text: str) -> tuple[float, float] | None:
    """ "0.9:1" as numbers, None where nothing was said; ValueError for anything else."""
    if not text:
        return None
    parts = text.split(":")
    try:
        low, high = (float(part) for part in parts)
    except ValueError:
        raise ValueError(f"Expected a colour range such as 0.9:1, got {text!r}.") from None
    if not -10 <= low < high <= 10:
        raise ValueError(f"Expected a colour range that grows, such as 0.9:1, got {text!r}.")
    return low, high
