"""Many people at once: whose a job is, what may be asked for, and whose turn it is."""

from __future__ import annotations

import dataclasses
import io
import time

import pytest

from cka_core.base import visitors
from cka_core.base.deployment import LimitReached, NotAllowed
from cka_core.base.progress import Progress
from cka_core.base.visitors import Visitor
from cka_core.images.sets import SampleSpec
from cka_core.jobs import admission, classroom, cluster, cluster_files, records, submit, trainings, worker
from cka_core.jobs.submit import CheckSpec
from cka_core.library import arrivals, belongings, catalogue, incoming, keeping
from cka_core.results.comparison import CompareSpec
from cka_core.training import state as training_state
from cka_core.training.recipe import TrainSpec
from tests.clusters import end, processes, wait_for
from tests.synthetic import comparison

ANN, BEN, EVE = (Visitor(visitors.owner_of(visitors.new_key())) for _ in range(3))
TEACHER = Visitor(visitors.owner_of(visitors.new_key()), teacher=True)
BELIEVED = "tcp://elsewhere"


@pytest.fixture(autouse=True)
def in_class(monkeypatch):
    monkeypatch.setenv("CKA_MODE", "class")


def check(number: int, pause: float = 0.0) -> CheckSpec:
    return CheckSpec(steps=number + 1, pause=pause)


def waiting(spec: CheckSpec, by: Visitor, store, kind: str = "check") -> str:
    """A job that waits, as `submit` leaves it, on a cluster that is believed to be there."""
    turn = admission.turn(by, records.ROLES[kind], BELIEVED, store)
    records.write_new(spec.key, kind, dataclasses.asdict(spec), "A title", store, BELIEVED, turn)
    visitors.give(by, spec.key, store)
    return spec.key


def compare_spec(store, a: str = "cifar-resnet-8x1", n: int | None = 64, split: str = "test") -> CompareSpec:
    spec = catalogue.find(a, store).spec
    return CompareSpec(spec, spec, SampleSpec("cifar10-mini", split, n, 0))


# Whose a job is


def test_nobody_stops_or_removes_what_is_anothers(store):
    key = waiting(check(1), ANN, store)
    for who in (BEN, Visitor(""), None):
        for act in (submit.stop, submit.remove, trainings.remove):
            with pytest.raises(NotAllowed):
                act(key, store, who)
    assert submit.status(key, store).state == "queued"
    assert submit.stop(key, store, ANN) and submit.status(key, store).state == "stopped"


def test_the_teacher_stops_anything(store):
    key = waiting(check(1), ANN, store)
    assert submit.stop(key, store, TEACHER)
    assert submit.status(key, store).state == "stopped"


def test_one_of_two_who_stops_leaves_it_to_the_other(store):
    key = waiting(check(1), ANN, store)
    visitors.give(BEN, key, store)
    assert not submit.stop(key, store, ANN)
    assert submit.status(key, store).state == "queued"
    with pytest.raises(NotAllowed):
        submit.stop(key, store, ANN)
    assert submit.stop(key, store, BEN) and submit.status(key, store).state == "stopped"


def test_a_page_names_ones_own_jobs_and_counts_the_others(store):
    own = [waiting(check(number), ANN, store) for number in range(2)]
    for number in range(2, 9):
        waiting(check(number), BEN, store)
    queue = submit.queue("check", store, ANN)
    assert [job.key for job in queue.shown] == own and (queue.more, queue.others) == (0, 7)
    queue = submit.queue("check", store, BEN)
    assert (len(queue.shown), queue.more, queue.others) == (5, 2, 2)
    assert submit.queue("compare", store, EVE) == submit.Queue([], 0, 9)
    assert len(submit.queue("check", store, TEACHER).shown) == 5


def test_hundreds_of_jobs_cost_a_few_readings(store, monkeypatch):
    monkeypatch.setenv("CKA_MODE", "")
    for number in range(300):
        records.write_new(f"{number:024x}", "check", {}, "A title", store, BELIEVED)
    read: list[str] = []
    status = submit.status
    monkeypatch.setattr(submit, "status", lambda key, store: read.append(key) or status(key, store))
    queue = submit.queue("check", store)
    assert [job.key for job in queue.shown] == [f"{number:024x}" for number in range(5)]
    assert queue.more == 295 and len(read) <= submit.LOOKED_AT


