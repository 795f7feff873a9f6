"""What a layer of a network is called, and what it puts out."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of a network. ``shape`` is that of its output for one image; ``stage`` groups layers ("" for none)."""

    name: str
    kind: str
    shape: tuple[int, ...]
    stage: str = ""
