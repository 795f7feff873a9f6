"""How long work tells what is done and what is left, and how it is asked to stop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


class Stopped(Exception):
    """The user asked to stop. What is finished so far is kept."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """One step of long work: ``done`` of ``total`` (any unit), what is being done, and the detail a person reads."""

    phase: str
    done: float
    total: float
    detail: str = ""

    @property
    def fraction(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0


Report = Callable[[Progress], None]
"""Called after each step; raises `Stopped` where the work should end."""


def silent(progress: Progress) -> None:
    """A report that tells nobody."""


def shown(progress: Report | bool | None) -> Report:
    """A report that does what was asked: nothing (None, False), a bar in a notebook or terminal (True), or its own."""
    if progress is None or progress is False:
        return silent
    if callable(progress):
        return progress
    if progress is not True:
        raise ValueError(f"Expected progress as True, False, None or a function of a Progress, got {progress!r:.60}.")
    from tqdm.auto import tqdm

    bar = tqdm(total=1.0, bar_format="{percentage:3.0f}%|{bar}| {elapsed}<{remaining} {desc}")

    def report(now: Progress) -> None:
        bar.set_description_str(now.detail or now.phase, refresh=False)
        bar.update(max(0.0, now.fraction - bar.n))
        if now.fraction == 1.0:
            bar.close()

    return report
