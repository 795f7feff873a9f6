"""Try docs/nginx.conf on this machine: ``python scripts/try_nginx.py``. Needs nginx and what the tests need.

The configuration is taken as it is but for its ports and its certificate, which is made here and signed by itself.
nginx and CKA Explorer in class mode start on free ports of the loopback, answers are looked at, and a browser walks
through the pages as a student and as the teacher. Everything is ended and removed again.
"""

from __future__ import annotations

import contextlib
import datetime
import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.browser import find  # noqa: E402
from scripts.running import BROWSER_OPTIONS, free_port, wait_until_healthy  # noqa: E402

NAME = "cka.lab.example"
KEY = "the teacher's key of this try"
MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    include {types};
    default_type application/octet-stream;
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{site}
}}
"""


def certificate(folder: Path) -> None:
    """A certificate for `NAME`, signed by itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def configuration(folder: Path, app: int, plain: int, tls: int) -> str:
    """docs/nginx.conf with other ports and another certificate, in what nginx reads first."""
    site = (ROOT / "docs" / "nginx.conf").read_text()
    for old, new in (
        ("server 127.0.0.1:8501;", f"server 127.0.0.1:{app};"),
        ("/etc/ssl/cka-explorer", str(folder)),
        (r"listen 80\b", f"listen 127.0.0.1:{plain}"),
        (r"listen 443\b", f"listen 127.0.0.1:{tls}"),
    ):
        site, count = re.subn(old, new, site)
        assert count, f"docs/nginx.conf has no {old}"
    types = next((path for path in ("/etc/nginx/mime.types", "/usr/local/etc/nginx/mime.types",
                                    "/opt/homebrew/etc/nginx/mime.types") if Path(path).exists()), None)  # fmt: skip
    if types is None:
        (folder / "mime.types").write_text("types { text/html html; }")
        types = str(folder / "mime.types")
    return MAIN.format(folder=folder, types=types, site=site)


