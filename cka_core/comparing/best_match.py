"""The best match of each layer by chance, from the Gram matrices that a comparison rests on."""

from __future__ import annotations

from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store
from cka_core.comparing.by_spec import open_sides
from cka_core.measures.chance import BestMatchChance, best_match_chance
from cka_core.measures.hsic import HsicSums
from cka_core.results import best_match
from cka_core.results.best_match import BestMatchSpec


def run(spec: BestMatchSpec, store: Store, report: Report = silent) -> BestMatchChance:
    """Permute the images of B, keep what the best matches reach in the store, and return it.

    Gram matrices that are not in the store are made again, and kept there within its budget.
    """
    sides = open_sides(spec.of, store, report)
    total = len(sides.slices) + 1
    batches, sums = [], HsicSums(len(sides.a.layers), len(sides.b.layers))
    for index, (a, b) in enumerate(sides.batches()):
        report(Progress("reading Gram matrices", index, total, f"minibatch {index + 1} of {len(sides.slices)}"))
        sums.add(a, b)
        batches.append((a, b))
    report(Progress("permuting images", total - 1, total, f"{spec.draws} permutations"))
    found = best_match_chance(batches, sums, spec.draws)
    best_match.keep(spec, found, store)
    return found
