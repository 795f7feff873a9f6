"""``activations``: Gram matrices in a file of their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cka_core.base import words
from cka_core.cli.options import (
    BalancedOption,
    BatchOption,
    FirstOption,
    ImagesOption,
    LayersOption,
    SamplesOption,
    SeedOption,
    SplitOption,
    StoreOption,
    check_npz,
    check_outputs,
    given,
    opened,
    part_of,
    progress_bar,
    seed_of,
    stoppable,
)

if TYPE_CHECKING:
    from cka_core.base.store import Store
    from cka_core.images.sets import SampleSpec
    from cka_core.results.activation_sets import Sample

app = typer.Typer(
    help="Activation sets: a network's Gram matrices in one file, to compare it elsewhere.", no_args_is_help=True
)


@app.command("extract")
def extract(
    context: typer.Context,
    network: Annotated[str, typer.Argument(help="A network of the library, an architecture, or a .keras file.")],
    out: Annotated[Path, typer.Option(help="The file to write, .npz.")],
    images: ImagesOption = "cifar10-mini",
    split: SplitOption = "test",
    samples: SamplesOption = None,
    first: FirstOption = False,
    seed: SeedOption = 0,
    balanced: BalancedOption = False,
    batch_size: BatchOption = 256,
    layers: LayersOption = None,
    name: Annotated[str | None, typer.Option(help="Of the set; default: that of the file.")] = None,
    store: StoreOption = None,
) -> None:
    """Write a network's Gram matrices on some images to a file, to compare it where neither of them is."""
    from cka_core.comparing import extraction
    from cka_core.images.sets import SampleSpec
    from cka_core.library import catalogue

    check_npz(out)
    check_outputs(out=out)
    place = opened(store, writes=True)
    found = catalogue.find(network, place).spec
    split = part_of(context, images, split, place)
    sample = SampleSpec(images, split, samples, seed_of(context, first, seed), balanced)
    with stoppable(f"{out} was not written. The same command goes on where it was."), progress_bar() as report:
        made = extraction.extract(
            found, sample, batch_size, out, place, layers=layers or None, name=name or out.stem, report=report
        )
    print(f"{made.name}: {words.counted(len(made.layers), 'layer')} on {made.sample}")
    print(f"Wrote {out} ({words.size_text(out.expanduser().stat().st_size)})")


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="An activation set; or arrays (images, ...), one a layer: .npz, .npy, .safetensors, .h5, a zip or "
            "folder of .npy."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="In the library; default: its own.")] = None,
    batch_size: BatchOption = 256,
    sample_ids: Annotated[
        Path | None,
        typer.Option(help="Ids of the rows, one a line; default: FILE.sample_ids.txt, or sample_ids in the file."),
    ] = None,
    images: Annotated[str | None, typer.Option(help="Which images these are, if you know: their set.")] = None,
    split: SplitOption = "test",
    samples: SamplesOption = None,
    first: Annotated[bool, typer.Option("--first", help="They are the first ones.")] = False,
    seed: SeedOption = 0,
    balanced: BalancedOption = False,
    sample_label: Annotated[str, typer.Option(help="Or a word of yours for these images, the same each time.")] = "",
    store: StoreOption = None,
) -> None:
    """Put activations into the library, to compare them by name and in the browser."""
    from cka_core.base import foreign_arrays
    from cka_core.images.sets import SampleSpec
    from cka_core.library import arrivals, raw_activations

    place = opened(store, writes=True)
    sample = _known_images(
        context, images, split, SampleSpec("", "", samples, seed_of(context, first, seed), balanced), place
    )
    ids = foreign_arrays.ids_in(sample_ids) if sample_ids else foreign_arrays.ids_beside(file)
    with progress_bar() as report:
        made = arrivals.import_file(
            file, place, name, batch_size=batch_size, sample=sample, label=sample_label, ids=ids, report=report
        )
    print(f"{made.name}: {words.counted(len(made.layers), 'layer')} on {made.sample}. In the library.")
    array = raw_activations.may_be_images(made)
    if array:
        print(f"note: taken as activations. If {array!r} are images: rename it to images, and the classes to labels,")
        print("      leave the others out, and bring the file in with: python -m cka_core data import NAME FILE")
    if made.sample.assumed and not made.sample.ids:
        print("note: nothing in it says which images these are: their order is assumed. sample_ids in the file, or")
        print("      --images, say it.")


