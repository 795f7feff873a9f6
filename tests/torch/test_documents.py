"""What the README says of PyTorch models runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_python_with_pytorch_in_the_readme_runs(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    [block] = [block for block in blocks if "import torch" in block]
    environment = {"PYTHONPATH": str(ROOT), "CKA_STORE": str(tmp_path / "store"), "PATH": "/usr/bin:/bin"}
    answer = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert answer.returncode == 0, answer.stderr
    assert "['0', '1', '2', '3']" in answer.stdout
