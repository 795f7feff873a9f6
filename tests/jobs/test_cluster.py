"""The local cluster: there is one, only its owner reaches it, and it leaves no process behind."""

from __future__ import annotations

import asyncio
import errno
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import psutil
import pytest

from cka_core.base import locks
from cka_core.base.store import Store
from cka_core.jobs import cluster, cluster_files, cluster_process, records, submit
from cka_core.jobs.cluster import ClusterUnavailable
from cka_core.jobs.cluster_files import version_digest
from cka_core.jobs.submit import CheckSpec
from tests.clusters import end, processes, wait_for, workers

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def store(store, monkeypatch):
    monkeypatch.setattr(cluster_files, "version_digest", lambda: "tested")
    yield store
    end(store)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("cluster") / "store")
    yield store
    end(store)


@pytest.fixture
def running(lasting, store, monkeypatch):
    """A store whose cluster runs already, for tests that leave it running."""
    monkeypatch.setenv("CKA_STORE", lasting.root)
    cluster.start(lasting)
    wait_for(lambda: workers(lasting))
    return lasting


def home(store: Store) -> Path:
    return cluster_files.folder(store)


def log(store: Store) -> str:
    return (home(store) / "log.txt").read_text()


def state(key: str, store: Store) -> str:
    status = submit.status(key, store)
    assert status is not None
    return status.state


# One, and only for its owner


def test_starts_once_and_stops(store):
    assert cluster.status(store) == []
    started = cluster.start(store)
    assert cluster.start(store) == started
    assert cluster.status(store) == [started]
    assert started.alive and started.current
    assert cluster.is_alive(started.name, store)
    wait_for(lambda: workers(store))
    assert cluster.stop(store) == [started]
    assert not workers(store)
    wait_for(lambda: not processes(store))
    assert cluster.status(store) == []
    assert not cluster.is_alive(started.name, store)
    assert not list(home(store).glob("work-*"))


def test_one_that_wakes_up_is_kept_and_one_that_hangs_is_replaced(store, monkeypatch):
    started = cluster.start(store)
    address = cluster_files.address_file(home(store), started.digest)

    def fall_silent() -> None:
        os.kill(started.pid, signal.SIGSTOP)
        os.utime(address, (0, 0))
        assert not cluster.is_alive(started.name, store)

    fall_silent()
    threading.Timer(0.3, os.kill, (started.pid, signal.SIGCONT)).start()
    assert cluster.start(store) == started
    monkeypatch.setattr(cluster, "WAKE_SECONDS", 0.1)
    fall_silent()
    other = cluster.start(store)
    assert other.id != started.id and not cluster_files.is_running(started)


def test_racing_programs_start_one(store):
    code = f"""
from cka_core.jobs import cluster, cluster_files
from cka_core.base.store import Store
cluster_files.version_digest = lambda: "tested"
print(cluster.start(Store({store.root!r})).id)
"""
    environment = {name: value for name, value in os.environ.items() if name != "CKA_STORE"}
    racing = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
        for _ in range(2)
    ]
    ids = {process.communicate()[0].strip() for process in racing}
    assert ids == {cluster.start(store).id}
    assert log(store).count("bytes a worker") == 1
    assert sum("cka_core.jobs.cluster_process" in process.cmdline() for process in processes(store)) == 1


def test_a_worker_of_another_role_comes_when_a_job_waits_for_it(store, monkeypatch):
    cluster.start(store)
    wait_for(lambda: workers(store))
    key = submit.submit("check", CheckSpec(steps=2), "compare", store)
    wait_for(lambda: state(key, store) == "done")
    assert len(workers(store)) == 1
    monkeypatch.setitem(submit.ROLES, "check", "train")
    other = submit.submit("check", CheckSpec(steps=3), "train", store)
    wait_for(lambda: state(other, store) == "done")
    processes = {records.record(job, store)["process"] for job in (key, other)}
    assert processes == {process.pid for process in workers(store)} and len(processes) == 2


def test_each_role_has_its_share_of_the_memory(running):
    assert set(cluster_process.MEMORY_SHARES) == set(cluster_process.RESOURCES) == set(submit.ROLES.values())
    assert sum(cluster_process.MEMORY_SHARES.values()) <= 0.9
    limits = cluster.start(running).memory_limits
    assert limits["train"] > limits["compare"] > 0
    said = cluster_files.about_workers(running, "train")
    assert f"The train worker may use {limits['train'] / 2**30:.1f} GB." in said


def test_the_address_file_of_another_version_is_read_all_the_same(store):
    started = cluster.start(store)
    path = cluster_files.address_file(home(store), started.digest)
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "memory_limit": 1, "colour": "red"}))
    assert cluster.status(store) == [started]


def test_a_second_process_for_the_same_store_ends_at_once(running):
    first = cluster.status(running)
    assert cluster_process.serve(running) is False
    assert cluster.status(running) == first


