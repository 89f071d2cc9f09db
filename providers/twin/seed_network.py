"""The network part of a seed: policies of switches and port groups, IPv6, stacks, routes, in the fleet file's words."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import msgspec

from providers.twin.model import HostConfig, Vnic
from providers.twin.parts import Plain
from providers.twin.parts.network import SYSTEM, Stack

Refuse = Callable[[tuple[str, ...], str], Exception]
"""(where in the host's `config`, what is wrong) → the error to raise."""


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class SecuritySeed(Strict):
    promiscuous: bool | None = None
    mac_changes: bool | None = None
    forged_transmits: bool | None = None


class TeamingSeed(Strict):
    policy: str | None = None
    active: list[str] = msgspec.field(default_factory=list)
    standby: list[str] = msgspec.field(default_factory=list)
    notify: bool | None = None
    failback: bool | None = None
    check_beacon: bool | None = None


class PolicySeed(Strict):
    security: SecuritySeed = msgspec.field(default_factory=SecuritySeed)
    teaming: TeamingSeed = msgspec.field(default_factory=TeamingSeed)


class Ipv6Seed(Strict):
    dhcp: bool = False
    autoconf: bool = False
    addresses: list[str] = msgspec.field(default_factory=list)
    gateway: str = ""


class StackSeed(Strict):
    gateway: str = ""
    servers: list[str] = msgspec.field(default_factory=list)
    domain: str = ""
    search: list[str] = msgspec.field(default_factory=list)


class NetworkSeed(Strict):
    """`policy`: of switches and port groups, by name. A stack that no ESXi has by itself is made."""

    policy: dict[str, PolicySeed] = msgspec.field(default_factory=dict)
    ipv6: dict[str, Ipv6Seed] = msgspec.field(default_factory=dict)  # by adapter
    on_stack: dict[str, str] = msgspec.field(default_factory=dict)  # adapter → stack
    tcpip_stack: dict[str, StackSeed] = msgspec.field(default_factory=dict)
    route: dict[str, str] = msgspec.field(default_factory=dict)  # network → gateway


def network(config: HostConfig, seed: NetworkSeed, refuse: Refuse) -> None:
    """Make a host's network what the seed says. Raises what `refuse` gives."""
    for key, stack in seed.tcpip_stack.items():
        config.network.put(key, Stack(stack.gateway, servers=stack.servers, domain=stack.domain, search=stack.search))
    for name, policy in seed.policy.items():
        found = config.vswitches.get(name) or config.portgroups.get(name)
        if found is None:
            raise refuse(("policy", name), f"no vswitch and no portgroup {name}")
        found.policy = _policy(policy)
    for device, ipv6 in seed.ipv6.items():
        nic = _nic(config, device, ("ipv6", device), refuse)
        nic.dhcp6, nic.autoconf, nic.ip6, nic.gateway6 = ipv6.dhcp, ipv6.autoconf, sorted(ipv6.addresses), ipv6.gateway
    for device, key in seed.on_stack.items():
        if key not in SYSTEM and key not in config.network.stacks:
            raise refuse(("on_stack", device), f"no tcpip_stack {key}")
        _nic(config, device, ("on_stack", device), refuse).stack = key
    for text, gateway in seed.route.items():
        try:
            config.network.routes[str(ipaddress.ip_network(text))] = str(ipaddress.ip_address(gateway))
        except ValueError as error:
            raise refuse(("route", text), str(error)) from error


def _nic(config: HostConfig, device: str, where: tuple[str, ...], refuse: Refuse) -> Vnic:
    found = config.vnics.get(device)
    if found is None:
        raise refuse(where, f"no vmkernel {device}")
    return found


def _policy(seed: PolicySeed) -> Plain:
    teaming = seed.teaming
    security = {"allowPromiscuous": seed.security.promiscuous, "macChanges": seed.security.mac_changes,
                "forgedTransmits": seed.security.forged_transmits}
    rolling = None if teaming.failback is None else not teaming.failback
    team: Plain = {"policy": teaming.policy, "notifySwitches": teaming.notify, "rollingOrder": rolling}
    if teaming.check_beacon is not None:
        team["failureCriteria"] = {"checkBeacon": teaming.check_beacon}
    if teaming.active:
        team["nicOrder"] = {"activeNic": teaming.active} | ({"standbyNic": teaming.standby} if teaming.standby else {})
    parts = {"security": security, "nicTeaming": team}
    kept = {name: {k: v for k, v in part.items() if v is not None} for name, part in parts.items()}
    return {name: part for name, part in kept.items() if part}
