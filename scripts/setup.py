"""Make ``.venv`` in the project's root and install what ``requirements.txt`` asks for.

    python scripts/setup.py          to run the app
    python scripts/setup.py --dev    to run the tests too
    python scripts/setup.py --torch  to run the tests of PyTorch models, in ``.venv-torch``

Run it with Python 3.10 to 3.13. It uses the versions pinned for that Python in ``constraints/``, and does nothing when
they are installed already. Only the standard library is used here.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IN_VENV = "Scripts/python.exe" if os.name == "nt" else "bin/python"
KINDS = {"": "requirements.txt", "--dev": "requirements-dev.txt", "--torch": "requirements-torch.txt"}
OLDEST, NEWEST = (3, 10), (3, 13)


def main(arguments: list[str]) -> int:
    kind = arguments[0] if arguments else ""
    if len(arguments) > 1 or kind not in KINDS:
        print(__doc__, file=sys.stderr)
        return 2
    venv = ROOT / (".venv-torch" if kind == "--torch" else ".venv")
    python, stamp, name = venv / IN_VENV, venv / "installed.txt", venv.name
    version = venv_version(python)
    if version is None:
        if not is_supported(sys.version_info[:2]):
            return refuse(sys.version_info[:2])
        print(f"Making {name} with Python {sys.version_info[0]}.{sys.version_info[1]} ...", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)]).returncode:
            print(
                f"Python's venv could not make {name} (see above). On Debian and Ubuntu it is a package of its own: "
                "apt-get install python3-venv. Then run this again.",
                file=sys.stderr,
            )
            return 1
        version = sys.version_info[:2]
    elif not is_supported(version):
        return refuse(
            version, f"That is what {name} has: remove the folder {name}, then run this again with such a Python."
        )

    constraints = ROOT / "constraints" / f"python{version[0]}.{version[1]}.txt"
    wanted = list(KINDS.values())[: list(KINDS).index(kind) + 1]
    done = stamp.read_text().split("\n") if stamp.exists() else []
    needed = [f"{file} {digest(constraints, ROOT / file)}" for file in wanted]
    if all(line in done for line in needed):
        return 0
    print(f"Installing {wanted[-1]} into {name}; the first time takes a few minutes ...", flush=True)
    stamp.unlink(missing_ok=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--requirement", str(ROOT / wanted[-1]), "--constraint", str(constraints)]
    if subprocess.run(command).returncode:
        print("pip could not install everything (see above). Nothing was started.", file=sys.stderr)
        return 1
    stamp.write_text("\n".join(needed) + "\n")
    return 0


def venv_version(python: Path) -> tuple[int, int] | None:
    """Major and minor version of an environment's Python; None if there is none that works and has pip."""
    code = "import sys, pip; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True)
    except OSError:
        return None
    if answer.returncode:
        return None
    major, minor = answer.stdout.split()
    return int(major), int(minor)


def is_supported(version: tuple[int, ...]) -> bool:
    return OLDEST <= version <= NEWEST


def refuse(version: tuple[int, ...], advice: str = "Run this with such a Python.") -> int:
    print(
        f"CKA Explorer needs Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}, got {version[0]}.{version[1]}. "
        + advice,
        file=sys.stderr,
    )
    return 1


def digest(*paths: Path) -> str:
    sha = hashlib.sha256()
    for path in paths:
        sha.update(path.read_bytes() + b"\0")
    return sha.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
