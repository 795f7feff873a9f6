"""The trainings of a store as a page shows them: at work, waiting, ended; and in words how they are.

What a job says (asked for, at work, stopped) and what the training itself left (epochs, history, result) are put
together here. Files only: no Keras, no Dask.
"""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Collection
from typing import Any

from cka_core.base import visitors, words
from cka_core.base.locks import file_lock
from cka_core.base.store import Store
from cka_core.base.visitors import Visitor
from cka_core.jobs import submit
from cka_core.jobs.submit import DONE, INTERRUPTED, QUEUED, RUNNING, STOPPED, JobStatus
from cka_core.library.catalogue import NetworkInfo
from cka_core.training import estimate as training_estimate
from cka_core.training import state as training_state
from cka_core.training import words as training_words
from cka_core.training.recipe import TrainSpec
from cka_core.training.state import TrainingState

ELSEWHERE = "elsewhere"
AT_WORK = (RUNNING, ELSEWHERE, QUEUED)
MOST_SEEDS = 20
RECENT = 3  # epochs whose mean time tells how long the next ones take


@dataclasses.dataclass(frozen=True)
class Training:
    """One training: what was asked for, how its job is, and how far it is.

    ``state`` is that of a job (see `jobs.JobStatus`) or "elsewhere": another program, a command line say, is at it.
    ``result`` is the library record of the finished network.
    """

    spec: TrainSpec
    state: str
    job: JobStatus | None
    progress: TrainingState | None
    result: dict[str, Any] | None

    @property
    def key(self) -> str:
        return self.spec.key

    @property
    def title(self) -> str:
        return training_words.title(self.spec)

    @property
    def epochs_done(self) -> int:
        return self.progress.epochs_done if self.progress else 0

    @property
    def lower_rate(self) -> float | None:
        """A learning rate to start again with, where this one failed: resumed, it would fail again."""
        ended = self.result is None and self.state not in AT_WORK
        return self.progress.lower_rate if self.progress and ended else None

    @property
    def fraction(self) -> float:
        """Share of the epochs done, the one at work included."""
        done = self.job.progress.done if self.job and self.job.progress else 0.0
        return min(1.0, max(done, self.epochs_done) / self.spec.epochs)


def trainings(store: Store, only: Collection[str] | None = None) -> list[Training]:
    """Every training: those at work, then those waiting in their order, then the ended ones, the last one first.

    ``only`` those with certain keys.
    """
    known = {job.key: job for job in submit.listed("train", store, only)}
    states = {state.key: state for state in training_state.all_states(store, only)}
    found = []
    for key in known.keys() | states.keys():
        job, state = known.get(key), states.get(key)
        if state is None and known[key].state == DONE:
            continue  # what it left was removed
        try:
            spec = state.spec if state else TrainSpec.from_json(known[key].spec)
        except (TypeError, ValueError):
            continue  # of another version
        if spec.key == key:
            result = state.result if state else None
            found.append(Training(spec, _state(key, job, result, store), job, state, result))
    return sorted(found, key=_place)


def find(key: str, store: Store) -> Training | None:
    """One training, as `trainings` has it."""
    job, state = submit.status(key, store), training_state.read(key, store)
    if state is None and (job is None or job.kind != "train"):
        return None
    try:
        spec = state.spec if state else TrainSpec.from_json(job.spec)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        return None  # of another version, as in `trainings`
    result = state.result if state else None
    return Training(spec, _state(key, job, result, store), job, state, result)


def remove(key: str, store: Store, by: Visitor | None = None) -> None:
    """Forget a training and what it could be resumed from. A finished network stays in the library.

    Raises ValueError for one at work. Where others asked for it, too, it only stops being this visitor's.
    """
    visitors.may_change(by, key, store)
    if visitors.take_off(by, key, store):
        return
    training = find(key, store)
    if training is not None and training.state == ELSEWHERE:
        raise ValueError(f"{training.title} is being trained by another program. Stop it there before removing it.")
    submit.remove(key, store, by)
    training_state.forget(key, store)
    training_state.sweep_folders(key, store)


def _state(key: str, job: JobStatus | None, result: dict[str, Any] | None, store: Store) -> str:
    if job is not None and job.state in (QUEUED, RUNNING):
        return job.state
    if result is not None:
        return DONE
    if _is_locked(key, store):
        return ELSEWHERE
    # A job that is done left a result. Without one its training was begun again since, by another program.
    return job.state if job is not None and job.state != DONE else STOPPED


def _is_locked(key: str, store: Store) -> bool:
    """Whether a process is at a training (see `training.train`)."""
    if not store.is_local or not store.exists(f"scratch/training-{key}.lock"):
        return False
    try:
        with file_lock(store.scratch("scratch") / f"training-{key}.lock", 0):
            return False
    except TimeoutError:
        return True


def _place(training: Training) -> tuple[int, float]:
    submitted = training.job.submitted if training.job else 0.0
    updated = training.progress.updated if training.progress else 0.0
    ended = max(updated, (training.job.finished or submitted) if training.job else 0.0)
    if training.state in (RUNNING, ELSEWHERE):
        return 0, submitted
    return (1, submitted) if training.state == QUEUED else (2, -ended)


