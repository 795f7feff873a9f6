"""Results, networks and numbers in the words of the screen. Light: nothing but strings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cka_core.activation_sets import Sample
    from cka_core.comparison import Comparison
    from cka_core.library import NetworkInfo

MEASURES = {"cka-linear-unbiased": "unbiased CKA"}


def facts(comparison: Comparison) -> str:
    """What the result rests on, in one line: "768 test images · unbiased CKA · 0.4 s"."""
    return provenance_text(comparison.provenance)


def provenance_text(provenance: Mapping[str, Any]) -> str:
    """The same of a comparison's provenance."""
    images = provenance.get("images") or {}
    parts = []
    if images.get("n"):
        which = "first " if images.get("seed", 0) is None else ""
        balance = ", balanced over the classes" if images.get("balanced") else ""
        source = "" if images.get("images") in (None, "", "cifar10-mini") else f" of {images['images']}"
        parts.append(f"{which}{images['n']:,} {images.get('split', '')} images{source}{balance}".replace("  ", " "))
    parts.append(MEASURES.get(provenance.get("measure", ""), provenance.get("measure", "CKA")))
    if isinstance(provenance.get("seconds"), (int, float)):
        parts.append(seconds_text(provenance["seconds"]))
    return " · ".join(parts)


def sample_text(sample: Sample) -> str:
    """The images of an activation set, in one line: "768 test images of cifar10-mini, seed 0"."""
    if not sample.images:
        return f"{sample.n:,} images{f', labelled “{sample.label}”' if sample.label else ''}"
    draw = ", the first ones" if sample.seed is None else f", seed {sample.seed}"
    balance = ", balanced over the classes" if sample.balanced else ""
    return f"{sample.n:,} {sample.split} images of {sample.images}{draw}{balance}"


def command(comparison: Comparison) -> str:
    """The line that computes the same result again, its numbers and its figure in files."""
    line = comparison.provenance.get("command")
    if not line:
        return "# made in Python: no command was kept with this result"
    for option, value in (("--out", "result.npz"), ("--figure", "result.png")):
        if f" {option} " not in f"{line} ":
            line = f"{line} {option} {value}"
    return line


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
    return {"untrained": "untrained", "activations": "activation set"}.get(info.spec.source, "from a file")


def counterpart(info: NetworkInfo, networks: Mapping[str, NetworkInfo]) -> str | None:
    """The name of the untrained network behind a trained one, or of a trained network of an untrained one."""
    if info.trained_on:
        return info.untrained_name
    trained = (n for n, other in networks.items() if other.trained_on and other.untrained_name == info.spec.name)
    return next(trained, None)


def accuracy_text(accuracy: float, images: int) -> str:
    """A share of ``images`` with its 95 % interval, in percent: (0.5, 1000) -> "50 % ±3"."""
    return f"{100 * accuracy:.0f} % ±{max(1.0, 100 * accuracy_error(accuracy, images)):.0f}"


def accuracy_error(accuracy: float, images: int) -> float:
    """Half the 95 % interval of a share of ``images``, by the normal approximation."""
    return 1.96 * math.sqrt(accuracy * (1 - accuracy) / images)


def left_text(fraction: float, since: float, then: float, now: float) -> str:
    """How long is left, at the speed between two looks: ``since`` done at ``then`` (seconds), ``fraction`` at ``now``.

    Empty where there is no telling yet.
    """
    if fraction - since < 0.02 or now - then < 1:
        return ""
    return f"{seconds_text((1 - fraction) / (fraction - since) * (now - then))} left"


def count_text(count: int) -> str:
    """567000 -> "567k", 2800000 -> "2.8M"."""
    if count < 1000:
        return str(count)
    if count < 999_500:
        return f"{count / 1e3:.0f}k"
    return f"{count / 1e6:.1f}M" if count < 99_500_000 else f"{count / 1e6:.0f}M"


def size_text(size: int) -> str:
    """1234 -> "1.2 kB", 271000000 -> "271 MB", 4000000000 -> "4 GB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor * 0.9995:
            number = size / factor
            return f"{number:.1f} {unit}".replace(".0 ", " ") if number < 9.95 else f"{number:.0f} {unit}"
    return f"{size} B"


def seconds_text(seconds: float) -> str:
    """0.42 -> "0.4 s", 6.2 -> "6 s", 130 -> "2 min 10 s", 4000 -> "1 h 7 min"."""
    if seconds < 0.95:
        return f"{max(0.1, seconds):.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
