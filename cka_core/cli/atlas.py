"""``atlas``: studies of many networks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cka_core.base.store import Store
from cka_core.cli.options import StoreOption, progress_bar

app = typer.Typer(help="Studies of many networks.", no_args_is_help=True)


@app.command("build")
def build(
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
        with progress_bar("steps") as report:
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
