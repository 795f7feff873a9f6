"""Store and jobs as a machine that hypothesis drives: whatever is done in whatever order, everything lists or explains.

Each step is taken in a forked process, as by another program, or here; and any step may be killed by SIGKILL at any
call or return of a Python function. What a killed step leaves may be as before it, as after it, or half: then it is
told as damage. What was never touched is always there.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from benchmarks import held, killed, writes
from cka_core.base import leftovers
from cka_core.base.store import Store
from cka_core.jobs import records, submit, worker
from cka_core.library import arrivals, inventory, keeping

NAMES = st.sampled_from(["a", "b", "c"])
JOBS = st.sampled_from(["1" * 24, "2" * 24])
MOMENT = st.one_of(st.none(), st.floats(0, 1))
"""When a step is killed, as a share of its calls; never."""
PICK = st.integers(0, 999)
"""Which of those that are there, counted round. What is drawn must not hang on what is there: where a kill lands
differs from run to run, and hypothesis takes the same draws for the same."""
GARBAGE = st.sampled_from([b"", b"{", b"[[[[", b"null", b"[]", b'{"state": 3}', b"\x00" * 100, b'{"a": NaN}'])
SETS = {seed: held.set_bytes(seed) for seed in (1, 2)}
STATES = {"queued", "running", "done", "failed", "stopped", "interrupted"}
_calls: dict[str, int] = {}
"""About how many calls and returns each kind of step has."""


class StoreAndJobs(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "store")
        self.intact: set[str] = set()
        """Comparisons that were written to their end and never touched since."""
        self.number = 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def step(self, kind: str, do: Callable[[], object], moment: float | None) -> bool:
        """Take a step in another process; whether it came to its end."""
        if moment is not None and kind in _calls:
            return killed.forked(do, 1 + int(moment * _calls[kind])) > 0
        calls = killed.forked(do)
        _calls[kind] = max(calls, _calls.get(kind, 0))
        return True

    # Writing, bringing in, renaming, deleting, putting back.

    @rule(moment=MOMENT)
    def write_a_comparison(self, moment: float | None) -> None:
        self.number += 1
        key, data = f"{self.number:024x}", held.comparison_bytes()
        if self.step("write", lambda: self.store.put("comparisons", key, data), moment):
            self.intact.add(key)

    @rule(name=NAMES, moment=MOMENT)
    def train_a_network(self, name: str, moment: float | None) -> None:
        def train() -> None:
            keeping.check_name(name, self.store)
            held.a_network(self.store, name)

        self.step("train", train, moment)

    @rule(seed=st.sampled_from(sorted(SETS)), moment=MOMENT)
    def bring_in_a_set(self, seed: int, moment: float | None) -> None:
        self.step("bring in", lambda: arrivals.bring_in(io.BytesIO(SETS[seed]), "set.npz", self.store), moment)

    @rule(name=NAMES, new=NAMES, moment=MOMENT)
    def rename(self, name: str, new: str, moment: float | None) -> None:
        self.step("rename", lambda: keeping.rename(name, new, self.store), moment)

    @rule(pick=PICK, moment=MOMENT)
    def delete(self, pick: int, moment: float | None) -> None:
        rows = [row for row in [*inventory.networks(self.store), *inventory.activation_sets(self.store),
                                *inventory.comparisons(self.store)] if not row.fixed]  # fmt: skip
        if rows:
            row = sorted(rows, key=lambda row: row.key)[pick % len(rows)]
            self.intact.discard(row.key)
            self.step("delete", lambda: keeping.remove(row.kind, row.key, row.name, self.store), moment)

    @rule(pick=PICK, moment=MOMENT)
    def put_back(self, pick: int, moment: float | None) -> None:
        if there := sorted(one.id for one in keeping.trash(self.store)):
            identifier = there[pick % len(there)]
            self.step("put back", lambda: keeping.restore(identifier, self.store), moment)

    @rule(moment=MOMENT)
    def empty_the_trash(self, moment: float | None) -> None:
        self.step("empty", lambda: keeping.empty_trash(self.store), moment)

    @rule(pick=PICK, moment=MOMENT)
    def remove_what_is_damaged(self, pick: int, moment: float | None) -> None:
        if found := [one.file for one in inventory.damaged(self.store)]:
            file = found[pick % len(found)]
            if self.step("discard", lambda: keeping.discard(file, self.store), moment):
                assert file not in [one.file for one in inventory.damaged(self.store)], "what is removed is gone"

    @rule(pick=PICK, kind=st.sampled_from(["cut", "replaced", "gone"]), garbage=GARBAGE)
    def damage(self, pick: int, kind: str, garbage: bytes) -> None:
        """A file of the store is cut, replaced, or gone."""
        if names := [name for name in self.store.names("") if not name.startswith("damaged/")]:
            name = names[pick % len(names)]
            path = Path(self.store.path(name))
            if kind == "gone":
                path.unlink()
            else:
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if kind == "cut" else garbage)
            self.intact.discard(name.rsplit("/", 1)[-1].split(".")[0])

    # Jobs: submitted here, done by another process.

    @rule(key=JOBS)
    def submit(self, key: str) -> None:
        """What `submit` writes where a cluster takes the job; the same again is how one is resumed."""
        known = submit.status(key, self.store)
        if known is None or known.state not in ("queued", "running"):
            spec = {"steps": 2, "pause": 0}
            records.write_new(key, "check", spec, f"job {key[0]}", self.store, writes.ELSEWHERE)
            assert submit.status(key, self.store).state == "queued"  # type: ignore[union-attr]

    @rule(key=JOBS, moment=MOMENT)
    def work(self, key: str, moment: float | None) -> None:
        record = records.record(key, self.store)
        if record is None or record["state"] not in ("queued", "running"):
            return
        attempt = record["attempt"]
        ended = self.step("work", lambda: worker.run_job("check", key, attempt, self.store.root), moment)
        known = submit.status(key, self.store)
        if ended and known is not None and known.spec == {"steps": 2, "pause": 0}:
            assert known.state in ("done", "stopped", "failed")

    @rule(key=JOBS)
    def silence(self, key: str) -> None:
        """Nothing was heard of a job for a minute."""
        path = Path(self.store.path(f"jobs/{key}/status.json"))
        if path.exists():
            then = time.time() - 60
            os.utime(path, (then, then))

    @rule(key=JOBS, moment=MOMENT)
    def stop(self, key: str, moment: float | None) -> None:
        self.step("stop", lambda: submit.stop(key, self.store), moment)

    @rule(key=JOBS, moment=MOMENT)
    def forget(self, key: str, moment: float | None) -> None:
        self.step("forget", lambda: submit.remove(key, self.store), moment)

    # What holds in every state.

    @invariant()
    def everything_lists_opens_or_explains(self) -> None:
        if not hasattr(self, "store"):
            return
        seen = held.look(self.store)
        keys = {key for _, key in seen["opens"]}
        assert self.intact <= keys, f"{self.intact - keys} was written and is not listed"
        assert held.unexplained(self.store) == []
        for key in records.all_keys(self.store):
            job = submit.status(key, self.store)
            assert job is None or job.state in STATES
            assert job is None or job.error or job.state not in ("failed", "interrupted"), f"{job} does not say why"

    @invariant()
    def nothing_half_written_stays(self) -> None:
        if hasattr(self, "store"):
            leftovers.sweep(Path(self.store.root), older_than=0)
            assert not list(Path(self.store.root).rglob("*.tmp-*"))


def run(times: int, steps: int, seed: int) -> None:
    """Run the machine; an AssertionError with the steps that led there where a state does neither."""
    chosen = settings(
        max_examples=times, stateful_step_count=steps, deadline=None, database=None, print_blob=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(seeded(seed)(StoreAndJobs), settings=chosen)
