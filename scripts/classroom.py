"""Start the app for a class in this network: ``python scripts/classroom.py``, or ``make class``.

Everybody in the network can open it and compute within limits; what each makes is theirs and the teacher's. The class's
address and the teacher's key are printed. ``PORT``, ``CKA_TEACHER_KEY``, ``CKA_ADDRESS`` and the limits are taken from
the environment.
"""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cka_core.base import deployment  # noqa: E402
from cka_core.base.visitors import SHORTEST_TEACHER_KEY  # noqa: E402

FIRST_PORT, PORTS = 8501, 50


def network_address() -> str:
    """This computer's address in its network, "127.0.0.1" where it is in none. No packet is sent to find out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a place that documents may use and nobody has (RFC 5737)
            found = str(probe.getsockname()[0])
        except OSError:
            found = ""
    return found if found and not ipaddress.ip_address(found).is_unspecified else "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether nobody has a port. On Linux and Macs that of a server which has just ended is free at once."""
    with socket.socket() as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def free_port(first: int = FIRST_PORT) -> int:
    """The first port from 8501 on that nobody has."""
    found = next(filter(is_free, range(first, first + PORTS)), None)
    if found is None:
        raise ValueError(f"No port from {first} to {first + PORTS - 1} is free. Choose one: PORT=9000 make class")
    return found


def chosen_port(told: str) -> int:
    """The port that ``PORT`` says, the first free one where it says nothing. ValueError where it cannot be had."""
    if not told:
        return free_port()
    if not re.fullmatch(r"[0-9]{1,5}", told) or not 1 <= int(told) <= 65535:
        raise ValueError(f"Expected PORT to be a number from 1 to 65535, got {told!r}.")
    if not is_free(int(told)):
        raise ValueError(f"Port {told} cannot be had: another program has it, or the system keeps it. Choose another.")
    return int(told)


def chosen_address(port: int) -> str:
    """The class's address: what ``CKA_ADDRESS`` says, else this computer's. ValueError where a browser opens none."""
    told = deployment.address()
    if not told:
        return f"http://{network_address()}:{port}"
    if not re.fullmatch(r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(:[0-9]{1,5})?(/[^\s?#]*)?", told):
        raise ValueError(
            f"Expected CKA_ADDRESS to be like http://cka.school.example or http://10.0.0.7:8600, got {told!r}."
        )
    return told


def host_names(address: str) -> list[str]:
    """What the class and this computer may call the server; any other name is refused."""
    own = platform.node().lower()
    names = [urlsplit(address).hostname, network_address(), own, own and f"{own.partition('.')[0]}.local"]
    return list(dict.fromkeys([*filter(None, names), "localhost", "127.0.0.1", "::1"]))


def settings() -> tuple[dict[str, str], list[str]]:
    """The environment and the command line of a class's server."""
    port = chosen_port(os.environ.get("PORT", "").strip())
    address = chosen_address(port)
    key = os.environ.get("CKA_TEACHER_KEY") or secrets.token_urlsafe(16)
    if len(key) < SHORTEST_TEACHER_KEY:
        raise ValueError(
            f"Expected CKA_TEACHER_KEY to have at least {SHORTEST_TEACHER_KEY} characters, got {len(key)}."
        )
    environment = {"CKA_MODE": deployment.CLASS, "CKA_TEACHER_KEY": key, "CKA_ADDRESS": address}
    os.environ.update(environment)
    upload = deployment.most("upload")
    command = [sys.executable, "-m", "streamlit", "run", "server.py", "--server.address", "0.0.0.0"]
    command += ["--server.port", str(port), "--browser.serverAddress", str(urlsplit(address).hostname)]
    for name in host_names(address):
        command += ["--server.allowedHosts", name]
    command += ["--server.maxUploadSize", str(upload)] if upload else []
    return environment, command


def main() -> None:
    environment, command = settings()
    for name in deployment.LIMITS:
        deployment.most(name)  # a setting that is wrong is told now, not to a visitor
    print(f"For the class:      {environment['CKA_ADDRESS']}")
    print(f"For the teacher:    {environment['CKA_ADDRESS']}/teacher")
    print(f"The teacher's key:  {environment['CKA_TEACHER_KEY']}")
    print("Whoever is in this network can open it. Ctrl-C ends it.", flush=True)
    os.chdir(ROOT)
    if sys.platform != "win32":
        os.execve(sys.executable, command, os.environ | environment)  # whoever ends this ends the server
    sys.exit(subprocess.call(command, env=os.environ | environment))


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(str(error))
