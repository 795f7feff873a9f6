"""``cluster``: what computes for the app."""

from __future__ import annotations

import typer

from cka_core.cli.options import StoreOption, opened

app = typer.Typer(help="The local cluster that computes for the app.", no_args_is_help=True)


@app.command("start")
def start(store: StoreOption = None) -> None:
    """Run the local cluster until it is idle for 15 minutes."""
    from cka_core.jobs import cluster

    cluster.command_start(opened(store, writes=True))


@app.command("status")
def status(store: StoreOption = None) -> None:
    """Say whether the local cluster runs and what it does."""
    from cka_core.jobs import cluster

    cluster.command_status(opened(store))


@app.command("check")
def check(store: StoreOption = None) -> None:
    """Run a job that only counts, to see that the cluster works."""
    from cka_core.jobs import submit

    submit.command_check(opened(store, writes=True))


@app.command("stop")
def stop(store: StoreOption = None) -> None:
    """Stop the local cluster; running work can be resumed."""
    from cka_core.jobs import cluster

    cluster.command_stop(opened(store))