def test_a_queue_whose_cluster_is_gone_is_empty(store):
    for number in range(3):
        records.write_new(check(number).key, "check", {}, "A title", store, "here/0/0")
    assert submit.queue("check", store, ANN) == submit.Queue([], 0, 0)


# What may be asked for


def test_more_jobs_than_one_may_have_are_refused_in_a_sentence(store, monkeypatch):
    monkeypatch.setenv("CKA_MAX_JOBS", "3")
    for number in range(3):
        waiting(check(number), ANN, store)
    with pytest.raises(LimitReached, match=r"At most 3 jobs of yours .* Stop one"):
        submit.submit("check", check(3), "A title", store, ANN)
    admission.check_room(ANN, check(2).key, store)  # asked for once more
    admission.check_room(BEN, check(3).key, store)
    admission.check_room(TEACHER, check(3).key, store)
    monkeypatch.setenv("CKA_MAX_ALL_JOBS", "3")
    for who in (BEN, TEACHER):
        with pytest.raises(LimitReached, match="At most 3 jobs may wait"):
            admission.check_room(who, check(3).key, store)
    assert processes(store) == []


@pytest.mark.parametrize(
    ("kind", "spec", "told"),
    [
        ("compare", lambda store: compare_spec(store, n=1000), None),
        ("compare", lambda store: compare_spec(store, n=3125, split="train"), "1,024 images"),
        ("compare", lambda store: compare_spec(store, n=None, split="train"), "1,024 images"),
        ("compare", lambda store: compare_spec(store, "resnet152"), "400 layers"),
        ("compare", lambda store: compare_spec(store, "resnet101"), None),
        ("compare", lambda store: compare_spec(store, "cifar-resnet-14x32"), "100 million parameters"),
        ("train", lambda store: TrainSpec("cifar-resnet-8x64", epochs=1), "100 million parameters"),
        ("train", lambda store: TrainSpec("cifar-resnet-14x1", epochs=41), "40 epochs"),
        ("train", lambda store: TrainSpec("cifar-resnet-1202x1", epochs=4), "400 layers"),
    ],
)  # fmt: skip
def test_work_that_is_too_large_is_refused_here_and_by_the_worker(store, kind, spec, told):
    wanted = spec(store)
    if told is None:
        admission.check_size(kind, dataclasses.asdict(wanted), store)
        return
    with pytest.raises(LimitReached, match=told):
        submit.submit(kind, wanted, "A title", store, ANN)
    attempt = records.write_new(wanted.key, kind, dataclasses.asdict(wanted), "A title", store, BELIEVED)
    worker.run_job(kind, wanted.key, attempt, store.root)
    failed = submit.status(wanted.key, store)
    assert failed.state == "failed" and told in failed.error


def test_a_job_past_its_time_stops_with_one_sentence(store, monkeypatch):
    monkeypatch.setenv("CKA_MAX_MINUTES", "1")
    clock = time.monotonic

    def work(spec, store, report):
        report(Progress("on", 1, 2))
        monkeypatch.setattr(worker.time, "monotonic", lambda: clock() + 61)
        report(Progress("on", 2, 2))
        raise AssertionError("it went on")

    monkeypatch.setitem(worker.KINDS, "check", work)
    attempt = records.write_new(check(1).key, "check", {}, "A title", store, BELIEVED)
    worker.run_job("check", check(1).key, attempt, store.root)
    ended = submit.status(check(1).key, store)
    assert ended.state == "failed" and ended.error.startswith("One job may take at most 1 minute here.")
    assert not worker._is_overdue(179) and worker._is_overdue(181)


def test_where_it_is_to_be_looked_at_no_worker_starts(store, monkeypatch):
    monkeypatch.setenv("CKA_MODE", "read-only")
    for start in (
        lambda: cluster.start(store),
        lambda: cluster.connection(store, "compare").__enter__(),
        lambda: submit.submit("check", check(1), "A title", store),
        lambda: submit.submit("check", check(1), "A title", store, TEACHER),
    ):
        with pytest.raises(NotAllowed, match="looked at only"):
            start()
    assert processes(store) == [] and store.names("jobs") == []


