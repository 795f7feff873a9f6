"""What is in the library and in the store, as rows a person reads: what it is, how it was made, when, how large.

Light: nothing is loaded but descriptions. pandas is imported by `table`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cka_core.base import records, shipped, words
from cka_core.base.store import Entry, Store
from cka_core.images import own
from cka_core.images.sets import SampleSpec
from cka_core.library import catalogue, files
from cka_core.library.catalogue import NetworkInfo
from cka_core.library.damage import Damage as Damage
from cka_core.library.damage import about_in, broken
from cka_core.library.damage import damaged as damaged  # what cannot be used is in the store, too
from cka_core.measures.hsic import minibatches
from cka_core.networks import layers
from cka_core.networks.architectures import NetworkSpec, UnknownNetwork, is_architecture
from cka_core.networks.layouts import counted_text
from cka_core.results import comparison, views
from cka_core.results import words as result_words
from cka_core.results.activation_sets import Sample
from cka_core.results.comparison import CompareSpec, Comparison
from cka_core.results.files import read_about
from cka_core.results.schemas import ComparisonAbout, GramsAbout

if TYPE_CHECKING:
    import pandas


KEY = re.compile(r"[A-Za-z0-9-]{1,100}")
"""What the key of a comparison may look like. An address asks for whatever was written there."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing kept. ``kind`` and ``key`` are the store's, ``origin`` is a word; ``made`` is UTC in ISO form or "".

    ``address`` opens it on the Compare page; empty where that is not possible. ``fixed``: it ships with the package.
    ``file`` is where it lies then. ``whole``: nothing of it is missing.
    """

    kind: str
    key: str
    name: str
    what: str
    how: str
    origin: str
    made: str
    size: int
    address: dict[str, str] = dataclasses.field(default_factory=dict)
    fixed: bool = False
    file: str = ""
    whole: bool = True


def networks(store: Store) -> list[Row]:
    """The trained networks, bundled ones too, newest first."""
    entries = store.entries("networks")
    sizes, damaged_files = _sizes(entries), broken(entries, store)
    rows = []
    for name, info in catalogue.networks(store).items():
        bundled = info.spec.source == "bundled"
        is_own = info.spec.source == catalogue.OWN
        if (info.trained_on is None and not is_own) or (name in damaged_files and not bundled):
            continue
        file = shipped.NETWORKS / f"{name}.keras"
        rows.append(
            Row(
                "networks",
                name,
                name,
                ("" if is_own else f"{info.title} · ") + f"{words.count_text(info.parameters)} parameters",
                f"{words.counted(len(info.layers), 'layer')} · {info.subtitle} · from {info.record['file']}"
                if is_own
                else _training(info),
                "brought in" if is_own else info.spec.source,
                str(info.record.get("created") or ""),
                file.stat().st_size if bundled else sizes.get(name, 0),
                {"a": name},
                bundled,
                str(file) if bundled else "",
            )
        )
    return _newest_first(rows)


def _training(info: NetworkInfo) -> str:
    parts = [info.subtitle, words.counted(len(info.record.get("history", {}).get("loss", ())), "epoch")]
    if info.test_accuracy is not None and info.test_images:
        parts.append(f"{words.accuracy_text(info.test_accuracy, info.test_images)} right")
    checkpoints = info.record.get("checkpoints") or {}
    if checkpoints:
        parts.append(f"{len(checkpoints)} kept on the way")
    return " · ".join(parts)


def activation_sets(store: Store) -> list[Row]:
    """Sets that were brought in, then the Gram matrices that comparisons kept, each newest first."""
    entries = store.entries("activations")
    sizes, damaged_files = _sizes(entries), broken(entries, store)
    rows = []
    for name, found in catalogue.sets(store).items():
        if name in sizes and name not in damaged_files:
            what = f"{words.counted(len(found.layers), 'layer')} of {found.network.get('name') or 'a network'}"
            how = f"{result_words.sample_text(found.sample)} · minibatches of {found.batch_size}"
            rows.append(
                Row("activations", name, name, what, how, "brought in", found.created, sizes[name], {"a": name})
            )
    return _newest_first(rows) + _newest_first(_stacks(store))


def images(store: Store) -> list[Row]:
    """Image sets of one's own, newest first."""
    found_sets = own.registered(store)
    entries = [entry for entry in store.entries("images") if entry.key in found_sets]
    sizes, damaged_files = _sizes(entries), broken(entries, store)
    rows = []
    for name, found in found_sets.items():
        if name in damaged_files:
            continue
        count = sum(found.sizes[part] for part in found.parts)
        classes = len(found.classes)
        labels = f"{classes} class{'' if classes == 1 else 'es'}" if classes else "no labels"
        counted = "1 image" if count == 1 else f"{count:,} images"
        what, how = f"{counted} of {counted_text(found.shape)}", f"{labels} · from {found.title}"
        to = {"images": name, "split": found.parts[0]}
        rows.append(Row("images", name, name, what, how, "brought in", found.created, sizes.get(name, 0), to))
    return _newest_first(rows)