def _known_images(
    context: typer.Context, images: str | None, split: str, draw: SampleSpec, store: Store
) -> Sample | None:
    """The images that activations are said to be of, drawn as in ``draw``; None where nobody said."""
    from cka_core.results.activation_sets import Sample

    if images is None:
        if given(context, "split", "samples", "first", "seed", "balanced"):
            raise ValueError(
                "Expected --images with --split, --samples, --first, --seed or --balanced: which set they are of."
            )
        return None
    asked = dataclasses.replace(draw, images=images, split=part_of(context, images, split, store))
    return Sample.of(asked, asked.load(store))


@app.command("list")
def list_(store: StoreOption = None) -> None:
    """List the activation sets of the library."""
    from cka_core.library import catalogue

    found = catalogue.sets(opened(store))
    for name, one in found.items():
        print(
            f"{name}\n    {words.counted(len(one.layers), 'layer')} of {one.network['name']}, {one.sample}, "
            f"batch size {one.batch_size}"
        )
    if not found:
        print("No activation sets yet. Make one: python -m cka_core activations extract NETWORK --out acts.npz")


@app.command("convert")
def convert(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A pickled list of activations, one array a layer.")],
    out: Annotated[
        Path | None, typer.Option(help="The file to write, .npz; default: the name of the pickle, in the same folder.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="I wrote this pickle myself. Unpickling runs the code a file contains.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Of the set; default: that of the file.")] = None,
    batch_size: BatchOption = 256,
    images: Annotated[str | None, typer.Option(help="Which images these were, if you know: their set.")] = None,
    split: SplitOption = "test",
    samples: SamplesOption = None,
    first: Annotated[bool, typer.Option("--first", help="They were the first ones.")] = False,
    seed: SeedOption = 0,
    balanced: BalancedOption = False,
    images_digest: Annotated[str, typer.Option(help="Or the digest of the images, 32 hex digits.")] = "",
    sample_label: Annotated[str, typer.Option(help="Or a word of yours for these images, the same each time.")] = "",
    store: StoreOption = None,
) -> None:
    """Turn a pickled list of activations, as the original notebook wrote it, into an activation set."""
    from cka_core.comparing import extraction
    from cka_core.images.sets import SampleSpec

    out = out or file.with_suffix(".npz")
    check_npz(out)
    check_outputs(out=out)
    if out == file:
        raise ValueError(f"{file} would be written over itself. Name another file with --out.")
    if sum(map(bool, (images, images_digest, sample_label))) > 1:
        raise ValueError("Say which images these were in one way: --images, --images-digest or --sample-label.")
    if images_digest and not (len(images_digest) == 32 and set(images_digest) <= set("0123456789abcdef")):
        raise ValueError(f"Expected --images-digest as 32 hex digits, got {images_digest!r}.")
    draw = SampleSpec("", "", samples, seed_of(context, first, seed), balanced)
    sample = _known_images(context, images, split, draw, opened(store))
    made = extraction.convert(
        file, out, trust=trust, name=name or out.stem, batch_size=batch_size, sample=sample,
        images_digest=images_digest, label=sample_label,
    )  # fmt: skip
    print(f"{made.name}: {words.counted(len(made.layers), 'layer')} on {made.sample}")
    if not (sample or images_digest or sample_label):
        print("note: compared with nothing but itself, since its images are not known. If you know them, say so with")
        print("      --images, --images-digest or --sample-label.")
    print(f"Wrote {out} ({words.size_text(out.expanduser().stat().st_size)})")
