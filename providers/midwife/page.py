"""The births page: one static file and its JSON feed, read-only, on an address that is not the boot network's.

`GET /` the page, `GET /births.json` the feed that it asks for every two seconds (format 1: `fleet`, `stages`,
`problem`, `hosts`, `births`, `unclaimed`). It needs nothing from elsewhere, and its content security policy allows
nothing else. It has no log-in: who can reach the address can read who was born.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planner.model import Diagnostic, FleetError
from providers.midwife.view import STAGES, BirthsView, data

if TYPE_CHECKING:
    from aiohttp import web

FORMAT = 1
SHOWN = 50
"""Births in the feed: the newest."""

FRESH_SECONDS = 1.0
"""However many browsers look, the view is asked once in that time."""

_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
            "X-Frame-Options": "DENY"}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class BirthsPage:
    """Answers requests; sockets are somebody else's. Thread-safe; constructing does no I/O."""

    def __init__(self, view: BirthsView, now: Callable[[], float] = time.time) -> None:
        self._view, self._now = view, now
        self._lock = threading.Lock()
        self._feed, self._asked = b"", -FRESH_SECONDS
        self._page: Answer | None = None

    def get(self, path: str, known: str = "") -> Answer:
        """`known`: the If-None-Match that came along. Blocks on the view's files."""
        if path == "/":
            return self._static()
        if path == "/births.json":
            body = self._fresh()
            tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            headers = {**_HEADERS, "Content-Type": "application/json", "ETag": tag}
            return Answer(304, headers, b"") if known == tag else Answer(200, headers, body)
        return Answer(404, {**_HEADERS, "Content-Type": "text/plain"}, b"not here\n")

    def _static(self) -> Answer:
        with self._lock:
            if self._page is None:
                body = Path(__file__).with_name("births.html").read_bytes()
                policy = f"default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; " \
                         f"form-action 'none'; frame-ancestors 'none'; " \
                         f"style-src {_hashes(body, b'style')}; script-src {_hashes(body, b'script')}"
                self._page = Answer(200, {**_HEADERS, "Content-Type": "text/html; charset=utf-8",
                                          "Content-Security-Policy": policy}, body)
            return self._page

    def _fresh(self) -> bytes:
        with self._lock:
            now = time.monotonic()
            if now - self._asked >= FRESH_SECONDS:
                self._feed, self._asked = json.dumps(self._document()).encode(), now
            return self._feed

    def _document(self) -> dict[str, object]:
        # Without the time of asking: an unchanged feed has the same tag, and is not sent again.
        try:
            view = self._view
            return {"format": FORMAT, "kind": "fleet.births.page", "fleet": view.fleet, "stages": list(STAGES),
                    "problem": "", "hosts": data(view.hosts()), "births": data(view.happenings(SHOWN)),
                    "unclaimed": data(view.unclaimed())}
        except (OSError, FleetError) as error:  # the page says so, and asks again
            return {"format": FORMAT, "kind": "fleet.births.page", "fleet": self._view.fleet, "stages": list(STAGES),
                    "problem": str(error), "hosts": [], "births": [], "unclaimed": []}


def _hashes(body: bytes, tag: bytes) -> str:
    """CSP sources of what stands between <tag> and </tag>."""
    found = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), body, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in found)


class PageServer:
    """Serves the page on one address, from `start` to `stop`, in a thread of its own."""

    def __init__(self, page: BirthsPage, host: str, port: int, boot: Sequence[str] = ()) -> None:
        """`boot`: the addresses that boot files are served at."""
        self._page, self._host, self._port, self._boot = page, host, port, boot
        self._stop: Callable[[], None] = lambda: None
        self.address: tuple[str, int] = ("", 0)

    def start(self) -> None:
        """Raises FleetError: on the boot network, or a port that cannot be bound."""
        refuse_boot_address(self._host, self._boot)
        sock = _bound(self._host, self._port)
        from providers.boot.net import LoopThread

        loop = LoopThread("births-page")
        loop.start()
        runner = loop.call(self._run(sock))
        self.address = sock.getsockname()[:2]

        def stop() -> None:
            loop.call(runner.cleanup())
            loop.stop()

        self._stop = stop

    def stop(self) -> None:
        self._stop()
        self._stop = lambda: None

    async def _run(self, sock: socket.socket) -> web.AppRunner:
        from aiohttp import web

        from providers.boot.net import quiet_logger

        app = web.Application(client_max_size=1024)
        app.router.add_get("/{path:.*}", self._get)
        runner = web.AppRunner(app, handle_signals=False, access_log=None, logger=quiet_logger(), keepalive_timeout=15,
                               shutdown_timeout=1)
        await runner.setup()
        await web.SockSite(runner, sock).start()
        return runner

    async def _get(self, request: web.Request) -> web.Response:
        import asyncio

        from aiohttp import web

        known = request.headers.get("If-None-Match", "")
        found = await asyncio.to_thread(self._page.get, request.path, known)
        return web.Response(status=found.status, headers=found.headers, body=found.body)


def refuse_boot_address(host: str, boot: Sequence[str]) -> None:
    """Raises FleetError where machines that boot could reach the page: nothing but boot files and births is theirs."""
    everywhere = host in ("", "0.0.0.0", "::")  # noqa: S104  # refused, not bound
    if everywhere or (host in boot and not host.startswith("127.") and host != "::1"):
        raise FleetError(Diagnostic(
            "error", "the births page must not be served on the boot network",
            f"{host or 'every address'} is {'every address of this machine' if everywhere else 'provider.boot.listen'}",
            remedy="name another address of this machine, on the network of those who may read it, or 127.0.0.1"))


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise FleetError(Diagnostic(
            "error", "the port for the births page cannot be bound", f"TCP port {port} at {host}: {error.strerror}",
            remedy="choose an address of this machine and a free port")) from error