WHOSE = {"network", "sample", "batch_size", "created"}
"""What says whose Gram matrices these are."""


def _stacks(store: Store) -> list[Row]:
    """A network's Gram matrices on one sample, as comparisons kept them."""
    groups: dict[str, list[Entry]] = {}
    for entry in store.entries("grams"):
        groups.setdefault(entry.key.split("/")[0], []).append(entry)
    rows = []
    for key, group in groups.items():
        about: Any = store.read_record(f"grams/{key}/about.json")
        size = sum(entry.size for entry in group)
        if records.wrong(about, GramsAbout) is None and about.keys() >= WHOSE:
            sample, count = Sample.from_json(about["sample"]), len(about["layers"])
            name, made = str(about["network"].get("name") or "a network"), about["created"]
            how = f"{result_words.sample_text(sample)} · minibatches of {about['batch_size']}"
            whole = len(group) == len(minibatches(sample.n, about["batch_size"]))
        else:
            name, made, how, count = "a network", "", "kept by an earlier version, which did not say whose", 0
            whole = False
        what = f"{words.counted(count, 'layer')} of {name}" if count else "Gram matrices"
        rows.append(Row("grams", key, name, what, how, "cached", made, size, whole=whole))
    return rows


def comparisons(store: Store) -> list[Row]:
    """Finished comparisons, bundled ones too, newest first."""
    infos = catalogue.comparable(store)
    sets = {found.held: name for name, found in own.registered(store).items()}
    rows = []
    for path in sorted(shipped.COMPARISONS.glob("*.npz")):
        rows.append(_comparison(path.stem, read_about(path), infos, path.stat().st_size, str(path), {}))
    for entry in store.entries("comparisons"):
        about = about_in(entry, store)
        if not isinstance(about, str):  # else it is among what is damaged
            rows.append(_comparison(entry.key, about, infos, entry.size, "", sets))
    return _newest_first(rows)


def _comparison(
    key: str,
    about: ComparisonAbout,
    infos: dict[str, NetworkInfo],
    size: int,
    file: str,
    sets: Mapping[str, str],
) -> Row:
    provenance: dict[str, Any] = {**about["provenance"]}
    names = [str((provenance.get(side) or {}).get("name") or side[-1].upper()) for side in ("network_a", "network_b")]
    shape = f"{len(about['layers_a'])} × {len(about['layers_b'])} layers"
    origin = "bundled" if file else "brought in" if key.startswith(comparison.UPLOADED) else "computed"
    return Row(
        "comparisons",
        key,
        " × ".join([names[0], "itself" if comparison.is_self(provenance) else names[1]]),
        shape,
        result_words.provenance_text(provenance),
        origin,
        str(provenance.get("created") or ""),
        size,
        _address(key, provenance, infos, sets) or {"result": key},
        bool(file),
        file,
    )


