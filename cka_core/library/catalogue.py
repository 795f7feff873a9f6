"""The library: networks (bundled, trained here, untrained, or a ``.keras`` file) and activation sets; found by name.

A trained network is a record (JSON: how it was made, its history, its accuracy) and a ``.keras`` file with its weights.
Bundled ones lie in ``cka_core/demo/networks``, others in the store under ``networks/``; the weights along a training
stand beside them as ``name@epoch``. An activation set is a record and an ``.npz`` file under ``activations/``. No two
share a name. Everything here but `load_model` works without Keras.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cka_core.base import records, shipped
from cka_core.base.records import LARGEST_SEED
from cka_core.base.store import Store
from cka_core.library import files, keras_files
from cka_core.library.schemas import NetworkRecord, OwnNetworkRecord
from cka_core.networks.architectures import SUGGESTED, NetworkSpec, UnknownNetwork, architecture, is_architecture
from cka_core.networks.building import build_network
from cka_core.networks.layers import Layer
from cka_core.networks.layouts import counted_text
from cka_core.results import activation_sets
from cka_core.results.activation_sets import ActivationSet

if TYPE_CHECKING:
    import keras

OWN = "own"
"""The source of networks that somebody brought in."""
log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkInfo:
    """A network one can pick, as a person reads it. Accuracies are shares of 1, None where not measured."""

    spec: NetworkSpec
    title: str
    subtitle: str
    depth: int
    width: int
    parameters: int
    layers: tuple[Layer, ...]
    trained_on: str | None = None
    test_accuracy: float | None = None
    test_images: int | None = None
    train_accuracy: float | None = None
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    untrained_name: str | None = None
    record: dict[str, Any] = dataclasses.field(default_factory=dict)
    activations: ActivationSet | None = None
    """Where there is no network but what it made of certain images."""
    input_shape: tuple[int | None, ...] = (32, 32, 3)
    input_dtype: str = "float32"
    """Of one image; of a file that is not in the library nothing is known, ()."""
    takes_ids: bool = False


def networks(store: Store | None = None) -> dict[str, NetworkInfo]:
    """Every network one can pick by name: one's own, bundled, trained here, then untrained."""
    bundled = {record["name"]: _trained(record, "bundled") for record in _bundled_records()}
    stored = {info.spec.name: info for info in _stored_networks(store or Store())}
    own = {name: info for name, info in stored.items() if info.spec.source == OWN}
    trained = {name: info for name, info in stored.items() if name not in own}
    # The same network in both places is the bundled one, so that its bundled comparisons are found.
    trained = {
        name: info
        for name, info in trained.items()
        if name not in bundled or info.spec.weights != bundled[name].spec.weights
    }
    names = list(SUGGESTED)
    names += sorted({info.spec.architecture for info in trained.values()} - set(names))
    return own | bundled | trained | {name: _untrained(name, 0) for name in names}


def comparable(store: Store | None = None) -> dict[str, NetworkInfo]:
    """Everything one can compare by name: one's own networks and activation sets, then the other networks."""
    store = store or Store()
    known = networks(store)
    own = {name: info for name, info in known.items() if info.spec.source == OWN}
    return own | {name: _of_set(found) for name, found in sets(store).items()} | known


def sets(store: Store) -> dict[str, ActivationSet]:
    """The activation sets of a store, by name. Those with a damaged record are left out."""
    found = {}
    for name in sorted({entry.key for entry in store.entries("activations")}):
        record = store.read_record(f"activations/{name}.json")
        if record is None:
            continue
        try:
            about = activation_sets.from_about(record)
        except ValueError as error:
            log.warning("The record of the activation set %s is damaged: %s.", name, error)
            continue
        found[name] = dataclasses.replace(about, name=name, open=stored_file(name, store))
    return found


def find(name: str, store: Store | None = None) -> NetworkInfo:
    """The network, or the activation set, that a name or a path means.

    ``name`` is what `by_name` takes, or the path of a ``.keras`` file or of an activation set (``.npz``). Raises
    `UnknownNetwork` with the valid names, or with the line that converts a file of another kind.
    """
    store = store or Store()
    try:
        return by_name(name, store)
    except UnknownNetwork:
        path = Path(name).expanduser()
        if name.endswith(".keras"):
            return _file(path)
        if name.endswith(".npz"):
            return _set_file(path)
        convert = files.how_to_convert(path)
        if convert is not None:
            raise UnknownNetwork(convert) from None
        raise


