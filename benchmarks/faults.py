"""What malformed files do to everything that reads one, and kill -9 to everything that writes: three tables of counts.

    python benchmarks/faults.py [--files 2500] [--kills 100] [--states 100] [--seed 0] [--reader NAME]

Files: made from valid ones by seeded changes; each reader runs in a process of its own. The table has, for each: files;
taken (what it says is used afterwards, as a page does); refused in a sentence; other exceptions; hangs (longer than
20 s); peak memory of the process. Kills: see `benchmarks/kills.py`. States: how often the machine of store and jobs
(`benchmarks/states.py`) is run, 30 steps each. A number of 0 leaves a part out. All of it takes half an hour.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.readers import READERS  # noqa: E402

HANG = 20.0


def run(name: str, files: int, seed: int) -> dict[str, Any]:
    """Give a reader so many malformed files; counts, and the first few exceptions that were none of ours."""
    reader, rng = READERS[name], random.Random(f"{seed} {name}")
    counts: Counter[str] = Counter()
    others: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        valid = reader.valid(Path(folder))
        reader.read(valid, Path(folder))  # or nothing below says anything
        for number in range(files):
            change = rng.choice(reader.changes)
            data = change(valid, rng)
            began = time.monotonic()
            try:
                reader.read(data, Path(folder))
                counts["taken"] += 1
            except ValueError as error:
                counts["refused"] += 1
                if not str(error) or isinstance(error, UnicodeError):
                    others.append(f"{number} {change.__name__}: {error!r:.200}")
            except Exception as error:
                others.append(f"{number} {change.__name__}: {error!r:.200}")
            counts["hangs"] += time.monotonic() - began > HANG
    return {**counts, "files": files, "others": others}


def peak() -> float:
    """GB that this process held at most."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset / 1e9)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def malformed(files: int, seed: int, reader: str | None = None) -> int:
    """Print the table of malformed files; how many did something wrong."""
    each = -(-files // len(READERS))
    print(f"{'reader':28}{'files':>7}{'taken':>7}{'refused':>9}{'others':>8}{'hangs':>7}{'peak GB':>9}")
    bad = 0
    for name in [reader] if reader else READERS:
        command = [
            sys.executable,
            __file__,
            "--json",
            "--reader",
            name,
            "--files",
            str(each),
            "--seed",
            str(seed),
        ]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=3600)
        if answer.returncode:
            print(f"{name:28} ended with status {answer.returncode}: {answer.stderr[-500:]}")
            bad += 1
            continue
        found = json.loads(answer.stdout)
        counts = [found.get(kind, 0) for kind in ("files", "taken", "refused")] + [len(found["others"])]
        hangs = found.get("hangs", 0)
        columns = f"{counts[0]:7}{counts[1]:7}{counts[2]:9}{counts[3]:8}{hangs:7}{found['peak']:9.2f}"
        print(f"{name:28}{columns}", flush=True)
        for other in found["others"][:5]:
            print(f"    {other}")
        bad += counts[3] + hangs
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2500)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--states", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", choices=READERS, help="This one alone, and neither kills nor states.")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if asked.json:
        print(json.dumps(run(asked.reader, asked.files, asked.seed) | {"peak": peak()}))
        return 0
    bad = malformed(asked.files, asked.seed, asked.reader) if asked.files else 0
    if asked.kills and not asked.reader:
        from benchmarks import kills

        bad += kills.main(asked.kills, asked.seed)
    if asked.states and not asked.reader:
        from benchmarks import states

        states.run(asked.states, 30, asked.seed)
        print(f"{asked.states} runs of 30 steps of store and jobs: every state lists, opens or explains")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
