"""What a worker of the cluster runs: one job at a time, in a process that may import TensorFlow and stays warm."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from cka_core.base import deployment, failures
from cka_core.base.progress import Progress, Report, Stopped
from cka_core.base.store import Store
from cka_core.jobs import admission, records
from cka_core.jobs.records import DONE, FAILED, STOPPED

BEAT = 3.0  # seconds between two signs of life
OVER_TIME = 120.0  # seconds past its time after which a job that does not report is ended with its process
WRITE_EVERY = 0.2  # seconds between two reports of progress within a phase
TELL_SECONDS, TRY_AGAIN = 60.0, 1.0  # how long, and how often, it is tried to write how a job ended
NICE = 10


def run_job(kind: str, key: str, attempt: int, store_root: str) -> None:
    """Do a job, and write to its record how it goes and how it ended."""
    store = Store(store_root)
    spec = records.begin(key, attempt, store)
    if spec is None:
        return
    with _alive(key, attempt, store) as lock:
        error = None
        try:
            admission.check_size(kind, spec, store)
            KINDS[kind](spec, store, _reporter(key, attempt, store, lock))
            state = DONE
        except Stopped:
            state = STOPPED
        except Exception as failure:
            state, error = FAILED, records.sentence(failure, key, store)
        _finish(key, attempt, state, error, store, lock)


def _compare(spec: dict[str, Any], store: Store, report: Report) -> None:
    from cka_core.comparing import engine
    from cka_core.results.comparison import CompareSpec

    engine.run(CompareSpec.from_json(spec), store, report)


def _several(spec: dict[str, Any], store: Store, report: Report) -> None:
    """See `cka_core.results.spec.Several`. What is there already is passed over, and what cannot be had told last."""
    from cka_core.comparing import engine
    from cka_core.results.comparison import find
    from cka_core.results.spec import Several

    specs = Several.from_json(spec).specs

    def compare(index: int) -> None:
        def inner(progress: Progress) -> None:
            where = f"{index + 1} of {len(specs)} · {progress.detail or progress.phase}"
            report(Progress("comparing", index + progress.fraction, len(specs), where))

        if find(specs[index], store) is None:
            engine.run(specs[index], store, inner)

    failures.each(partial(compare, index) for index in range(len(specs)))


def _best_match(spec: dict[str, Any], store: Store, report: Report) -> None:
    """See `cka_core.results.best_match.BestMatchSpec`."""
    from cka_core.comparing import best_match
    from cka_core.results.best_match import BestMatchSpec

    best_match.run(BestMatchSpec.from_json(spec), store, report)


def _estimators(spec: dict[str, Any], store: Store, report: Report) -> None:
    """See `cka_core.results.estimators.EstimatorSpec`."""
    from cka_core.comparing import estimators
    from cka_core.results.estimators import EstimatorSpec

    estimators.run(EstimatorSpec.from_json(spec), store, report)


def _check(spec: dict[str, Any], store: Store, report: Report) -> None:
    """Count (see `cka_core.jobs.submit.CheckSpec`)."""
    steps, pause = spec["steps"], spec["pause"]
    if steps < 1:
        raise ValueError(f"Expected at least 1 step to count, got {steps}.")
    for step in range(steps):
        report(Progress("counting", step, steps, f"step {step + 1} of {steps}"))
        time.sleep(pause)


def _train(spec: dict[str, Any], store: Store, report: Report) -> None:
    _be_polite()
    from cka_core.training import fit
    from cka_core.training.recipe import TrainSpec

    wanted = TrainSpec.from_json(spec)
    try:
        fit.train(wanted, store, report=report)
    finally:
        _forget_networks()


def _measure(spec: dict[str, Any], store: Store, report: Report) -> None:
    """See `cka_core.training.estimate.MeasureSpec`."""
    _be_polite()
    from cka_core.training import estimate as training_estimate
    from cka_core.training import fit
    from cka_core.training.recipe import TrainSpec

    wanted = TrainSpec.from_json(spec["training"])
    try:
        speed = fit.measure_speed(wanted, store, report)
    finally:
        _forget_networks()
    training_estimate.remember_speed(wanted.architecture, wanted.batch_size, speed, store)


def _atlas(spec: dict[str, Any], store: Store, report: Report) -> None:
    """See `cka_core.studies.steps.AtlasPart`."""
    from cka_core.studies import build as atlas_build
    from cka_core.studies import steps as atlas_steps

    part = atlas_steps.AtlasPart.from_json(spec)
    if part.part == "train":
        _be_polite()
    try:
        atlas_build.do(part, store, report)
    finally:
        _forget_networks()


def _be_polite() -> None:
    """A comparison asked for meanwhile comes first on the processor. TensorFlow's threads, begun later, inherit it."""
    if sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)


def _forget_networks() -> None:
    """Trainings follow each other in one process: what Keras keeps of the last one would stay in memory."""
    import gc

    import keras

    keras.backend.clear_session()
    gc.collect()


KINDS: dict[str, Callable[[dict[str, Any], Store, Report], None]] = {
    "compare": _compare,
    "several": _several,
    "best match": _best_match,
    "estimators": _estimators,
    "check": _check,
    "train": _train,
    "measure": _measure,
    "atlas": _atlas,
    "atlas-train": _atlas,
}


def _finish(key: str, attempt: int, state: str, error: str | None, store: Store, lock: threading.Lock) -> None:
    """Write how a job ended, as soon as the store takes it; one that never does learns it from the silence."""
    until = time.monotonic() + TELL_SECONDS
    while True:
        try:
            with lock:
                records.finish(key, attempt, state, error, store)
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(TRY_AGAIN)


def _reporter(key: str, attempt: int, store: Store, lock: threading.Lock) -> Report:
    """A report that writes to the job's record, a few times a second, and raises `Stopped` when that is asked for.

    It raises `LimitReached` when the job has taken longer than one may.
    """
    phase: str | None = None
    due, started = 0.0, time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal phase, due
        now = time.monotonic()
        deployment.check("minutes", (now - started) / 60)
        if progress.phase == phase and now < due:
            return
        phase, due = progress.phase, now + WRITE_EVERY
        # Work goes on where only its progress cannot be written; what must be kept complains by itself.
        with lock, contextlib.suppress(OSError):
            records.tell(key, attempt, progress, store)

    return report


def _is_overdue(seconds: float) -> bool:
    minutes = deployment.most("minutes")
    return minutes is not None and seconds > 60 * minutes + OVER_TIME


@contextlib.contextmanager
def _alive(key: str, attempt: int, store: Store) -> Iterator[threading.Lock]:
    """Give signs of life from a thread of its own, whatever the job is busy with. Yields the lock of the record."""
    lock, over, started = threading.Lock(), threading.Event(), time.monotonic()

    def beat() -> None:
        while not over.wait(BEAT):
            # An attempt that is not wanted learns it from its next report; a store out of reach may come back.
            with lock, contextlib.suppress(Stopped, OSError):
                records.beat(key, attempt, store)
            if _is_overdue(time.monotonic() - started):
                with contextlib.suppress(OSError):  # it hangs in one step: only the end of its process ends it
                    records.finish(key, attempt, FAILED, deployment.sentence("minutes"), store)
                os._exit(1)

    thread = threading.Thread(target=beat, name=f"heartbeat of {key}", daemon=True)
    thread.start()
    try:
        yield lock
    finally:
        over.set()
        thread.join()
