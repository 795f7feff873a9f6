"""What a library says when it fails, in a line without this machine's folders."""

from __future__ import annotations

import pytest

from cka_core.base import failures
from cka_core.base.failures import LONGEST, in_short

TENSORFLOW = """Graph execution error:

Detected at node embedding_1/GatherV2 defined at (most recent call last):
  File "/root/server/lib/python3.12/site-packages/cka_core/jobs/worker.py", line 38, in run_job

  File "<frozen runpy>", line 198, in _run_module_as_main

indices[0,3] = 999 is not in [0, 100)
\t [[{{node embedding_1/GatherV2}}]] [Op:__inference_run_31]"""
KERAS = """Exception encountered when calling Conv2D.call().

\x1b[1mNegative dimension size caused by subtracting 3 from 2.\x1b[0m

Arguments received by Conv2D.call():
  • inputs=tf.Tensor(shape=(4, 2, 2, 3), dtype=float32)"""


@pytest.mark.parametrize(
    "error, told",
    [
        (KeyError("layer"), "KeyError: 'layer'"),
        (RuntimeError(TENSORFLOW), "RuntimeError: indices[0,3] = 999 is not in [0, 100)"),
        (ValueError(KERAS), "ValueError: Negative dimension size caused by subtracting 3 from 2"),
        (FileNotFoundError(2, "No such file", "/root/a/b.npz"), "FileNotFoundError: [Errno 2] No such file: 'b.npz'"),
        (OSError(r"C:\Users\me\store\x.json is gone"), "OSError: x.json is gone"),
        (OSError("https://host/a/b: block1/conv of 1/2/3"), "OSError: https://host/a/b: block1/conv of 1/2/3"),
        (RuntimeError(), "RuntimeError: it says nothing more"),
        (RuntimeError("  File x\n"), "RuntimeError: File x"),
    ],
)
def test_the_last_line_that_says_something_is_told_without_folders(error, told):
    assert in_short(error) == told


def test_a_long_line_is_cut():
    assert len(in_short(RuntimeError("x" * 1000))) == LONGEST and in_short(RuntimeError("x" * 1000)).endswith("x…")


def refuse(text):
    raise ValueError(text)


def test_one_of_several_that_is_refused_keeps_no_other_from_being_done():
    done = []
    pieces = [lambda: refuse("Too few."), lambda: done.append(1), lambda: refuse("Too many."), lambda: done.append(2)]
    with pytest.raises(ValueError, match=r"^Too few\. Too many\.$"):
        failures.each(pieces)
    assert done == [1, 2]
    failures.each([])


def test_what_two_of_several_are_refused_for_is_of_all_of_them():
    done = []
    with pytest.raises(ValueError, match=r"^No such layer\.$"):
        failures.each([lambda: refuse("No such layer.")] * 2 + [lambda: done.append(1)])
    assert not done