def by_name(name: str, store: Store) -> NetworkInfo:
    """The network, or the activation set, of a name; no file is looked for, since a link may say any name.

    ``name`` is a name of `comparable`, ``name@epoch`` (weights kept along a training), an architecture (untrained,
    seed 0), or ``architecture:seed``. Raises `UnknownNetwork` with the valid names, or the valid seeds.
    """
    known = comparable(store)
    if name in known:
        return known[name]
    base, _, seed = name.partition(":")
    if is_architecture(base) and (not seed or seed.isdecimal()):
        return _untrained(base, _seed(seed or "0", name))
    trained, at, epoch = name.partition("@")
    if at and trained in known and known[trained].trained_on:
        return _checkpoint(known[trained], epoch)
    if name.startswith("cifar-resnet-") and "-" not in base.removeprefix("cifar-resnet-"):
        architecture(base)
    here = [key for key, info in known.items() if info.spec.source != "untrained"]
    raise UnknownNetwork(
        f"Unknown network {name!r}. In the library: {', '.join(here) or 'none trained yet'}. Untrained: "
        f"{', '.join(SUGGESTED)}, or any cifar-resnet-DEPTHxWIDTH of depth 6n+2. Or give a .keras file, or an "
        "activation set (.npz)."
    )


def load_set(spec: NetworkSpec, store: Store) -> ActivationSet:
    """The activation set of a spec, as it was when the spec was made."""
    found = activation_sets.read(spec.path) if spec.path else sets(store).get(spec.name)
    if found is None:
        raise ValueError(f"The activation set {spec.name} is not in the library any more. Import it again.")
    if found.digest != spec.weights:
        raise ValueError(f"{spec.path or spec.name} has changed since it was chosen. Choose it again.")
    return found


