"""Configuration for ISC Kea's DHCPv4 server (2.2 and later), as JSON.

Reservations put declared machines into the class of their group; what to boot hangs on classes made of group and
architecture, so that nobody else gets a boot file. Strangers are dropped before they get an address: a class on
options alone would still lease them one. Reservations with an address belong to their subnet, the others to all.
"""

from __future__ import annotations

import json
from typing import Any

from providers.boot.dhcp.site import Group, Machine, Site, Subnet

_IPXE = "fleet-ipxe"
_ENCAPSULATED = "fleet-ipxe-space"


def render(site: Site) -> str:
    """The whole file."""
    return json.dumps({"Dhcp4": _server(site)}, indent=2) + "\n"


def _server(site: Site) -> dict[str, Any]:
    classes = _classes(site)
    return {
        "comment": f"Kea DHCPv4 for the fleet {site.fleet}, made by `fleet dhcp`",
        "interfaces-config": _interfaces(site),
        "lease-database": {"type": "memfile", "persist": True},
        "authoritative": True,
        "match-client-id": False,  # firmware, iPXE and ESXi are one machine: one lease by MAC
        "host-reservation-identifiers": ["hw-address"],
        "reservations-global": True,
        "reservations-in-subnet": True,
        "option-def": [
            {"name": "ipxe-options", "code": 175, "space": "dhcp4", "type": "empty", "encapsulate": _ENCAPSULATED},
            {"name": "no-proxy", "code": 176, "space": _ENCAPSULATED, "type": "uint8"},
        ],
        **({"client-classes": classes} if classes else {}),  # Kea refuses an empty list
        "reservations": [_reservation(m) for m in site.machines if m.ip is None],
        "subnet4": [_subnet(site, subnet, number) for number, subnet in enumerate(site.subnets, 1)],
    }


def _interfaces(site: Site) -> dict[str, Any]:
    """Kea gives up an interface that has no link when it starts, as a boot network has whose machines are all off.

    With "*" trying again would log every interface that never gets an address, for ever.
    """
    if not site.interface:
        return {"interfaces": ["*"]}
    return {"interfaces": [site.interface], "service-sockets-max-retries": 10_000_000,
            "service-sockets-retry-wait-time": 5000}  # ms


def _subnet(site: Site, subnet: Subnet, number: int) -> dict[str, Any]:
    options = [("routers", str(subnet.router) if subnet.router else ""),
               ("domain-name-servers", ", ".join(map(str, subnet.dns))), ("domain-name", subnet.domain)]
    return {
        "id": number,
        "subnet": str(subnet.network),
        "valid-lifetime": subnet.lease,
        "pools": [{"pool": f"{subnet.pool.first} - {subnet.pool.last}"}] if subnet.pool else [],
        "option-data": [{"name": name, "data": data} for name, data in options if data],
        "reservations": [_reservation(m) for m in site.machines if m.ip is not None and m.ip in subnet.network],
    }


def _reservation(machine: Machine) -> dict[str, Any]:
    made: dict[str, Any] = {"hw-address": machine.mac, "hostname": machine.name}
    if machine.ip is not None:
        made["ip-address"] = str(machine.ip)
    if machine.group:
        made["client-classes"] = [machine.group]
    return made


def _classes(site: Site) -> list[dict[str, Any]]:
    """In the order in which Kea evaluates them: what a test names comes before it."""
    classes: list[dict[str, Any]] = [{"name": group.name} for group in site.groups]
    if not site.strangers:
        classes.append({"name": "DROP", "test": "member('UNKNOWN')"})
    if site.groups:
        members = " or ".join(f"member('{group.name}')" for group in site.groups)
        ipxe = _class(_IPXE, f"({members}) and (option[175].exists or option[77].hex == 'iPXE')", site.listen,
                      site.script)
        ipxe["option-data"] += [{"name": "ipxe-options"}, {"name": "no-proxy", "space": _ENCAPSULATED, "data": "1"}]
        classes.append(ipxe)
    return [*classes, *(one for group in site.groups for one in _boot(site, group))]


def _boot(site: Site, group: Group) -> list[dict[str, Any]]:
    classes = []
    for kind, numbers, file, http in group.files.by_arch():
        arch = " or ".join(f"substring(option[93].hex, 0, 2) == 0x{number:04x}" for number in numbers)
        test = f"member('{group.name}') and not member('{_IPXE}') and ({arch})"
        name = f"{group.name}-{kind}"
        if http:
            test += " and substring(option[60].hex, 0, 10) == 'HTTPClient'"
            made = _class(name, test, site.listen, site.url(file))
            made["option-data"].append({"name": "vendor-class-identifier", "data": "HTTPClient"})
        else:
            made = _class(name, test, site.listen, file)
        classes.append(made)
    return classes


def _class(name: str, test: str, server: str, file: str) -> dict[str, Any]:
    """Header fields for BOOTP firmware, options 66 and 67 for what asks for them."""
    return {
        "name": name, "test": test, "next-server": server, "boot-file-name": file,
        "option-data": [{"name": "tftp-server-name", "data": server}, {"name": "boot-file-name", "data": file}],
    }