# What is asked for.


def parse_seeds(text: str) -> tuple[int, ...]:
    """ "0", "0, 1, 2" or "0-4" as seeds, each once. Raises ValueError."""
    seeds: dict[int, None] = {}
    for part in filter(None, re.split(r"[,;\s]+", re.sub(r"\s*[-–]\s*", "-", text.strip()))):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if not match:
            raise ValueError(f"Expected seeds such as 0, or 0, 1, 2, or 0-4; got {part!r}.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= MOST_SEEDS:
            raise ValueError(f"Expected a range of at most {MOST_SEEDS} seeds, the smaller one first; got {part!r}.")
        seeds |= dict.fromkeys(range(first, last + 1))
    if not 1 <= len(seeds) <= MOST_SEEDS:
        raise ValueError(f"Expected 1 to {MOST_SEEDS} seeds, got {len(seeds)}.")
    return tuple(seeds)


def trained(store: Store, networks: dict[str, NetworkInfo]) -> dict[str, str]:
    """Key of each training whose network is in the library -> its name there."""
    found = {}
    for name, info in networks.items():
        try:
            found[TrainSpec.from_json(info.record["spec"]).key] = name
        except (KeyError, TypeError, ValueError):
            continue  # untrained, or a file
    return found


# In words.


def device_text(training: Training) -> tuple[str, str]:
    """What it runs on, in a word or two, and why, in sentences."""
    why = training.progress.device if training.progress else ""
    return re.split(r"[:.]", why, maxsplit=1)[0], why


def left_seconds(training: Training, store: Store) -> float:
    """How long a training still takes, by its own last epochs; by an estimate before the first one is done."""
    seconds = training.progress.seconds if training.progress else []
    if not seconds:
        return training_estimate.whole_training_seconds(training.spec, store) * (1 - training.fraction)
    recent = seconds[1:][-RECENT:] or seconds  # the first one is traced
    return statistics.mean(recent) * training.spec.epochs * (1 - training.fraction)


def at_work_text(training: Training, store: Store) -> tuple[str, str]:
    """Two lines for a training at work: where it is, and its numbers."""
    job, spec = training.job, training.spec
    left = f"{words.seconds_text(left_seconds(training, store))} left"
    if training.state == ELSEWHERE or job is None:
        place = (
            f"epoch {training.epochs_done + 1} of {spec.epochs}" if training.epochs_done < spec.epochs else "testing"
        )
        return place, " · ".join(filter(None, [left, device_text(training)[0]]))
    if job.stopping:
        return "stopping after this step; the finished epochs are kept", ""
    if job.progress is None:
        return "starting", ""
    parts = (job.progress.detail or job.progress.phase).split(" · ")
    if job.progress.phase != "training":
        return " · ".join(parts), device_text(training)[0]
    return " · ".join(parts[:2]), " · ".join(filter(None, [*parts[2:], left, device_text(training)[0]]))


def ended_text(training: Training) -> str:
    """Why a training ended before its last epoch and what is kept, in sentences."""
    done, error = training.epochs_done, (training.job.error if training.job else None) or ""
    kept = f"{done} of {training.spec.epochs} epochs are kept: Resume goes on from there."
    if training.lower_rate is not None:
        return f"Failed. {error.partition(': --')[0].rstrip('.') or 'The loss did not stay finite'}."
    if not done:
        kept = "No epoch was finished: Resume begins it."
    if training.state == STOPPED:
        return f"Stopped. {kept}"
    if training.state == INTERRUPTED:
        return f"Interrupted. {re.sub(r' Resume (goes on|begins it)[.]$', '', error)} {kept}"
    return f"Failed. {error} {kept if done and 'Resume' not in error else ''}".strip()


def result_text(record: dict[str, Any]) -> str:
    """What a finished training reached, in one line."""
    right = words.accuracy_text(record["test_accuracy"], record["test_images"])
    parts = [f"{right} of {record['test_images']:,} test images right"]
    if record.get("train_accuracy") is not None:
        parts.append(f"{100 * record['train_accuracy']:.0f} % of the training images")
    parts.append(f"epoch {record['kept_epoch']} of {record['spec']['epochs']} kept")
    if record.get("seconds"):
        parts.append(f"trained in {words.seconds_text(sum(record['seconds']))}")
    if record.get("fit"):
        parts.append(f"on images {record['fit']}")
    return " · ".join(parts)


def partners(name: str, networks: dict[str, NetworkInfo]) -> list[str]:
    """With whom to compare a network, the most telling ones first: its other seeds, other trained ones, untrained."""
    own = networks[name]

    def rank(other: NetworkInfo) -> tuple[bool, bool, bool]:
        alike = other.spec.architecture == own.spec.architecture
        return not (alike and other.trained_on), not other.trained_on, not alike

    return sorted((other for other in networks if other != name), key=lambda other: rank(networks[other]))
