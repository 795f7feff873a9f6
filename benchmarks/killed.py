"""What is done in a forked process, killed with -9 at a call or a return of a Python function that a seed draws."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

HANG = 180.0
"""Seconds after which what was forked counts as hanging, and is killed."""


def forked(do: Callable[[], object], at: int | None = None) -> int:
    """Do something in a forked process; ``at`` has it killed at that call or return of a Python function.

    Returns the number of calls and returns that there were without a kill, 0 for a kill. Anything raised that is not a
    ValueError ends in a RuntimeError here, a hang in a TimeoutError.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(do, at, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        deadline = time.monotonic() + HANG
        while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                raise TimeoutError
            time.sleep(0.0005)
        _, status = os.waitpid(child, 0)
        told = pipe.read().decode()
    if os.WIFSIGNALED(status):
        return 0
    if not told.isdigit():
        raise RuntimeError(told)
    return int(told)


def _in_child(do: Callable[[], object], at: int | None, answer: int) -> None:
    count = 0

    def step(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    told = ""
    try:
        sys.setprofile(step)
        with contextlib.suppress(ValueError):
            do()
    except BaseException as error:
        told = f"{type(error).__name__}: {error}"[:1000]
    finally:
        sys.setprofile(None)
        os.write(answer, (told or str(count)).encode())
        os._exit(0)
