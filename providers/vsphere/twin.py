"""The embedded twin as a server: same pyVmomi, no socket."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from planner.ports import OpenContext
from providers.vsphere.connect import Trust, WrongCertificate, colons

LAG = 0.05
"""Seconds for which vCenter shows a host's configuration as it was before a call."""


def open_twin(context: OpenContext) -> Any:
    """The house of this fleet's twin. Writes nothing where the context is not writable."""
    from providers.twin.house import MachineSpec, open_house

    seed = context.block.get("seed")
    machines = [MachineSpec(mac=str(r.attributes["mac"]), name=str(r.attributes.get("name") or a.name))
                for a, r in context.fleet.resources.items()
                if a.type == "host" and not a.child_type and r.attributes.get("mac")]
    house = open_house(context.folder / "twin", context.fleet.name, seed=Path(str(seed)) if seed else None,
                       machines=machines, writable=context.writable, clock=context.clock)
    house.lag.seconds = LAG
    return house


def door_stub(house: Any, address: str, trust: Trust) -> Any:
    """A stub of one host's own door, after the check that TLS would have made. Raises WrongCertificate, OSError."""
    der = shown_certificate(house, address)
    if not trust.accepts(der):
        raise WrongCertificate(colons(der))
    return house.door(address)


def shown_certificate(house: Any, address: str) -> bytes:
    """DER of the certificate that a host of the twin shows at its own door. Raises ConnectionRefusedError."""
    return ssl.PEM_cert_to_DER_cert(house.door_certificate(address))


def name_leads(house: Any, name: str, wanted: str) -> frozenset[str]:
    """What the twin's DNS has of a host. Its administrator follows the plan: by now it is the address that is wanted,
    if the host answers there."""
    return frozenset({str(house.contact.point(name, wanted))} - {""})


def credentials() -> tuple[str, str]:
    """Who may log in to a twin's vCenter."""
    from providers.twin import house

    return house.USER, house.PASSWORD
