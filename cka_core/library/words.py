"""Networks in the words of the screen: nothing but strings."""

from __future__ import annotations

from collections.abc import Mapping

from cka_core.library.catalogue import NetworkInfo


def network_labels(networks: Mapping[str, NetworkInfo]) -> dict[str, str]:
    """A line to pick each network by, as short as tells them apart: "ResNet 38x1 · trained"."""
    short = {name: f"{info.title} · {_state(info)}" for name, info in networks.items()}
    longer = {name: f"{info.title} · {info.subtitle}" for name, info in networks.items()}
    longest = {name: f"{longer[name]} ({name})" for name in networks}
    labels = {}
    for name in networks:
        lines = (short, longer, longest)
        labels[name] = next(line[name] for line in lines if line is longest or [*line.values()].count(line[name]) == 1)
    return labels


def titles(a: NetworkInfo, b: NetworkInfo) -> tuple[str, str]:
    """What to call the two sides of a map: short, and never the same for two different networks."""
    short = [f"{info.title}, untrained" if _state(info) == "untrained" else info.title for info in (a, b)]
    if short[0] == short[1] and a.spec != b.spec:
        short = [f"{info.title}, {info.subtitle}" for info in (a, b)]
    if short[0] == short[1] and a.spec != b.spec:
        short = [a.spec.name, b.spec.name]
    return short[0], short[1]


def _state(info: NetworkInfo) -> str:
    if info.trained_on:
        return "trained"
    return {"untrained": "untrained", "activations": "activation set", "own": "your network"}.get(
        info.spec.source, "from a file"
    )


def counterpart(info: NetworkInfo, networks: Mapping[str, NetworkInfo]) -> str | None:
    """The name of the untrained network behind a trained one, or of a trained network of an untrained one."""
    if info.trained_on:
        return info.untrained_name
    trained = (n for n, other in networks.items() if other.trained_on and other.untrained_name == info.spec.name)
    return next(trained, None)
