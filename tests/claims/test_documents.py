"""What the documents say of the bundled study is what ships: numbers and tables are made again and looked for there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cka_core.atlas.grid import updates_of
from cka_core.atlas.result import Atlas, bundled
from cka_core.claims.beyond import PAPER_EPOCHS

ROOT = Path(__file__).resolve().parents[2]


def document(path: str) -> str:
    """A document's text, its lines joined."""
    return " ".join((ROOT / path).read_text().split())


STUDY = document("docs/study.md")


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    found = bundled()
    assert found is not None
    return found


def test_the_study_says_how_often_its_networks_were_updated(atlas):
    """Those on more images as often as the others."""
    (said,) = {updates_of(member) for member in atlas.members if member.name != "cifar-resnet-20x1-cifar10-s0"}
    assert said is not None and set(re.findall(r"([\d,]+) updates", STUDY)) == {f"{said:,}"}
    (epochs,) = {member.recipe["epochs"] for member in atlas.studied.members}
    assert f"{said // epochs * PAPER_EPOCHS:,} of the paper's {PAPER_EPOCHS} epochs" in STUDY
