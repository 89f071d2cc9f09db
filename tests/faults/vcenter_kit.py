"""A vCenter (the twin) behind real TLS at 127.0.0.2, and a fleet of two connected hosts that names it as its server.

127.0.0.2, because pyVmomi switches verification off for 127.0.0.1 and localhost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from providers.twin.house import PASSWORD, USER
from providers.twin.serving import Serving, new_house, open_server
from providers.twin.soap.certificate import Certificate, make_certificate
from tests.support.places import quick_folder
from tests.support.process import Site

ADDRESS = "127.0.0.2"
FLEET = """\
fleet: {{name: real}}
provider:
  vsphere: {{server: "{server}", user: "{user}", password: '${{secret("env:VC_PASSWORD")}}', timeout: 20{more}}}
datacenter:
  dc0: {{}}
cluster:
  prod: {{datacenter: '${{datacenter.dc0}}'{drs}}}
host:
  esx:
    for_each: {{a: 1, b: 2}}
    name: 'esx0000${{each.value}}.twin.example'
    mac: '52:54:00:00:00:0${{each.value}}'
    cluster: ${{cluster.prod}}
    {body}
"""
BODY = """\
dns: {servers: [10.0.0.53], domain: lab.example}
    ntp: {servers: [10.0.0.1]}
    vswitch: {vSwitch1: {uplinks: [vmnic1], mtu: 9000}}
    portgroup: {vMotion: {vswitch: vSwitch1, vlan: 20}}
    nfs: {images: {server: nas1, path: /export, version: "3", access: readOnly}}
"""


@dataclass
class Door:
    """The server, its house, and a working directory with a fleet of it."""

    house: Any
    server: Any
    site: Site
    env: dict[str, str]  # of the site's commands

    @property
    def name(self) -> str:
        return f"{ADDRESS}:{self.server.port}"

    @property
    def certificate(self) -> Certificate:
        found: Certificate = self.server.certificate
        return found

    def declare(self, *, server: str = "", user: str = USER, ca: str | None = None, thumbprint: str = "",
                body: str = BODY, drs: str = "") -> None:
        """Write the fleet. `ca`: PEM of the CA file; None: the server's own certificate."""
        (self.site.folder / "ca.pem").write_text(self.certificate.certificate if ca is None else ca)
        more = f', thumbprint: "{thumbprint}"' if thumbprint else "" if ca == "" else ", ca_file: ca.pem"
        text = FLEET.format(server=server or self.name, user=user, more=more, body=body, drs=drs)
        (self.site.folder / "fleet.yaml").write_text(text)

    def calls(self) -> list[str]:
        return [c.method for c in self.house.calls]

    def journal(self) -> Any:
        """The newest run's journal, as `fleet show --json` has it."""
        path = self.site.newest()
        assert path is not None
        return self.site.look("show", str(path), "--json").json


@contextmanager
def vcenter_door(certificate: Certificate | None = None) -> Iterator[Door]:
    """dc0 with the cluster prod and two connected hosts in it."""
    house = new_house(2)
    certificate = certificate or make_certificate(ADDRESS)
    with open_server(house, Serving(ADDRESS, 0), certificate) as server, quick_folder() as folder:
        env = {"VC_PASSWORD": PASSWORD, "COLUMNS": "200"}
        door = Door(house, server, Site(folder, "real", env), env)
        door.declare()
        house.world.sessions.end_all()
        yield door


def closed_port() -> int:
    """A port at which nobody listens."""
    import socket

    with socket.create_server((ADDRESS, 0)) as taken:
        return int(taken.getsockname()[1])
