"""The twin over HTTPS: the same house that commands use in-process, for other clients of the vSphere API."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.model import Address, Diagnostic, FleetError, Step
from providers.twin.buttons import house_of

if TYPE_CHECKING:
    from planner.ports import Workshop
    from providers.twin.house import House
    from providers.twin.soap.certificate import Certificate
    from providers.twin.soap.server import Mount, Server

_RENEW = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve: where, where to write the certificate, which faults, and how to say so. `seed`: of a new twin."""

    listen: str
    port: int
    ca_file: str = ""
    faults: str = ""
    as_json: bool = False
    seed: str = ""


def serve_fleet(workshop: Workshop, path: str, wanted: Serving) -> int:
    """Serve the twin of a fleet until Ctrl-C, its boot files with it. The fleet is locked for that time."""
    with workshop.open(path, purpose="twin serve") as place:
        house = house_of(place.session("vsphere"))
        place.session("boot").prepare([Step("serve", Address("host", "any"), "power.boot", None, None)])
        return _serve(house, wanted, _kept_certificate(place.folder / "twin", wanted.listen))


def serve_new(hosts: int, wanted: Serving, profile: str = "newborn") -> int:
    """Serve a twin of its own, in memory: what a seed says, or dc0 with the cluster prod and this many connected hosts
    of that profile. Raises FleetError for a seed with mistakes."""
    from providers.twin.house import open_house
    from providers.twin.soap.certificate import make_certificate

    house = open_house(None, "twin", seed=Path(wanted.seed)) if wanted.seed else \
        new_house(hosts, profile)
    return _serve(house, wanted, make_certificate(wanted.listen, ("localhost", "127.0.0.1", "127.0.0.2")))


def new_house(hosts: int, profile: str = "newborn") -> House:
    """A house in memory with dc0, its cluster prod, and connected hosts in it, newborn or of another profile. Hosts
    that are alike are served over the wire from templates."""
    from pyVmomi import vim

    from providers.twin.house import open_house
    from providers.twin.profile import lay_host, lay_site
    from providers.twin.soap.templates import Templates

    house = open_house(None, "twin")
    root: Any = vim.ServiceInstance("ServiceInstance", house.stub()).RetrieveContent().rootFolder
    root.CreateDatacenter("dc0").hostFolder.CreateClusterEx("prod", vim.cluster.ConfigSpecEx())
    lay_site(house, profile)
    for number in range(1, hosts + 1):
        mac = f"52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        house.add_connected_host("dc0/prod", mac, f"esx{number:05}.twin.example")
        lay_host(house, mac, profile, number)
    house.calls.clear()
    house.world.templates = Templates(house.world)
    return house


def open_server(house: House, wanted: Serving, certificate: Certificate | None = None) -> Server:
    """The server of a house, not started: vCenter at /sdk, a host's own door at /hosts/ADDRESS/sdk, and what machines
    outside of the twin say at /machines/MAC (see `outside`)."""
    from providers.twin.outside import OutsideMachines
    from providers.twin.soap.server import Mount, Server

    def find(path: str) -> Mount | None:
        parts = path.strip("/").split("/")
        if len(parts) != 3 or parts[0] != "hosts" or parts[2] != "sdk":
            return None
        return Mount(lambda: house.door_world(parts[1]))

    return Server({"/sdk": Mount(lambda: house.world)}, host=wanted.listen, port=wanted.port,
                  certificate=certificate, find=find, beside=OutsideMachines(house).answer)


def _serve(house: House, wanted: Serving, certificate: Certificate) -> int:
    _load_faults(house, wanted.faults)
    server = open_server(house, wanted, certificate)
    try:
        server.start()
    except OSError as problem:
        raise FleetError(Diagnostic("error", "the twin cannot be served there",
                                    f"{wanted.listen}:{wanted.port}: {problem.strerror or problem}",
                                    remedy="choose another --port or --listen; --port 0 takes a free port")) from None
    try:
        if wanted.ca_file:
            Path(wanted.ca_file).write_text(certificate.certificate)
        _say(house, server, wanted)
        server.wait()
    except KeyboardInterrupt:
        pass  # how one ends a server
    finally:
        server.close()
    return 0


def _say(house: House, server: Server, wanted: Serving) -> None:
    import typer

    from providers.twin.house import PASSWORD, USER

    url = f"https://{wanted.listen}:{server.port}/sdk"
    facts = {"url": url, "user": USER, "password": PASSWORD, "instance": house.instance,
             "thumbprint": server.certificate.thumbprint(), "ca_file": wanted.ca_file}
    if wanted.as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"vCenter (simulated) at {url}, hosts at {url.removesuffix('/sdk')}/hosts/ADDRESS/sdk")
    typer.echo(f"user {USER}, password {PASSWORD}\nthumbprint {facts['thumbprint']}")
    typer.echo("Ctrl-C ends it")


def _load_faults(house: House, file: str) -> None:
    from providers.twin.core.faults import FaultRules

    if not file:
        return
    try:
        house.faults.take(FaultRules.load(Path(file).read_text()))
    except (OSError, ValueError) as problem:
        raise FleetError(Diagnostic("error", "the fault rules cannot be used", f"{file}: {problem}")) from None


def _kept_certificate(folder: Path, listen: str) -> Certificate:
    """The certificate of this fleet's HTTPS door, the same at every start until it is about to expire."""
    from cryptography import x509

    from providers.twin.soap.certificate import Certificate, make_certificate

    file = folder / f"https-{listen.replace(':', '_')}.pem"
    if file.is_file():
        text = file.read_text()
        head, mark, tail = text.partition("-----BEGIN PRIVATE KEY-----")
        if x509.load_pem_x509_certificate(head.encode()).not_valid_after_utc - _RENEW > datetime.now(UTC):
            return Certificate(head, mark + tail)
    made = make_certificate(listen, ("localhost", "127.0.0.1", "127.0.0.2"))
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(made.certificate + made.key)
    return made
