"""``data``: image sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cka_core.cli.options import StoreOption, opened

app = typer.Typer(help="Image sets: list them, bring in the full CIFAR-10 or your own.", no_args_is_help=True)
PARTS = {"train": "training images", "test": "test images", "all": "images in all"}


@app.command("list")
def list_(store: StoreOption = None) -> None:
    """List the image sets and whether they are here."""
    from cka_core.images.sets import image_sets, is_available
    from cka_core.networks.layouts import shape_text

    place = opened(store)
    for name, images in image_sets(place).items():
        here = "bundled" if images.bundled else "here" if is_available(name, place) else "not here yet"
        parts = ", ".join(f"{size:,} {PARTS[part]}" for part, size in images.sizes.items())
        labels = f"{len(images.classes)} classes" if images.classes else "no labels"
        where = "yours" if images.own else here
        print(f"{name}: {images.title}; {shape_text(images.shape)}; {labels}; {parts}; {where}")


@app.command("import")
def import_(
    name: Annotated[str, typer.Argument(help="cifar10, or a name for images of your own.")],
    path: Annotated[
        Path,
        typer.Argument(
            help="cifar10.npz or cifar-10-binary.tar.gz; of your own an npz with images (labels, class_names), or a "
            "zip of pictures with a folder a class."
        ),
    ],
    store: StoreOption = None,
) -> None:
    """Bring images into the store from a file: the full CIFAR-10, or your own."""
    from cka_core.images.full_sets import check_file
    from cka_core.images.sets import IMAGE_SETS, image_set, import_cifar10

    place = opened(store, writes=True)
    if name != "cifar10":
        from cka_core.library import arrivals

        check_file(path.expanduser())
        found = image_set(arrivals.import_images(path.expanduser(), path.name, place, name), place)
        parts = ", ".join(f"{size:,} {PARTS[part]}" for part, size in found.sizes.items())
        print(f"{found.name}: {parts}. In the library.")
        return
    sizes = import_cifar10(path, place)
    print(f"Imported cifar10: {sizes['train']:,} training and {sizes['test']:,} test images.")
    usual = IMAGE_SETS["cifar10"].sizes
    if sizes != usual:
        print(f"note: the usual CIFAR-10 has {usual['train']:,} and {usual['test']:,}; results will not be comparable.")
