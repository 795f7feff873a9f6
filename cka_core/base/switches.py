"""Options that are on or off: any text is true in Python, "no" and "False" too."""

from __future__ import annotations

from typing import Any

import numpy as np


def check(**given: Any) -> None:
    """A ValueError, naming the option, for one that is neither True nor False."""
    for name, value in given.items():
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"Expected {name}=True or {name}=False, got {value!r:.60}.")