def test_other_limits_are_another_cluster(monkeypatch):
    here = cluster_files.version_digest()
    monkeypatch.setenv("CKA_MAX_IMAGES", "64")
    limited = cluster_files.version_digest()
    monkeypatch.setenv("CKA_MODE", "")
    assert len({here, limited, cluster_files.version_digest()}) == 3


# What visitors keep


def kept_comparison(store, by: Visitor) -> str:
    spec = compare_spec(store)
    store.put("comparisons", spec.key, comparison("cifar-resnet-8x1", "cifar-resnet-8x1").to_bytes())
    visitors.give(by, spec.key, store)
    return spec.key


def test_only_ones_own_is_removed_and_put_back(store):
    key = kept_comparison(store, ANN)
    with pytest.raises(NotAllowed):
        keeping.remove("comparisons", key, "it", store, BEN)
    identifier = keeping.remove("comparisons", key, "it", store, ANN)
    with pytest.raises(NotAllowed):
        keeping.restore(identifier, store, BEN)
    keeping.empty_trash(store, by=BEN)
    assert [one.id for one in keeping.trash(store)] == [identifier]
    assert keeping.restore(identifier, store, ANN) == "it"
    keeping.remove("comparisons", key, "it", store, ANN)
    keeping.empty_trash(store, by=ANN)
    assert keeping.trash(store) == [] and visitors.belongings(ANN.owner, store) == set()


def test_what_two_asked_for_stays_until_both_let_go(store):
    key = kept_comparison(store, ANN)
    visitors.give(BEN, key, store)
    assert keeping.remove("comparisons", key, "it", store, ANN) == ""
    assert store.has("comparisons", key)
    assert keeping.remove("comparisons", key, "it", store, BEN) and not store.has("comparisons", key)


def test_damage_and_what_was_there_before_are_the_teachers(store):
    key = compare_spec(store).key
    store.put("comparisons", key, b"no comparison")
    for who in (ANN, None):
        with pytest.raises(NotAllowed):
            keeping.discard(store.name_of(store.entries("comparisons")[0].path), store, who)
        with pytest.raises(NotAllowed):
            keeping.remove("comparisons", key, "it", store, who)
    assert keeping.discard(store.name_of(store.entries("comparisons")[0].path), store, TEACHER)


def test_a_file_brought_in_is_its_visitors(store, tmp_path, monkeypatch):
    result = comparison()
    result.save(tmp_path / "r.npz")
    with open(tmp_path / "r.npz", "rb") as file:
        with pytest.raises(NotAllowed):
            arrivals.bring_in(file, "r.npz", store)
        kind, key = arrivals.bring_in(file, "r.npz", store, by=ANN)
        assert belongings.is_ones_own(ANN, kind, key, store) and not belongings.is_ones_own(BEN, kind, key, store)
        assert belongings.uploads(ANN, store) == 1
        assert belongings.size(ANN, store) == (tmp_path / "r.npz").stat().st_size and belongings.size(BEN, store) == 0
        monkeypatch.setenv("CKA_MAX_UPLOADS", "1")
        with pytest.raises(LimitReached, match="At most 1 file that you brought in"):
            arrivals.bring_in(file, "r.npz", store, by=ANN)
        arrivals.bring_in(file, "again.npz", store, by=BEN)
        assert visitors.owners(key, store) and belongings.is_ones_own(BEN, kind, key, store)


def test_a_file_read_in_a_process_of_its_own_is_its_visitors(store):
    kind, key = incoming.take(io.BytesIO(comparison().to_bytes()), "r.npz", store, by=BEN)
    assert visitors.owners(key, store) == [BEN.owner] and belongings.is_ones_own(BEN, kind, key, store)
    for who in (None, Visitor("")):
        with pytest.raises(NotAllowed):
            incoming.take(io.BytesIO(b"x"), "r.npz", store, by=who)


def test_a_file_that_is_too_large_is_not_read(store, monkeypatch):
    monkeypatch.setenv("CKA_MAX_UPLOAD", "1")

    class Large:
        def seek(self, *where):
            return 1_000_001

    with pytest.raises(LimitReached, match="at most 1 MB"):
        arrivals.bring_in(Large(), "r.npz", store, by=ANN)
    with pytest.raises(LimitReached, match="at most 1 MB"):
        training_state.keep_start_file(bytes(1_000_001), store, ANN)


