"""Jobs: what a page reads of them, and that they survive what may happen to the processes that do them."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from cka_core.base.progress import Progress
from cka_core.base.store import Store
from cka_core.jobs import cluster, cluster_files, records, submit, worker
from cka_core.jobs.submit import CheckSpec, JobStatus
from cka_core.training import estimate as training_estimate
from cka_core.training import state as training_state
from cka_core.training.recipe import TrainSpec
from tests.clusters import end, processes, wait_for, workers

ROOT = Path(__file__).resolve().parent.parent.parent
ONE = CheckSpec(steps=1, pause=0)
BELIEVED = "tcp://elsewhere"  # the name of a remote cluster, of which status() believes that it is there


def status(key: str, store: Store) -> JobStatus:
    found = submit.status(key, store)
    assert found is not None
    return found


# What is read, with the worker's part run here


@pytest.fixture
def write(store):
    """Write the record of a new attempt, as submit() does; returns key and attempt."""

    def write(spec: CheckSpec = ONE, kind: str = "check") -> tuple[str, int]:
        return spec.key, records.write_new(spec.key, kind, vars(spec), "A title", store, BELIEVED)

    return write


@pytest.fixture
def work(store, monkeypatch):
    """Let a function be what jobs do."""

    def work(function) -> None:
        monkeypatch.setitem(worker.KINDS, "check", lambda spec, store, report: function(report))

    return work


def silent_for(key: str, seconds: float, store: Store) -> None:
    then = time.time() - seconds
    os.utime(store.path(f"jobs/{key}/status.json"), (then, then))


def test_no_job(store):
    assert submit.status("0" * 24, store) is None
    assert submit.active(store) == []
    submit.stop("0" * 24, store)


@pytest.mark.parametrize("key", ["../../etc", "jobs/active", "", "ABC"])
def test_a_key_is_no_path(store, key):
    with pytest.raises(ValueError, match="Expected the key of a job"):
        submit.status(key, store)


def test_queued_then_done(store, write):
    key, attempt = write()
    assert status(key, store).state == "queued"
    assert [job.key for job in submit.active(store)] == [key]
    worker.run_job("check", key, attempt, store.root)
    done = status(key, store)
    assert (done.state, done.error, done.title, done.kind) == ("done", None, "A title", "check")
    assert done.spec == {"steps": 1, "pause": 0}
    assert done.progress == Progress("counting", 0, 1, "step 1 of 1")
    assert done.submitted <= done.started <= done.finished
    assert submit.active(store) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("Expected 4 images, got 3."), "Expected 4 images, got 3."),
        (MemoryError(), "There was not enough memory. Choose fewer images"),
        (type("ResourceExhaustedError", (Exception,), {})("OOM"), "There was not enough memory."),
        (KeyError("layer"), "KeyError: 'layer'. Details: "),
        (OSError(errno.ENOSPC, "No space left on device", "/no/such/folder"), "The disk with / is full ("),
        (RuntimeError("write failed: errno = 28, No space left on device"), "The disk with "),
    ],
)
def test_failure_says_what_to_do(store, write, work, error, told):
    def fail(report):
        raise error

    work(fail)
    key, attempt = write()
    worker.run_job("check", key, attempt, store.root)
    failed = status(key, store)
    assert failed.state == "failed" and failed.error.startswith(told)
    if "Details: " in failed.error:
        assert "raise error" in Path(failed.error.split("Details: ")[1]).read_text()


def test_a_failure_inside_a_library_is_told_in_a_line_without_this_machines_folders(store, write, work, monkeypatch):
    def fail(report):
        raise ValueError(
            'Graph error:\n  File "/root/server/x.py", line 3\nindices = 999 in /root/a/b.keras\n\t [[node]]'
        )

    work(fail)
    told = "ValueError: indices = 999 in b.keras. "
    for mode, where in (
        ("", f"Details: {store.root}/jobs/{{}}/error.txt"),
        ("class", "in the store, in jobs/{}/error.txt."),
    ):
        monkeypatch.setenv("CKA_MODE", mode)
        key, attempt = write()
        worker.run_job("check", key, attempt, store.root)
        error = status(key, store).error
        assert (
            error.startswith(told)
            and error.endswith(where.format(key))
            and "/root/" not in error.removesuffix(where.format(key))
        )
        assert "line 3" in Path(store.path(f"jobs/{key}/error.txt")).read_text()
        assert mode == "" or store.root not in error


def test_lack_of_memory_means_something_else_for_a_training(store, write, monkeypatch):
    def fail(spec, store, report):
        raise MemoryError

    monkeypatch.setitem(worker.KINDS, "train", fail)
    key, attempt = write(kind="train")
    worker.run_job("train", key, attempt, store.root)
    assert "Resume goes on from the last finished epoch" in status(key, store).error


def test_a_full_disk_says_where_and_how_full(store, write, work):
    def fail(report):
        raise OSError(errno.ENOSPC, "No space left on device", store.path("trainings/state.keras"))

    work(fail)
    key, attempt = write()
    worker.run_job("check", key, attempt, store.root)
    told = status(key, store).error
    assert re.search(rf"The disk with {re.escape(store.root)} is full \([\d.]+ \wB of [\d.]+ \wB are free\)", told)
    assert "Resume goes on" in told


def test_progress_that_cannot_be_written_does_not_end_the_work(store, write, work, monkeypatch):
    def run(report):
        monkeypatch.setattr(records, "tell", full_disk)
        report(Progress("on", 1, 2))
        monkeypatch.undo()

    key, attempt = write()
    work(run)
    worker.run_job("check", key, attempt, store.root)
    assert status(key, store).state == "done"


def test_the_end_is_written_when_there_is_room_again(store, write, work, monkeypatch):
    finish, tries = records.finish, []

    def finish_later(*job):
        tries.append(job)
        if len(tries) < 3:
            full_disk()
        finish(*job)

    monkeypatch.setattr(records, "finish", finish_later)
    monkeypatch.setattr(worker, "TRY_AGAIN", 0.01)
    key, attempt = write()
    worker.run_job("check", key, attempt, store.root)
    assert len(tries) == 3 and status(key, store).state == "done"


def full_disk(*args):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_stop_at_work(store, write, work):
    seen = []

    def run(report):
        report(Progress("one", 0, 2))
        submit.stop(key, store)
        seen.append(status(key, store))
        report(Progress("two", 1, 2))
        pytest.fail("went on after it was asked to stop")

    work(run)
    key, attempt = write()
    worker.run_job("check", key, attempt, store.root)
    assert seen[0].state == "running" and seen[0].stopping
    stopped = status(key, store)
    assert stopped.state == "stopped" and not stopped.stopping and stopped.progress.phase == "one"


def test_stop_before_it_began(store, write, work):
    work(lambda report: pytest.fail("began"))
    key, attempt = write()
    submit.stop(key, store)
    assert status(key, store).state == "stopped"
    assert submit.active(store) == []
    worker.run_job("check", key, attempt, store.root)
    assert status(key, store).state == "stopped"


def test_a_new_attempt_is_not_stopped_by_the_wish_of_the_last(store, write):
    key, _ = write()
    submit.stop(key, store)
    _, attempt = write()
    assert attempt == 2 and status(key, store).state == "queued"
    worker.run_job("check", key, attempt, store.root)
    assert status(key, store).state == "done"


def test_an_older_attempt_gives_up(store, write, work):
    def run(report):
        write()
        report(Progress("late", 1, 2))
        pytest.fail("went on beside a newer attempt")

    work(run)
    key, attempt = write()
    worker.run_job("check", key, attempt, store.root)
    assert status(key, store).state == "queued" and status(key, store).progress is None


def test_finished_work_is_not_done_twice(store, write, work):
    key, attempt = write()
    worker.run_job("check", key, attempt, store.root)
    work(lambda report: pytest.fail("ran again"))
    worker.run_job("check", key, attempt, store.root)
    assert status(key, store).state == "done"


def test_progress_is_written_a_few_times_a_second_and_at_each_phase(store, write, work, monkeypatch):
    written = []
    tell = records.tell
    monkeypatch.setattr(records, "tell", lambda *job: (written.append(job[2].phase), tell(*job)))

    def run(report):
        for phase in ("loading", "comparing"):
            for step in range(1000):
                report(Progress(phase, step, 1000))

    work(run)
    key, attempt = write()
    begun = time.monotonic()
    worker.run_job("check", key, attempt, store.root)
    assert {"loading", "comparing"} == set(written)
    assert len(written) <= 2 + (time.monotonic() - begun) / worker.WRITE_EVERY


def test_heart_beats_while_nothing_is_reported(store, write, work, monkeypatch):
    monkeypatch.setattr(worker, "BEAT", 0.02)

    def run(report):
        silent_for(key, 60, store)
        assert status(key, store).state == "interrupted"
        wait_for(lambda: status(key, store).state == "running")

    work(run)
    key, attempt = write()
    worker.run_job("check", key, attempt, store.root)
    assert status(key, store).state == "done"


def test_silence_reads_interrupted(store, write):
    key, attempt = write()
    records.begin(key, attempt, store)
    assert status(key, store).state == "running"
    silent_for(key, submit.SILENT_AFTER + 5, store)
    interrupted = status(key, store)
    assert interrupted.state == "interrupted" and "for 20 s" in interrupted.error and "Resume" in interrupted.error
    assert submit.active(store) == []
    submit.stop(key, store)
    assert status(key, store).state == "stopped"


def test_a_laptop_that_wakes_up_finds_its_job_again(store, write):
    key, attempt = write()
    records.begin(key, attempt, store)
    silent_for(key, 60, store)
    assert submit.active(store) == []
    records.beat(key, attempt, store)
    assert [job.state for job in submit.active(store)] == ["running"]


def test_killed_again_and_again_reads_failed(store, write):
    key, attempt = write()
    assert records.begin(key, attempt, store) is not None
    assert records.begin(key, attempt, store) is not None
    silent_for(key, 60, store)
    assert status(key, store).state == "failed" and "memory" in status(key, store).error
    assert records.begin(key, attempt, store) is None
    assert records.record(key, store)["state"] == "failed"


def test_store_that_vanishes_is_not_made_again(store, write, work):
    def run(report):
        shutil.rmtree(store.root)
        report(Progress("late", 1, 2))
        pytest.fail("went on without a store")

    work(run)
    key, attempt = write()
    worker.run_job("check", key, attempt, store.root)
    assert not Path(store.root).exists()


def test_a_record_of_another_form_counts_as_none(store):
    store.write_record(f"jobs/{'a' * 24}/status.json", {"state": "running"})
    assert submit.status("a" * 24, store) is None


def test_jobs_are_listed_by_kind_the_last_one_first(store, write):
    keys = [write(CheckSpec(steps=steps))[0] for steps in (3, 1, 2)]
    write(CheckSpec(steps=9), kind="train")
    records.finish(keys[0], 1, "done", None, store)
    assert [job.key for job in submit.listed("check", store)] == keys[::-1]
    assert len(submit.listed("train", store)) == 1 and submit.listed("measure", store) == []


def test_one_that_waits_or_ended_can_be_removed_one_at_work_cannot(store, write):
    for state in ("queued", "done"):
        key, attempt = write()
        if state == "done":
            worker.run_job("check", key, attempt, store.root)
        submit.remove(key, store)
        assert submit.status(key, store) is None and submit.active(store) == [] == submit.listed("check", store)
        worker.run_job("check", key, attempt, store.root)
        assert submit.status(key, store) is None, "begun although it was removed"
    key, attempt = write()
    records.begin(key, attempt, store)
    with pytest.raises(ValueError, match="A title is at work. Stop it"):
        submit.remove(key, store)
    assert status(key, store).state == "running"
    submit.remove("0" * 24, store)


def test_old_jobs_are_forgotten_but_no_training(store, write, monkeypatch):
    monkeypatch.setattr(records, "KEPT_JOBS", 2)
    keys = [write(CheckSpec(steps=steps))[0] for steps in range(1, 6)]
    training = write(CheckSpec(steps=6), kind="train")[0]
    for key in [*keys[:4], training]:
        records.finish(key, 1, "done", None, store)
    records.prune(store)
    left = {job.key for job in submit.listed("check", store)}
    assert left == {keys[2], keys[3], keys[4]}, "the two that ended last, and the one that waits"
    monkeypatch.setattr(records, "KEPT_DAYS", 0)
    records.prune(store)
    assert [job.key for job in submit.listed("check", store)] == [keys[4]]
    assert status(training, store).state == "done"


def test_active_jobs_come_in_order(store, write):
    keys = [write(CheckSpec(steps=steps))[0] for steps in (3, 1, 2)]
    assert [job.key for job in submit.active(store)] == keys


def test_unknown_kind(store):
    with pytest.raises(ValueError, match="Valid: compare, several, best match, estimators, check"):
        submit.submit("bake", CheckSpec(), "bread", store)
    assert set(submit.ROLES) == set(worker.KINDS)


def test_no_cluster_for_this_store():
    store = Store("memory://nobody")
    key = submit.submit("check", CheckSpec(), "check", store)
    assert status(key, store).state == "failed" and "CKA_SCHEDULER" in status(key, store).error
    store.fs.rm(store.path(""), recursive=True)


def test_reading_jobs_imports_neither_dask_nor_tensorflow(store):
    code = """