@contextlib.contextmanager
def started(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def tell(what: str, right: bool, got: object = "") -> bool:
    print(f"{'ok ' if right else 'NOT'}  {what}{'' if right else f': {got}'}", flush=True)
    return right


class Secure(http.client.HTTPConnection):
    """HTTPS to `NAME`, wherever that is said to be: its port on the loopback."""

    def __init__(self, port: int, name: str = NAME):
        super().__init__(name, port, timeout=30)
        self.name = name

    def connect(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.sock = context.wrap_socket(plain, server_hostname=self.name)


def ask(port: int, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str) -> Any:
    connection = Secure(port)
    named = {"Host": NAME} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    found = {name.lower(): value for name, value in answer.getheaders()}
    if answer.status == 101:
        return answer.status, found, b""
    return answer.status, found, answer.read()


def answers(app: int, plain: int, tls: int) -> Iterator[bool]:
    """What nginx and the app say to whoever asks without a browser."""
    status, headers, page = ask(tls)
    yield tell("the page comes over TLS", status == 200, status)
    for name in ("content-security-policy", "x-frame-options", "x-content-type-options", "strict-transport-security"):
        yield tell(f"its answer has {name}", name in headers, headers)
    yield tell("it does not say which nginx this is", headers.get("server") == "nginx", headers.get("server"))
    script = re.search(rb"static/js/index[^\"]+\.js", page)
    assert script is not None
    _, headers, _ = ask(tls, f"/{script[0].decode()}", Accept_Encoding="gzip")
    yield tell("scripts come compressed", headers.get("content-encoding") == "gzip", headers)
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    status = ask(tls, "/_stcore/stream", "GET", None, Origin=f"https://{NAME}", **upgrade)[0]
    yield tell("the WebSocket is passed on", status == 101, status)
    status = ask(tls, "/_stcore/stream", "GET", None, Origin="https://evil.example", **upgrade)[0]
    yield tell("that of a page elsewhere is refused", status in (400, 403), status)
    status = ask(tls, "/_stcore/upload_file/a/b", "PUT", b"x", Content_Length=str(60_000_000))[0]
    yield tell("a file that is too large is refused before it is sent", status == 413, status)
    connection = http.client.HTTPConnection("127.0.0.1", plain, timeout=30)
    connection.request("GET", "/library?a=b", headers={"Host": NAME})
    answer = connection.getresponse()
    where = answer.getheader("Location")
    yield tell("plain HTTP leads to TLS", (answer.status, where) == (301, f"https://{NAME}/library?a=b"), where)
    try:
        Secure(tls, "evil.example").request("GET", "/")
        refused = False
    except ssl.SSLError:
        refused = True
    yield tell("another name is refused by nginx", refused)
    connection = http.client.HTTPConnection("127.0.0.1", app, timeout=30)
    connection.request("GET", "/", headers={"Host": "evil.example"})
    yield tell("and by the app", connection.getresponse().status == 421)


def walk(tls: int, pictures: Path | None) -> Iterator[bool]:
    """A student and the teacher in real browsers."""
    from playwright.sync_api import expect, sync_playwright

    address = f"https://{NAME}:{tls}"
    problems: list[str] = []
    with sync_playwright() as play:
        rules = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"
        browser = play.chromium.launch(executable_path=find(), args=[*BROWSER_OPTIONS, rules])
        asked: list[str] = []
        people = []
        for _ in range(2):
            context = browser.new_context(ignore_https_errors=True, bypass_csp=True,
                                          viewport={"width": 1400, "height": 900})  # fmt: skip
            page = context.new_page()
            page.set_default_timeout(90_000)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            people.append(page)
        student, teacher = people
        student.goto(address)
        student.wait_for_selector(".js-plotly-plot .heatmaplayer image")
        own = (address, f"wss://{NAME}", "blob:", "data:")
        yield tell(f"a student sees a map ({len(asked)} requests)", all(url.startswith(own) for url in asked), asked)
        student.goto(f"{address}/train?depth=14&width=1&epochs=40")
        student.get_by_role("button", name="Train", exact=True).last.click()
        expect(student.get_by_text(re.compile("^Number 1 in the queue|^epoch |^starting")).first).to_be_visible(
            timeout=90_000
        )
        yield tell("a student's training begins", True)
        teacher.goto(f"{address}/teacher")
        teacher.get_by_label("The teacher’s key").fill(KEY)
        teacher.get_by_role("button", name="Open").click()
        expect(teacher.get_by_text(re.compile("visitor [0-9a-f]{6}")).first).to_be_visible(timeout=90_000)
        expect(teacher.get_by_text(f"https://{NAME}").first).to_be_visible()
        if pictures:
            teacher.screenshot(path=str(pictures / "teacher.png"))
            student.screenshot(path=str(pictures / "student.png"))
        teacher.get_by_role("button", name="Stop all work").click()
        expect(teacher.get_by_text("Nobody is at work.")).to_be_visible(timeout=120_000)
        yield tell("the teacher sees it, with the class's address, and stops it", True)
        browser.close()
    yield tell("no script went wrong", not problems, problems)


def main(arguments: list[str]) -> int:
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin")
    if nginx is None:
        print("No nginx is found here. On Debian and Ubuntu: apt-get install nginx. On a Mac: brew install nginx.")
        return 2
    pictures = Path(arguments[0]) if arguments else None
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        app, plain, tls = free_port(), free_port(), free_port()
        certificate(folder)
        (folder / "nginx.conf").write_text(configuration(folder, app, plain, tls))
        serve = [sys.executable, "-m", "streamlit", "run", "server.py", "--server.port", str(app)]
        serve += ["--server.allowedHosts", NAME, "--server.allowedHosts", "127.0.0.1", "--browser.serverAddress", NAME]
        serve += ["--server.maxUploadSize", "50"]
        store = str(folder / "store")
        settings = {"CKA_MODE": "class", "CKA_TEACHER_KEY": KEY, "CKA_ADDRESS": f"https://{NAME}", "CKA_STORE": store}
        proxy = [nginx, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
        with started(serve, folder / "app.txt", **settings) as server, started(proxy, folder / "nginx.txt") as before:
            try:
                wait_until_healthy(server, app)
                deadline = time.monotonic() + 20
                while time.monotonic() < deadline and before.poll() is None:
                    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", tls), timeout=1):
                        break
                if before.poll() is not None:
                    print((folder / "nginx.txt").read_text() + (folder / "error.log").read_text())
                    return 1
                right = [*answers(app, plain, tls), *walk(tls, pictures)]
            finally:
                from cka_core.base.store import Store
                from cka_core.jobs import cluster

                cluster.stop(Store(store))
    print("All of docs/nginx.conf works here." if all(right) else "Something of docs/nginx.conf does not work here.")
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
