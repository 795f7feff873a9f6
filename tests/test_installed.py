"""The package as it is installed: the wheel has every folder and what ships, and runs away from the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement

from cka_core.base.extras import EXTRAS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder into which the wheel was unpacked, without what it requires: that is here already."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"  # setuptools leaves its work where it builds
    shutil.copytree(ROOT / "cka_core", source / "cka_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
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


def required(installed: Path) -> dict[str, dict[str, Requirement]]:
    """What the wheel asks for, by extra; "" for what it asks for without one."""
    [about] = installed.glob("cka_explorer-*.dist-info/METADATA")
    found: dict[str, dict[str, Requirement]] = {}
    for line in Metadata.from_email(about.read_text(), validate=False).requires_dist or []:
        extra = re.search(r'extra == "(\w+)"', str(line.marker or ""))
        found.setdefault(extra[1] if extra else "", {})[line.name] = line
    return found


def test_without_extras_it_is_light(installed):
    found = required(installed)
    assert set(found) == {"", "app", "keras", "torch"}
    assert {"numpy", "scipy"} <= set(found[""])
    heavy = {"tensorflow", "keras", "streamlit", "torch", "pandas", "plotly", "matplotlib", "distributed"}
    assert not heavy & set(found[""])
    assert set(found["keras"]) >= {"tensorflow", "keras"} and set(found["torch"]) == {"torch"}


def test_what_is_told_of_a_missing_package_names_the_extra_that_brings_it(installed):
    found = required(installed)
    assert {extra: set(packages) for extra, packages in EXTRAS.items()} == {
        extra: set(found[extra]) - {"cka-explorer"} for extra in ("keras", "torch", "app")
    }


def test_with_the_app_it_is_all_of_requirements_txt(installed):
    found = required(installed)
    everything = found[""] | found["keras"] | {n: r for n, r in found["app"].items() if n != "cka-explorer"}
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    whole = {Requirement(line).name: Requirement(line).specifier for line in lines if line}
    assert {name: requirement.specifier for name, requirement in everything.items()} == whole


LIGHT = """
import importlib.metadata as metadata, importlib.util, re, sys
from packaging.requirements import Requirement

def closure(name, found):
    key = re.sub("[-_.]+", "-", name).lower()
    if key not in found:
        found.add(key)
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                closure(requirement.name, found)
    return found

allowed = set()
for name in NAMES:
    closure(name, allowed)
of = metadata.packages_distributions()

class Only:
    def find_spec(self, name, path=None, target=None):
        owners = {re.sub("[-_.]+", "-", owner).lower() for owner in of.get(name.split(".")[0], ())}
        if owners and not owners & allowed and "cka-explorer" not in owners:
            raise ModuleNotFoundError(f"No module named {name!r}: it is not among what is installed", name=name)

sys.meta_path.insert(0, Only())
"""
"""Python that can import nothing but NAMES, what these require, and the standard library."""


def test_light_it_compares(installed):
    code = (
        LIGHT.replace("NAMES", repr(sorted(required(installed)[""])))
        + """
import numpy as np, cka_core
x = np.random.default_rng(0).normal(size=(32, 6))
assert abs(cka_core.cka(x, 2 * x) - 1) < 1e-6
result = cka_core.compare_activations({"a": x, "b": x**3}, {"c": x})
result.save("light.npz")
low, high = cka_core.Comparison.load("light.npz").interval()
for name in ("tensorflow", "streamlit", "pandas", "matplotlib"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        pass
    else:
        raise SystemExit(name)
print(result.matrix.shape, "tensorflow" in sys.modules)
"""
    )
    assert run(installed, "-c", code).strip() == "(2, 1) False"
    assert "data" in run(
        installed,
        "-c",
        LIGHT.replace("NAMES", repr(sorted(required(installed)[""])))
        + """
sys.argv = ["cka_core", "--help"]
from cka_core.cli import main
main()
""",
    )


@pytest.mark.parametrize(
    ("asked", "package", "extra"),
    [
        ("build_network('cifar-resnet-8x1')", "keras", "keras"),
        ("compare(1, 2, x)", "keras", "keras"),
        ("load_images('mnist')", "keras", "keras"),
        ("load_images('cifar10')", "keras", "keras"),
        ("result.to_frame()", "pandas", "app"),
        ("result.heatmap()", "plotly", "app"),
        ("result.savefig('a.pdf')", "matplotlib", "app"),
        ("result.savefig('a.html')", "plotly", "app"),
    ],
)
def test_light_it_says_how_to_install_what_is_missing(installed, asked, package, extra):
    code = f"""
import numpy as np
from cka_core import *
x = np.random.default_rng(0).normal(size=(16, 6))
result = compare_activations({{"a": x}}, {{"b": x}})
try:
    {asked}
except Exception as error:
    print(error)
"""
    said = run(installed, "-c", LIGHT.replace("NAMES", repr(sorted(required(installed)[""]))) + code)
    assert f"This needs {package}, which is not installed" in said and f'pip install ".[{extra}]"' in said
    assert "NotInstalled" not in said and "internet" not in said


@pytest.mark.parametrize(
    ("words", "package", "extra"),
    [
        (["train", "cifar-resnet-8x1"], "keras", "keras"),
        (["compare", "cifar-resnet-8x1", "cifar-resnet-8x1", "--samples", "8"], "keras", "keras"),
        (["compare", "{first}", "{second}", "--samples", "768", "--figure", "a.png"], "matplotlib", "app"),
        # what would be computed first, in vain, needs keras
        (["compare", "cifar-resnet-8x1", "cifar-resnet-8x1", "--figure", "a.pdf"], "matplotlib", "app"),
        (["compare", "cifar-resnet-8x1", "cifar-resnet-8x1", "--bundle", "a.zip"], "plotly", "app"),
        (["cluster", "start"], "distributed", "app"),
        (["cluster", "check"], "distributed", "app"),
    ],
    ids=lambda words: " ".join(words[:2]) if isinstance(words, list) else None,
)
def test_light_its_command_line_says_so_in_one_sentence(installed, words, package, extra):
    first, second = "cifar-resnet-14x1-cifar10-mini-s0", "cifar-resnet-38x1-cifar10-mini-s0"
    words = [word.format(first=first, second=second) for word in words]
    code = f"""
import os
sys.argv = ["cka_core", *{words!r}]
os.dup2(1, 2)  # the harness shows what is printed where it ends well
from cka_core.cli import main
try:
    main()
except SystemExit as ended:
    print("ended with", ended.code)
"""
    said = run(installed, "-c", LIGHT.replace("NAMES", repr(sorted(required(installed)[""]))) + code)
    assert f"error: This needs {package}, which is not installed" in said and f'pip install ".[{extra}]"' in said
    assert "Traceback" not in said and "ended with 2" in said


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
