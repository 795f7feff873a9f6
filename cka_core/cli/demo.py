"""``demo``: what ships with the package."""

from __future__ import annotations

import typer

from cka_core.cli.options import StoreOption, opened, progress_bar

app = typer.Typer(help="The bundled networks and comparisons.", no_args_is_help=True)


@app.command("build")
def build(store: StoreOption = None) -> None:
    """Make the bundled networks, comparisons and atlas again from the bundled images. Goes on where it was stopped."""
    from cka_core import bundle

    place = opened(store, writes=True)
    with progress_bar("steps") as report:
        for path in bundle.build(place, report):
            print(f"Made {path}")
    with progress_bar("steps") as report:
        for path in bundle.build_atlas(place, report):
            print(f"Made {path}")
