"""Addresses and gateways beyond IPv4's own: IPv6 of an adapter, its own gateways; reading, merging, rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from planner.model import Attrs
from planner.schema import Field, boolean, string, strings

DEFAULT = "defaultTcpipStack"
"""The stack of an adapter that names none (HostNetStackInstance.SystemStackKey)."""
IPV6: Mapping[str, Field] = {
    "dhcp": boolean("Whether it asks DHCPv6 for an address."),
    "autoconf": boolean("Whether it makes addresses from router advertisements."),
    "addresses": strings("Its own addresses, as ADDRESS/PREFIX; link-local ones the host makes itself.",
                         unordered=True),
    "gateway": string("Its own IPv6 gateway; the stack's where unset.", check="ip"),
}


def gateways(spec: Any) -> tuple[str, str]:
    """An adapter's own IPv4 and IPv6 gateways; "" where it uses its stack's (HostVirtualNicIpRouteSpec)."""
    own = getattr(getattr(spec, "ipRouteSpec", None), "ipRouteConfig", None)
    return str(getattr(own, "defaultGateway", None) or ""), str(getattr(own, "ipV6DefaultGateway", None) or "")


def set_gateways(spec: Any, ipv4: Any, ipv6: Any) -> None:
    """None: that one stays; "": the stack's."""
    from pyVmomi import vim

    before = gateways(spec)
    wanted = [old if new is None else str(new) for old, new in zip(before, (ipv4, ipv6), strict=True)]
    route = vim.host.IpRouteConfig(defaultGateway=wanted[0] or None, ipV6DefaultGateway=wanted[1] or None)
    spec.ipRouteSpec = vim.host.VirtualNic.IpRouteSpec(ipRouteConfig=route)


def read_ipv6(spec: Any) -> dict[str, Any]:
    """Addresses that somebody set; those of DHCPv6, of advertisements and link-local ones come and go by themselves."""
    config = getattr(spec.ip, "ipV6Config", None)
    return {
        "dhcp": bool(getattr(config, "dhcpV6Enabled", None)),
        "autoconf": bool(getattr(config, "autoConfigurationEnabled", None)),
        "addresses": sorted(_manual(config)),
        "gateway": gateways(spec)[1],
    }


def _manual(config: Any) -> list[str]:
    return [f"{ipaddress.ip_address(each.ipAddress)}/{int(each.prefixLength)}"
            for each in getattr(config, "ipV6Address", None) or () if each.origin in (None, "manual")]


def set_ipv6(ip: Any, wanted: Mapping[str, Any]) -> None:
    """Put what is wanted into a HostIpConfig; addresses one by one, as the API takes them (operation)."""
    from pyVmomi import vim

    config = ip.ipV6Config or vim.host.IpConfig.IpV6AddressConfiguration()
    if "dhcp" in wanted:
        config.dhcpV6Enabled = bool(wanted["dhcp"])
    if "autoconf" in wanted:
        config.autoConfigurationEnabled = bool(wanted["autoconf"])
    if "addresses" in wanted:
        had, now = _manual(config), [str(each) for each in wanted["addresses"] or ()]
        config.ipV6Address = [_operation(each, "remove") for each in had if each not in now] + \
            [_operation(each, "add") for each in now if each not in had]
    ip.ipV6Config = config


def _operation(text: str, operation: str) -> Any:
    from pyVmomi import vim

    address, _, bits = text.partition("/")
    return vim.host.IpConfig.IpV6Address(ipAddress=address, prefixLength=int(bits), operation=operation)


def ipv6_problems(ipv6: Any) -> Iterable[str]:
    """A sentence for each address that is none, or that live would show in other letters."""
    for text in ipv6.get("addresses") or () if isinstance(ipv6, Mapping) else ():
        if not isinstance(text, str):
            continue
        try:
            made = ipaddress.IPv6Interface(text)
        except ValueError:
            yield f"ipv6.addresses: {text!r} is not an address with a prefix, such as fd00::5/64"
            continue
        if "/" not in text:
            yield f"ipv6.addresses: {text!r} has no prefix: write {text}/64"
        elif made.is_link_local or made.is_multicast:
            yield f"ipv6.addresses: {text!r} cannot be set: the host makes link-local addresses itself"
        elif str(made) != text:
            yield f"ipv6.addresses: write {made} for {text!r}: so live shows it"


def gateway_problems(attributes: Attrs) -> Iterable[str]:
    """An IPv4 gateway that is not in the declared network."""
    ip, netmask, gateway = (attributes.get(k) for k in ("ip", "netmask", "gateway"))
    if not (isinstance(ip, str) and isinstance(netmask, str) and isinstance(gateway, str) and gateway):
        return
    network = ipaddress.ip_interface(f"{ip}/{netmask}").network
    if ipaddress.ip_address(gateway) not in network:
        yield f"gateway {gateway} is not in the adapter's network {network}"
