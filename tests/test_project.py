"""The project keeps its own rules: imports run one way, what the documents say is true, what is pinned is asked for."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import typer.main
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cka_core
from cka_core import bundle, cli
from cka_core.base.store import Store
from cka_core.library import catalogue
from cka_core.results.comparison import find

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
CORE = {
    path.relative_to(ROOT / "cka_core").with_suffix("").as_posix().replace("/", "."): path
    for path in sorted((ROOT / "cka_core").rglob("*.py"))
}
"""Every module by its dotted name below cka_core, ``base.store``; a folder's own is ``base.__init__``."""
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def imports(path: Path, *, at_import: bool = False) -> set[str]:
    """Full names of the modules a file imports; ``at_import``: not in functions, and not only for type checkers."""

    def walk(nodes: list[ast.stmt] | list[ast.AST]) -> Iterator[str]:
        for node in nodes:
            if at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
                continue
            if isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module, f"{path}: imports are absolute here"
                modules = {f"{node.module}.{name.name}" for name in node.names}
                within = {name for name in modules if name.removeprefix("cka_core.") in CORE}
                yield from within or {node.module}
            yield from walk(list(ast.iter_child_nodes(node)))

    return set(walk(ast.parse(path.read_text()).body))


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


# Imports


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_import_no_tensorflow(path):
    assert not roots(path) & {"tensorflow", "keras", "torch", "distributed", "dask", "numpy"}


@pytest.mark.parametrize("name", CORE)
def test_core_imports_no_streamlit(name):
    assert not roots(CORE[name]) & {"streamlit", "pages"}


@pytest.mark.parametrize("name", CORE)
def test_heavy_packages_are_imported_in_functions(name):
    heavy = {"tensorflow", "keras", "torch", "distributed", "dask", "pandas", "plotly", "matplotlib"}
    assert not {module.split(".")[0] for module in imports(CORE[name], at_import=True)} & heavy


def test_public_names_come_without_tensorflow():
    code = f"""
import sys, cka_core, numpy as np
for name in {cka_core.__all__!r}:
    getattr(cka_core, name)
cka_core.cka(np.eye(5), np.eye(5))
print(sorted({{"tensorflow", "keras"}} & set(sys.modules)))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert answer.stdout.strip() == "[]"


# What is installed


def requirements(name: str) -> dict[str, Requirement]:
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def pins(python: str) -> dict[str, str]:
    lines = (ROOT / "constraints" / f"python{python}.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs), "a constraints file holds only name==version: no addresses, no paths"
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_are_within_the_ranges(python):
    pinned = pins(python)
    for name, requirement in (requirements("requirements.txt") | requirements("requirements-dev.txt")).items():
        assert pinned.get(name), f"{name} is not pinned for Python {python}"
        assert requirement.specifier.contains(pinned[name]), f"{name} {pinned[name]} is outside {requirement}"


def test_every_requirement_has_a_lowest_version():
    for requirement in (requirements("requirements.txt") | requirements("requirements-dev.txt")).values():
        assert any(part.operator == ">=" for part in requirement.specifier), requirement


def test_what_is_imported_is_required_and_the_other_way_round():
    names = {"PIL": "pillow", "yaml": "pyyaml", "dask": "distributed"}
    own = {"cka_core", "pages", "__future__"}
    imported = {root for path in [*CORE.values(), *PAGES] for root in roots(path)} - own - sys.stdlib_module_names
    needed = {canonicalize_name(names.get(root, root)) for root in imported}
    # Keras saves and reads weights through h5py; Dask needs cryptography for TLS certificates.
    # PyTorch is optional: requirements-torch.txt has it.
    assert needed | {"h5py", "cryptography"} == set(requirements("requirements.txt")) | {"torch"}
    assert set(requirements("requirements-torch.txt")) == {"torch", "safetensors"}  # a recipe writes with the latter


def test_the_supported_pythons_are_the_same_everywhere():
    assert sorted(path.name for path in (ROOT / "constraints").iterdir()) == [f"python{p}.txt" for p in PYTHONS]
    project = (ROOT / "pyproject.toml").read_text()
    assert re.findall(r"Python :: (3\.\d+)", project) == list(PYTHONS)
    assert 'requires-python = ">=3.10,<3.14"' in project
    assert "Python 3.10 to 3.13" in README
    assert "(3, 10) <= sys.version_info[:2] <= (3, 13)" in (ROOT / "Makefile").read_text()
    assert "OLDEST, NEWEST = (3, 10), (3, 13)" in (ROOT / "scripts" / "setup.py").read_text()


def test_the_changelog_begins_with_this_version():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert version and newest and version[1] == newest[1]
    assert cka_core.__version__ == version[1]


# What is bundled


def test_a_newcomer_finds_every_bundled_comparison(tmp_path):
    store = Store(tmp_path)
    specs = bundle.comparisons(store)
    assert len(specs) == 39
    missing = [f"{spec.a.name} x {spec.b.name}" for spec in specs if find(spec, store) is None]
    assert missing == [], "python -m cka_core demo build makes them"


def test_the_bundle_stays_small():
    files = [path for path in (ROOT / "cka_core" / "demo").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 80e6


# What the documents say


def commands(text: str) -> list[str]:
    """Every ``python -m cka_core …`` in a document, in blocks and in the text's code, without "--help"."""
    blocks = re.findall(r"^    (?:\S+=\S+ )*(python -m cka_core .*)$", text, re.M)
    inline = re.findall(r"`(python -m cka_core [^`]+)`", text)
    return [line for line in dict.fromkeys(blocks + inline) if "--help" not in line]


