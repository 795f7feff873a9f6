"""``doctor``: what is here, what is wrong with it, and what to do.

Nothing is changed but one small file that is written to the store and removed. TensorFlow is asked in a process of its
own.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from cka_core.base import deployment, shipped, visitors
from cka_core.base.extras import EXTRAS
from cka_core.base.store import Store, gram_budget
from cka_core.base.words import counted, size_text
from cka_core.cli.options import StoreOption

OK, NOTE, PROBLEM = "ok", "note", "problem"
PYTHONS = ((3, 10), (3, 13))
NEEDED = ("numpy", "scipy", "threadpoolctl", "pillow", "fsspec", "platformdirs", "msgspec", "psutil", "typer", "tqdm")
SETTINGS = {
    "CKA_STORE", "CKA_GRAM_BUDGET", "CKA_SCHEDULER", "CKA_IDLE_MINUTES", "CKA_MODE", "CKA_TEACHER_KEY", "CKA_ADDRESS",
    "CKA_DEBUG", "CKA_BROWSER", *(limit.variable for limit in deployment.LIMITS.values()),
}  # fmt: skip
LITTLE, VERY_LITTLE = 5e9, 5e8
"""Bytes free on the disk: of which little can be kept, and of which nothing can be relied on."""
FEW_GB = 4e9
FIRST_PORT = 8501
TENSORFLOW_SECONDS = 180
TENSORFLOW = "from cka_core.training import devices; print(devices.choose().words)"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line: how it is ("ok", "note" or "problem"), what it is about, what was found, and what to do."""

    state: str
    about: str
    told: str
    todo: str = ""


def doctor(
    store: StoreOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="Do not start TensorFlow to see its devices.")] = False,
) -> None:
    """Look at versions, devices, store, disk, cluster, data and ports; say what to do. Exits with 1 for a problem."""
    found = list(findings(Store(store), quick))
    for line in table(found):
        print(line)
    problems, notes = (sum(one.state == state for one in found) for state in (PROBLEM, NOTE))
    print(f"\nproblems: {problems}, notes: {notes}")
    if problems:
        raise SystemExit(1)


def findings(store: Store, quick: bool) -> Iterator[Finding]:
    """Everything that is looked at, in the order of the table. What cannot be looked at is a problem by itself."""
    checks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("Python", python), ("packages", packages), ("settings", settings), ("memory", memory),
        ("store", lambda: place(store)), ("permissions", lambda: permissions(store)), ("disk", lambda: disk(store)),
        ("cluster", lambda: cluster(store)), ("data", lambda: data(store)), ("port", port),
    ]  # fmt: skip
    checks += [] if quick else [("devices", devices)]
    for about, check in checks:
        try:
            yield from check()
        except Exception as error:
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            yield Finding(PROBLEM, about, f"could not be looked at: {kind}{error}")


def table(found: Iterable[Finding]) -> Iterator[str]:
    """The findings as lines for a terminal."""
    width = max(60, min(120, shutil.get_terminal_size((100, 24)).columns))
    for one in found:
        head = f"{one.state:8} {one.about:12} "
        yield from textwrap.wrap(head + one.told, width, subsequent_indent=" " * len(head), break_long_words=False)
        if one.todo:
            indent = " " * len(head)
            yield from textwrap.wrap(f"{indent}-> {one.todo}", width, subsequent_indent=f"{indent}   ",
                                     break_long_words=False)  # fmt: skip


def python() -> Iterator[Finding]:
    about = f"{platform.python_version()} ({platform.python_implementation()}) on {platform.platform()}"
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        yield Finding(OK, "Python", about)
    else:
        yield Finding(PROBLEM, "Python", about, "Use 3.10 to 3.13: PYTHON=/path/to/python3.12 make run.")


