"""The command line, ``python -m cka_core``: the same functions as in the app, in this process, with tqdm.

One file a command group; each command imports what it needs when it runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import os
import sys

import typer

from cka_core.cli import activations, atlas, cluster, compare, data, demo, doctor, networks, train

app = typer.Typer(
    help="CKA Explorer: do two neural networks learn the same things?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(compare.compare)
app.command()(train.train)
app.command()(networks.networks)
app.command()(doctor.doctor)
for group in (data, demo, atlas, cluster, activations):
    app.add_typer(group.app, name=group.__name__.rpartition(".")[2])


def main() -> None:
    """Run a command; an error in what was asked ends in one sentence, not a traceback."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app()
    except (ValueError, OSError) as error:
        if os.environ.get("CKA_DEBUG"):
            raise
        print(f"error: {_in_words(error)}", file=sys.stderr)
        sys.exit(2)


def _in_words(error: Exception) -> str:
    """The sentence of an error; of a disk that is full or read-only, which folder and what to do."""
    from cka_core.base import full_disk
    from cka_core.base.store import Store

    return full_disk.in_words(error, Store()) or str(error)
