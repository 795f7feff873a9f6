"""Run the tests on every Python from 3.10 to 3.13 that is found, and with the lowest and the highest versions allowed.

    python scripts/test_pythons.py            the tests that need neither TensorFlow nor a browser, or make test-pythons
    python scripts/test_pythons.py --whole    all of them: some 3 GB and half an hour for each Python

Each Python has an environment of its own under ``.venv-pythons``, with the versions pinned for it. The lowest versions
are tried on the oldest Python that is found, the highest on the newest. Pythons that are not found are named. Ends with
1 where a test fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venv-pythons"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
IN_VENV = "Scripts/python.exe" if os.name == "nt" else "bin/python"
HEAVY = ("tensorflow", "keras", "jax", "playwright", "pytest-playwright", "ruff", "mypy", "pandas-stubs",
         "types-tqdm")  # fmt: skip
"""What the tests without TensorFlow and a browser do without."""
BROUGHT = ("ml_dtypes",)
"""What TensorFlow brings along and these tests import."""


def find(version: str) -> str | None:
    """A Python of this version that can make environments: on the path, or one of pyenv's."""
    names = [f"python{version}", f"py -{version}"] if os.name == "nt" else [f"python{version}"]
    places = [path for name in names if (path := shutil.which(name))]
    places += [str(path) for path in sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))]
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for place in places:
        try:
            answer = subprocess.run([place, "-c", code], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if answer.returncode == 0 and answer.stdout.strip() == version:
            return place
    return None


def requirements(whole: bool) -> list[str]:
    """The lines of both lists of requirements that the chosen tests need."""
    files = [(ROOT / name).read_text().splitlines() for name in ("requirements.txt", "requirements-dev.txt")]
    lines = [line.split("#")[0].strip() for file in files for line in file]
    asked = [line for line in lines if line and not line.startswith("-")]
    return asked if whole else [*(line for line in asked if name_of(line) not in HEAVY), *BROUGHT]


def name_of(line: str) -> str:
    return re.split(r"[<>=\[]", line)[0].strip()


def lowest(lines: list[str]) -> list[str]:
    """The same with the lowest version of each range."""
    return [re.sub(r">=([\d.]+).*", r"==\1", line) for line in lines]


def runs(found: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """What is run: a name, a Python, and which versions: "pinned", "lowest" or "highest"."""
    for version, python in found.items():
        yield f"{version}, pinned", python, "pinned"
    if found:
        oldest, newest = next(iter(found)), list(found)[-1]
        yield f"{oldest}, lowest", found[oldest], "lowest"
        yield f"{newest}, highest", found[newest], "highest"


def environment(name: str, python: str, which: str, whole: bool) -> Path:
    """The Python of an environment, made if need be, with the versions that are to be tried."""
    folder = ENVIRONMENTS / re.sub(r"\W+", "-", name)
    own = folder / IN_VENV
    if not own.exists():
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    asked = requirements(whole)
    file = folder / "asked.txt"
    file.write_text("\n".join(lowest(asked) if which == "lowest" else asked) + "\n")
    command = [
        str(own),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "-r",
        str(file),
    ]
    if which == "pinned":
        command += ["--constraint", str(ROOT / "constraints" / f"python{name.partition(',')[0]}.txt")]
    command += ["--upgrade"] if which == "highest" else []
    subprocess.run(command, check=True)
    return own


def tests(whole: bool) -> list[str]:
    """The words after ``python -m pytest``: those of ``make test-pure``, or of ``make test``."""
    recipe = "test" if whole else "test-pure"
    text = (ROOT / "Makefile").read_text()
    found = re.search(rf"^{recipe}:.*?-m pytest (.*?)$", text, re.M | re.S)
    assert found is not None
    return found[1].split()


def main(arguments: list[str]) -> int:
    whole = arguments == ["--whole"]
    if arguments and not whole:
        print(__doc__, file=sys.stderr)
        return 2
    places = {version: find(version) for version in PYTHONS}
    found = {version: place for version, place in places.items() if place}
    results = {}
    for name, python, which in runs(found):
        print(f"== Python {name} versions", flush=True)
        try:
            own = environment(name, python, which, whole)
            results[name] = subprocess.run([str(own), "-m", "pytest", "-q", *tests(whole)], cwd=ROOT).returncode == 0
        except subprocess.CalledProcessError:
            results[name] = False
    print()
    for name, passed in results.items():
        print(f"Python {name} versions: {'passed' if passed else 'FAILED'}")
    for version in PYTHONS:
        if version not in found:
            print(f"Python {version}: not found here, not tested")
    return 0 if results and all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
