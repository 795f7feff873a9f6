"""The notebooks of examples/ run from their first cell to the last, on small inputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SMALL = {
    "original_notebook.ipynb": {
        "n=256": "n=12", "batch_size=64": "batch_size=12", '"resnet50", seed': '"cifar-resnet-8x1", seed',
        '"resnet101", seed': '"cifar-resnet-8x2", seed', "size=(30, 15), dpi=400": "size=(6, 3), dpi=50",
    },
    "hidden_states.ipynb": {"TOKENS, WIDTH, LAYERS = 256, 16, 32, 6": "TOKENS, WIDTH, LAYERS = 40, 5, 8, 2",
                            "batch_size=64": "batch_size=20"},
}  # fmt: skip
"""What is put in place of what, so that a cell takes no minute."""


def cells(name: str, smaller: dict[str, str]) -> list[str]:
    notebook = json.loads((EXAMPLES / name).read_text())
    assert notebook["nbformat"] == 4 and all(not cell.get("outputs") for cell in notebook["cells"])
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for old, new in smaller.items():
        assert any(old in source for source in code), old
        code = [source.replace(old, new) for source in code]
    return code


def run(code: list[str]) -> dict[str, object]:
    """As a notebook does: one name space, and what stands last in a cell draws itself."""
    namespace: dict[str, object] = {}
    for source in code:
        lines = source.rstrip().rsplit("\n", 1)
        try:
            shown = compile(lines[-1], "cell", "eval")
        except SyntaxError:
            exec(source, namespace)
            continue
        exec("\n".join(lines[:-1]), namespace)
        value = eval(shown, namespace)
        if hasattr(value, "_repr_html_"):
            assert "<" in value._repr_html_()
    return namespace


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run(cells(name, SMALL[name]))
    assert found["result"].matrix.shape[0] > 2
    assert {path.suffix for path in tmp_path.iterdir()} <= {".png", ".pdf", ".npz"} and list(tmp_path.iterdir())


def test_every_notebook_is_run_somewhere():
    assert {path.name for path in EXAMPLES.glob("*.ipynb")} == {*SMALL, "two_pytorch_models.ipynb"}
