"""``compare``: two networks, layer by layer."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cka_core.base import extras, failures, full_disk
from cka_core.cli import factory
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
    check_outputs,
    colour_range,
    given,
    inches,
    opened,
    part_of,
    progress_bar,
    seed_of,
    stoppable,
)

if TYPE_CHECKING:
    from cka_core.base.store import Store
    from cka_core.images.sets import SampleSpec
    from cka_core.library.catalogue import NetworkInfo
    from cka_core.results.comparison import CompareSpec, Comparison

ENDINGS = {"out": (".npz", ".csv"), "figure": (".png", ".svg", ".pdf", ".html"), "bundle": (".zip",)}
"""Of the files that each option asks for."""
DRAWN_BY = {".html": ("plotly",), ".zip": ("plotly", "matplotlib")} | dict.fromkeys(
    ENDINGS["figure"][:3], ("matplotlib",)
)
"""What a file of an ending cannot be made without, of the packages that an extra brings."""


def compare(
    context: typer.Context,
    a: Annotated[
        str,
        typer.Argument(
            help="A network of the library, an architecture, a .keras file, an activation set (.npz), or mine.py:BUILD,"
            " a function that returns a PyTorch or Keras model: its code is run, in this process, as you."
        ),
    ],
    b: Annotated[str, typer.Argument(help="The other one; the same again for a self-comparison.")],
    images: ImagesOption = "cifar10-mini",
    split: SplitOption = "test",
    samples: SamplesOption = None,
    first: FirstOption = False,
    seed: SeedOption = 0,
    balanced: BalancedOption = False,
    batch_size: BatchOption = 256,
    layers: LayersOption = None,
    preprocessing: Annotated[
        str,
        typer.Option(
            help="How pixels enter: auto (as each network's own Rescaling or Normalization says, else divided by 255), "
            "divide-by-255, none, imagenet-caffe, imagenet-tf, imagenet-torch."
        ),
    ] = "auto",
    batch_norm: Annotated[
        str,
        typer.Option(help="inference; or train: batch norm takes each minibatch's own statistics, as while training."),
    ] = "inference",
    fit_images: Annotated[
        bool,
        typer.Option(
            "--fit-images", help="Resize images, or make grey colour or colour grey, where a network needs it."
        ),
    ] = False,
    out: Annotated[list[Path] | None, typer.Option(help="Write the result: .npz or .csv; may be repeated.")] = None,
    figure: Annotated[
        list[Path] | None, typer.Option(help="Draw it: .png, .svg, .pdf, or .html (interactive); may be repeated.")
    ] = None,
    package: Annotated[
        list[Path] | None,
        typer.Option(
            "--bundle", help="Write everything in one .zip: figures, numbers, provenance, a script, a citation."
        ),
    ] = None,
    limits: Annotated[
        str, typer.Option("--range", help="Values of the darkest and the lightest colour of the figure: 0.9:1.")
    ] = "",
    size: Annotated[str, typer.Option(help="Of the figure, in inches, width x height.")] = "10x8",
    dpi: Annotated[int, typer.Option(help="Of a png.")] = 200,
    colours: Annotated[str, typer.Option("--colours", "--colors", help="magma, viridis or cividis.")] = "magma",
    measure: Annotated[
        str, typer.Option("--measure", "--measures", help="A measure's name, several between commas, or all.")
    ] = "cka",
    passes: Annotated[
        int,
        typer.Option(help="How often the images go by, each time in other minibatches; the paper's code: 10."),
    ] = 1,
    without: Annotated[
        str, typer.Option(help="pixels: take what the images' pixels explain out of both networks; of unbiased CKA.")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Compute even if the result is in the store.")] = False,
    store: StoreOption = None,
) -> None:
    """Compare every layer of two networks, by CKA or another measure."""
    from cka_core.images.sets import SampleSpec
    from cka_core.networks.activations import check_batch_norm
    from cka_core.networks.preprocessing import check_form
    from cka_core.results import comparison as results
    from cka_core.results import paper
    from cka_core.results.activation_sets import shared_sample

    place = opened(store)
    split = part_of(context, images, split, place)
    sample = SampleSpec(images, split, samples, seed_of(context, first, seed), balanced)
    names = _measures(measure)
    check_form(preprocessing)
    check_batch_norm(batch_norm)
    patterns = tuple(layers) if layers else None
    figure_size, shown = inches(size), colour_range(limits)
    paths = [*_checked("out", out), *_checked("figure", figure), *_checked("bundle", package)]
    paper.check(size=figure_size, dpi=dpi, colours=colours, limits=shown)
    paper.check_pixels(*figure_size, dpi)
    if not figure and not package and given(context, "limits", "colours", "size", "dpi"):
        raise ValueError(
            "--range, --colours, --size and --dpi are of a figure: expected --figure or --bundle with them."
        )

    def tell(make: Callable[[str], Comparison], name: str) -> None:
        of_several, result = f"-{name}" if len(names) > 1 else "", make(name)
        _tell(result, patterns)
        for path in paths:
            asked = path.with_stem(path.stem + of_several)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always", UserWarning)
                for written in _write(result, asked, size=figure_size, dpi=dpi, colours=colours, limits=shown):
                    print(f"Wrote {written}")
            for note in dict.fromkeys(str(one.message) for one in told if one.category is UserWarning):
                print(f"note: {note}")

    factory.check_named(a, b)
    if factory.is_one(a) or factory.is_one(b):
        if passes != 1 or without or fit_images:
            raise ValueError(
                "--passes, --without and --fit-images are for networks by name or file, not for those built by code."
            )
        of_code = _of_code(
            (a, b), sample, _command(context), batch_size=batch_size, layers=patterns, store=place,
            preprocessing=preprocessing, batch_norm=batch_norm,
        )  # fmt: skip
        failures.each(partial(tell, of_code, name) for name in names)
        return
    sides = _side(a, place), _side(b, place)
    sets = [side.activations for side in sides if side.activations is not None]
    if sets:  # made from certain images, in certain minibatches
        shared, size_of_set = shared_sample(sets)
        asked = given(context, "images", "split", "samples", "first", "seed", "balanced")
        sample = sample if asked else shared.spec
        batch_size = batch_size if given(context, "batch_size") else size_of_set

    def of_names(name: str) -> Comparison:
        spec = results.CompareSpec(
            sides[0].spec,
            sides[1].spec,
            sample,
            batch_size,
            patterns,
            measure=name,
            preprocessing=preprocessing,
            batch_norm=batch_norm,
            fit=fit_images,
            passes=passes,
            without=without,
        )
        return _of_names(spec, place, again)

    failures.each(partial(tell, of_names, name) for name in names)


def _of_code(
    networks: tuple[str, str], sample: SampleSpec, words: list[str], *, store: Store, **how: Any
) -> Callable[[str], Comparison]:
    """Two networks of which at least one is built by code of the user's, to be compared by measures by name; nothing of
    them is kept."""
    for network in dict.fromkeys(filter(factory.is_one, networks)):
        print(f"Running the code of {network}, in this process.")
    kept = "Of networks built by code nothing is kept."
    with stoppable(kept):
        one = factory.built(networks[0], store)
        models = one, one if networks[1] == networks[0] else factory.built(networks[1], store)

    def by(measure: str) -> Comparison:
        with stoppable(kept), progress_bar() as report:
            return factory.compare(networks, models, sample, words, store=store, measure=measure, report=report, **how)

    return by


def _of_names(spec: CompareSpec, store: Store, again: bool) -> Comparison:
    """What a spec asks for: from the store, unless it is to be computed ``again``."""
    from cka_core.results import comparison as results

    found = None if again else results.find(spec, store)
    if found is not None:
        print("Found in the store, nothing to compute.")
        return found
    full_disk.check_store(store)
    with stoppable("The same command goes on from the minibatches that are finished."), progress_bar() as report:
        from cka_core.comparing import engine

        return engine.run(spec, store, report)


def _side(word: str, store: Store) -> NetworkInfo:
    """What a word names; ValueError, saying how to name it, for arrays of activations."""
    from cka_core.base import npz
    from cka_core.library import catalogue
    from cka_core.results.activation_sets import IsComparison

    try:
        return catalogue.find(word, store)
    except npz.NotReadable as error:
        if not word.endswith(".npz") or isinstance(error.__cause__, IsComparison):
            raise
        first = f"python -m cka_core activations import {shlex.quote(word)} --name NAME"
        raise ValueError(f"{error} Arrays, one a layer, are brought in first and compared by name: {first}") from error


def _tell(result: Comparison, asked: tuple[str, ...] | None) -> None:
    """What was compared, of which layers where fewer than ``asked`` (None: all), and what else is to be known of it."""
    from cka_core.results import words

    title, digest = words.measure_text(result.provenance), result.provenance["images"]["digest"][:12]
    print(
        f"{result.name_a} × {result.name_b}: {result.matrix.shape[0]} × {result.matrix.shape[1]} layers, {title}, "
        f"sample {digest or 'not known'}"
    )
    took = result.provenance.get("layers")
    if took and not asked:
        kinds = ", ".join(took)
        print(f"Compared are layers of the kind {kinds} alone, as each pair takes long; --layers asks for others.")
    for line in words.pixels_because(result.provenance):
        print(line)
    for line in words.fitted(result.provenance):
        print(line)
    for warning in result.warnings:
        print(f"note: {warning}")


def _command(context: typer.Context) -> list[str]:
    """The command as it was typed, as far as it decides about the result, with names for the files it writes."""
    values = context.params
    words = ["python", "-m", "cka_core", "compare", values["a"], values["b"]]
    for option in ("images", "split", "samples", "first", "seed", "balanced", "batch_size", "preprocessing",
                   "batch_norm", "fit_images", "measure", "passes", "without"):  # fmt: skip
        if given(context, option):
            name = f"--{option.replace('_', '-')}"
            words += [name] if values[option] is True else [name, str(values[option])]
    for pattern in values["layers"] or ():
        words += ["--layers", pattern]
    return [*words, "--out", "result.npz", "--figure", "result.png"]


def _measures(words: str) -> list[str]:
    """The names asked for; ValueError for an unknown one, with the valid ones."""
    from cka_core.measures import registry

    if words == "all":
        return list(registry.MEASURES)
    return list(dict.fromkeys(registry.measure(word.strip()).name for word in words.split(",")))


def _checked(option: str, paths: list[Path] | None) -> list[Path]:
    """The files asked for with an option; ValueError for one of another ending, or that cannot be written,
    `NotInstalled` for one that nothing here can draw."""
    for path in paths or ():
        if path.suffix.lower() not in ENDINGS[option]:
            raise ValueError(f"Expected a file ending in {', '.join(ENDINGS[option])}, got {path.name}.")
        check_outputs(**{option: path})
        extras.check(*DRAWN_BY.get(path.suffix.lower(), ()))
    return paths or []


def _write(
    result: Comparison, path: Path, *, size: tuple[float, float], dpi: int, colours: str,
    limits: tuple[float, float] | None,
) -> Iterator[Path]:  # fmt: skip
    """Write a result as the ending of the file says; beside a matrix in CSV a second file, a row a cell, where there
    are intervals."""
    from cka_core.base.atomic import write_atomically
    from cka_core.results import package, paper

    ending = path.suffix.lower()
    if ending == ".npz":
        yield result.save(path)
    elif ending == ".csv":
        yield write_atomically(path, result.to_csv().encode())
        if result.jackknife is not None:
            yield write_atomically(path.with_stem(f"{path.stem}-cells"), result.to_cells_csv().encode())
    elif ending == ".zip":
        yield write_atomically(path, package.to_bytes(result, colours=colours, limits=limits))
    else:
        yield paper.save_figure(result, path, size=size, dpi=dpi, colours=colours, limits=limits)