def parse(line: str) -> tuple[str, dict]:
    """The command a line calls and its arguments, parsed as typed but not run."""
    called: list[tuple[str, dict]] = []

    def record(command, path):
        for name, inner in getattr(command, "commands", {}).items():
            record(inner, f"{path} {name}".strip())
        if not hasattr(command, "commands"):
            command.callback = lambda **values: called.append((path, values))

    root = typer.main.get_command(cli.app)
    record(root, "")
    root.main(shlex.split(line)[3:], prog_name="cka_core", standalone_mode=False)
    return called[0]


DOCUMENTS = {path.name: path.read_text() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))}
LINES = sorted({line for text in DOCUMENTS.values() for line in commands(text)})


@pytest.mark.parametrize("line", LINES)
def test_commands_in_the_documents_parse(line):
    command, values = parse(line)
    assert command
    if command == "compare":
        assert values["images"] in ("cifar10-mini", "cifar10")


def test_networks_in_the_documents_exist(tmp_path):
    trained, compared = set(), set()
    for line in LINES:
        command, values = parse(line)
        if command == "train":
            trained.add(values["name"] or f"{values['architecture']}-{values['images']}-s{values['seed']}")
        elif command == "compare":
            compared |= {values["a"], values["b"]}
    for name in {name.partition("@")[0] for name in compared} - trained:
        if not name.endswith(".keras") and ".py:" not in name:
            assert catalogue.find(name, Store(tmp_path)).spec.name


def test_every_command_is_in_the_readme():
    def leaves(command, path=()):
        for name, inner in getattr(command, "commands", {}).items():
            yield from leaves(inner, (*path, name))
        if not hasattr(command, "commands"):
            yield " ".join(path)

    missing = [c for c in leaves(typer.main.get_command(cli.app)) if f"python -m cka_core {c}" not in README]
    assert missing == ["demo build"], "the README shows every command but the one for maintainers"
    assert "python -m cka_core demo build" in DOCUMENTS["CONTRIBUTING.md"]


@pytest.mark.parametrize("name", cka_core.__all__)
def test_every_public_name_is_in_the_readme(name):
    assert re.search(rf"\b{name}\b", README)


def test_every_setting_is_in_the_readme():
    used = set()
    for path in [*CORE.values(), *PAGES, *(ROOT / "scripts").glob("*.py")]:
        used |= set(re.findall(r"\bCKA_[A-Z_]+\b", path.read_text()))
    table = set(re.findall(r"^\| `(CKA_[A-Z_]+)`", README, re.M))
    assert used == table


def named_in_documents() -> list[str]:
    """Every dotted path below cka_core that a document prints, but for the changelog, which has old ones."""
    texts = [text for name, text in DOCUMENTS.items() if name != "CHANGELOG.md"]
    return sorted({path for text in texts for path in re.findall(r"\bcka_core(?:\.[A-Za-z_]\w*)+", text)})