def _address(
    key: str, provenance: dict[str, Any], infos: dict[str, NetworkInfo], sets: Mapping[str, str]
) -> dict[str, str]:
    """What makes the Compare page show this comparison as its own; empty where it cannot ask for it.

    ``sets`` has the names of the image sets of one's own by what they hold.
    """
    try:
        a, b = (_still_here(provenance[side], infos) for side in ("network_a", "network_b"))
        images = provenance["images"]
        held = str(images.get("held") or "")
        which = {field: images.get(field) for field in ("images", "split", "n", "seed", "balanced")}
        sample = SampleSpec(**which, held=held)
        measure = provenance.get("measure") or comparison.MEASURE
        passes = provenance.get("passes") or 1
        spec = CompareSpec(a, b, sample, provenance["batch_size"], measure=measure, passes=passes)
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    if any(sample is None for sample in (sample.images, sample.split, sample.n)) or key != spec.key:
        return {}
    if held and held not in sets:
        return {}
    address = {"a": a.name, "b": b.name, "images": sets.get(held, sample.images), "split": sample.split}
    address["n"] = str(sample.n)
    address |= {"draw": "first"} if sample.seed is None else {"draw": "random", "seed": str(sample.seed)}
    address |= {"measure": spec.measure} if spec.measure != comparison.MEASURE else {}
    address |= {"passes": str(passes)} if passes > 1 else {}
    return address | {"balanced": str(bool(sample.balanced)).lower(), "batch": str(spec.batch_size)}


def _still_here(network: dict[str, Any], infos: dict[str, NetworkInfo]) -> NetworkSpec:
    """The network of a provenance, under the name it has now; UnknownNetwork where it is gone."""
    if network["source"] == "untrained" and is_architecture(network["architecture"]):
        seed = network.get("seed") or 0
        name = network["architecture"] + (f":{seed}" if seed else "")
        return NetworkSpec(name, "untrained", network["architecture"], seed)
    for info in infos.values():
        if info.activations is not None:
            if network.get("set") == info.spec.weights:
                return info.spec
        elif network["architecture"] == info.spec.architecture and info.trained_on and not network.get("set"):
            kept = info.record.get("checkpoints") or {}
            by_weights = {info.spec.weights: info.spec} | {
                weights: dataclasses.replace(info.spec, name=f"{info.spec.name}@{epoch}", weights=weights)
                for epoch, weights in kept.items()
            }
            if network["weights"] in by_weights:
                return by_weights[network["weights"]]
    raise UnknownNetwork(f"{network.get('name')} is not in the library any more.")


def opened(key: str, store: Store) -> tuple[Comparison, NetworkInfo, NetworkInfo] | None:
    """A comparison by its key, with both networks described by it alone: they need not be here. None if there is none,
    and for what can be no key."""
    found = comparison.read(key, store) if KEY.fullmatch(key) else None
    if found is None:
        return None
    sides = (("network_a", found.layers_a, found.name_a), ("network_b", found.layers_b, found.name_b))
    doubts = [files.doubt(found.provenance.get(side) or {}, layers) for side, layers, _ in sides]
    found = dataclasses.replace(found, warnings=(*found.warnings, *filter(None, dict.fromkeys(doubts))))
    return found, *(_described(found.provenance.get(side) or {}, layers, name) for side, layers, name in sides)  # type: ignore[return-value]


def _described(network: dict[str, Any], layers: tuple[layers.Layer, ...], name: str) -> NetworkInfo:
    spec = NetworkSpec(
        name,
        "file",
        str(network.get("architecture") or ""),
        network.get("seed"),
        str(network.get("set") or network.get("weights") or name),
    )
    return NetworkInfo(spec, name, str(network.get("source") or "of unknown origin"), 0, 0, 0, layers)


def table(rows: Sequence[Row]) -> pandas.DataFrame:
    """The rows as they are shown: name, what, how, origin, made (UTC), size (kB)."""
    import pandas

    frame = pandas.DataFrame(
        {
            "name": [row.name for row in rows],
            "what it is": [row.what for row in rows],
            "how it was made": [row.how for row in rows],
            "origin": [row.origin for row in rows],
            "made": pandas.to_datetime([row.made for row in rows], errors="coerce", utc=True, format="ISO8601"),
            "size": [max(1, round(row.size / 1000)) if row.size else 0 for row in rows],
        }
    )
    return views.for_a_spreadsheet(frame, ("name", "what it is", "how it was made"))


def _sizes(entries: Sequence[Entry]) -> dict[str, int]:
    """Bytes by name; weights kept along a training count with their network."""
    found: dict[str, int] = {}
    for entry in entries:
        name = entry.key.partition("@")[0]
        found[name] = found.get(name, 0) + entry.size
    return found


def _newest_first(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.made, reverse=True)
