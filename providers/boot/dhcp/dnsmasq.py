"""Configuration for dnsmasq (2.86 and later): a DHCP server, or a proxy beside the site's own DHCP server.

DNS, DHCPv6, router advertisements and its TFTP server stay off. Tags: `net0` … the subnet, `fleet-…` the group of a
declared machine, `bios`, `uefi`, … what its firmware is, `ipxe` for iPXE, which comes second and is sent on by HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from providers.boot.dhcp.site import ARM64, ARM64_HTTP, BIOS, UEFI, UEFI_HTTP, Group, Machine, Site, Subnet

_NO_NAME = re.compile(r"[0-9]+[smhdw]?\Z|infinite\Z|ignore\Z", re.IGNORECASE)
"""Names of machines that dnsmasq would take for a lease time, or for an order to ignore the machine."""
_LEASES = 1000
"""dnsmasq gives out no more than that unless told."""
_TAGS = (("bios", BIOS), ("uefi", UEFI), ("uefi-http", UEFI_HTTP), ("arm64", ARM64), ("arm64-http", ARM64_HTTP))


def render(site: Site) -> str:
    """A DHCP server for the boot network."""
    lines = [*_head(site, "DHCP server for an isolated boot network"), "dhcp-authoritative", "no-ping",
             "dhcp-ignore-clid  # firmware, iPXE and ESXi are one machine: one lease by MAC", ""]
    wanted = len(site.machines) + sum(len(s.pool) for s in site.subnets if s.pool is not None)
    if wanted > _LEASES:
        lines += [f"dhcp-lease-max={wanted}", ""]
    for index, subnet in enumerate(site.subnets):
        lines += [*_subnet(subnet, f"net{index}"), ""]
    lines += [*_strangers(site), *_firmware(http=True), ""]
    for group in site.groups:
        lines += [*_boot(site, group), ""]
    return _text([*lines, "# the declared machines", *(_host(m, address=True) for m in site.machines)])


def render_proxy(site: Site) -> str:
    """Beside another DHCP server, which gives the addresses. UEFI HTTP boot needs that server (option 67)."""
    lines = [*_head(site, "proxy: addresses come from the site's own DHCP server"), ""]
    lines += [f"dhcp-range={s.network.network_address},proxy,{s.network.netmask}" for s in site.subnets]
    lines += ["", *_strangers(site), *_firmware(http=False), ""]
    for group in site.groups:
        lines += [*_proxy_boot(site, group), ""]
    machines = [m for m in site.machines if m.group]  # a proxy has nothing to say to the others
    return _text([*lines, "# the declared machines", *(_host(m, address=False) for m in machines)])


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _head(site: Site, what: str) -> list[str]:
    where = [f"interface={site.interface}", "bind-dynamic"] if site.interface else []
    return [f"# dnsmasq for the fleet {site.fleet}, made by `fleet dhcp`: {what}.", "port=0", "no-hosts", *where]


def _subnet(subnet: Subnet, tag: str) -> list[str]:
    span = f"{subnet.pool.first},{subnet.pool.last}" if subnet.pool else f"{subnet.network.network_address},static"
    lines = [f"dhcp-range=set:{tag},{span},{subnet.network.netmask},{subnet.lease}",
             f"dhcp-option=tag:{tag},option:router" + (f",{subnet.router}" if subnet.router else "")]
    if subnet.dns:
        lines.append(f"dhcp-option=tag:{tag},option:dns-server,{','.join(map(str, subnet.dns))}")
    if subnet.domain:
        lines.append(f"dhcp-option=tag:{tag},option:domain-name,{subnet.domain}")
    return lines


def _strangers(site: Site) -> list[str]:
    if site.strangers:
        return ["# machines that are not declared get an address, and nothing to boot"]
    return ["# machines that are not declared get no answer", "dhcp-ignore=tag:!known"]


def _firmware(*, http: bool) -> Iterator[str]:
    yield "dhcp-match=set:ipxe,175"
    yield "dhcp-userclass=set:ipxe,iPXE"
    if http:  # a proxy names architectures in its services
        yield "dhcp-vendorclass=set:http,HTTPClient"
        for tag, numbers in _TAGS:
            yield from (f"dhcp-match=set:{tag},option:client-arch,{number}" for number in numbers)


def _boot(site: Site, group: Group) -> Iterator[str]:
    server = f"{site.listen},{site.listen}"
    for tag, _, file, http in group.files.by_arch():
        kind = "tag:http" if http else "tag:!http"
        yield f"dhcp-boot=tag:{group.name},tag:{tag},tag:!ipxe,{kind},{site.url(file) if http else file},{server}"
        if http:
            yield f"dhcp-option-force=tag:{group.name},tag:{tag},tag:http,option:vendor-class,HTTPClient"
    yield f"dhcp-boot=tag:{group.name},tag:ipxe,{site.script},{server}"
    yield f"dhcp-option=tag:{group.name},encap:175,176,1b  # iPXE need not wait for a proxy"


def _proxy_boot(site: Site, group: Group) -> Iterator[str]:
    """One service for each architecture: where two match, UEFI waits at a menu."""
    for _, numbers, file, http in group.files.by_arch():
        if not http:
            yield from (f'pxe-service=tag:{group.name},tag:!ipxe,{number},"{site.fleet}",{file},{site.listen}'
                        for number in numbers)
    yield f"dhcp-boot=tag:{group.name},tag:ipxe,{site.script},{site.listen},{site.listen}"


def _host(machine: Machine, *, address: bool) -> str:
    words = [machine.mac, *([f"set:{machine.group}"] if machine.group else [])]
    if address:
        words += [*([str(machine.ip)] if machine.ip else []),
                  *([] if _NO_NAME.match(machine.name) else [machine.name])]
    return f"dhcp-host={','.join(words)}"
