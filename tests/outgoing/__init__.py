"""No test of the pages, and no process that one starts, connects to another computer. See sitecustomize.py here.

What Python does is seen. A library in C that connects by itself is not; none of what the pages use does.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outgoing import sitecustomize as sitecustomize  # it is active here, too

FOLDER = Path(__file__).parent


@contextlib.contextmanager
def watched(log: Path) -> Iterator[None]:
    """This process, and those that are started meanwhile as long as they live, go nowhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONLY_LOOPBACK", str(log))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH")])))
        yield


@pytest.fixture(scope="session")
def refused(tmp_path_factory) -> Path:
    """Where connections that were refused are written down."""
    return tmp_path_factory.mktemp("outgoing") / "refused.txt"


@pytest.fixture(scope="module", autouse=True)
def outgoing(refused: Path) -> Iterator[Path]:
    with watched(refused):
        yield refused


@pytest.fixture(autouse=True)
def only_loopback(outgoing: Path) -> Iterator[None]:
    """Fails a test during which something would have left this computer."""
    before = said(outgoing)
    yield
    assert said(outgoing) == before


def said(log: Path) -> str:
    return log.read_text(encoding="utf-8") if log.exists() else ""
