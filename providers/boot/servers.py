"""TFTP, HTTP and the birth listener of one run: all three bound before any step, or none."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.model import Diagnostic, FleetError
from providers.boot.http import HttpServer
from providers.boot.modules import midwife_module
from providers.boot.net import bind
from providers.boot.tftp import Log, TftpServer
from providers.boot.tree import BootTree, Endpoints
from providers.midwife.identity import open_identity, server_context
from providers.midwife.listener import BirthListener

if TYPE_CHECKING:
    from providers.boot.session import BootSession


@dataclass(slots=True)
class Servers:
    """Running servers; `stop` ends their threads and frees their ports."""

    tree: BootTree
    tftp_address: tuple[str, int]
    tftp: TftpServer
    http: HttpServer
    births: BirthListener

    @classmethod
    def open(cls, listen: str, ports: Mapping[str, int], session: BootSession) -> Servers:
        """Raises FleetError: a port that cannot be bound, an address that machines could not be told."""
        if listen in ("0.0.0.0", "::"):  # noqa: S104  # refused, not bound
            raise FleetError(Diagnostic(
                "error", "the boot server must listen on one address", f"provider.boot.listen is {listen}",
                remedy="name the address on the boot network: machines are sent to it"))
        sockets: dict[str, socket.socket] = {}
        try:
            for kind in ("tftp", "http", "birth"):
                sockets[kind] = bind(kind, listen, ports[kind])
            identity = open_identity(session.folder / "midwife")
            tls = server_context(identity)
        except BaseException:
            for sock in sockets.values():
                sock.close()
            raise
        port = {kind: int(sock.getsockname()[1]) for kind, sock in sockets.items()}
        ends = Endpoints(_url("http", listen, port["http"], 80), _url("https", listen, port["birth"], 443),
                         identity.spki_sha256)
        tree = BootTree(session.standings, session.desk, session.trail, ends,
                        {"tgz": midwife_module("tgz"), "cpio": midwife_module("cpio")})
        servers = cls(tree, (listen, port["tftp"]), TftpServer(sockets["tftp"], tree.find, _tftp_log(tree)),
                      HttpServer(sockets["http"], tree), BirthListener(sockets["birth"], session.desk, tls))
        servers.tftp.start()
        servers.http.start()
        servers.births.start()
        return servers

    def stop(self) -> None:
        self.tftp.stop()
        self.http.stop()
        self.births.stop()


def _tftp_log(tree: BootTree) -> Log:
    def log(client: str, path: str, status: int, size: int, mac: str) -> None:
        tree.trail.access("tftp", client, path, status, size, mac)

    return log


def _url(scheme: str, host: str, port: int, usual: int) -> str:
    return f"{scheme}://{host}" if port == usual else f"{scheme}://{host}:{port}"