def packages() -> Iterator[Finding]:
    for names, state, what, todo in (
        (NEEDED, PROBLEM, "what everything needs", "Run make setup, or python scripts/setup.py."),
        (EXTRAS["keras"], NOTE, "Keras models", 'For them: python -m pip install ".[keras]", or make setup.'),
        (EXTRAS["app"], NOTE, "the page", 'For it: python -m pip install ".[app]", or make setup.'),
    ):
        here = {name: _version(name) for name in names}
        missing = [name for name, version in here.items() if not version]
        told = ", ".join(f"{name} {version}" for name, version in here.items() if version)
        if missing:
            yield Finding(state, "packages", f"{what}: {', '.join(missing)} missing{'; ' + told if told else ''}", todo)
        else:
            yield Finding(OK, "packages", f"{what}: {told}")
    if torch := _version("torch"):
        yield Finding(OK, "packages", f"PyTorch models: torch {torch}")
    old = [f"{name} {_version(name)}, expected {asked}" for name, asked in _asked().items() if not _is_in(name, asked)]
    if old:
        yield Finding(PROBLEM, "packages", f"other versions than were tested: {'; '.join(old)}", "Run make setup.")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _asked() -> dict[str, str]:
    """The ranges of versions that are asked for, where the project's own file is beside the package."""
    file = Path(__file__).resolve().parents[2] / "requirements.txt"
    lines = file.read_text().splitlines() if file.is_file() else []
    found = (re.fullmatch(r"([A-Za-z0-9_.-]+)((?:[<>=]=?[\d.]+,?)+)", line.strip()) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _is_in(name: str, asked: str) -> bool:
    """Whether a version is in a range; one that is not here is told of elsewhere."""
    version = _numbers(_version(name))
    limits = [(part[:2], _numbers(part[2:])) if part[1] == "=" else (part[:1], _numbers(part[1:]))
              for part in asked.split(",")]  # fmt: skip
    return not version or all(version >= limit if sign == ">=" else version < limit for sign, limit in limits)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def settings() -> Iterator[Finding]:
    here = sorted(name for name in os.environ if name.startswith("CKA_"))
    unknown = [name for name in here if name not in SETTINGS]
    if unknown:
        yield Finding(NOTE, "settings", f"{', '.join(unknown)}: no such setting", "README has the table of them.")
    mode = deployment.mode()
    for name in deployment.LIMITS:
        deployment.most(name)
    if mode == deployment.CLASS and len(os.environ.get("CKA_TEACHER_KEY", "")) < visitors.SHORTEST_TEACHER_KEY:
        yield Finding(PROBLEM, "settings", "class mode without a teacher's key", "Start with make class.")
    told = {"": "your own computer", "class": "a class", "read-only": "to be looked at only"}[mode]
    names = ", ".join(name for name in here if name in SETTINGS) or "none set"
    yield Finding(OK, "settings", f"for {told}; {names}")


def memory() -> Iterator[Finding]:
    import psutil

    found = psutil.virtual_memory()
    told = f"{size_text(found.available)} of {size_text(found.total)} free, {os.cpu_count()} processors"
    if found.available < FEW_GB:
        yield Finding(NOTE, "memory", told, "Training and large comparisons want 4 GB free: end other programs.")
    else:
        yield Finding(OK, "memory", told)


def place(store: Store) -> Iterator[Finding]:
    from cka_core.base import full_disk
    from cka_core.library import inventory, usage

    try:
        full_disk.check_store(store, writes=deployment.mode() != deployment.READ_ONLY)
        if deployment.mode() != deployment.READ_ONLY:
            store.write_record("doctor.json", {})
            store.remove(store.path("doctor.json"))
    except (OSError, ValueError) as error:
        yield Finding(PROBLEM, "store", full_disk.in_words(error, store) or str(error))
        return
    kept = ", ".join(f"{size_text(size)} {what}" for what, size in usage.sizes(store).items()) or "nothing kept yet"
    yield Finding(OK, "store", f"{store.root}: {kept}")
    damaged = inventory.damaged(store)
    if damaged:
        told = "; ".join(one.what for one in damaged[:3]) + (f"; {len(damaged) - 3} more" if damaged[3:] else "")
        yield Finding(NOTE, "store", f"damaged: {told}", "The Library page says what each was, and removes it.")


def permissions(store: Store) -> Iterator[Finding]:
    if not store.is_local or os.name == "nt":
        yield Finding(OK, "permissions", "those of the storage, not looked at")
        return
    root, problems = Path(store.path("")), []
    if root.exists() and root.stat().st_mode & stat.S_IWOTH:
        problems.append((f"everybody may write to {root}", f"chmod o-w {root}"))
    for key in root.glob("cluster/*/private/cluster.pem"):
        for path in (key, key.parent):
            found = path.stat()
            if found.st_uid != os.getuid():
                problems.append((f"{path} belongs to another user", "Remove it, or set CKA_STORE to your own folder"))
            elif found.st_mode & 0o077:
                problems.append((f"others may read {path}", f"chmod go-rwx {path}"))
    for told, todo in problems:
        yield Finding(PROBLEM, "permissions", told, f"{todo}.")
    if not problems:
        yield Finding(OK, "permissions", "the store is this user's, and so are the cluster's keys")


def disk(store: Store) -> Iterator[Finding]:
    free = store.free()
    if free is None:
        yield Finding(OK, "disk", "elsewhere, not looked at")
        return
    room = max(0, gram_budget() - store.size("grams"))
    told = f"{size_text(free)} free; comparisons may keep {size_text(room)} more of Gram matrices"
    todo = "Make room, set CKA_GRAM_BUDGET lower, or CKA_STORE to a folder on another disk."
    state = PROBLEM if free < VERY_LITTLE else NOTE if free < max(LITTLE, room) else OK
    yield Finding(state, "disk", told, todo if state != OK else "")


def cluster(store: Store) -> Iterator[Finding]:
    from cka_core.jobs import cluster as clusters
    from cka_core.jobs import records

    remote = os.environ.get("CKA_SCHEDULER")
    if remote:
        host, _, number = remote.rpartition("//")[2].partition(":")
        try:
            with socket.create_connection((host, int(number or 8786)), timeout=3):
                yield Finding(OK, "cluster", f"something listens at {remote} (CKA_SCHEDULER)")
        except (OSError, ValueError) as error:
            todo = "Start it, correct CKA_SCHEDULER, or unset it to use this machine's own cluster."
            yield Finding(PROBLEM, "cluster", f"nothing answers at {remote} ({error})", todo)
        return
    waiting = len(records.active_keys(store))
    jobs = f"{counted(waiting, 'job')} asked for"
    found = clusters.status(store)
    silent = [one for one in found if not one.alive]
    for one in found:
        if one.alive:
            yield Finding(OK, "cluster", f"runs in process {one.pid}, {jobs}")
    if silent:
        told = f"{len(silent)} ended without a word"
        yield Finding(NOTE, "cluster", told, "The next job starts another; python -m cka_core cluster stop tidies up.")
    if not found:
        yield Finding(OK, "cluster", f"none runs, the first job starts one; {jobs}")


def data(store: Store) -> Iterator[Finding]:
    from cka_core.images.full_sets import from_a_file
    from cka_core.images.sets import IMAGE_SETS, is_available

    counts = [len(list(folder.glob(ending))) for folder, ending in
              ((shipped.NETWORKS, "*.keras"), (shipped.COMPARISONS, "*.npz"), (shipped.IMAGES, "*.webp"))]  # fmt: skip
    if min(counts) == 0:
        yield Finding(PROBLEM, "data", "what ships is not all here", "Install or check out CKA Explorer again.")
    else:
        yield Finding(OK, "data", f"bundled: {counts[0]} networks, {counts[1]} comparisons, cifar10-mini")
    for name, images in IMAGE_SETS.items():
        if not images.bundled and is_available(name, store):
            yield Finding(OK, "data", f"{name} is in the store")
        elif not images.bundled:
            todo = f"It is downloaded when it is asked for. Or {from_a_file(name)}."
            yield Finding(OK, "data", f"{name} is not here", todo)


def port() -> Iterator[Finding]:
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", FIRST_PORT)) == 0
    if taken:
        todo = "If that is CKA Explorer, open it; if not, the next free port is taken, or PORT=8600 make run."
        yield Finding(NOTE, "port", f"{FIRST_PORT} is taken", todo)
    else:
        yield Finding(OK, "port", f"{FIRST_PORT} is free")


def devices() -> Iterator[Finding]:
    if not _version("tensorflow"):
        return
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        answer = subprocess.run(
            [sys.executable, "-c", TENSORFLOW], capture_output=True, text=True, env=environment,
            timeout=TENSORFLOW_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        yield Finding(PROBLEM, "devices", f"TensorFlow said nothing for {TENSORFLOW_SECONDS} s")
        return
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["it says nothing"])[-1]
        yield Finding(PROBLEM, "devices", f"TensorFlow does not start: {last}", "Run make setup again.")
    else:
        yield Finding(OK, "devices", f"a training runs on {answer.stdout.strip()}")
