"""TFTP, HTTP and the birth listener: all bound before anything is served, or none."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from providers.boot.http import HttpServer
from providers.boot.listen import addresses, url
from providers.boot.modules import midwife_module
from providers.boot.net import bind
from providers.boot.tftp_server import Log, TftpServer
from providers.boot.trail import Trail
from providers.boot.tree import BootTree, Endpoints
from providers.midwife.desk import Desk
from providers.midwife.identity import open_identity, server_context
from providers.midwife.listener import BirthListener
from providers.midwife.room import Limits
from providers.midwife.standing import Standings

KINDS = ("tftp", "http", "birth")


class Site(Protocol):
    """What is served: a run's boot session, or a midwife that outlives runs."""

    @property
    def folder(self) -> Path:
        """The fleet's; the midwife's identity is below it."""

    standings: Standings
    desk: Desk
    trail: Trail


@dataclass(slots=True)
class Servers:
    """Running servers; `stop` ends their process and threads and frees their ports.

    `tftp_address` is what DHCP names: the first of the addresses.
    """

    tree: BootTree
    tftp_address: tuple[str, int]
    tftp: TftpServer
    http: HttpServer
    births: BirthListener

    @classmethod
    def open(cls, listen: str | Sequence[str], ports: Mapping[str, int], site: Site,
             identity_folder: Path | None = None, limits: Limits | None = None) -> Servers:
        """`listen`: one IPv4 and one IPv6 address at most. `ports`: of tftp, http and birth; 0: any.
        `identity_folder`: of the birth listener's key, where it is not below the fleet's. `limits`: of births.

        Raises FleetError: a port that cannot be bound, an address that machines could not be told.
        """
        bound: dict[str, dict[str, socket.socket]] = {}
        hosts = addresses(listen)
        try:
            for host in hosts:
                bound[host] = {}
                for kind in KINDS:
                    bound[host][kind] = bind(kind, host, ports[kind])
            identity = open_identity(identity_folder or site.folder / "midwife")
            tls = server_context(identity)
        except BaseException:
            for sockets in bound.values():
                for sock in sockets.values():
                    sock.close()
            raise
        ends = [_endpoints(host, bound[host], identity.spki_sha256) for host in hosts]
        tree = BootTree(site.standings, site.desk, site.trail, _both(ends),
                        {"tgz": midwife_module("tgz"), "cpio": midwife_module("cpio")})
        of = {kind: [bound[host][kind] for host in hosts] for kind in KINDS}
        servers = cls(tree, (hosts[0], _port(of["tftp"][0])),
                      TftpServer(of["tftp"], tree.find, _tftp_log(site.trail), site.trail.trouble),
                      HttpServer(of["http"], tree), BirthListener(of["birth"], site.desk, tls, limits))
        servers.start()
        return servers

    def start(self) -> None:
        """Raises RuntimeError, OSError where no thread can be started; nothing stays bound then."""
        try:
            self.tftp.start()
            self.http.start()
            self.births.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.tftp.stop()
        self.http.stop()
        self.births.stop()


def _endpoints(host: str, sockets: Mapping[str, socket.socket], spki_sha256: str) -> Endpoints:
    return Endpoints(url("http", host, _port(sockets["http"]), 80), url("https", host, _port(sockets["birth"]), 443),
                     spki_sha256)


def _port(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def _both(ends: Sequence[Endpoints]) -> Endpoints:
    """The first address is the one that strangers are told; each machine is sent to that of its own family."""
    return ends[0] if len(ends) == 1 else replace(ends[0], other=ends[1])


def _tftp_log(trail: Trail) -> Log:
    def log(client: str, path: str, status: int, size: int, mac: str) -> None:
        trail.access("tftp", client, path, status, size, mac)

    return log
