"""What can be wrong with a DHCP site beyond what the daemons tell: dnsmasq takes reservations outside of its
subnets, addresses given twice and files that nobody has; Kea tells one error at a time, without the fleet's place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from itertools import pairwise
from typing import TYPE_CHECKING

from planner.model import Diagnostic, Fleet, FleetError
from providers.boot.dhcp.schema import PROXY
from providers.boot.dhcp.site import Machine, Site, Subnet
from providers.boot.dhcp.survey import ROOT, survey

if TYPE_CHECKING:
    from providers.boot.images import Outline


def problems(fleet: Fleet, outlines: Mapping[str, Outline], server: str = "") -> list[Diagnostic]:
    """Everything that is wrong with `provider.boot.dhcp`; [] where the fleet has none. For `fleet validate`."""
    if not _declared(fleet):
        return []
    site, found = survey(fleet, outlines, server)
    return [*found, *_checked(fleet, site, server or declared_server(fleet))]


def checked_site(fleet: Fleet, outlines: Mapping[str, Outline], server: str) -> tuple[Site, list[Diagnostic]]:
    """A site that can be rendered for that server, and warnings. Raises FleetError with all that is wrong."""
    if not _declared(fleet):
        raise FleetError(Diagnostic("error", "the fleet says nothing about DHCP", f"there is no {ROOT}",
                                    fleet.place("provider.boot"),
                                    remedy="write provider: {boot: {dhcp: {subnet: 10.0.0.0/24}}}"))
    site, found = survey(fleet, outlines, server)
    found = [*found, *_checked(fleet, site, server)]
    if any(one.severity == "error" for one in found):
        raise FleetError(*found)
    return site, found


def _declared(fleet: Fleet) -> bool:
    return isinstance(fleet.providers.get("boot", {}).get("dhcp"), Mapping)


def declared_server(fleet: Fleet) -> str:
    """What `provider.boot.dhcp.server` says; "" where it is silent."""
    dhcp = fleet.providers.get("boot", {}).get("dhcp")
    return str(dhcp.get("server") or "") if isinstance(dhcp, Mapping) else ""


def _checked(fleet: Fleet, site: Site, server: str) -> Iterator[Diagnostic]:
    yield from _listen(fleet, site)
    yield from _overlaps(fleet, site)
    if server == PROXY:
        return  # addresses are another server's affair
    for subnet in site.subnets:
        yield from _router(fleet, site, subnet)
        yield from _pool(fleet, site, subnet)
    for machine in site.machines:
        yield from _reservation(site, machine)
    yield from _addressless(fleet, site, certain=bool(server))
    if site.strangers and not any(subnet.pool for subnet in site.subnets):
        yield _error(fleet, "no addresses for machines that are not declared", f"{ROOT}.unknown is lease, and no "
                     "subnet has a range", f"{ROOT}.unknown", "declare `range`, or write unknown: ignore")


def _error(fleet: Fleet, summary: str, detail: str, path: str, remedy: str) -> Diagnostic:
    return Diagnostic("error", summary, detail, fleet.place(path), remedy=remedy)


def _listen(fleet: Fleet, site: Site) -> Iterator[Diagnostic]:
    address = IPv4Address(site.listen)
    if address.is_loopback or address.is_unspecified:
        given = fleet.providers["boot"].get("listen")
        shown = ", ".join(map(str, given)) if isinstance(given, (list, tuple)) else address
        yield _error(fleet, "machines cannot be sent to this address", f"provider.boot.listen is {shown}",
                     "provider.boot.listen", "set it to this machine's IPv4 address on the boot network")


def _overlaps(fleet: Fleet, site: Site) -> Iterator[Diagnostic]:
    ordered = sorted(site.subnets, key=lambda s: (s.network.network_address, s.network.prefixlen))
    for first, second in pairwise(ordered):
        if first.network.overlaps(second.network):
            yield _error(fleet, "subnets overlap", f"{first.network} and {second.network}", f"{second.path}.subnet",
                         "declare each network once")


def _ends(subnet: Subnet) -> tuple[IPv4Address, IPv4Address]:
    return subnet.network.network_address, subnet.network.broadcast_address


def _router(fleet: Fleet, site: Site, subnet: Subnet) -> Iterator[Diagnostic]:
    router, listen = subnet.router, IPv4Address(site.listen)
    if router is None:
        if listen not in subnet.network and not listen.is_loopback:
            yield _error(fleet, "machines of this subnet cannot reach the boot server",
                         f"provider.boot.listen is {listen}, outside of {subnet.network}, which has no router",
                         f"{subnet.path}.subnet", "declare its `router`, or listen inside of it")
    elif router not in subnet.network or router in _ends(subnet):
        yield _error(fleet, "a router outside of its subnet", f"{router} is no machine of {subnet.network}",
                     f"{subnet.path}.router", "name the gateway's address inside of the subnet")


def _pool(fleet: Fleet, site: Site, subnet: Subnet) -> Iterator[Diagnostic]:
    pool, where = subnet.pool, f"{subnet.path}.range"
    if pool is None:
        return
    first, last = _ends(subnet)
    if not first < pool.first <= pool.last < last:
        yield _error(fleet, "a range outside of its subnet", f"{pool.first}-{pool.last} does not lie between the first "
                     f"and the last address of {subnet.network}", where, "keep it inside of the subnet")
    taken = {IPv4Address(site.listen): "provider.boot.listen", **dict.fromkeys(subnet.dns, "a DNS server")}
    if subnet.router is not None:
        taken[subnet.router] = "the router"
    for address, what in taken.items():
        if address in pool:
            yield _error(fleet, "a range with an address that is taken", f"{address} is {what}", where,
                         "leave it out of the range")


def _reservation(site: Site, machine: Machine) -> Iterator[Diagnostic]:
    """The address of one host. That no two hosts have the same one is a rule of the fleet language itself."""
    def wrong(summary: str, detail: str, remedy: str) -> Diagnostic:
        return Diagnostic("error", summary, detail, machine.mark, machine.address, remedy)

    if machine.ip is None:
        return
    subnet = next((s for s in site.subnets if machine.ip in s.network), None)
    if subnet is None:
        known = ", ".join(str(s.network) for s in site.subnets) or "none is valid"
        yield wrong("a reservation outside of every subnet", f"boot_address {machine.ip}; subnets: {known}",
                    "correct it, or declare its subnet in provider.boot.dhcp.subnets")
        return
    if machine.ip in _ends(subnet):
        yield wrong("a reservation of no machine's address",
                    f"boot_address {machine.ip} is the network's or the broadcast address of {subnet.network}",
                    "take another address")
    if subnet.pool is not None and machine.ip in subnet.pool:
        yield wrong("a reservation inside of the range", f"boot_address {machine.ip} lies in "
                    f"{subnet.pool.first}-{subnet.pool.last}, which any machine may have been given",
                    "take an address outside of the range")
    for address, what in ((subnet.router, "the router"), (IPv4Address(site.listen), "the boot server"),
                          *((one, "a DNS server") for one in subnet.dns)):
        if address == machine.ip:
            yield wrong("a reservation of an address that is taken", f"boot_address {machine.ip} is {what}",
                        "take another address")


def _addressless(fleet: Fleet, site: Site, *, certain: bool) -> Iterator[Diagnostic]:
    """Hosts that rely on a range. A warning while the file does not say which server it is for: proxies give none."""
    without = [m for m in site.machines if m.ip is None]
    room = sum(len(s.pool) for s in site.subnets if s.pool is not None)
    if len(without) <= room:
        return
    first = without[0]
    others = f" and {len(without) - 1} more" if len(without) > 1 else ""
    yield Diagnostic(
        "error" if certain else "warning", "not enough addresses for all hosts",
        f"{first.address}{others} without boot_address, {room} addresses in ranges",
        first.mark or fleet.place(ROOT), first.address,
        "declare boot_address, or a (larger) range; or `server: dnsmasq-proxy` where the site has a DHCP server")
