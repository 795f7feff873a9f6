"""The layers of cka_core: who may import whom, and where TensorFlow may come in."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).resolve().parent.parent / "cka_core"

LAYERS = (
    ("base", "measures"),
    ("images", "networks"),
    ("results",),
    ("library",),
    ("comparing",),
    ("training",),
    ("atlas",),
    ("claims", "studies"),
    ("jobs",),
)
"""The twelve folders from the ground up. A folder imports from rows above its own; those of one row are independent."""

DOORS = {"__init__", "__main__", "analysis", "bundle", "cli"}
"""What stands at the root: it may import anything, and no folder imports it."""

TENSORFLOW = {
    "images": {"downloads"},
    "networks": {"activations", "building", "fingerprint", "layer_graph", "preprocessing", "segments", "surgery"},
    "library": {"catalogue", "keras_files", "own_networks"},
    "comparing": {"engine", "sources", "warm"},
    "training": {"devices", "epochs", "fit", "images", "into_library", "measuring", "several_hosts"},
    "studies": {"look", "trying"},
    "jobs": {"worker"},
}
"""The folders that may bring TensorFlow or Keras in, and by which modules: inside functions or for type checkers."""

TORCH = {
    "networks": {
        "tokens",
        "torch_calls",
        "torch_gram",
        "torch_inputs",
        "torch_layers",
        "torch_queue",
        "torch_watching",
    },
    "comparing": {"engine", "torch_images"},
}
"""The same for PyTorch, which is optional: only a model of it that a caller gives brings it in."""

FOLDERS = [name for row in LAYERS for name in row]
MODULES = sorted(path for path in CORE.rglob("*.py"))


def room(path: Path) -> str:
    """The folder a module stands in; the name of the module itself at the root."""
    return path.relative_to(CORE).with_suffix("").parts[0]


def imports(path: Path, *, at_the_top: bool = False) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports: at the top, inside functions and for type checkers alike."""
    tree = ast.parse(path.read_text())
    for node in tree.body if at_the_top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: imports are absolute here"
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def rooms_imported(path: Path) -> Iterator[tuple[int, str]]:
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] == "cka_core" and len(parts) > 1:
            yield line, parts[1]


def test_the_folders_are_the_twelve():
    assert sorted(path.parent.name for path in CORE.glob("*/__init__.py") if path.parent.name != "cli") == sorted(
        FOLDERS
    )
    assert {room(path) for path in MODULES} == set(FOLDERS) | DOORS


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_from_rows_above_its_own(folder):
    above = {name for row in LAYERS[: next(i for i, row in enumerate(LAYERS) if folder in row)] for name in row}
    found = [
        f"{path.relative_to(CORE)}:{line} imports {other}"
        for path in MODULES
        if room(path) == folder
        for line, other in rooms_imported(path)
        if other not in above | {folder}
    ]
    assert found == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_modules_of_a_folder_need_each_other_to_be_imported(folder):
    graph = {}
    for path in MODULES:
        if room(path) == folder:
            within = {".".join(name.split(".")[:3]) for _, name in imports(path, at_the_top=True)}
            graph[f"cka_core.{folder}.{path.stem}"] = within
    graph = {name: needs & set(graph) for name, needs in graph.items()}
    while free := {name for name, needs in graph.items() if not needs - {name}}:
        graph = {name: needs - free for name, needs in graph.items() if name not in free}
    assert not graph, f"these import each other in a circle: {sorted(graph)}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_its_rule_in_one_sentence(folder):
    tree = ast.parse((CORE / folder / "__init__.py").read_text())
    assert len(tree.body) == 1, "a folder's __init__ holds its rule and nothing else"
    rule = ast.get_docstring(tree)
    assert rule and re.fullmatch(r"[A-Z][^.]*\.", rule.replace("\n", " ")), rule


@pytest.mark.parametrize("packages, named", [(("tensorflow", "keras"), TENSORFLOW), (("torch",), TORCH)])
def test_no_module_but_those_named_brings_a_framework(packages, named):
    found = {path for path in MODULES for _, name in imports(path) if name.split(".")[0] in packages}
    brought = {folder: {path.stem for path in found if room(path) == folder} for folder in FOLDERS}
    assert {folder: names for folder, names in brought.items() if names} == named
    assert {room(path) for path in found} <= set(FOLDERS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_pytorch_is_imported_in_functions_only(path):
    tree = ast.parse(path.read_text())
    at_the_top = {name.split(".")[0] for node in tree.body for name in _imported(node)}
    assert "torch" not in at_the_top


def _imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_measures_need_numpy_and_scipy_only():
    allowed = {"numpy", "scipy", "threadpoolctl", "cka_core"} | sys.stdlib_module_names
    used = {name.split(".")[0] for path in MODULES if room(path) == "measures" for _, name in imports(path)}
    assert used <= allowed


@pytest.mark.parametrize(
    "page", [*sorted((CORE.parent / "pages").glob("*.py")), CORE.parent / "app.py"], ids=lambda path: path.name
)
def test_a_page_holds_no_lone_text(page):
    """Streamlit writes it on the page, wherever it stands, but for the first."""
    body = ast.parse(page.read_text(encoding="utf-8")).body
    lone = [node.lineno for node in body[1:] if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    assert lone == []
