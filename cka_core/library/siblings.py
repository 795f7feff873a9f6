"""Networks that differ from one in a single thing: before its training, or with another seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from cka_core.base.records import LARGEST_SEED
from cka_core.base.store import Store
from cka_core.library import catalogue
from cka_core.library.catalogue import NetworkInfo


def untrained(info: NetworkInfo, store: Store) -> NetworkInfo | None:
    """The same architecture before training, with the seed that the library has it with; None where it is not known or
    the network is untrained itself."""
    if not info.trained_on or info.untrained_name is None:
        return None
    return catalogue.by_name(info.untrained_name, store)


def another_seed(info: NetworkInfo, networks: Mapping[str, NetworkInfo], store: Store) -> NetworkInfo | None:
    """The network of the same architecture and recipe with the next seed; None where the library has none."""
    if info.spec.source == "untrained":
        following = ((info.spec.seed or 0) + 1) % (LARGEST_SEED + 1)
        return catalogue.by_name(f"{info.spec.architecture}:{following}", store)
    own = recipe(info)
    if own is None:
        return None
    seeds = {
        other.spec.seed or 0: other
        for other in networks.values()
        if other.spec.source != "untrained" and recipe(other) == own and other.spec.seed != info.spec.seed
    }
    later = [seed for seed in seeds if seed > (info.spec.seed or 0)]
    return seeds[min(later or seeds)] if seeds else None


def recipe(info: NetworkInfo) -> dict[str, Any] | None:
    """Everything about a training but its seed, and what costs nothing; None of what was not trained here."""
    spec = info.record.get("spec")
    if not isinstance(spec, dict) or not info.trained_on or "@" in info.spec.name:
        return None
    return {name: value for name, value in spec.items() if name not in ("seed", "keep_every", "force_cpu")}


def next_seed(info: NetworkInfo) -> dict[str, Any] | None:
    """The recipe of a training that gives another seed of a network, as a spec's fields; None where there is none."""
    if recipe(info) is None or info.record["spec"].get("start_digest"):
        return None
    return {**info.record["spec"], "seed": int(info.record["spec"]["seed"]) + 1}


def kept_epochs(info: NetworkInfo, store: Store) -> list[int]:
    """The epochs after which a network's weights were kept and are here, in order; empty for most."""
    name = info.spec.name.partition("@")[0]
    known = sorted(int(epoch) for epoch in info.record.get("checkpoints") or {})
    return [epoch for epoch in known if store.has("networks", f"{name}@{epoch}")]


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two networks to compare, one twice for a comparison with itself."""

    a: NetworkInfo
    b: NetworkInfo


def both_untrained(a: NetworkInfo, b: NetworkInfo, store: Store) -> Pair | None:
    """Both networks before training; None where one of them has no such network."""
    found = untrained(a, store), untrained(b, store)
    return Pair(*found) if found[0] and found[1] else None  # type: ignore[arg-type]


def both_of_another_seed(
    a: NetworkInfo, b: NetworkInfo, networks: Mapping[str, NetworkInfo], store: Store
) -> Pair | None:
    """Both networks with another seed, or the one of which there is another; None where there is of neither."""
    found = another_seed(a, networks, store), another_seed(b, networks, store)
    if not any(found):
        return None
    return Pair(found[0] or a, found[1] or b)
