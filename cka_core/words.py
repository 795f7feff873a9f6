"""Results, networks and numbers in the words of the screen. Light: nothing but strings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cka_core.comparison import Comparison
    from cka_core.library import NetworkInfo

MEASURES = {"cka-linear-unbiased": "unbiased CKA"}


def facts(comparison: Comparison) -> str:
    """What the result rests on, in one line: "768 test images · unbiased CKA · 0.4 s"."""
    provenance = comparison.provenance
    images = provenance.get("images") or {}
    parts = []
    if images.get("n"):
        which = "first " if images.get("seed", 0) is None else ""
        balance = ", balanced over the classes" if images.get("balanced") else ""
        source = "" if images.get("images") in (None, "cifar10-mini") else f" of {images['images']}"
        parts.append(f"{which}{images['n']:,} {images.get('split', '')} images{source}{balance}".replace("  ", " "))
    parts.append(MEASURES.get(provenance.get("measure", ""), provenance.get("measure", "CKA")))
    if isinstance(provenance.get("seconds"), (int, float)):
        parts.append(seconds_text(provenance["seconds"]))
    return " · ".join(parts)


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
    short = {name: f"{info.title} · {'trained' if info.trained_on else 'untrained'}" for name, info in networks.items()}
    longer = {name: f"{info.title} · {info.subtitle}" for name, info in networks.items()}
    longest = {name: f"{longer[name]} ({name})" for name in networks}
    labels = {}
    for name in networks:
        lines = (short, longer, longest)
        labels[name] = next(line[name] for line in lines if line is longest or [*line.values()].count(line[name]) == 1)
    return labels


def titles(a: NetworkInfo, b: NetworkInfo) -> tuple[str, str]:
    """What to call the two sides of a map: short, and never the same for two different networks."""
    short = [info.title if info.trained_on else f"{info.title}, untrained" for info in (a, b)]
    if short[0] == short[1] and a.spec != b.spec:
        short = [f"{info.title}, {info.subtitle}" for info in (a, b)]
    if short[0] == short[1] and a.spec != b.spec:
        short = [a.spec.name, b.spec.name]
    return short[0], short[1]


def counterpart(info: NetworkInfo, networks: Mapping[str, NetworkInfo]) -> str | None:
    """The name of the untrained network behind a trained one, or of a trained network of an untrained one."""
    if info.trained_on:
        return info.untrained_name
    trained = (n for n, other in networks.items() if other.trained_on and other.untrained_name == info.spec.name)
    return next(trained, None)


def accuracy_text(accuracy: float, images: int) -> str:
    """A share of ``images`` with its 95 % interval, in percent: (0.5, 1000) -> "50 % ±3"."""
    error = 1.96 * math.sqrt(accuracy * (1 - accuracy) / images)
    return f"{100 * accuracy:.0f} % ±{max(1.0, 100 * error):.0f}"


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
