"""Refuses every connection that leaves this computer, and writes it down: for this process and all that it starts.

Python imports a module of this name when it begins, if its folder is on PYTHONPATH. It is active where
``ONLY_LOOPBACK`` names a file.
"""

import ipaddress
import os
import socket
import sys
import traceback

WATCHED = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1, "socket.getaddrinfo": 0,
           "socket.gethostbyname": 0}  # fmt: skip
"""Events of the interpreter -> which of their arguments has the address or name."""


def leaves(place) -> bool:
    """Whether an address, or a name that is looked up, is of another computer."""
    host = place[0] if isinstance(place, tuple) else place
    if isinstance(host, bytes):
        host = host.decode("latin-1")
    if not host or not isinstance(host, str) or host[0] in "/\0" or host == "localhost":
        return False  # this computer: any of its addresses, a socket of the file system, a number of another family
    if host == socket.gethostname():
        return False
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True  # a name to be asked for elsewhere
    return not (found.is_loopback or found.is_unspecified)


def watch(event: str, arguments: tuple) -> None:
    if event not in WATCHED:  # nearly all of them: every import, every file
        return
    log = os.environ.get("ONLY_LOOPBACK")
    if not log or not leaves(arguments[WATCHED[event]]):
        return
    with open(log, "a", encoding="utf-8") as file:
        calls = "".join(traceback.format_stack(limit=8))
        file.write(f"{event} {arguments[WATCHED[event]]!r} in {' '.join(sys.argv)[:200]}\n{calls}\n")
    raise ConnectionRefusedError(f"This test goes nowhere: {arguments[WATCHED[event]]!r}.")


sys.addaudithook(watch)
