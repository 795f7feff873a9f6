"""Files that strangers give, read in a process of their own under a memory and a time limit.

What takes a file from a browser never reads it itself: a file that is slow, large or hostile costs that process and
nobody else. ``python -m cka_core.library.incoming FILE NAME STORE`` is that process; it prints a line of JSON for each
step, and one for how it ended. Linux holds it to its memory; on other systems its memory is looked at a few times a
second, so that it may exceed the limit for that long.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cka_core.base import foreign_arrays
from cka_core.base.npz import NotReadable
from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store
from cka_core.base.visitors import Visitor
from cka_core.library import arrivals, belongings

MEMORY = 2 << 30
MEMORY_OF_KERAS = 3 << 30
"""A network is loaded, by TensorFlow, which takes a third of it."""
ADDRESSES = 8
"""Times its memory that a process with TensorFlow may ask addresses for: it asks for many and takes few."""
SECONDS = 120.0
AT_ONCE = 2
"""Files read at a time; others wait for them."""
LOOK_EVERY = 0.1
NAME_LENGTH = 200
IDS_FILE = "sample_ids.txt"

_turns = threading.BoundedSemaphore(AT_ONCE)


def take(
    file: BinaryIO, file_name: str, store: Store, report: Report = silent, *, memory: int = MEMORY,
    seconds: float = SECONDS, by: Visitor | None = None, ids: bytes | None = None,
) -> tuple[str, str]:  # fmt: skip
    """What `arrivals.bring_in` does, in a process of its own; returns the store's kind and the key.

    ``ids`` is the text file with the ids of the rows that came with activations.

    Raises ValueError, in words, for what was not taken; OSError where the file could not be kept.
    """
    if file_name.lower().endswith(".keras"):
        memory = max(memory, MEMORY_OF_KERAS)
    belongings.check_upload(by, file.seek(0, os.SEEK_END), store)
    file.seek(0)
    # No sign in it moves what a reader sees, or ends what the other process is told.
    file_name = "".join(sign if sign.isprintable() else "?" for sign in file_name)[-NAME_LENGTH:]
    arrivals.check_ending(file_name)
    report(Progress("waiting", 0, 1, "waiting for other files"))
    with _turns, tempfile.TemporaryDirectory(dir=_room(store), prefix=f"incoming-{os.getpid()}-") as folder:
        path = Path(folder) / "file"
        with open(path, "wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
        if ids is not None:
            path.with_name(IDS_FILE).write_bytes(ids)
        report(Progress("reading", 0, 1, "reading the file"))
        return _asked(path, file_name, store, report, memory, seconds, by)


def _room(store: Store) -> Path:
    """Where a copy lies while it is read: beside the store, which has room for it or cannot keep it anyway."""
    return store.scratch("scratch")


def _asked(
    path: Path, file_name: str, store: Store, report: Report, memory: int, seconds: float, by: Visitor | None
) -> tuple[str, str]:
    command = [sys.executable, "-m", __name__, str(path), file_name, _root(store), str(memory)]
    command += [by.owner, "teacher" if by.teacher else ""] if by else []
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    package = Path(__file__).resolve().parent.parent.parent
    with tempfile.TemporaryFile() as complaints, subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=complaints, stdin=subprocess.DEVNULL, cwd=package, env=environment
    ) as process, _limits(process, memory, seconds) as ended_by:  # fmt: skip
        told: dict[str, Any] = {}
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(ValueError):
                told = json.loads(line)
            if "detail" in told:
                report(Progress("reading", told["done"], told["total"], told["detail"]))
        process.wait()
    if "taken" in told:
        kind, key = told["taken"]
        return str(kind), str(key)
    if "full" in told:
        raise OSError(told["errno"], told["full"], told["where"])
    if "refused" in told:
        raise NotReadable(str(told["refused"]))
    raise NotReadable(
        f"{file_name} was not taken: reading it {ended_by[0] if ended_by else 'ended the process that did'}. Make the "
        "file again where it comes from; if the activations are your own, bring them in on the command line: "
        "python -m cka_core activations import FILE."
    )


@contextlib.contextmanager
def _limits(process: subprocess.Popen[bytes], memory: int, seconds: float) -> Iterator[list[str]]:
    """End a process that takes too long or too much memory; yields why, once it did."""
    import psutil

    why: list[str] = []
    over = threading.Event()

    def watch() -> None:
        deadline = time.monotonic() + seconds
        watched = psutil.Process(process.pid)
        while not over.wait(LOOK_EVERY):
            with contextlib.suppress(psutil.Error):
                if watched.memory_info().rss > memory:
                    why.append(f"took more than {memory / 2**30:.1f} GB of memory")
            if time.monotonic() > deadline:
                why.append(f"took more than {seconds:.0f} seconds")
            if why:
                process.kill()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    with contextlib.suppress(psutil.NoSuchProcess):
        watcher.start()
    try:
        yield why
    finally:
        over.set()
        watcher.join()
        if process.poll() is None:
            process.kill()


def _root(store: Store) -> str:
    return str(Path(store.path(".")).resolve()) if store.is_local else store.root


def _confine(memory: int) -> None:
    """Hold this process to its memory, where the system does that."""
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(ValueError, OSError):  # macOS knows the limit and does not hold it
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(path: str, file_name: str, root: str, memory: str, *visitor: str) -> None:
    """Read one file and say how that went. ``visitor``: whose it is, and whether that is the teacher."""
    by = Visitor(visitor[0], visitor[1] == "teacher") if visitor else None

    def say(**told: Any) -> None:
        print(json.dumps(told), flush=True)

    def report(progress: Progress) -> None:
        say(done=progress.done, total=progress.total, detail=progress.detail)

    _confine(int(memory) * (ADDRESSES if file_name.lower().endswith(".keras") else 1))
    try:
        beside = Path(path).with_name(IDS_FILE)
        ids = foreign_arrays.ids_in(beside) if beside.is_file() else None
        with open(path, "rb") as file:
            say(taken=arrivals.bring_in(file, file_name, Store(root), report, by, ids))
    except MemoryError:
        say(refused=f"{file_name} was not taken: reading it needs more than {int(memory) / 2**30:.1f} GB of memory.")
    except ValueError as error:
        say(refused=str(error))
    except OSError as error:
        say(full=error.strerror or str(error), errno=error.errno or 0, where=str(error.filename or ""))


if __name__ == "__main__":
    main(*sys.argv[1:])
