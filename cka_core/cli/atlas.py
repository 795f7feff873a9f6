"""``atlas``: studies of many networks."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cka_core.base import full_disk
from cka_core.cli.options import StoreOption, opened, progress_bar, stoppable

if TYPE_CHECKING:
    from cka_core.base.store import Store

app = typer.Typer(help="Studies of many networks.", no_args_is_help=True)
AtlasArgument = Annotated[
    str, typer.Argument(help='The name of an atlas, such as "bundled", or the folder that one was written to.')
]


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

    place = opened(store, writes=True)
    wanted = studies.bundled() if study == "bundled" else studies.read_study(study)
    if out is not None:
        out = out.expanduser()
        full_disk.check_folder(out.absolute(), "Name another folder with --out.")
    folder = out or atlases.folder_of(wanted, place)
    if submit or os.environ.get("CKA_SCHEDULER"):
        from cka_core.jobs import studies as study_jobs

        carry_out = study_jobs.build
    else:
        carry_out = build.build
    with stoppable("The same command goes on from what is finished."), progress_bar("steps") as report:
        atlas = carry_out(wanted, place, folder, report)
    atlas_steps.forget(atlas.study, place)
    for member in atlas.members:
        fitted = "" if member.fitted else ", not fitted"
        error = words.accuracy_error(member.final.test_accuracy, member.test_images)
        blocks = ", ".join(block.span for block in member.final.blocks) or "none"
        print(
            f"{member.name}: test accuracy {member.final.test_accuracy:.3f} ±{error:.3f} on {member.test_images:,} "
            f"images, training accuracy {member.final.train_accuracy:.3f}{fitted}; blocks of layers: {blocks}"
        )
    where = [str(folder) if out else folder.name, *(["--store", store] if store else [])]
    print(f"Wrote {folder}")
    print(f"Verify it: python -m cka_core atlas verify {shlex.join(where)}")


@app.command("sure")
def sure(
    atlas: AtlasArgument = "bundled",
    store: StoreOption = None,
) -> None:
    """Measure how sure the blocks of an atlas are, of those of its networks that are here, and write it into the atlas.

    For atlases made before version 0.3; `build` does it by itself. Needs no training.
    """
    from cka_core.atlas import result as atlases
    from cka_core.measures.block_falls import FEW
    from cka_core.studies import falls
    from cka_core.studies import steps as atlas_steps

    place = opened(store, writes=True)
    folder = _folder(atlas, place)
    full_disk.check_folder(folder, "Copy the atlas to a folder of your own, and name that.")
    with progress_bar("networks") as report:
        found = falls.measure(atlases.Atlas.load(folder), place, report)
    found.save(folder)
    atlas_steps.forget(found.study, place)
    for member in found.members:
        for block in member.final.blocks:
            known = block.low is not None and block.high is not None and block.deciding is not None
            interval = f"{block.low:.2f} to {block.high:.2f}" if known else "not known: the network is not here"
            few = f"; only {block.deciding:.0f} images decide" if known and (block.deciding or 0) < FEW else ""
            print(f"{member.name}: layers {block.span}, fall {block.fall:.2f}, 95 % {interval}{few}")
        for number, half in enumerate(member.halves or ()):
            for one in half:
                print(
                    f"{member.name}: half {number + 1} of the images: layers {one.span}, fall "
                    f"{one.fall:.2f}, on the other half {one.elsewhere:.2f}"
                )
    print(f"Wrote {folder}")


@app.command("verify")
def verify(
    atlas: AtlasArgument = "bundled",
    share: Annotated[float, typer.Option(help="Share of its networks, drawn at random.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    store: StoreOption = None,
) -> None:
    """Compute a random share of an atlas again from its networks, and say how far off what it says is.

    Ends with 1 if anything is further off than another machine's rounding.
    """
    from cka_core.atlas import result as atlases
    from cka_core.studies import verify as verifying

    place = opened(store)
    folder = _folder(atlas, place)
    found = atlases.Atlas.load(folder)
    members, gone = verifying.chosen(found, place, share, seed)
    with progress_bar("networks") as report:
        checks = list(verifying.verify(found, members, place, report))
    for check in checks:
        print(f"{'right' if check.holds else 'WRONG'}  off by {check.difference:.1e}  {check.what}")
    if gone:
        print(f"Not here, so not verified ({len(gone)}): {', '.join(gone)}")
    if not all(check.holds for check in checks):
        raise SystemExit(1)


def _folder(atlas: str, store: Store) -> Path:
    """Where an atlas of this name lies: its folder's name, or its study's; or the folder itself."""
    from cka_core.atlas import result as atlases

    folders = atlases.listed(store)
    for name in (atlas, atlases.file_name(atlas)):
        if name in folders:
            return folders[name]
    folder = Path(atlas).expanduser()
    if (folder / "atlas.json").is_file():
        return folder
    raise ValueError(f"No atlas {atlas!r} here. There are: {', '.join(folders)}. Or name the folder of one.")