def test_certificate_is_needed_and_private(running):
    from distributed import Client
    from distributed.security import Security

    address = cluster.start(running).address
    private = home(running) / "private"
    assert private.stat().st_mode & 0o777 == 0o700
    assert (private / "cluster.pem").stat().st_mode & 0o777 == 0o600

    port = int(address.rsplit(":", 1)[1])
    with pytest.raises(OSError):
        Client(f"tcp://127.0.0.1:{port}", timeout=1)
    with pytest.raises(OSError):
        Client(address, security=Security.temporary(), timeout=1)

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            with context.wrap_socket(plain) as stranger:
                assert stranger.recv(1) != b"", "closed without a word"
        pytest.fail("the scheduler talks to a stranger")


def test_sockets_listen_on_loopback_and_show_no_page(running):
    wait_for(lambda: "Starting worker compute stream" in log(running))
    found = [
        connection.laddr
        for process in processes(running)
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(found) >= 4
    assert {address.ip for address in found} == {"127.0.0.1"}
    anyone = ssl._create_unverified_context()
    for address in found:
        with pytest.raises(OSError) as refusal:
            urllib.request.urlopen(f"http://127.0.0.1:{address.port}/", timeout=2)
        assert not isinstance(refusal.value, urllib.error.HTTPError), "it is not encrypted"
        for page in ("", "health", "info/main/workers.html", "metrics", "status"):
            with pytest.raises(OSError):
                urllib.request.urlopen(f"https://127.0.0.1:{address.port}/{page}", timeout=2, context=anyone)


def test_workers_are_asked_to_report_every_few_seconds_only(running):
    from distributed import Client

    told = {"address": "tls://127.0.0.1:1", "metrics": {}, "executing": {}, "extensions": {}}
    address, security = cluster.start(running).address, cluster_files.security(home(running))
    with Client(address, security=security, timeout=120) as client:
        answer = client.sync(client.scheduler.heartbeat_worker, **told)
    assert answer == {"status": "missing", "heartbeat-interval": cluster_process.HEARTBEAT}


# It leaves


def test_leaves_when_the_store_vanishes(store):
    cluster.start(store)
    wait_for(lambda: workers(store))
    key = submit.submit("check", CheckSpec(steps=400), "check", store)
    wait_for(lambda: state(key, store) == "running")
    shutil.rmtree(store.root, ignore_errors=True)
    shutil.rmtree(store.root, ignore_errors=True)
    wait_for(lambda: not processes(store))
    assert not Path(store.root, "cluster").exists() and not Path(store.root, "jobs").exists()


def test_leaves_when_idle(store, monkeypatch):
    monkeypatch.setenv("CKA_IDLE_MINUTES", str(1.2 / 60))
    cluster.start(store)
    key = submit.submit("check", CheckSpec(steps=40), "longer than the idle time", store)
    wait_for(lambda: state(key, store) != "queued" and state(key, store) != "running")
    assert state(key, store) == "done"
    ended = records.record(key, store)["finished"]
    wait_for(lambda: not cluster.status(store))
    assert time.time() - ended > 1.1, "the idle time begins when the work ends"
    wait_for(lambda: not processes(store))
    assert "it is idle" in log(store)


def test_another_version_gets_its_own_and_the_old_one_ends_its_work_first(store, monkeypatch):
    old = cluster.start(store)
    key = submit.submit("check", CheckSpec(steps=60), "old", store)
    wait_for(lambda: state(key, store) == "running")
    monkeypatch.setattr(cluster_files, "version_digest", lambda: "newer")
    new = cluster.start(store)
    assert new.digest == "newer" and new.address != old.address
    assert [found.digest for found in cluster.status(store)] == ["newer", "tested"]
    assert state(key, store) == "running"
    wait_for(lambda: not cluster.is_alive(old.name, store))
    assert state(key, store) == "done"
    wait_for(lambda: not cluster_files.is_running(old))
    assert cluster.status(store) == [new]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_leaves_on_a_signal_in_the_foreground(store, number):
    code = "from cka_core.jobs import cluster; from cka_core.base.store import Store; cluster.command_start(Store())"
    shown = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    wait_for(lambda: workers(store))
    shown.send_signal(number)
    assert shown.communicate(timeout=120)[0].splitlines()[-1] == "The cluster has ended."
    assert shown.returncode == 0
    assert not workers(store)
    wait_for(lambda: not processes(store))
    assert cluster.status(store) == []


# What can be wrong


def test_only_a_local_store_has_a_local_cluster():
    with pytest.raises(ClusterUnavailable, match="CKA_SCHEDULER"):
        cluster.start(Store("memory://somewhere"))


def test_tells_why_it_did_not_start(store):
    home(store).mkdir(parents=True)
    (home(store) / "private").write_text("in the way")
    with pytest.raises(ClusterUnavailable, match=r"did not start: FileExistsError.*log\.txt"):
        cluster.start(store)


def test_a_class_is_told_no_folder_of_the_machine_where_workers_end(store, monkeypatch):
    monkeypatch.setenv("CKA_MODE", "class")
    home(store).mkdir(parents=True)
    (home(store) / "private").write_text("in the way")
    where = f"Whoever runs this finds the log in the store, in cluster/{cluster_files.host()}/log.txt."
    with pytest.raises(ClusterUnavailable, match="did not start: FileExistsError") as refusal:
        cluster.start(store)
    for told in (str(refusal.value), records.killed_twice("train", store)):
        assert told.endswith(where) and store.root not in told


def test_a_lock_excludes_and_ends(tmp_path):
    with locks.file_lock(tmp_path / "lock", 0):
        with pytest.raises(TimeoutError, match="stayed locked"):
            with locks.file_lock(tmp_path / "lock", 0.05):
                pytest.fail("two hold the lock")
    with locks.file_lock(tmp_path / "lock", 0):
        pass


def test_a_full_log_is_put_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_process, "LOG_LIMIT", 10)
    path = tmp_path / "log.txt"
    with open(path, "ab", buffering=0) as written:
        written.write(b"much too long a line\n")
        cluster_process._bound_log(path)
        written.write(b"next\n")
    assert path.read_bytes() == b"next\n"
    assert (tmp_path / "log.1.txt").read_bytes() == b"much too long a line\n"