def test_room_is_limited_for_one_and_for_all(store, monkeypatch):
    store.put("comparisons", check(1).key, bytes(1_100_000))
    visitors.give(ANN, check(1).key, store)
    monkeypatch.setenv("CKA_MAX_DISK", "1")
    with pytest.raises(LimitReached, match="takes more than 1 MB already. Delete"):
        admission.check_room(ANN, check(2).key, store)
    admission.check_room(BEN, check(2).key, store)
    monkeypatch.setenv("CKA_MAX_ALL_DISK", "1")
    for who in (BEN, TEACHER):
        with pytest.raises(LimitReached, match="The store takes more than 1 MB"):
            admission.check_room(who, check(2).key, store)


# The teacher


def test_the_teacher_sees_who_is_at_work_on_what_and_others_do_not(store):
    waiting(check(1), ANN, store)
    visitors.give(BEN, waiting(check(2), ANN, store), store)
    found = classroom.overview(store, TEACHER)
    assert [set(one.whose) for one in found.work] == [
        {classroom.short(ANN.owner)}, {classroom.short(ANN.owner), classroom.short(BEN.owner)}
    ]  # fmt: skip
    assert found.makers == 2
    for who in (ANN, None):
        for act in (classroom.overview, classroom.stop_all, classroom.reset):
            with pytest.raises(NotAllowed):
                act(store, who)


def test_beginning_anew_stops_all_and_puts_what_was_made_into_the_trash(store):
    job, key = waiting(check(1), ANN, store), kept_comparison(store, BEN)
    own = check(7).key
    store.put("comparisons", own, b"the teacher's")
    visitors.give(TEACHER, own, store)
    assert classroom.reset(store, TEACHER) == 1
    assert submit.status(job, store) is None and submit.active(store) == []
    assert not store.has("comparisons", key) and store.has("comparisons", own)
    assert visitors.owners(key, store) == []
    assert keeping.restore(keeping.trash(store)[0].id, store, TEACHER)
    assert store.has("comparisons", key)


# Whose turn it is


def turns(*asked: Visitor, store) -> list[int]:
    """The places of jobs that visitors ask for one after the other."""
    keys = [waiting(check(number), by, store) for number, by in enumerate(asked)]
    return [records.record(key, store)["turn"] for key in keys]


def test_visitors_take_turns(store):
    assert turns(*[ANN] * 4, BEN, BEN, EVE, ANN, store=store) == [0, 1, 2, 3, 0, 1, 0, 4]


def test_who_comes_later_does_not_overtake_those_who_waited(store):
    """The clock goes on: a stream of newcomers cannot keep a job waiting for ever."""
    keys = [waiting(check(number), ANN, store) for number in range(4)]
    for key in keys[:2]:
        records.finish(key, 1, "done", None, store)
    ben, eve = waiting(check(10), BEN, store), waiting(check(11), EVE, store)
    place = {key: records.place(key, store)["turn"] for key in (*keys[2:], ben, eve)}
    assert place == {keys[2]: 2, keys[3]: 3, ben: 2, eve: 2}


def test_the_clocks_of_roles_and_of_clusters_that_are_gone_are_their_own(store):
    for number in range(3):
        waiting(check(number), ANN, store)
    assert admission.turn(ANN, "train", BELIEVED, store) == 0
    assert admission.turn(ANN, "compare", "another", store) == 0
    assert admission.turn(None, "compare", BELIEVED, store) == 0


def test_a_second_visitors_first_job_goes_before_the_first_ones_tenth(store):
    """On a real cluster, which has taken all ten before the other comes."""
    try:
        first = [submit.submit("check", check(number, 0.1), f"{number}", store, ANN) for number in range(10)]
        second = submit.submit("check", check(50, 0.0), "the other", store, BEN)
        with pytest.raises(NotAllowed):
            submit.stop(first[9], store, BEN)
        wait_for(lambda: submit.status(first[9], store).state == "done")
        ended = {key: submit.status(key, store) for key in (*first, second)}
        assert {job.state for job in ended.values()} == {"done"}
        order = sorted(ended, key=lambda key: ended[key].started)
        assert order.index(second) <= 3  # the worker was at one, and may have begun the next
        assert [key for key in order if key != second] == first
    finally:
        end(store)
