"""A study spread over a cluster: trainings and looks by network, comparisons by minibatch.

Each step is a job of its own that leaves a finished file in the store all machines share. A step whose worker was
killed is given to another; one that fails for a reason ends the study with that reason.
"""

from __future__ import annotations

import time
from pathlib import Path

from cka_core.atlas.result import Atlas
from cka_core.atlas.study import Study
from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store
from cka_core.jobs import submit
from cka_core.studies import build as atlas_build
from cka_core.studies import steps as atlas_steps
from cka_core.studies.steps import AtlasPart

LOOK_SECONDS = 0.5
ATTEMPTS = 4
"""How often a step is given out whose worker went away."""


def build(study: Study, store: Store, folder: Path, report: Report = silent) -> Atlas:
    """Carry out a study on the cluster of the store, or of CKA_SCHEDULER, and write its atlas into ``folder``.

    Raises ValueError with the reason of a step that failed. If ``report`` raises, the steps at work are stopped; what
    is finished is kept, and the same call goes on.
    """
    started = time.perf_counter()
    study = atlas_steps.named(study, store)
    atlas_steps.prepare(study, store, folder)
    steps = atlas_steps.parts(study)
    given: dict[AtlasPart, int] = {}
    try:
        while left := [part for part in steps if not atlas_steps.is_done(part, store)]:
            for part in left:
                if _is_ready(part, left):
                    _see_to(part, given, store)
            report(_progress(steps, left, given, store))
            time.sleep(LOOK_SECONDS)
    except BaseException:
        for part in given:
            submit.stop(part.key, store)
        raise
    return atlas_build.finish(study, store, folder, time.perf_counter() - started)


def _is_ready(part: AtlasPart, left: list[AtlasPart]) -> bool:
    """A network is looked at when it is trained and tried out when it was looked at; a minibatch is compared when every
    network was looked at."""
    if part.part == "minibatch":
        return not any(other.part == "network" for other in left)
    before = {"train": None, "network": "train", "tried": "network"}[part.part]
    return not any(other.part == before and other.index == part.index for other in left)


def _see_to(part: AtlasPart, given: dict[AtlasPart, int], store: Store) -> None:
    """Give a step to a worker, again if its worker went away."""
    job = submit.status(part.key, store) if part in given else None
    if job is not None and job.state in (submit.QUEUED, submit.RUNNING):
        return
    if job is not None and (job.state == submit.FAILED and not job.restarts or given[part] >= ATTEMPTS):
        raise ValueError(f"The study stopped at {part.title}: {job.error or job.state}. Build again to go on.")
    submit.submit("atlas-train" if part.part == "train" else "atlas", part, part.title, store)
    given[part] = given.get(part, 0) + 1


def _progress(steps: list[AtlasPart], left: list[AtlasPart], given: dict[AtlasPart, int], store: Store) -> Progress:
    total = sum(part.weight for part in steps)
    done = total - sum(part.weight for part in left)
    at_work = []
    for part in left:
        job = submit.status(part.key, store) if part in given else None
        if job is not None and job.state == submit.RUNNING:
            at_work.append(part.title)
            done += part.weight * (job.progress.fraction if job.progress else 0)
    return Progress("study", done, total, f"{len(steps) - len(left)} of {len(steps)} steps · {', '.join(at_work)}")
