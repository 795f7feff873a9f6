"""How full the store is, and of what."""

from __future__ import annotations

import dataclasses

from cka_core.base import words
from cka_core.base.store import Store, gram_budget


def sizes(store: Store) -> dict[str, int]:
    """Bytes by what they are for; "trash" too. Nothing that is empty."""
    folders = {
        "Gram matrices": "grams", "networks": "networks", "activation sets": "activations",
        "comparisons": "comparisons", "images": "images", "trainings": "trainings", "damaged": "damaged",
        "trash": "trash",
    }  # fmt: skip
    found = {words_: store.size(folder) for words_, folder in folders.items()}
    return {name: size for name, size in found.items() if size}


@dataclasses.dataclass(frozen=True)
class Budget:
    """How full the store is: the share of the Gram matrices' budget that is used, and all of it in words."""

    share: float
    text: str
    rest: str


def budget(store: Store) -> Budget:
    """Gram matrices against their budget, then everything else."""
    found = sizes(store)
    grams, limit, free = found.pop("Gram matrices", 0), gram_budget(), store.free()
    text = (
        f"{words.size_text(grams + sum(found.values()))} in all, of which {words.size_text(grams)} of at most "
        f"{words.size_text(limit)} for Gram matrices kept by comparisons"
    )
    rest = [f"{words.size_text(size)} {name}" for name, size in found.items()]
    rest += [f"{words.size_text(free)} free on the disk"] if free is not None else []
    return Budget(min(1.0, grams / limit) if limit else 1.0, text, " · ".join(rest) or "Nothing else is kept yet.")
