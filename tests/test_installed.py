"""The package as it is installed: the wheel has every folder and what ships, and runs away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder into which the wheel was unpacked, without what it requires: that is here already."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"  # setuptools leaves its work where it builds
    shutil.copytree(ROOT / "cka_core", source / "cka_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", str(source), "--no-deps", "--no-build-isolation", "-w", str(folder / "wheels")]
    subprocess.run(build, check=True, capture_output=True, text=True, cwd=folder)
    [wheel] = (folder / "wheels").glob("cka_explorer-*.whl")
    subprocess.run([*pip, "install", str(wheel), "--no-deps", "--target", str(folder / "site")], check=True, cwd=folder)
    return folder / "site"


def run(installed: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed), "CKA_STORE": str(installed / "store")}
    answer = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=installed.parent, env=environment
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_it_has_every_module_and_all_that_ships(installed):
    here, there = (
        {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
        for folder in (ROOT / "cka_core", installed / "cka_core")
    )
    assert here == there


def test_every_module_of_it_can_be_imported(installed):
    code = (
        "import importlib, pkgutil, cka_core\n"
        "names = [m.name for m in pkgutil.walk_packages(cka_core.__path__, 'cka_core.')]\n"
        "for name in names:\n"
        "    if name != 'cka_core.__main__': importlib.import_module(name)\n"
        "print(len(names), cka_core.__file__)"
    )
    count, where = run(installed, "-c", code).split(maxsplit=1)
    assert int(count) > 70 and Path(where.strip()).parent.parent == installed


def test_its_command_line_finds_what_ships(installed):
    said = run(installed, "-m", "cka_core", "networks")
    assert "cifar-resnet-38x1-cifar10-mini-s0" in said and "test accuracy" in said
    assert "Found in the store" in run(
        installed, "-m", "cka_core", "compare", "cifar-resnet-14x1-cifar10-mini-s0",
        "cifar-resnet-38x1-cifar10-mini-s0", "--samples", "768",
    )  # fmt: skip


def test_its_cluster_starts_and_does_work(installed):
    try:
        assert "works" in run(installed, "-m", "cka_core", "cluster", "check").lower()
    finally:
        run(installed, "-m", "cka_core", "cluster", "stop")
