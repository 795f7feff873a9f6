"""The command line: ``python -m cka_core``. The same functions as in the app, in this process, with tqdm."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cka_core.base.progress import Progress
from cka_core.base.store import Store

app = typer.Typer(
    help="CKA Explorer: do two neural networks learn the same things?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Image sets: list them, bring in the full CIFAR-10.", no_args_is_help=True)
demo_app = typer.Typer(help="The bundled networks and comparisons.", no_args_is_help=True)
atlas_app = typer.Typer(help="Studies of many networks.", no_args_is_help=True)
cluster_app = typer.Typer(help="The local cluster that computes for the app.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(demo_app, name="demo")
app.add_typer(atlas_app, name="atlas")
app.add_typer(cluster_app, name="cluster")
activations_app = typer.Typer(
    help="Activation sets: a network's Gram matrices in one file, to compare it elsewhere.", no_args_is_help=True
)
app.add_typer(activations_app, name="activations")

StoreOption = Annotated[
    str | None, typer.Option("--store", help="Folder of results; default: CKA_STORE or the user's cache folder.")
]
ImagesOption = Annotated[str, typer.Option("--images", help="Image set: cifar10-mini or cifar10.")]


def main() -> None:
    """Run a command; an error in what was asked ends in one sentence, not a traceback."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app()
    except (ValueError, OSError) as error:
        if os.environ.get("CKA_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


@app.command()
def compare(
    context: typer.Context,
    a: Annotated[
        str,
        typer.Argument(help="A network of the library, an architecture, a .keras file, or an activation set (.npz)."),
    ],
    b: Annotated[str, typer.Argument(help="The other one; the same again for a self-comparison.")],
    images: ImagesOption = "cifar10-mini",
    split: Annotated[str, typer.Option(help="test or train.")] = "test",
    samples: Annotated[int | None, typer.Option(help="Number of images; all of the split if not given.")] = None,
    first: Annotated[bool, typer.Option("--first", help="Take the first images instead of drawing them.")] = False,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    balanced: Annotated[bool, typer.Option("--balanced", help="As many of each class.")] = False,
    batch_size: Annotated[int, typer.Option(help="Images in a minibatch.")] = 256,
    layers: Annotated[
        list[str] | None,
        typer.Option(help="Only layers of this name, pattern (*_add) or kind (Conv2D); may be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the result: .npz or .csv.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw it: .png, .svg, .pdf, or .html (interactive).")] = None,
    size: Annotated[str, typer.Option(help="Of the figure, in inches, width x height.")] = "10x8",
    dpi: Annotated[int, typer.Option(help="Of a png.")] = 200,
    colours: Annotated[str, typer.Option("--colours", "--colors", help="magma, viridis or cividis.")] = "magma",
    again: Annotated[bool, typer.Option("--again", help="Compute even if the result is in the store.")] = False,
    store: StoreOption = None,
) -> None:
    """Compare every layer of two networks by CKA."""
    from cka_core.images.sets import SampleSpec
    from cka_core.library import catalogue
    from cka_core.results import comparison as results
    from cka_core.results.activation_sets import shared_sample

    place = Store(store)
    sample = SampleSpec(images, split, samples, None if first else seed, balanced)
    sides = catalogue.find(a, place), catalogue.find(b, place)
    sets = [side.activations for side in sides if side.activations is not None]
    if sets:  # made from certain images, in certain minibatches
        shared, size_of_set = shared_sample(sets)
        given = _given(context, "images", "split", "samples", "first", "seed", "balanced")
        sample = sample if given else shared.spec
        batch_size = batch_size if _given(context, "batch_size") else size_of_set
    spec = results.CompareSpec(sides[0].spec, sides[1].spec, sample, batch_size, tuple(layers) if layers else None)
    inches = _size(size)
    for path, endings in ((out, (".npz", ".csv")), (figure, (".png", ".svg", ".pdf", ".html"))):
        if path is not None and path.suffix.lower() not in endings:
            raise ValueError(f"Expected a file ending in {', '.join(endings)}, got {path.name}.")
    result = None if again else results.find(spec, place)
    if result is None:
        from cka_core.comparing import engine

        with _bar() as report:
            result = engine.run(spec, place, report)
    else:
        print("Found in the store, nothing to compute.")
    print(
        f"{result.name_a} × {result.name_b}: {result.matrix.shape[0]} × {result.matrix.shape[1]} layers, "
        f"sample {result.provenance['images']['digest'][:12] or 'not known'}"
    )
    for warning in result.warnings:
        print(f"note: {warning}")
    if out is not None:
        if out.suffix.lower() == ".csv":
            from cka_core.base.store import write_atomically

            write_atomically(out, result.to_csv().encode())
        else:
            result.save(out)
        print(f"Wrote {out}")
    if figure is not None:
        from cka_core.results import figures

        figures.save_figure(result, figure, size=inches, dpi=dpi, colours=colours)
        print(f"Wrote {figure}")


@app.command()
def train(
    architecture: Annotated[str, typer.Argument(help="For example cifar-resnet-14x1 or resnet50.")],
    images: ImagesOption = "cifar10-mini",
    preset: Annotated[str, typer.Option(help="paper or seed; the other options change single values of it.")] = "paper",
    epochs: Annotated[int | None, typer.Option()] = None,
    batch_size: Annotated[int | None, typer.Option()] = None,
    seed: Annotated[int, typer.Option(help="Of weights, held-out images, order and augmentation.")] = 0,
    optimizer: Annotated[str | None, typer.Option(help="sgd (momentum 0.9) or adam.")] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    schedule: Annotated[str | None, typer.Option(help="cosine or constant.")] = None,
    l2: Annotated[float | None, typer.Option()] = None,
    augment: Annotated[bool | None, typer.Option(help="Flip and pad-crop.")] = None,
    held_out: Annotated[float | None, typer.Option(help="Share of the training images to choose the epoch on.")] = None,
    fraction: Annotated[float, typer.Option(help="Share of the training images used, such as 0.25 or 0.0625.")] = 1.0,
    keep_every: Annotated[int, typer.Option(help="Keep the weights after every so many epochs, as NAME@EPOCH.")] = 0,
    weights: Annotated[str | None, typer.Option(help="Start: random, imagenet, or a local weights file (.h5).")] = None,
    history: Annotated[Path | None, typer.Option(help="Write the history as JSON after every epoch.")] = None,
    mixed_precision: Annotated[
        bool, typer.Option("--mixed-precision", help="bfloat16 on a TPU and CPUs that have it, float16 on a GPU.")
    ] = False,
    xla: Annotated[bool, typer.Option("--xla", help="Compile the step with XLA.")] = False,
    cpu: Annotated[bool, typer.Option("--cpu", help="Pass by every GPU and TPU.")] = False,
    deterministic: Annotated[bool, typer.Option("--deterministic", help="The same digits each time; slower.")] = False,
    name: Annotated[str | None, typer.Option(help="In the library; default ARCHITECTURE-IMAGES-sSEED.")] = None,
    store: StoreOption = None,
) -> None:
    """Train a network and put it into the library. Stopped, the same command goes on from the last epoch."""
    from cka_core.training.fit import train as run
    from cka_core.training.recipe import PRESETS, TrainSpec
    from cka_core.training.state import file_digest

    if preset not in PRESETS:
        raise ValueError(f"Unknown preset {preset!r}. Valid: {', '.join(PRESETS)}.")
    given = {
        "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "learning_rate": learning_rate,
        "schedule": schedule, "l2": l2, "augment": augment, "held_out": held_out, "fraction": fraction,
        "keep_every": keep_every, "mixed_precision": mixed_precision, "xla": xla, "force_cpu": cpu,
    }  # fmt: skip
    values = PRESETS[preset] | {key: value for key, value in given.items() if value is not None}
    if optimizer == "adam" and learning_rate is None:
        values |= {"learning_rate": PRESETS["seed"]["learning_rate"]}
    path = None
    if weights in ("random", "imagenet"):
        values |= {"start": weights}
    elif weights is not None:
        if not os.path.isfile(weights):
            raise ValueError(f"Expected --weights random, imagenet or a file, got {weights!r}, which does not exist.")
        path = weights
        values |= {"start": "file", "start_digest": file_digest(weights)}
    spec = TrainSpec(architecture, images, seed=seed, deterministic=deterministic, **values)
    place = Store(store)
    try:
        with _bar("epochs") as report:
            record = run(spec, place, name=name, start_path=path, history_path=history, report=report)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from the last finished epoch.", file=sys.stderr)
        raise SystemExit(130) from None
    print(
        f"{record['name']}: test accuracy {record['test_accuracy']:.3f} on {record['test_images']:,} images "
        f"(epoch {record['kept_epoch']} of {spec.epochs} kept)"
    )
    if history is not None:
        print(f"Wrote {history}")


@app.command()
def networks(store: StoreOption = None) -> None:
    """List the networks that can be compared by name."""
    from cka_core.library import catalogue

    for name, info in catalogue.networks(Store(store)).items():
        accuracy = "" if info.test_accuracy is None else f", test accuracy {info.test_accuracy:.3f}"
        print(
            f"{name}\n    {info.title}, {info.parameters:,} parameters, {len(info.layers)} layers, "
            f"{info.subtitle}{accuracy}"
        )


@data_app.command("list")
def data_list(store: StoreOption = None) -> None:
    """List the image sets and whether they are here."""
    from cka_core.images.sets import IMAGE_SETS, is_available

    for name, images in IMAGE_SETS.items():
        here = "bundled" if images.bundled else "here" if is_available(name, Store(store)) else "not here yet"
        print(
            f"{name}: {images.title}; {images.sizes['train']:,} training, {images.sizes['test']:,} test images; {here}"
        )


@data_app.command("import")
def data_import(
    name: Annotated[str, typer.Argument(help="cifar10")],
    path: Annotated[Path, typer.Argument(help="cifar10.npz or cifar-10-binary.tar.gz")],
    store: StoreOption = None,
) -> None:
    """Bring the full CIFAR-10 into the store from a file."""
    from cka_core.images.sets import IMAGE_SETS, import_cifar10

    if name != "cifar10":
        raise ValueError(f"Only cifar10 can be imported, got {name!r}.")
    sizes = import_cifar10(path, Store(store))
    print(f"Imported cifar10: {sizes['train']:,} training and {sizes['test']:,} test images.")
    usual = IMAGE_SETS["cifar10"].sizes
    if sizes != usual:
        print(f"note: the usual CIFAR-10 has {usual['train']:,} and {usual['test']:,}; results will not be comparable.")


@demo_app.command("build")
def demo_build(store: StoreOption = None) -> None:
    """Make the bundled networks, comparisons and atlas again from the bundled images. Goes on where it was stopped."""
    from cka_core import bundle

    with _bar("steps") as report:
        for path in bundle.build(Store(store), report):
            print(f"Made {path}")
    with _bar("steps") as report:
        for path in bundle.build_atlas(Store(store), report):
            print(f"Made {path}")


@activations_app.command("extract")
def activations_extract(
    network: Annotated[str, typer.Argument(help="A network of the library, an architecture, or a .keras file.")],
    out: Annotated[Path, typer.Option(help="The file to write, .npz.")],
    images: ImagesOption = "cifar10-mini",
    split: Annotated[str, typer.Option(help="test or train.")] = "test",
    samples: Annotated[int | None, typer.Option(help="Number of images; all of the split if not given.")] = None,
    first: Annotated[bool, typer.Option("--first", help="Take the first images instead of drawing them.")] = False,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    balanced: Annotated[bool, typer.Option("--balanced", help="As many of each class.")] = False,
    batch_size: Annotated[int, typer.Option(help="Images in a minibatch.")] = 256,
    layers: Annotated[
        list[str] | None,
        typer.Option(help="Only layers of this name, pattern (*_add) or kind (Conv2D); may be repeated."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the set; default: that of the file.")] = None,
    store: StoreOption = None,
) -> None:
    """Write a network's Gram matrices on some images to a file, to compare it where neither of them is."""
    from cka_core.comparing import extraction
    from cka_core.images.sets import SampleSpec
    from cka_core.library import catalogue

    place = Store(store)
    found = catalogue.find(network, place).spec
    sample = SampleSpec(images, split, samples, None if first else seed, balanced)
    _npz(out)
    try:
        with _bar() as report:
            made = extraction.extract(
                found, sample, batch_size, out, place, layers=layers or None, name=name or out.stem, report=report
            )
    except KeyboardInterrupt:
        print(f"\nStopped; {out} was not written. The same command goes on where it was.", file=sys.stderr)
        raise SystemExit(130) from None
    print(f"{made.name}: {len(made.layers)} layers on {made.sample}")
    print(f"Wrote {out} ({out.expanduser().stat().st_size / 1e6:,.1f} MB)")


@activations_app.command("import")
def activations_import(
    file: Annotated[Path, typer.Argument(help="An activation set, .npz.")],
    name: Annotated[str | None, typer.Option(help="In the library; default: its own.")] = None,
    store: StoreOption = None,
) -> None:
    """Put an activation set into the library, to compare it by name and in the browser."""
    from cka_core.library import keeping

    made = keeping.import_set(file, Store(store), name)
    print(f"{made.name}: {len(made.layers)} layers on {made.sample}. In the library.")


@activations_app.command("list")
def activations_list(store: StoreOption = None) -> None:
    """List the activation sets of the library."""
    from cka_core.library import catalogue

    found = catalogue.sets(Store(store))
    for name, one in found.items():
        print(
            f"{name}\n    {len(one.layers)} layers of {one.network['name']}, {one.sample}, batch size {one.batch_size}"
        )
    if not found:
        print("No activation sets yet. Make one: python -m cka_core activations extract NETWORK --out acts.npz")


@activations_app.command("convert")
def activations_convert(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A pickled list of activations, one array a layer.")],
    out: Annotated[
        Path | None, typer.Option(help="The file to write, .npz; default: the name of the pickle, in the same folder.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="I wrote this pickle myself. Unpickling runs the code a file contains.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Of the set; default: that of the file.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images in a minibatch.")] = 256,
    images: Annotated[str | None, typer.Option(help="Which images these were, if you know: their set.")] = None,
    split: Annotated[str, typer.Option(help="test or train.")] = "test",
    samples: Annotated[int | None, typer.Option(help="Number of images; all of the split if not given.")] = None,
    first: Annotated[bool, typer.Option("--first", help="They were the first ones.")] = False,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    balanced: Annotated[bool, typer.Option("--balanced", help="As many of each class.")] = False,
    images_digest: Annotated[str, typer.Option(help="Or the digest of the images, 32 hex digits.")] = "",
    sample_label: Annotated[str, typer.Option(help="Or a word of yours for these images, the same each time.")] = "",
    store: StoreOption = None,
) -> None:
    """Turn a pickled list of activations, as the original notebook wrote it, into an activation set."""
    from cka_core.comparing import extraction
    from cka_core.images.sets import SampleSpec
    from cka_core.results.activation_sets import Sample

    out = out or file.with_suffix(".npz")
    _npz(out)
    if out == file:
        raise ValueError(f"{file} would be written over itself. Name another file with --out.")
    if sum(map(bool, (images, images_digest, sample_label))) > 1:
        raise ValueError("Say which images these were in one way: --images, --images-digest or --sample-label.")
    if images_digest and not (len(images_digest) == 32 and set(images_digest) <= set("0123456789abcdef")):
        raise ValueError(f"Expected --images-digest as 32 hex digits, got {images_digest!r}.")
    if images is None and _given(context, "split", "samples", "first", "seed", "balanced"):
        raise ValueError(
            "Expected --images with --split, --samples, --first, --seed or --balanced: which set they are of."
        )
    sample = None
    if images is not None:
        asked = SampleSpec(images, split, samples, None if first else seed, balanced)
        sample = Sample.of(asked, asked.load(Store(store)))
    made = extraction.convert(
        file, out, trust=trust, name=name or out.stem, batch_size=batch_size, sample=sample,
        images_digest=images_digest, label=sample_label,
    )  # fmt: skip
    print(f"{made.name}: {len(made.layers)} layers on {made.sample}")
    if not (sample or images_digest or sample_label):
        print("note: compared with nothing but itself, since its images are not known. If you know them, say so with")
        print("      --images, --images-digest or --sample-label.")
    print(f"Wrote {out} ({out.expanduser().stat().st_size / 1e6:,.1f} MB)")


@atlas_app.command("build")
def atlas_build(
    study: Annotated[str, typer.Argument(help='A TOML file that describes the study, or "bundled".')],
    out: Annotated[Path | None, typer.Option(help="Folder to write the atlas to; the store's if not given.")] = None,
    submit: Annotated[
        bool, typer.Option("--submit", help="Spread it over the cluster; so it is with CKA_SCHEDULER set.")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Train what is missing, compare all networks, and write one atlas. Stopped, the same command goes on."""
    from cka_core.atlas import result as atlases
    from cka_core.atlas import study as studies
    from cka_core.base import words
    from cka_core.studies import build
    from cka_core.studies import steps as atlas_steps

    place = Store(store)
    wanted = studies.bundled() if study == "bundled" else studies.read_study(study)
    folder = out or atlases.folder_of(wanted, place)
    if submit or os.environ.get("CKA_SCHEDULER"):
        from cka_core.jobs import studies as study_jobs

        carry_out = study_jobs.build
    else:
        carry_out = build.build
    try:
        with _bar("steps") as report:
            atlas = carry_out(wanted, place, folder, report)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from what is finished.", file=sys.stderr)
        raise SystemExit(130) from None
    atlas_steps.forget(atlas.study, place)
    for member in atlas.members:
        fitted = "" if member.fitted else ", not fitted"
        error = words.accuracy_error(member.final.test_accuracy, member.test_images)
        blocks = ", ".join(f"{block.start}–{block.stop - 1}" for block in member.final.blocks) or "none"
        print(
            f"{member.name}: test accuracy {member.final.test_accuracy:.3f} ±{error:.3f} on {member.test_images:,} "
            f"images, training accuracy {member.final.train_accuracy:.3f}{fitted}; blocks of layers: {blocks}"
        )
    print(f"Wrote {folder}")


@cluster_app.command("start")
def cluster_start(store: StoreOption = None) -> None:
    """Run the local cluster until it is idle for 15 minutes."""
    from cka_core.jobs import cluster

    cluster.command_start(Store(store))


@cluster_app.command("status")
def cluster_status(store: StoreOption = None) -> None:
    """Say whether the local cluster runs and what it does."""
    from cka_core.jobs import cluster

    cluster.command_status(Store(store))


@cluster_app.command("check")
def cluster_check(store: StoreOption = None) -> None:
    """Run a job that only counts, to see that the cluster works."""
    from cka_core.jobs import submit as jobs

    jobs.command_check(Store(store))


@cluster_app.command("stop")
def cluster_stop(store: StoreOption = None) -> None:
    """Stop the local cluster; running work can be resumed."""
    from cka_core.jobs import cluster

    cluster.command_stop(Store(store))


def _given(context: typer.Context, *names: str) -> bool:
    """Whether any of these options was typed, rather than left at its default."""
    return any(getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE" for name in names)


def _npz(out: Path) -> None:
    if out.suffix.lower() != ".npz":
        raise ValueError(f"Expected a file ending in .npz, got {out.name}.")


@contextmanager
def _bar(unit: str = "steps") -> Iterator[Callable[[Progress], None]]:
    """A tqdm bar that follows `Progress`."""
    from tqdm import tqdm

    layout = "{percentage:3.0f}%|{bar:24}| {elapsed}<{remaining} {desc}"
    with tqdm(total=1.0, unit=unit, bar_format=layout, dynamic_ncols=True, file=sys.stderr) as bar:

        def report(progress: Progress) -> None:
            bar.total = progress.total
            bar.set_description_str(progress.detail or progress.phase, refresh=False)
            bar.update(max(0.0, progress.done - bar.n))

        yield report


def _size(text: str) -> tuple[float, float]:
    parts = text.lower().replace("×", "x").split("x")
    try:
        width, height = (float(part) for part in parts)
    except ValueError:
        raise ValueError(f"Expected a size in inches such as 30x15, got {text!r}.") from None
    if not (0 < width <= 200 and 0 < height <= 200):
        raise ValueError(f"Expected a size of at most 200 x 200 inches, got {text!r}.")
    return width, height
