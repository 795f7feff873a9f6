"""The command line, ``python -m cka_core``: the same functions as in the app, in this process, with tqdm.

One file a command group; each command imports what it needs when it runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from cka_core.base import extras
from cka_core.cli import activations, atlas, cluster, compare, data, demo, doctor, networks, quiet, train
from cka_core.cli.options import stoppable
from cka_core.jobs.cluster_files import ClusterUnavailable


class _Commands(TyperGroup):
    """A key that stops a command anywhere says so: where a command has no words of its own, typer ends without any."""

    def invoke(self, ctx: Any) -> Any:
        with stoppable():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
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

OUTPUT = "standard output"


class _Output:
    """Standard output, of which an error names it, as an error of a file names the file."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return int(self._try(self._stream.write, text) or 0)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, do: Any, *values: str) -> Any:
        try:
            return do(*values)
        except OSError as error:
            return self._failed(error)

    def _failed(self, error: OSError) -> None:
        error.filename = OUTPUT
        raise error


class _Beside(_Output):
    """Standard error: progress and notes end no work where nobody can be told of them."""

    def _failed(self, error: OSError) -> None:
        _to_nothing(self._stream)


def main() -> None:
    """Run a command; an error in what was asked ends in one sentence, not a traceback."""
    _open_streams()
    quiet.of_tensorflow()
    with contextlib.redirect_stderr(_Beside(sys.stderr)):
        _run()


def _run() -> None:
    output = _Output(sys.stdout)
    try:
        with contextlib.redirect_stdout(output):
            try:
                with extras.told():
                    app()
            finally:
                output.flush()
    except (ValueError, OSError, extras.NotInstalled, ClusterUnavailable) as error:
        if os.environ.get("CKA_DEBUG"):
            raise
        if isinstance(error, OSError) and error.filename == OUTPUT:
            _to_nothing(sys.stdout)
            if isinstance(error, BrokenPipeError):  # whoever read it has seen enough
                sys.exit(1)
            print(f"error: The output could not be written: {error.strerror}.", file=sys.stderr)
        else:
            print(f"error: {_in_words(error)}", file=sys.stderr)
        sys.exit(2)


def _to_nothing(stream: Any) -> None:
    """Send what is left in a stream nowhere: Python writes it as it ends, and would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_streams() -> None:
    """Open to nothing the standard streams that are closed, whose place the next file that is opened would take, to be
    written to by whatever prints; and let a letter that the output's encoding lacks end no command."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as Python has it for errors


def _in_words(error: Exception) -> str:
    """The sentence of an error; of a disk that is full or read-only, which folder and what to do."""
    from cka_core.base import full_disk
    from cka_core.base.store import Store

    try:
        return full_disk.in_words(error, Store()) or str(error)
    except ValueError:  # no store can be opened where CKA_STORE says, which is then what was to be told
        return str(error)
