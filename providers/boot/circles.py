"""Services that booting a host needs, and that run on a host that is booted: after a power cut neither comes back.

What can be known is known from names and addresses: those that the fleet declares, those of hosts, and those of the VMs
on them as vCenter shows them (a VM without its tools has only its name). No name is resolved. The address of the DHCP
server itself is in no fleet file.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from planner.model import Address, Attrs, Diagnostic, Fleet, Live, Resource

ALWAYS = ("localhost", "127.", "::1")


def cautions(fleet: Fleet, live: Live) -> Iterable[Diagnostic]:
    """A warning for every service and every host that boots from the network and carries it."""
    services = {name: what for what, names in _services(fleet) for name in names}
    if not services:
        return
    own: dict[Address, list[Resource]] = {}
    for resource in fleet.resources.values():
        if resource.address.type == "host":
            own.setdefault(resource.address.root, []).append(resource)
    for root in own:
        declared = fleet.resources.get(root)
        if declared is None or not _boots(declared.attributes):
            continue
        for service, how in _carried(services, own[root], live, root):
            yield Diagnostic(
                "warning", "this host carries what it needs to boot", f"{services[service]} {service}: {how}",
                declared.mark, root, "keep it on hosts that boot without it: after a power cut neither would come back")


def _boots(declared: Attrs) -> bool:
    """Whether it boots from the network every time."""
    return bool(declared.get("image")) and declared.get("netboot") != "once" and not declared.get("install")


def _services(fleet: Fleet) -> Iterable[tuple[str, list[str]]]:
    """What booting takes, and by which names and addresses the fleet knows it."""
    boot = fleet.providers.get("boot", {})
    dhcp = boot.get("dhcp")
    servers = [r.attributes.get("servers") for r in fleet.resources.values() if r.address.child_type == "dns"]
    yield "a DNS server", _names([*servers, dhcp.get("dns") if isinstance(dhcp, Mapping) else None])
    yield "the midwife (boot files, births)", _names([boot.get("listen"), _host(boot.get("midwife"))])
    yield "vCenter", _names([_host(fleet.providers.get("vsphere", {}).get("server"))])


def _names(values: Iterable[object]) -> list[str]:
    found: dict[str, None] = {}
    for value in values:
        for each in value if isinstance(value, Sequence) and not isinstance(value, str) else [value]:
            if isinstance(each, str) and each and not each.startswith(ALWAYS):
                found[_normal(each)] = None
    return list(found)


def _host(server: object) -> str:
    """Of `vc.lab.example:443`, `[fd00::5]`, `https://midwife.lab.example:8443`; "" of the embedded twin."""
    if not isinstance(server, str) or not server or server == "twin":
        return ""
    if "://" not in server and server.count(":") > 1 and not server.startswith("["):
        return server  # a bare IPv6 address
    try:
        return urlsplit(server if "://" in server else f"//{server}").hostname or ""
    except ValueError:
        return ""


def _normal(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text.lower().rstrip(".")


def _carried(services: Mapping[str, str], resources: Iterable[Resource], live: Live,
             root: Address) -> Iterable[tuple[str, str]]:
    """(service, how it is known to be there)."""
    found: dict[str, str] = {}
    for resource in resources:
        keys = ("ip",) if resource.address.child_type else ("name", "boot_address")
        for value in (resource.attributes.get(key) for key in keys):
            if isinstance(value, str) and _normal(value) in services:
                found.setdefault(_normal(value), "that is the host itself")
    host = live.hosts.get(root)
    if host is not None:
        if host.ip and _normal(host.ip) in services:
            found.setdefault(_normal(host.ip), "that is the host's own address")
        for vm, guest in host.guests:
            if _normal(guest) in services:
                found.setdefault(_normal(guest), f"virtual machine {vm} on it has that name or address")
        for vm in host.vms:
            for service in services:
                if _called(vm, service):
                    found.setdefault(service, f"a virtual machine on it is called {vm}")
    return found.items()


def _called(vm: str, service: str) -> bool:
    """By its whole name, or by its first label: VMs are often called so."""
    name = _normal(vm)
    return name == service or (name == service.split(".")[0] and not service[0].isdigit() and ":" not in service)
