"""CKA Explorer behind a server that protects it: ``streamlit run server.py``.

It shows what ``streamlit run app.py`` shows. Besides, it refuses host names that are not its own, those of
``server.allowedHosts``, for every request and the WebSocket alike, tells browsers what a page may load and who may
frame it, sends Streamlit's own files compressed, once compressed for all who ask, bounds what uploads hold in memory,
and has the page's spacing in the page itself, so that nothing moves when the app's own stylesheet arrives.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager

PagesManager.uses_pages_directory = False  # before the first visit too: pages are those that app.py names
SPACING = Path(__file__).parent / "pages" / "parts" / "spacing.css"
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]


def inline_scripts() -> str:
    """The few lines of script in Streamlit's own page, named by what they are: no other script in a page runs."""
    page = (Path(st.__file__).parent / "static" / "index.html").read_bytes()
    digests = [hashlib.sha256(text).digest() for text in re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


POLICY = {
    "default-src": "'self'",
    "script-src": f"'self' blob: {inline_scripts()}",  # blob: the page's own components
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "media-src": "'self' data: blob:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "frame-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
}
HEADERS = {
    "content-security-policy": "; ".join(f"{kind} {places}" for kind, places in POLICY.items()),
    "x-frame-options": "SAMEORIGIN",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def host_of(scope: Message) -> str:
    """The host name that a request asks for, without its port; empty where it has none or no such."""
    named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    try:
        parts = urlsplit(f"//{named[0]}") if len(named) == 1 else None
        return (parts.hostname or "").rstrip(".") if parts and not (parts.username or parts.path or parts.query) else ""
    except ValueError:
        return ""


def is_own(host: str, allowed: list[str]) -> bool:
    """Whether a host name is one of those configured; every one is where none are. ``*.`` stands for any subdomain."""
    for pattern in (name.strip().lower().rstrip(".").strip("[]") for name in allowed):
        if pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:])):
            return True
    return not allowed


class OwnHostsOnly:
    """Refuses requests that ask for another host: from a page whose name was pointed here (DNS rebinding)."""

    def __init__(self, app: Asgi):
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or is_own(host_of(scope), st.get_option("server.allowedHosts")):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            text = b"This is not the name of this server. Whoever runs it lists its names: --server.allowedHosts NAME\n"
            await _refuse(421, text, send)


class SafeHeaders:
    """Says with every answer what a page of it may do."""

    def __init__(self, app: Asgi):
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message["headers"] if name.decode().lower() not in HEADERS]
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": kept + own}
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


SCRIPTS = Path(st.__file__).parent / "static" / "static" / "js"
EARLY = ("Progress", "Spinner", "Selectbox", "Slider", "ButtonGroup", "BidiComponent", "PlotlyChart")
"""Parts of Streamlit that a page with charts needs, and which a browser hears of only when the first of each is drawn;
progress among them, so that the first press of a button is answered at once."""
WITH_CHARTS = ("/", "/compare", "/train", "/atlas")


def early_scripts() -> bytes:
    """What has a browser fetch and read them while it begins; nothing of a version that calls them otherwise."""
    found = [file.name for name in EARLY for file in SCRIPTS.glob(f"{name}.*.js")]
    return "".join(f'<link rel="modulepreload" crossorigin href="./static/js/{name}" />' for name in found).encode()


class ReadyFromTheStart:
    """Puts into Streamlit's page the one stylesheet, which app.py brings in later as well, and, where there will be
    charts, what draws them."""

    def __init__(self, app: Asgi):
        self.app = app
        self.style, self.early = b"<style>" + SPACING.read_bytes() + b"</style>", early_scripts()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        asked = dict(scope.get("headers", ()))
        if scope["type"] != "http" or scope["method"] != "GET" or b"text/html" not in asked.get(b"accept", b""):
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = bytearray()

        async def spaced(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = dict(message["headers"])
                if message["status"] == 200 and headers.get(b"content-type", b"").startswith(b"text/html"):
                    start = message
                    return
            if not start or message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                await self._send(start, bytes(body), self.early if scope["path"] in WITH_CHARTS else b"", send)

        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]  # to be read here
        await self.app({**scope, "headers": plain}, receive, spaced)

    async def _send(self, start: Message, body: bytes, early: bytes, send: Send) -> None:
        page = body.replace(b"</head>", early + self.style + b"</head>", 1)
        other = (b"content-length", b"etag", b"last-modified")  # those of the page without it
        headers = [(name, value) for name, value in start["headers"] if name.lower() not in other]
        await send({**start, "headers": [*headers, (b"content-length", str(len(page)).encode())]})
        await send({"type": "http.response.body", "body": page})


