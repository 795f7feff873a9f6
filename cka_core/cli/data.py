"""``data``: image sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cka_core.base.store import Store
from cka_core.cli.options import StoreOption

app = typer.Typer(help="Image sets: list them, bring in the full CIFAR-10.", no_args_is_help=True)


@app.command("list")
def list_(store: StoreOption = None) -> None:
    """List the image sets and whether they are here."""
    from cka_core.images.sets import IMAGE_SETS, is_available

    for name, images in IMAGE_SETS.items():
        here = "bundled" if images.bundled else "here" if is_available(name, Store(store)) else "not here yet"
        print(
            f"{name}: {images.title}; {images.sizes['train']:,} training, {images.sizes['test']:,} test images; {here}"
        )


@app.command("import")
def import_(
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
