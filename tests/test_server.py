"""The server refuses other names, says what a page may load, compresses Streamlit's own files, and bounds uploads."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

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


def test_the_page_has_its_spacing_before_any_script_and_is_not_kept_without_it(port):
    for path in ("/", "/library"):
        status, headers, body = answer(port, path, Accept="text/html", Accept_Encoding="gzip")
        assert status == 200 and server.SPACING.read_bytes() in body.partition(b"</head>")[0]
        assert int(headers["content-length"]) == len(body) and "content-encoding" not in headers
        assert "etag" not in headers and "last-modified" not in headers
    assert b"<style>" not in answer(port, "/_stcore/health", Accept="text/html")[2]


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


class Uploads:
    """Streamlit's own place for uploads, and a browser that sends to it through the middleware."""

    def __init__(self, monkeypatch):
        self.manager = MemoryUploadedFileManager("/_stcore/upload_file")
        monkeypatch.setattr(server, "uploads", lambda: self.manager)
        self.middleware = server.BoundedUploads(self._streamlit)
        self.largest = server.st.get_option("server.maxUploadSize") << 20

    async def _streamlit(self, scope, receive, send):
        session, file = scope["path"].rsplit("/", 2)[-2:]
        self.manager.add_file(session, UploadedFileRec(file, file, "", b"x"))
        await send({"type": "http.response.start", "status": 204, "headers": []})

    def send(self, session: str, file: str, size: int | None) -> int:
        told = [] if size is None else [(b"content-length", str(size).encode())]
        scope = {"type": "http", "method": "PUT", "path": f"/_stcore/upload_file/{session}/{file}", "headers": told}
        said = []

        async def answer(message):
            said.append(message)

        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, self.middleware(scope, None, answer)).result()
        return said[0]["status"]

    def held(self) -> list[str]:
        return sorted(file for files in self.manager.file_storage.values() for file in files)


def test_a_session_that_sends_more_and_more_loses_its_older_files(monkeypatch):
    uploads = Uploads(monkeypatch)
    assert [uploads.send("session", str(number), uploads.largest) for number in range(5)] == [204] * 5
    assert uploads.held() == ["3", "4"]


def test_many_sessions_together_hold_no_more_than_a_few_files(monkeypatch):
    uploads = Uploads(monkeypatch)
    sent = [uploads.send(f"session {number}", str(number), uploads.largest) for number in range(10)]
    assert sent == [204] * 8 + [503] * 2 and uploads.held() == list("01234567")
    monkeypatch.setattr(server.BoundedUploads, "seconds", 0.0)
    assert uploads.send("late", "late", uploads.largest) == 204
    assert uploads.held() == [*"1234567", "late"]
    assert uploads.middleware.coming == 0


def test_an_upload_says_how_long_it_is(monkeypatch):
    assert Uploads(monkeypatch).send("session", "file", None) == 411


def test_what_is_no_request_passes():
    async def app(scope, receive, send):
        scope["seen"] = True

    scope = {"type": "lifespan"}
    handled = server.OwnHostsOnly(server.SafeHeaders(server.CompressedOnce(app)))(scope, None, None)
    with ThreadPoolExecutor(1) as thread:  # a browser test before this one leaves its own loop in the main thread
        thread.submit(asyncio.run, handled).result()
    assert scope["seen"]