def test_digest_changes_with_the_source(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "cka_core", tmp_path / "cka_core", ignore=shutil.ignore_patterns("demo", "__pycache__"))
    monkeypatch.setattr(cluster_files, "__file__", str(tmp_path / "cka_core" / "jobs" / "cluster_files.py"))
    before = version_digest()
    assert version_digest() == before
    with open(tmp_path / "cka_core" / "comparing" / "engine.py", "a") as file:
        file.write("# changed\n")
    changed = version_digest()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.2.3")
    assert len({before, changed, version_digest()}) == 3


# A cluster elsewhere


def test_remote_cluster_with_the_same_code(running, monkeypatch):
    """The certificate comes from Dask's own configuration there."""
    there = cluster.start(running)
    pem = str(home(running) / "private" / "cluster.pem")
    certificates = {"distributed.comm.tls.ca-file": pem, "distributed.comm.tls.client.cert": pem}
    monkeypatch.setenv("CKA_SCHEDULER", there.address)
    with dask.config.set(certificates):
        key = submit.submit("check", CheckSpec(steps=3), "check", running)
        wait_for(lambda: state(key, running) == "done")
    assert running.read_record(f"jobs/{key}/status.json")["cluster"] == there.address


def test_a_cluster_is_asked_from_a_notebook_where_a_loop_runs_already(running, monkeypatch):
    there = cluster.start(running)
    monkeypatch.setattr(cluster, "_clients", {})

    async def ask() -> str:
        with cluster._client(there.address, cluster_files.security(home(running))) as client:
            return client.status

    with ThreadPoolExecutor(1) as thread:  # in this one, a browser's loop may run
        assert thread.submit(asyncio.run, ask()).result() == "running"


def test_remote_cluster_that_does_not_answer(store, monkeypatch, capsys):
    monkeypatch.setenv("CKA_SCHEDULER", "tcp://127.0.0.1:9")
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.3)
    key = submit.submit("check", CheckSpec(), "check", store)
    status = submit.status(key, store)
    assert status.state == "failed" and "correct CKA_SCHEDULER" in status.error
    assert not processes(store)
    cluster.command_stop(store)
    assert "leaves alone" in capsys.readouterr().out


def test_commands_tell(store, capsys):
    cluster.command_status(store)
    assert "The first job starts one." in capsys.readouterr().out
    submit.command_check(store)
    assert "The cluster works" in capsys.readouterr().out
    cluster.command_status(store)
    assert f"process {cluster.status(store)[0].pid}" in capsys.readouterr().out
    cluster.command_stop(store)
    assert "Ended the cluster" in capsys.readouterr().out


def test_threads_share_the_start(store):
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(cluster.start(store).id)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and len(set(found)) == 1


def test_a_key_whose_permissions_were_loosened_is_mended_and_that_is_said(store, caplog):
    home = cluster_files.folder(store)
    cluster_files.security(home)
    private = home / "private"
    (private / "cluster.pem").chmod(0o644)
    private.chmod(0o755)
    assert not caplog.records
    cluster_files.security(home)
    assert [place.stat().st_mode & 0o777 for place in (private, private / "cluster.pem")] == [0o700, 0o600]
    assert "Others could read" in caplog.text and "cluster stop" in caplog.text


def test_a_key_of_another_user_is_refused(store, monkeypatch):
    home = cluster_files.folder(store)
    cluster_files.security(home)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(cluster_files.ClusterUnavailable, match="belongs to another user"):
        cluster_files.security(home)


def test_a_certificate_that_finds_no_room_leaves_no_part_of_its_key(tmp_path, monkeypatch):
    def full(*places):
        raise OSError(errno.ENOSPC, "it says")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError):
        cluster_files.security(tmp_path)
    assert list((tmp_path / "private").iterdir()) == []
