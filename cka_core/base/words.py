"""Numbers and times in words, of the screen and of files: nothing but strings."""

from __future__ import annotations

import math
import time


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


def now() -> str:
    """This moment as files have it: "2026-01-31T12:00:00Z", UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def counted(number: int, what: str) -> str:
    """1, "network" -> "1 network"; 3000 -> "3,000 networks"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


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