import sys
from cka_core.jobs import submit as jobs
from cka_core.base.store import Store
assert jobs.status("0" * 24, Store()) is None and jobs.active(Store()) == []
print(sorted({"distributed", "dask", "tensorflow", "keras", "numpy"} & set(sys.modules)))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert answer.stdout.strip() == "[]"


# On a real cluster, one for these tests


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("jobs") / "store")
    yield store
    end(store)


@pytest.fixture
def real(shared, monkeypatch):
    monkeypatch.setenv("CKA_STORE", shared.root)
    monkeypatch.setattr(cluster_files, "version_digest", lambda: "tested")
    monkeypatch.delenv("CKA_SCHEDULER", raising=False)
    yield shared
    for job in submit.active(shared):
        submit.stop(job.key, shared)
        wait_for(lambda key=job.key: status(key, shared).state not in ("queued", "running"))


def counted(key: str, store: Store) -> float:
    progress = status(key, store).progress
    return progress.done if progress else -1


def test_a_job_from_button_to_result(real):
    key = submit.submit("check", CheckSpec(steps=12), "Twelve", real)
    assert status(key, real).state in ("queued", "running")
    assert [job.title for job in submit.active(real)] == ["Twelve"]
    wait_for(lambda: counted(key, real) > 0)
    assert status(key, real).state == "running"
    wait_for(lambda: status(key, real).state == "done")
    assert submit.active(real) == []
    assert submit.submit("check", CheckSpec(steps=12), "Again", real) == key
    wait_for(lambda: status(key, real).state == "done" and status(key, real).title == "Again")


