"""A browser for the tests and the screenshots: one that is installed, else one that is fetched.

    python scripts/browser.py        finds a browser, or fetches one, and says what it did

An installed Chrome, Chromium or Edge is taken as it is (``CKA_BROWSER`` names another). Without one, as root with
``CI=true`` and apt at hand, ``apt-get install chromium``; everywhere else ``playwright install chromium``, which needs
no rights and touches no system package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "microsoft-edge", "chrome", "msedge")
FOLDERS = {
    "darwin": ("/Applications", "~/Applications"),
    "win32": ("%ProgramFiles%", "%ProgramFiles(x86)%", "%LocalAppData%"),
}
PROGRAMS = {
    "darwin": (
        "Chromium.app/Contents/MacOS/Chromium",
        "Google Chrome.app/Contents/MacOS/Google Chrome",
        "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    ),
    "win32": (
        "Chromium/Application/chrome.exe",
        "Google/Chrome/Application/chrome.exe",
        "Microsoft/Edge/Application/msedge.exe",
    ),
}


def find() -> str | None:
    """Path of an installed Chrome, Chromium or Edge; None if there is none, and Playwright's own is to be used.

    Raises ValueError if ``CKA_BROWSER`` names a file that does not exist.
    """
    named = os.environ.get("CKA_BROWSER")
    if named:
        if not Path(named).is_file():
            raise ValueError(f"Expected CKA_BROWSER to be the path of a browser, got {named}, which is not a file.")
        return named
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    for folder in FOLDERS.get(sys.platform, ()):
        for program in PROGRAMS[sys.platform]:
            candidate = Path(os.path.expandvars(folder)).expanduser() / program
            if candidate.is_file():
                return str(candidate)
    return None


def may_use_apt() -> bool:
    """Only where nobody's computer is changed by surprise: as root, where CI says so, with apt at hand."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return root and os.environ.get("CI", "").lower() in ("1", "true") and shutil.which("apt-get") is not None


def main() -> int:
    path = find()
    if path:
        print(f"Browser for the tests: {path}")
        return 0
    if may_use_apt():
        print("No browser found; installing Debian's chromium with apt-get ...", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        path = find()
        if path:
            print(f"Browser for the tests: {path}")
            return 0
        print("apt-get gave no chromium.", flush=True)
    print("No browser found; playwright install chromium ...", flush=True)
    if subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"]).returncode:
        print(
            "The browser tests need Chromium, Chrome or Edge. None is installed, and Playwright could not fetch one. "
            "Install one of them, or set CKA_BROWSER to its path.",
            file=sys.stderr,
        )
        return 1
    print("Browser for the tests: Playwright's own Chromium")
    return 0


if __name__ == "__main__":
    sys.exit(main())
