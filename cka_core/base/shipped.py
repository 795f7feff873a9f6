"""Where the files that ship with the package lie."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "demo"
IMAGES = FOLDER / "images"
NETWORKS = FOLDER / "networks"
COMPARISONS = FOLDER / "comparisons"
NULLS = FOLDER / "nulls"
ESTIMATES = FOLDER / "estimates"
GRAMS = FOLDER / "grams"
ATLAS = FOLDER / "atlas"
STUDY = FOLDER / "atlas.toml"