def test_workers_may_use_every_core(real):
    cluster.start(real)
    wait_for(lambda: workers(real))
    for process in workers(real):
        variables = process.environ()
        assert not {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} & (
            variables.keys() - os.environ.keys()
        )


def test_what_is_asked_for_first_is_done_first(real):
    keys = [submit.submit("check", CheckSpec(steps=10 + i, pause=0.01), "In turn", real) for i in (3, 1, 4, 2, 5)]
    wait_for(lambda: all(status(key, real).state == "done" for key in keys))
    started = [status(key, real).started for key in keys]
    assert started == sorted(started)


def test_two_people_share_one_run(real):
    spec = CheckSpec(steps=30, pause=0.03)
    keys: list[str] = []
    people = [
        threading.Thread(target=lambda: keys.append(submit.submit("check", spec, "Shared", real))) for _ in range(3)
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert keys == [spec.key] * 3
    wait_for(lambda: status(spec.key, real).state == "done")
    assert records.record(spec.key, real)["attempt"] == 1


def test_stop_and_resume(real):
    spec = CheckSpec(steps=300)
    key = submit.submit("check", spec, "Long", real)
    wait_for(lambda: counted(key, real) > 0)
    submit.stop(key, real)
    wait_for(lambda: status(key, real).state == "stopped")
    submit.submit("check", spec, "Long", real)
    wait_for(lambda: counted(key, real) > 0)
    assert status(key, real).state == "running"


def test_one_that_waits_stops_at_once_and_may_be_asked_for_again(real):
    first = submit.submit("check", CheckSpec(steps=301), "First", real)
    waiting = CheckSpec(steps=2)
    second = submit.submit("check", waiting, "Second", real)
    wait_for(lambda: status(first, real).state == "running")
    assert submit.submit("check", waiting, "Second", real) == second
    assert status(second, real).state == "queued" and records.record(second, real)["attempt"] == 1
    submit.stop(second, real)
    assert status(second, real).state == "stopped"
    submit.submit("check", waiting, "Second", real)
    assert status(second, real).state == "queued"
    submit.stop(first, real)
    wait_for(lambda: status(second, real).state == "done")
    assert status(first, real).state == "stopped"


def test_refused_request_comes_back_in_its_own_words(real):
    key = submit.submit("check", CheckSpec(steps=0), "None", real)
    wait_for(lambda: status(key, real).state == "failed")
    assert status(key, real).error == "Expected at least 1 step to count, got 0."


def test_killed_worker_begins_again_once(real):
    key = submit.submit("check", CheckSpec(steps=40), "Killed once", real)
    wait_for(lambda: counted(key, real) > 0)
    kill_worker(key, real)
    wait_for(lambda: status(key, real).state == "done")
    assert status(key, real).restarts == 1


def kill_worker(key: str, store: Store) -> None:
    """kill -9 of the process that does a job."""
    psutil.Process(records.record(key, store)["process"]).kill()


def test_killed_twice_it_fails_and_those_behind_it_go_on(real):
    key = submit.submit("check", CheckSpec(steps=302), "Killed twice", real)
    behind = [submit.submit("check", CheckSpec(steps=2 + i), "Behind it", real) for i in range(2)]
    for restarts in range(2):
        wait_for(lambda n=restarts: status(key, real).restarts == n and counted(key, real) > 0)
        kill_worker(key, real)
    wait_for(lambda: status(key, real).state == "failed")
    assert "killed again" in status(key, real).error and "The compare worker may use" in status(key, real).error
    wait_for(lambda: all(status(other, real).state == "done" for other in behind))
    assert status(key, real).state == "failed", "it does not come back"


def test_killed_cluster_leaves_no_worker_and_resume_goes_on(real):
    spec = CheckSpec(steps=303)
    key = submit.submit("check", spec, "Interrupted", real)
    waiting = submit.submit("check", CheckSpec(steps=3), "Waiting", real)
    wait_for(lambda: counted(key, real) > 0)
    [process] = [process for process in processes(real) if "cka_core.jobs.cluster_process" in process.cmdline()]
    process.kill()
    wait_for(lambda: not processes(real))
    assert status(key, real).state == "interrupted" and "Resume" in status(key, real).error
    assert status(waiting, real).state == "interrupted"
    submit.submit("check", spec, "Interrupted", real)
    wait_for(lambda: counted(key, real) > 0)
    assert status(key, real).state == "running"
    assert status(waiting, real).state == "interrupted", "it waits for a cluster that is gone"


def test_job_outlives_the_program_that_asked_for_it(real):
    code = f"""
from cka_core.jobs import cluster_files
from cka_core.jobs import submit as jobs
from cka_core.base.store import Store
cluster_files.version_digest = lambda: "tested"
print(jobs.submit("check", jobs.CheckSpec(steps=25), "Left alone", Store({real.root!r})))
"""
    environment = {name: value for name, value in os.environ.items() if name != "CKA_STORE"}
    asked = [sys.executable, "-c", code]
    answer = subprocess.run(asked, capture_output=True, text=True, cwd=ROOT, env=environment, check=True)
    key = answer.stdout.strip()
    assert status(key, real).state in ("queued", "running")
    wait_for(lambda: status(key, real).state == "done")
    assert "rror" not in answer.stderr


# Trainings, which need TensorFlow

SMALL = TrainSpec("cifar-resnet-8x1", fraction=0.0625, epochs=200, batch_size=64, held_out=0.0, augment=False)


def epochs(key: str, store: Store) -> int:
    state = training_state.read(key, store)
    return state.epochs_done if state else 0


def test_a_training_goes_on_after_a_stop_and_after_its_worker_was_killed(real):
    key = submit.submit("train", SMALL, "Small", real)
    second = submit.submit("train", dataclasses.replace(SMALL, seed=1, epochs=1), "Second", real)
    wait_for(lambda: epochs(key, real) >= 2)
    assert status(key, real).progress.detail.startswith("epoch ")
    check = submit.submit("check", CheckSpec(steps=3), "Meanwhile", real)
    wait_for(lambda: status(check, real).state == "done")
    assert status(key, real).state == "running", "a comparison does not wait for a training"
    assert status(second, real).state == "queued"

    if sys.platform == "linux":  # where threads have priorities of their own
        threads = psutil.Process(records.record(key, real)["process"]).threads()
        polite = [thread for thread in threads if os.getpriority(os.PRIO_PROCESS, thread.id) == worker.NICE]
        assert len(polite) > 2, "the comparison comes first on the processor"

    done = epochs(key, real)
    kill_worker(key, real)
    wait_for(lambda: status(key, real).restarts == 1 and epochs(key, real) > done)
    log = training_state.read_log(key, real)
    assert log.count("Begins.") == 1 and "Goes on after epoch" in log

    submit.remove(second, real)
    submit.stop(key, real)
    wait_for(lambda: status(key, real).state == "stopped")
    state = training_state.read(key, real)
    assert done < state.epochs_done == len(state.history["loss"]) < SMALL.epochs
    assert submit.status(second, real) is None and training_state.read(second, real) is None
    assert not training_estimate.training_seconds(SMALL, real)[1], "epochs of a few steps say little of the next"


def test_the_speed_is_measured_with_a_few_steps(real):
    spec = dataclasses.replace(SMALL, architecture="cifar-resnet-14x1")
    wanted = training_estimate.MeasureSpec(spec)
    assert wanted.key == training_estimate.MeasureSpec(dataclasses.replace(spec, seed=7, epochs=3, l2=0.0)).key
    assert wanted.key != training_estimate.MeasureSpec(dataclasses.replace(spec, batch_size=32)).key
    key = submit.submit("measure", wanted, "Speed", real)
    wait_for(lambda: status(key, real).state == "done")
    assert training_estimate.training_seconds(spec, real)[1]
    assert training_state.read(spec.key, real) is None, "nothing but the speed is kept"
