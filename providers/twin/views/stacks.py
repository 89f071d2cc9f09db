"""TCP/IP: addresses of adapters, default gateways, routes, resolvers and stacks, as HostNetworkInfo shows them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

from providers.twin.core.meta import data
from providers.twin.model import HostConfig, Vnic
from providers.twin.parts.network import DEFAULT, SYSTEM, Stack


def link_local(mac: str) -> str:
    """The fe80:: address that a MAC makes (RFC 4291, appendix A)."""
    octets = [int(each, 16) for each in mac.split(":")]
    octets[0] ^= 2
    bits = int.from_bytes(bytes([*octets[:3], 0xFF, 0xFE, *octets[3:]]))
    return str(ipaddress.IPv6Address((0xFE80 << 112) | bits))


def leased6(mac: str) -> str:
    """What DHCPv6 hands an adapter."""
    bits = int(mac.replace(":", ""), 16)
    return str(ipaddress.IPv6Address((0xFD00 << 112) | (6 << 64) | bits))


def ip_config(nic: Vnic) -> Any:
    """HostIpConfig of an adapter."""
    return data(
        "HostIpConfig", dhcp=nic.dhcp, ipAddress=nic.ip or None, subnetMask=nic.netmask or None,
        ipV6Config=data(
            "HostIpConfigIpV6AddressConfiguration", ipV6Address=list(_addresses6(nic)),
            autoConfigurationEnabled=nic.autoconf, dhcpV6Enabled=nic.dhcp6,
        ),
    )


def _addresses6(nic: Vnic) -> Iterator[Any]:
    found = [(f"{link_local(nic.mac)}/64", "other")] if nic.mac else []
    found += [(f"{leased6(nic.mac)}/128", "dhcp")] if nic.dhcp6 else []
    for text, origin in [*found, *((each, "manual") for each in nic.ip6)]:
        address, _, bits = text.partition("/")
        yield data("HostIpConfigIpV6Address", ipAddress=address, prefixLength=int(bits), origin=origin,
                   dadState="preferred")


def on_stack(config: HostConfig, key: str) -> Iterable[tuple[str, Vnic]]:
    return ((device, nic) for device, nic in config.vnics.items() if nic.stack == key)


def leased_gateway(config: HostConfig, key: str = DEFAULT) -> tuple[str, str]:
    """The gateway that comes with the first lease of a stack's adapters, and that adapter; "" without one."""
    for device, nic in on_stack(config, key):
        if nic.dhcp and nic.ip and nic.netmask:
            network = ipaddress.ip_interface(f"{nic.ip}/{nic.netmask}").network
            return str(network.network_address + 1), device
    return "", ""


def gateway(config: HostConfig, key: str = DEFAULT) -> str:
    """A stack's IPv4 default gateway: what was set, else what a lease brought."""
    stack = config.network.stack(key)
    return (stack.gateway if stack else "") or leased_gateway(config, key)[0]


def reaches(config: HostConfig, address: str, key: str = DEFAULT) -> str:
    """The adapter of a stack in whose network this address is; "" where there is none."""
    wanted = ipaddress.ip_address(address)
    for device, nic in on_stack(config, key):
        own = [f"{nic.ip}/{nic.netmask}"] if nic.ip and nic.netmask else []
        own += [f"{link_local(nic.mac)}/64"] if nic.mac else []
        if any(wanted in ipaddress.ip_interface(each).network for each in [*own, *nic.ip6]):
            return device
    return ""


def ip_route_config(config: HostConfig, key: str = DEFAULT) -> Any:
    """HostIpRouteConfig of a stack."""
    stack = config.network.stack(key) or Stack()
    return data("HostIpRouteConfig", defaultGateway=gateway(config, key) or None,
                ipV6DefaultGateway=stack.gateway6 or None)


def _routes(config: HostConfig) -> Iterator[tuple[str, str, str]]:
    """(network, gateway, device) of the default stack: the default route, connected networks, static routes."""
    default = gateway(config)
    if default:
        yield "0.0.0.0/0", default, reaches(config, default) or leased_gateway(config)[1]
    for device, nic in on_stack(config, DEFAULT):
        if nic.ip and nic.netmask:
            yield str(ipaddress.ip_interface(f"{nic.ip}/{nic.netmask}").network), "0.0.0.0", device  # noqa: S104 - a route
    yield from ((network, via, reaches(config, via)) for network, via in config.network.routes.items()
                if ":" not in network)
    default6 = (config.network.stack(DEFAULT) or Stack()).gateway6
    if default6:
        yield "::/0", default6, reaches(config, default6)
    for device, nic in on_stack(config, DEFAULT):
        own = [f"{link_local(nic.mac)}/64"] if nic.mac else []
        for network in dict.fromkeys(ipaddress.ip_interface(each).network for each in [*own, *nic.ip6]):
            yield str(network), "::", device
    yield from ((network, via, reaches(config, via)) for network, via in config.network.routes.items()
                if ":" in network)


def _entry(network: str, via: str, device: str) -> Any:
    address, _, bits = network.partition("/")
    return data("HostIpRouteEntry", network=address, prefixLength=int(bits), gateway=via, deviceName=device or None)


def route_table_info(config: HostConfig) -> Any:
    """HostIpRouteTableInfo: the routes of the default stack, as the host uses them."""
    found = list(_routes(config))
    return data("HostIpRouteTableInfo", ipRoute=[_entry(*each) for each in found if ":" not in each[0]],
                ipv6Route=[_entry(*each) for each in found if ":" in each[0]])


def dns(config: HostConfig) -> Any:
    """HostDnsConfig of the default TCP/IP stack."""
    found = config.dns
    return data(
        "HostDnsConfig",
        dhcp=found.dhcp,
        virtualNicDevice="vmk0" if found.dhcp else None,
        hostName=found.hostname,
        domainName=found.domain,
        address=list(found.servers),
        searchDomain=list(found.search),
    )


def net_stacks(config: HostConfig) -> list[Any]:
    """HostNetStackInstance of every stack."""
    keys = [*(each for each in config.network.stacks if each not in SYSTEM), *SYSTEM]
    return [_stack(config, key, config.network.stack(key) or Stack()) for key in keys]


def _stack(config: HostConfig, key: str, stack: Stack) -> Any:
    resolver = dns(config) if key == DEFAULT else data(
        "HostDnsConfig", dhcp=False, hostName=stack.hostname, domainName=stack.domain, address=list(stack.servers),
        searchDomain=list(stack.search))
    return data(
        "HostNetStackInstance", key=key, name=key if key == DEFAULT or key not in SYSTEM else None, dnsConfig=resolver,
        ipRouteConfig=ip_route_config(config, key), requestedMaxNumberOfConnections=stack.connections,
        congestionControlAlgorithm=stack.congestion, ipV6Enabled=True,
    )
