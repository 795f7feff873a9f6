"""The guard before the tests of pages and browsers sees what leaves this computer, in processes that they start too."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.outgoing import outgoing as outgoing
from tests.outgoing import refused as refused
from tests.outgoing import said
from tests.outgoing.sitecustomize import leaves


@pytest.mark.parametrize(
    "place", [("127.0.0.1", 80), ("::1", 80, 0, 0), "/tmp/socket", b"\0abstract", "localhost", "", None]
)
def test_what_stays_here_passes(place):
    assert not leaves(place)


@pytest.mark.parametrize("place", [("192.0.2.1", 80), ("2001:db8::1", 80, 0, 0), "example.org", b"example.org"])
def test_what_leaves_does_not(place):
    assert leaves(place)


def test_a_connection_elsewhere_is_refused_and_written_down(outgoing):
    with pytest.raises(ConnectionRefusedError), socket.socket() as somewhere:
        somewhere.connect(("192.0.2.1", 80))
    with pytest.raises(OSError):
        urllib.request.urlopen("http://elsewhere.example/")
    assert "192.0.2.1" in said(outgoing) and "elsewhere.example" in said(outgoing)
    with socket.socket() as here:
        here.bind(("127.0.0.1", 0))
        here.listen()
        with socket.create_connection(here.getsockname()):
            pass


def test_so_is_one_of_a_process_that_a_test_starts(outgoing):
    code = "import socket; socket.create_connection(('192.0.2.7', 80))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ConnectionRefusedError" in answer.stderr and "192.0.2.7" in said(outgoing)
