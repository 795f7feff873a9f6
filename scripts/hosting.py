"""Make a folder to be shown by a host of Streamlit apps: ``python scripts/hosting.py FOLDER NAME``.

FOLDER is made: the app, what ships with it, and a list of the packages that a page needs which only shows, without
TensorFlow and a cluster. NAME is the host name that it will have, my-maps.streamlit.app for example: any other is
refused. Put the folder into a repository of its own and give the host app.py as the file to run, and
``CKA_MODE = "read-only"`` as a secret, which Streamlit makes a setting. docs/deploy.md has the steps.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TAKEN = ("app.py", "pages", "cka_core", "LICENSE")
NOT_NEEDED = ("tensorflow", "keras", "h5py", "distributed", "cryptography")
"""What computes, and nothing here does."""


def requirements() -> str:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    asked = [line for line in lines if line and not line.startswith("#")]
    kept = [line for line in asked if re.split(r"[<>=]", line)[0] not in NOT_NEEDED]
    return "# To look at CKA Explorer's maps only.\n" + "\n".join(kept) + "\n"


def settings(name: str) -> str:
    """Streamlit's settings: it listens where the host looks for it, and answers to its own name and this computer's."""
    text = (ROOT / ".streamlit" / "config.toml").read_text()
    text, addresses = re.subn(r"^address = .*\n", "", text, flags=re.M)
    text, hosts = re.subn(
        r"^allowedHosts = .*$", f'allowedHosts = ["{name}", "127.0.0.1", "localhost", "::1"]', text, flags=re.M
    )
    assert addresses == hosts == 1
    return text


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or not re.fullmatch(r"[a-z0-9.-]+", arguments[1]):
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    if folder.exists():
        print(f"Expected a folder that is not there yet, got {folder}.", file=sys.stderr)
        return 2
    folder.mkdir(parents=True)
    for item in TAKEN:
        source = ROOT / item
        if source.is_dir():
            shutil.copytree(source, folder / item, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "config.toml").write_text(settings(arguments[1]))
    (folder / "requirements.txt").write_text(requirements())
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f'Made {folder}, {size / 1e6:.0f} MB. Secret: CKA_MODE = "read-only"')
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
