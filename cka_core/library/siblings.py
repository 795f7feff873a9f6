"""Networks that differ from one in a single thing: before its training, or with another seed."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Mapping
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


def another_seed(
    info: NetworkInfo,
    networks: Mapping[str, NetworkInfo],
    store: Store,
    besides: Collection[NetworkInfo] = (),
) -> NetworkInfo | None:
    """The network of the same architecture and recipe with the next seed, none of those ``besides``, at whatever epoch;
    None where the library has none."""
    gone = {_whole(other) for other in besides}
    if info.spec.source == "untrained":
        first = info.spec.seed or 0
        following = (first + more for more in range(1, len(gone) + 2))
        named = (f"{info.spec.architecture}:{seed % (LARGEST_SEED + 1)}" for seed in following)
        return next(other for other in (catalogue.by_name(name, store) for name in named) if _whole(other) not in gone)
    seeds = _seeds(info, networks)
    left = [seed for seed, other in seeds.items() if _whole(other) not in gone and seed != info.spec.seed]
    later = [seed for seed in left if seed > (info.spec.seed or 0)]
    return seeds[min(later or left)] if left else None


def _whole(info: NetworkInfo) -> str:
    """What a network is called at the end of its training."""
    return info.spec.name.partition("@")[0]


def _seeds(info: NetworkInfo, networks: Mapping[str, NetworkInfo]) -> dict[int, NetworkInfo]:
    """The networks of the same architecture and recipe that the library has, by their seeds."""
    own = recipe(info)
    return {
        other.spec.seed or 0: other
        for other in networks.values()
        if own is not None and other.spec.source != "untrained" and recipe(other) == own
    }


def recipe(info: NetworkInfo) -> dict[str, Any] | None:
    """Everything about a training but its seed, and what costs nothing; None of what was not trained here."""
    spec = info.record.get("spec")
    if not isinstance(spec, dict) or not info.trained_on or "@" in info.spec.name:
        return None
    return {name: value for name, value in spec.items() if name not in ("seed", "keep_every", "force_cpu")}


def next_seed(info: NetworkInfo, networks: Mapping[str, NetworkInfo]) -> dict[str, Any] | None:
    """The recipe of a training that gives another seed of a network than the library has, as a spec's fields; None
    where there is none."""
    if recipe(info) is None or info.record["spec"].get("start_digest"):
        return None
    first, known = int(info.record["spec"]["seed"]) + 1, _seeds(info, networks)
    return {**info.record["spec"], "seed": next(seed for seed in itertools.count(first) if seed not in known)}


def kept_epochs(info: NetworkInfo, store: Store) -> list[int]:
    """The epochs after which a network's weights were kept and are here, in order; empty for most."""
    name = _whole(info)
    known = sorted(int(epoch) for epoch in info.record.get("checkpoints") or {})
    return [epoch for epoch in known if store.has("networks", f"{name}@{epoch}")]


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two networks to compare, one twice for a comparison with itself."""

    a: NetworkInfo
    b: NetworkInfo


def both_untrained(a: NetworkInfo, b: NetworkInfo, store: Store) -> Pair | None:
    """Both networks before training; None where one of them has no such network.

    Two seeds of one architecture are two networks before training too: compared with itself it would be 1.
    """
    before_a, before_b = untrained(a, store), untrained(b, store)
    if before_a is None or before_b is None:
        return None
    if before_a.spec == before_b.spec and a.spec.seed != b.spec.seed:
        own = (catalogue.by_name(f"{info.spec.architecture}:{info.spec.seed or 0}", store) for info in (a, b))
        return Pair(*own)
    return Pair(before_a, before_b)


def both_of_another_seed(
    a: NetworkInfo, b: NetworkInfo, networks: Mapping[str, NetworkInfo], store: Store
) -> Pair | None:
    """Both networks with another seed, or the one of which there is another; None where there is of neither.

    Of two seeds of one training neither stands in for the other: that would be the same two, swapped.
    """
    if a.spec == b.spec:
        other = another_seed(a, networks, store)
        return None if other is None else Pair(other, other)
    other_a = another_seed(a, networks, store, [b])
    other_b = another_seed(b, networks, store, [a, *([other_a] if other_a else [])])
    if other_a is None and other_b is None:
        return None
    return Pair(other_a or a, other_b or b)