def load_model(spec: NetworkSpec, store: Store | None = None) -> keras.Model:
    """Build or load a network. Only a worker or the command line does this; pages never."""
    if spec.source == "untrained":
        return build_network(spec.architecture, seed=spec.seed or 0)
    import keras

    if spec.source == "file":
        path = Path(spec.path)
        if not path.is_file():
            raise ValueError(f"Expected a .keras file at {path}; it does not exist.")
        if _file(path).spec.weights != spec.weights:
            raise ValueError(f"{path} has changed since it was chosen. Choose it again.")
        return keras_files.load(path, keras)
    if spec.source == "bundled":
        return keras_files.load_weights(spec.architecture, shipped.NETWORKS / f"{spec.name}.keras", spec.name)
    data = (store or Store()).get("networks", spec.name)
    if data is None:
        again = "Bring it in again." if spec.source == OWN else "Train it again."
        raise ValueError(f"The weights of {spec.name} are missing or damaged in the store. {again}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        path.write_bytes(data)
        if spec.source == OWN:
            return keras_files.load(path, keras)
        return keras_files.load_weights(spec.architecture, path, spec.name)


def _trained(record: Any, source: str) -> NetworkInfo:
    described = architecture(record["architecture"])
    images, seed = record["spec"]["images"], record["spec"]["seed"]
    return NetworkInfo(
        NetworkSpec(record["name"], source, record["architecture"], seed, record["weights"]),
        described.title,
        f"trained on {images}, seed {seed}",
        described.depth,
        described.width,
        described.parameters,
        described.layers,
        images,
        record["test_accuracy"],
        record["test_images"],
        record["train_accuracy"],
        record["history"],
        record["architecture"],
        record,
    )


def _own(name: str, record: OwnNetworkRecord) -> NetworkInfo:
    ids = record.get("takes_ids", False)  # records of version 0.2 do not say
    takes = counted_text(tuple(record["input_shape"]), ids)
    layers = tuple(
        Layer(one["name"], one["kind"], tuple(one["shape"]), one.get("stage", "")) for one in record["layers"]
    )
    return NetworkInfo(
        NetworkSpec(name, OWN, "", None, record["weights"]), name, f"takes {takes}",
        0, 0, record["parameters"], layers, record={**record}, input_shape=tuple(record["input_shape"]),
        input_dtype=record["input_dtype"], takes_ids=ids,
    )  # fmt: skip


def _checkpoint(info: NetworkInfo, epoch: str) -> NetworkInfo:
    """The network as it was after an epoch of its training: its weights are in a store, also those of a bundled one."""
    kept = info.record.get("checkpoints") or {}
    if epoch not in kept:
        epochs = ", ".join(sorted(kept, key=int)) if kept else "none: train with --keep-every"
        raise UnknownNetwork(
            f"The weights of {info.spec.name} after epoch {epoch!r} were not kept. Epochs kept: {epochs}."
        )
    return dataclasses.replace(
        info,
        spec=dataclasses.replace(info.spec, name=f"{info.spec.name}@{epoch}", source="trained", weights=kept[epoch]),
        subtitle=f"{info.subtitle}, after epoch {epoch}",
        test_accuracy=None,
        test_images=None,
        train_accuracy=None,
    )


def _of_set(found: ActivationSet, path: str = "") -> NetworkInfo:
    network = found.network.get("name") or "an unnamed network"
    known = found.network.get("architecture") or ""
    described = architecture(known) if is_architecture(known) else None
    return NetworkInfo(
        NetworkSpec(found.name, "activations", known, None, found.digest, path),
        found.name,
        f"activations of {network}",
        described.depth if described else 0,
        described.width if described else 0,
        described.parameters if described else 0,
        found.layers,
        activations=found,
    )


def _set_file(path: Path) -> NetworkInfo:
    if not path.is_file():
        raise UnknownNetwork(f"Expected an activation set, got {path}, which does not exist.")
    return _of_set(activation_sets.read(path), str(path.resolve()))


def stored_file(name: str, store: Store) -> Callable[[], BinaryIO]:
    """What opens the file of an activation set of the store."""

    def open_set() -> BinaryIO:
        file = store.open("activations", name)
        if file is None:
            raise FileNotFoundError(f"The file of the activation set {name} is missing. Import it again.")
        return file

    return open_set


def _seed(digits: str, name: str) -> int:
    significant = digits.lstrip("0") or "0"
    if len(significant) > len(str(LARGEST_SEED)) or int(significant) > LARGEST_SEED:
        raise UnknownNetwork(f"Expected a seed from 0 to {LARGEST_SEED:,} after the colon, got {name[:60]!r}.")
    return int(significant)


def _untrained(name: str, seed: int) -> NetworkInfo:
    described = architecture(name)
    return NetworkInfo(
        NetworkSpec(name if seed == 0 else f"{name}:{seed}", "untrained", name, seed),
        described.title,
        f"untrained, seed {seed}",
        described.depth,
        described.width,
        described.parameters,
        described.layers,
        untrained_name=name if seed == 0 else f"{name}:{seed}",
    )


def _file(path: Path) -> NetworkInfo:
    if not path.is_file():
        raise UnknownNetwork(f"Expected a .keras file, got {path}, which does not exist.")
    spec = NetworkSpec(path.stem, "file", "", None, files.keras_digest(path), str(path.resolve()))
    return NetworkInfo(spec, path.stem, f"from {path.name}", 0, 0, 0, (), input_shape=())


@lru_cache(maxsize=1)
def _bundled_records() -> tuple[dict[str, Any], ...]:
    """In the order of their size: small networks first."""
    found = [json.loads(path.read_text()) for path in sorted(shipped.NETWORKS.glob("*.json"))]
    return tuple(sorted(found, key=lambda record: architecture(record["architecture"]).parameters))


def _stored_networks(store: Store) -> Iterator[NetworkInfo]:
    """The networks of a store that are whole: a readable record, and weights."""
    for name in sorted({entry.key for entry in store.entries("networks")}):
        record = None if "@" in name else store.read_record(f"networks/{name}.json")
        if record is None:
            continue
        try:
            if isinstance(record, dict) and record.get("source") == OWN:
                yield _own(name, records.checked(record, OwnNetworkRecord, "what a network is"))
                continue
            yield _trained(records.checked(record, NetworkRecord, "how a network was made") | {"name": name}, "trained")
        except ValueError as error:
            log.warning("The record of the network %s is damaged: %s", name, error)
