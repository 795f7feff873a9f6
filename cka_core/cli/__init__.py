"""The command line, ``python -m cka_core``: the same functions as in the app, in this process, with tqdm.

One file a command group; each command imports what it needs when it runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import typer

from cka_core.base import extras
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
        try:
            with extras.told():
                app()
        finally:
            sys.stdout.flush()
    except (ValueError, OSError, extras.NotInstalled) as error:
        if os.environ.get("CKA_DEBUG"):
            raise
        if isinstance(error, OSError) and _is_of_the_output(error):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes what is left as it ends
            if isinstance(error, BrokenPipeError):  # whoever read it has seen enough
                sys.exit(1)
            print(f"error: The output could not be written: {error.strerror}.", file=sys.stderr)
        else:
            print(f"error: {_in_words(error)}", file=sys.stderr)
        sys.exit(2)


def _in_words(error: Exception) -> str:
    """The sentence of an error; of a disk that is full or read-only, which folder and what to do."""
    from cka_core.base import full_disk
    from cka_core.base.store import Store

    try:
        return full_disk.in_words(error, Store()) or str(error)
    except ValueError:  # no store can be opened where CKA_STORE says, which is then what was to be told
        return str(error)


def _is_of_the_output(error: OSError) -> bool:
    """Whether an error came of printing: it names no file, and was raised in this folder, which opens none itself."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return error.filename is None and Path(frame.f_code.co_filename).parent == Path(__file__).parent
