"""The command line: ``python -m cka_core``. The same functions as in the app, in this process, with tqdm."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cka_core.progress import Progress
from cka_core.store import Store

app = typer.Typer(
    help="CKA Explorer: do two neural networks learn the same things?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Image sets: list them, bring in the full CIFAR-10.", no_args_is_help=True)
demo_app = typer.Typer(help="The bundled networks and comparisons.", no_args_is_help=True)
cluster_app = typer.Typer(help="The local cluster that computes for the app.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(demo_app, name="demo")
app.add_typer(cluster_app, name="cluster")

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
    a: Annotated[str, typer.Argument(help="A network of the library, an architecture (untrained), or a .keras file.")],
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
    from cka_core import comparison as results
    from cka_core import library
    from cka_core.images import SampleSpec

    place = Store(store)
    sample = SampleSpec(images, split, samples, None if first else seed, balanced)
    spec = results.CompareSpec(
        library.find(a, place).spec,
        library.find(b, place).spec,
        sample,
        batch_size,
        tuple(layers) if layers else None,
    )
    inches = _size(size)
    for path, endings in ((out, (".npz", ".csv")), (figure, (".png", ".svg", ".pdf", ".html"))):
        if path is not None and path.suffix.lower() not in endings:
            raise ValueError(f"Expected a file ending in {', '.join(endings)}, got {path.name}.")
    result = None if again else results.find(spec, place)
    if result is None:
        from cka_core import engine

        with _bar() as report:
            result = engine.run(spec, place, report)
    else:
        print("Found in the store, nothing to compute.")
    print(
        f"{result.name_a} × {result.name_b}: {result.matrix.shape[0]} × {result.matrix.shape[1]} layers, "
        f"sample {result.provenance['images']['digest'][:12]}"
    )
    for warning in result.warnings:
        print(f"note: {warning}")
    if out is not None:
        if out.suffix.lower() == ".csv":
            from cka_core.store import write_atomically

            write_atomically(out, result.to_csv().encode())
        else:
            result.save(out)
        print(f"Wrote {out}")
    if figure is not None:
        from cka_core import figures

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
    weights: Annotated[str | None, typer.Option(help="Start: random, imagenet, or a local weights file (.h5).")] = None,
    history: Annotated[Path | None, typer.Option(help="Write the history as JSON after every epoch.")] = None,
    deterministic: Annotated[bool, typer.Option("--deterministic", help="The same digits each time; slower.")] = False,
    name: Annotated[str | None, typer.Option(help="In the library; default ARCHITECTURE-IMAGES-sSEED.")] = None,
    store: StoreOption = None,
) -> None:
    """Train a network and put it into the library. Stopped, the same command goes on from the last epoch."""
    from cka_core.training import PRESETS, TrainSpec, file_digest
    from cka_core.training import train as run

    if preset not in PRESETS:
        raise ValueError(f"Unknown preset {preset!r}. Valid: {', '.join(PRESETS)}.")
    given = {
        "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "learning_rate": learning_rate,
        "schedule": schedule, "l2": l2, "augment": augment, "held_out": held_out,
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
    from cka_core import library

    for name, info in library.networks(Store(store)).items():
        accuracy = "" if info.test_accuracy is None else f", test accuracy {info.test_accuracy:.3f}"
        print(
            f"{name}\n    {info.title}, {info.parameters:,} parameters, {len(info.layers)} layers, "
            f"{info.subtitle}{accuracy}"
        )


@data_app.command("list")
def data_list(store: StoreOption = None) -> None:
    """List the image sets and whether they are here."""
    from cka_core.images import IMAGE_SETS, is_available

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
    from cka_core.images import IMAGE_SETS, import_cifar10

    if name != "cifar10":
        raise ValueError(f"Only cifar10 can be imported, got {name!r}.")
    sizes = import_cifar10(path, Store(store))
    print(f"Imported cifar10: {sizes['train']:,} training and {sizes['test']:,} test images.")
    usual = IMAGE_SETS["cifar10"].sizes
    if sizes != usual:
        print(f"note: the usual CIFAR-10 has {usual['train']:,} and {usual['test']:,}; results will not be comparable.")


@demo_app.command("build")
def demo_build(store: StoreOption = None) -> None:
    """Make the bundled networks and comparisons again from the bundled images. Goes on where it was stopped."""
    from cka_core import bundle

    with _bar("steps") as report:
        for path in bundle.build(Store(store), report):
            print(f"Made {path}")


@cluster_app.command("start")
def cluster_start(store: StoreOption = None) -> None:
    """Run the local cluster until it is idle for 15 minutes."""
    from cka_core import cluster

    cluster.command_start(Store(store))


@cluster_app.command("status")
def cluster_status(store: StoreOption = None) -> None:
    """Say whether the local cluster runs and what it does."""
    from cka_core import cluster

    cluster.command_status(Store(store))


@cluster_app.command("check")
def cluster_check(store: StoreOption = None) -> None:
    """Run a job that only counts, to see that the cluster works."""
    from cka_core import jobs

    jobs.command_check(Store(store))


@cluster_app.command("stop")
def cluster_stop(store: StoreOption = None) -> None:
    """Stop the local cluster; running work can be resumed."""
    from cka_core import cluster

    cluster.command_stop(Store(store))


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
