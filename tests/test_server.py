"""The server refuses other names, says what a page may load, and sends Streamlit's own files compressed."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import server
from scripts.running import running_app


@pytest.fixture(scope="module")
def port(tmp_path_factory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("server")
    with running_app(folder / "store", folder / "log.txt") as address:
        yield int(address.rsplit(":", 1)[1])


def answer(port: int, path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("GET", path, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    found = connection.getresponse()
    return found.status, {name.lower(): value for name, value in found.getheaders()}, found.read()


def test_every_answer_says_what_a_page_may_do(port):
    for path in ("/", "/library", "/_stcore/health", "/nothing/here"):
        _, headers, _ = answer(port, path)
        assert "object-src 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "SAMEORIGIN" and headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_no_script_runs_that_is_not_the_servers_own():
    scripts = server.POLICY["script-src"]
    assert "unsafe-inline" not in scripts and "unsafe-eval" not in scripts and "http" not in scripts
    assert re.search(r"'sha256-[\w+/]{43}='", scripts)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8501", "127.0.0.1.evil.example", "a@b", ""])
def test_another_name_is_refused_for_pages_and_the_websocket(port, host):
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    assert answer(port, Host=host)[0] in (400, 421)
    assert answer(port, "/_stcore/stream", Host=host, **upgrade)[0] in (400, 403)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8501", "LOCALHOST", "[::1]:8501"])
def test_its_own_names_are_taken(port, host):
    assert answer(port, Host=host)[0] == 200


def test_names_are_compared_whole():
    assert server.is_own("lab.example.org", ["*.example.org"]) and not server.is_own("example.org", ["*.example.org"])
    assert (
        not server.is_own("badexample.org", ["*.example.org"]) and server.is_own("x", []) and server.is_own("x", ["*"])
    )


def test_streamlits_own_files_come_compressed_and_are_the_same(port):
    script = re.search(rb"static/js/index[^\"]+\.js", answer(port)[2])
    assert script is not None
    path = f"/{script[0].decode()}"
    _, plain_headers, plain = answer(port, path)
    for _ in range(2):
        status, headers, packed = answer(port, path, Accept_Encoding="gzip, br")
        assert status == 200 and headers["content-encoding"] == "gzip" and headers["vary"] == "accept-encoding"
        assert int(headers["content-length"]) == len(packed) < len(plain) / 2
        assert gzip.decompress(packed) == plain
    assert "content-encoding" not in plain_headers


def test_what_is_no_request_passes():
    async def app(scope, receive, send):
        scope["seen"] = True

    scope = {"type": "lifespan"}
    handled = server.OwnHostsOnly(server.SafeHeaders(server.CompressedOnce(app)))(scope, None, None)
    with ThreadPoolExecutor(1) as thread:  # a browser test before this one leaves its own loop in the main thread
        thread.submit(asyncio.run, handled).result()
    assert scope["seen"]
