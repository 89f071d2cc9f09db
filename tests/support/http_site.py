"""The HTTP server by itself, on a few contents, and raw requests to it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from providers.boot.http import LIMITS, HttpServer, Limits
from providers.boot.listen import url
from providers.boot.net import bind
from providers.boot.tree import Content


@dataclass
class HttpSite:
    """A tree of its own: `contents` by path; an exception among them is raised. `log` is the access log."""

    contents: dict[str, Content | Exception]
    bases: list[str] = field(default_factory=list)
    log: list[tuple[str, str, int, int, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    @property
    def trail(self) -> HttpSite:
        return self

    def access(self, via: str, client: str, path: str, status: int, size: int, mac: str = "") -> None:
        assert via == "http"
        self.log.append((client, path, status, size, mac))

    def find(self, name: str, client: str, *, peek: bool = False) -> Content | None:
        found = self.contents.get(name)
        if isinstance(found, Exception):
            raise found
        return found

    def get(self, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET",
            base: int = 0) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers, body."""
        parts = urlsplit(self.bases[base])
        link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        try:
            link.request(method, path, headers=dict(headers or {}))
            reply = link.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            link.close()


@contextmanager
def http_site(contents: Mapping[str, Content | Exception], *, hosts: Sequence[str] = ("127.0.0.1",),
              limits: Limits = LIMITS) -> Iterator[HttpSite]:
    site = HttpSite(dict(contents))
    socks = [bind("http", host, 0) for host in hosts]
    site.bases = [url("http", host, sock.getsockname()[1], 80) for host, sock in zip(hosts, socks, strict=True)]
    server = HttpServer(socks, site, limits)
    server.start()
    try:
        yield site
    finally:
        server.stop()
