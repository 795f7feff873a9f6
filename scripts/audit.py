"""Hold the pinned versions against the known vulnerabilities: ``python scripts/audit.py``, or ``make audit``.

pip-audit is installed into ``.venv-audit``, apart from everything else. It asks PyPI's database, then OSV's. Ends with
0 where nothing is known against any version, with 1 where something is, and with 2 where no database could be asked:
that is no clean bill.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-audit"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
SERVICES = ("pypi", "osv")
SECONDS = 120


def install() -> None:
    """Make the environment with pip-audit, if it is not there."""
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pip-audit>=2.9"]
    subprocess.run(command, check=True)


def ask(pins: Path, service: str) -> Any:
    """What a database says of a file of pinned versions, as pip-audit's JSON; None where it says nothing."""
    command = [str(PYTHON), "-m", "pip_audit", "--requirement", str(pins), "--no-deps", "--disable-pip"]
    command += ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        return json.loads(answer.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None


def outcome(report: Any) -> tuple[list[str], int, int]:
    """Of a report: a line for each version with something known against it, how many were looked up, and how many not.

    pip-audit counts what its database does not know as passed; here it counts as not looked up.
    """
    if report is None:
        return [], 0, 0
    found, asked, passed_over = [], 0, 0
    for package in report["dependencies"]:
        if "skip_reason" in package:
            passed_over += 1
            continue
        asked += 1
        for one in package["vulns"]:
            mended = ", ".join(one["fix_versions"]) or "no version yet"
            found.append(f"{package['name']} {package['version']}: {one['id']}, mended in {mended}")
    return found, asked, passed_over


def main() -> int:
    install()
    known: set[str] = set()
    blind, services = False, list(SERVICES)
    for pins in sorted((ROOT / "constraints").glob("*.txt")):
        found: list[str] = []
        asked, passed_over = 0, 0
        for service in list(services):
            found, asked, passed_over = outcome(ask(pins, service))
            if asked:
                break
            services.remove(service)  # it is out of reach
        known |= set(found)
        blind = blind or not asked or bool(passed_over)
        print(f"{pins.name}: {asked} versions looked up, {passed_over} not, {len(found)} faults known", flush=True)
        if not services:
            break
    for line in sorted(known):
        print(f"    {line}")
    if known:
        return 1
    if blind:
        print("Not audited: no database of vulnerabilities that knows all of these answers here. Run this elsewhere.")
        return 2
    print("Nothing is known against any of them.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