class CompressedOnce:
    """Sends Streamlit's own files compressed: 7.4 MB of script on a first visit become a third of that.

    They carry a digest of what is in them in their names, so that each is compressed once for all who ask.
    """

    kinds = (b"text/", b"application/javascript", b"application/json", b"image/svg", b"application/wasm")
    largest, most = 16 << 20, 64 << 20

    def __init__(self, app: Asgi):
        self.app = app
        self.kept: OrderedDict[str, bytes] = OrderedDict()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        asked = dict(scope.get("headers", ()))
        wanted = (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and "/static/" in scope["path"]
            and b"gzip" in asked.get(b"accept-encoding", b"")
            and b"range" not in asked
        )
        if not wanted:
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = bytearray()
        passing = False

        async def gather(message: Message) -> None:
            nonlocal start, passing
            if message["type"] == "http.response.start":
                start = message
                headers = dict(message["headers"])
                size = int(headers.get(b"content-length", b"0"))
                passing = (
                    message["status"] != 200
                    or not headers.get(b"content-type", b"").startswith(self.kinds)
                    or b"content-encoding" in headers
                    or not 1000 <= size <= self.largest
                )
                if passing:
                    await send(message)
                return
            if passing or message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                await self._send(scope["path"], start, bytes(body), send)

        await self.app(scope, receive, gather)

    async def _send(self, path: str, start: Message, body: bytes, send: Send) -> None:
        headers = dict(start["headers"])
        name = f"{path} {headers.get(b'etag', b'').decode('latin-1')} {len(body)}"
        packed = self.kept.get(name)
        if packed is None:
            packed = await asyncio.to_thread(gzip.compress, body, 6, mtime=0)
            self.kept[name] = packed
            while sum(map(len, self.kept.values())) > self.most:
                self.kept.popitem(last=False)
        headers |= {b"content-encoding": b"gzip", b"vary": b"accept-encoding"}
        headers[b"content-length"] = str(len(packed)).encode()
        await send({**start, "headers": list(headers.items())})
        await send({"type": "http.response.body", "body": packed})


class BoundedUploads:
    """Lets go of uploaded files: Streamlit holds each in memory until its session ends, and one may send any number.

    A page reads a file as soon as it is there and has its own hold of it then. So a session's older ones go when it
    sends more than two of the largest size, and anybody's that are a minute old when all hold too much; where that does
    not make room the sender is asked to come again.
    """

    of_one, of_all, seconds = 2, 8, 60.0

    def __init__(self, app: Asgi):
        self.app = app
        self.coming = 0
        self.held: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "PUT" or "/_stcore/upload_file/" not in scope["path"]:
            await self.app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"")
        if not re.fullmatch(rb"[0-9]{1,15}", told):
            await _refuse(411, b"How long the file is has to be said before it is sent.\n", send)
            return
        size, (session, file) = int(told), scope["path"].rsplit("/", 2)[-2:]
        if not self.makes_room(session, size):
            await _refuse(503, b"Many files are being brought in. Try again in a minute.\n", send)
            return

        async def noticed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                self.held[session, file] = size, time.monotonic()
            await send(message)

        self.coming += size
        try:
            await self.app(scope, receive, noticed)
        finally:
            self.coming -= size

    def makes_room(self, session: str, size: int) -> bool:
        """Let go of what has to go for a file of this size; whether there is room for it."""
        largest = int(st.get_option("server.maxUploadSize")) << 20
        own = [place for place in self.held if place[0] == session]
        while own and sum(self.held[place][0] for place in own) + size > self.of_one * largest:
            self.let_go(own.pop(0))
        old = time.monotonic() - self.seconds
        for place, (_, since) in list(self.held.items()):
            if self.all_held() + size > self.of_all * largest and since < old:
                self.let_go(place)
        return self.all_held() + size <= self.of_all * largest or size > largest  # which Streamlit refuses by itself

    def all_held(self) -> int:
        return self.coming + sum(size for size, _ in self.held.values())

    def let_go(self, place: tuple[str, str]) -> None:
        del self.held[place]
        uploads().remove_file(*place)


def uploads() -> Any:
    """Where Streamlit keeps what was uploaded."""
    return st.runtime.get_instance().uploaded_file_mgr


async def _refuse(status: int, text: bytes, send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


app = st.App(
    Path(__file__).parent / "app.py",
    middleware=[
        Middleware(OwnHostsOnly),
        Middleware(SafeHeaders),
        Middleware(BoundedUploads),
        Middleware(ReadyFromTheStart),
        Middleware(CompressedOnce),
    ],
)