@pytest.mark.parametrize("path", named_in_documents())
def test_every_dotted_path_in_the_documents_leads_somewhere(path):
    found, rest = import_module("cka_core"), path.split(".")[1:]
    while rest:
        name = rest.pop(0)
        found = getattr(found, name) if hasattr(found, name) else import_module(f"{found.__name__}.{name}")


def test_every_file_named_in_the_documents_is_there():
    texts = [text for name, text in DOCUMENTS.items() if name != "CHANGELOG.md"]
    named = {path for text in texts for path in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", text)}
    missing = [path for path in named if not any((root / path).is_file() for root in (ROOT, ROOT / "cka_core"))]
    assert named and missing == []


def test_every_module_stands_in_its_folders_row_of_the_house():
    rows = dict(re.findall(r"^\| `(\w+)/` \| (.*) \|$", ARCHITECTURE, re.M))
    modules = [name.split(".") for name in CORE if "." in name and not name.endswith("__init__")]
    assert set(rows) == {folder for folder, _ in modules}
    assert [f"{folder}.{name}" for folder, name in modules if f"`{name}`" not in rows[folder]] == []
    named = [f"{folder}.{name}" for folder, row in rows.items() for name in re.findall(r"`(\w+)`", row)]
    assert [name for name in named if name not in CORE] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_between_documents_lead_somewhere(name):
    folder = ROOT if (ROOT / name).exists() else ROOT / "docs"
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", DOCUMENTS[name]):
        assert (folder / target).exists(), f"{name} links to {target}"


def python_blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)


def test_python_in_the_readme_compiles():
    for block in python_blocks():
        compile(block, "README.md", "exec")


@pytest.mark.parametrize("number", [i for i, block in enumerate(python_blocks()) if "import torch" not in block])
def test_python_in_the_readme_runs(number, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CKA_STORE": str(tmp_path / "store")}
    answer = subprocess.run(
        [sys.executable, "-c", python_blocks()[number]], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert answer.returncode == 0, answer.stderr


def test_the_readme_maps_every_cell_of_the_notebook():
    rows = README.split("| cell of the notebook | here |")[1].split("\n\n")[0].strip().splitlines()[1:]
    cells = """import numpy|get_strategy(|unbiased_HSIC|CKA(X, Y)
        import tensorflow|cifar10.load_data|strategy = get_strategy
        create_resnet50|create_resnet101|create_resnet152|resnet50.fit|resnet101.fit|resnet152.fit
        calculate_CKA_for_two_matrices|get_all_layer_outputs_fn|compare_activations(modelA|x_train[:256]
        compare_activations2|import pickle|ResNet50|ResNet101|ResNet152
        r50_r101|r50_r152|r101_r152|r50_r50|r101_r101|r152_r152"""
    names = [name.strip() for name in cells.replace("\n", "|").split("|")]
    assert len(rows) == len(names)
    for row, name in zip(rows, names, strict=True):
        assert name in row.split(" | ")[0], row


# The task file


def test_every_task_says_what_it_does():
    lines = (ROOT / "Makefile").read_text().splitlines()
    targets = [i for i, line in enumerate(lines) if re.match(r"[a-z-]+:( |$)", line)]
    names = {lines[i].split(":")[0] for i in targets}
    assert {"run", "test", "lint", "demo", "bench", "screenshots", "clean"} <= names
    for i in targets:
        assert lines[i - 1].startswith("# "), f"{lines[i]} has no comment"


def test_continuous_integration_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("make test")


def test_no_test_is_switched_off():
    switched_off = re.compile(r"pytest\.(skip|xfail|importorskip)\(|mark\.(skip|skipif|xfail)\b")
    found = [path for path in (ROOT / "tests").rglob("*.py") if switched_off.search(path.read_text())]
    assert [path for path in found if path != Path(__file__)] == []


def test_the_target_for_pure_tests_finds_them_and_leaves_out_the_others():
    """Marks are given as tests are collected: given later, the target would run none and say so only in passing."""
    recipe = re.search(r"^test-pure:.*?-m pytest (.*?)$", (ROOT / "Makefile").read_text(), re.M | re.S)
    assert recipe
    asked = [word for word in recipe[1].split() if word not in ("-n", "2", "--dist", "loadfile")]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:xdist", *asked]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stdout[-2000:]
    for there in ("tests/base/", "tests/measures/", "tests/claims/", "tests/results/test_figures.py", "test_house.py"):
        assert there in found.stdout
    assert "tests/results/test_package.py" not in found.stdout
