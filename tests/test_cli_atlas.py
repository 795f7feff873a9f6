"""``atlas``: an atlas is found by its study's name, by its folder's, and where it was written to."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cka_core.atlas import study
from cka_core.atlas.result import Atlas
from cka_core.cli import app
from cka_core.studies import build, falls, verify
from tests import synthetic_atlas


@pytest.fixture
def looked_at(monkeypatch):
    """The atlases that a command opened, which computes nothing."""
    opened = []
    monkeypatch.setattr(verify, "chosen", lambda atlas, store, share, seed: ([], []))
    monkeypatch.setattr(verify, "verify", lambda atlas, members, store, report: opened.append(atlas) or [])
    monkeypatch.setattr(falls, "measure", lambda atlas, store, report: opened.append(atlas) or atlas)
    return opened


def run(*words):
    return CliRunner().invoke(app, ["atlas", *map(str, words)])


def test_an_atlas_is_found_by_each_of_its_names_and_by_its_folder(tmp_path, store, looked_at, monkeypatch):
    synthetic_atlas.save(store.root, "tiny-é")
    folder = synthetic_atlas.save(tmp_path, "elsewhere")
    monkeypatch.chdir(folder.parent)
    names = ("tiny é", "tiny-é", folder, folder.name, "bundled")
    for name in names:
        for command in ("verify", "sure"):
            if (command, name) != ("sure", "bundled"):  # it would be written over
                done = run(command, name)
                assert done.exit_code == 0, str(done.exception)
    assert len(looked_at) == 2 * len(names) - 1
    refused = str(run("verify", "nowhere").exception)
    assert refused == "No atlas 'nowhere' here. There are: bundled, tiny-é. Or name the folder of one."


def test_what_was_written_says_what_to_type_next(tmp_path, store, monkeypatch):
    made = Atlas.load(synthetic_atlas.save(tmp_path))
    monkeypatch.setattr(build, "build", lambda study, store, folder, report: made)
    out = tmp_path / "my atlas"
    inside = study.bundled().name.replace(" ", "-")
    for words, where in (
        ((), inside),
        (("--out", out), f"'{out}'"),
        (("--out", out, "--store", tmp_path / "s"), f"'{out}' --store {tmp_path / 's'}"),
    ):
        done = run("build", "bundled", *words)
        assert done.exit_code == 0, str(done.exception)
        assert done.stdout.endswith(f"\nVerify it: python -m cka_core atlas verify {where}\n")
