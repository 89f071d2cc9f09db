"""The TFTP process by itself, serving one content under every name."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from planner.model import Diagnostic
from providers.boot.net import bind
from providers.boot.pair import Settings
from providers.boot.tftp_server import Find, TftpServer
from providers.boot.tree import Content

CONTENT = Random(1).randbytes(200_002)


@dataclass
class TftpSite:
    """`log` and `ended` are what the parent was told; `most`: transfers at once, as it saw them."""

    tftp: TftpServer
    server: tuple[str, int]
    digest: str
    log: list[tuple[str, str, int, int, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    trouble: list[Diagnostic] = field(default_factory=list)
    most: int = 0


@contextmanager
def tftp_site(*, settings: Settings | None = None, size: int = 0, find: Find | None = None, host: str = "127.0.0.1",
              port: int = 0, command: Sequence[str] = (), sock: socket.socket | None = None) -> Iterator[TftpSite]:
    """`size`: of random content; CONTENT where 0."""
    content = Random(size).randbytes(size) if size else CONTENT
    bound = sock or bind("tftp", host, port)

    def look(name: str, client: str) -> Content | None:
        site.most = max(site.most, site.tftp.active)
        if find is not None:
            return find(name, client)
        return Content(content, name, done=lambda: site.ended.append(name))

    tftp = TftpServer([bound], look, lambda *entry: site.log.append(entry), lambda d: site.trouble.append(d),
                      settings=settings, command=command)
    site = TftpSite(tftp, bound.getsockname()[:2], hashlib.sha256(content).hexdigest())
    tftp.start()
    try:
        yield site
    finally:
        tftp.stop()
