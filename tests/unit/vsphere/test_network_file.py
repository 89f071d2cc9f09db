"""What `fleet validate` says of a host's network: rules across fields, labels, facts with one owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.config import load_fleet
from planner.model import FleetError
from tests.support.lab import CATALOG

HEAD = """fleet: {{name: t}}
datacenter: {{dc0: {{}}}}
cluster: {{prod: {{datacenter: '${{datacenter.dc0}}'}}}}
host:
  a:
    name: a.lab.example
    mac: 52:54:00:00:00:01
    cluster: ${{cluster.prod}}
    {}
"""


def problems(folder: Path, body: str) -> list[str]:
    path = folder / "fleet.yaml"
    path.write_text(HEAD.format(body), encoding="utf-8")
    try:
        load_fleet(path, CATALOG, {})
    except FleetError as error:
        return [f"{d.summary}: {d.detail} ({d.remedy})" for d in error.diagnostics]
    return []


GOOD = (
    "vmkernel: {vmk0: {portgroup: Management Network, mtu: 9000, services: [management]}}\n"
    "    vswitch: {vSwitch0: {uplinks: [vmnic0], mtu: 9000}}\n"
    "    management: {ip: 10.0.0.5, netmask: 255.255.255.0, gateway: 10.0.0.1, vlan: 7}",
    "vswitch: {vSwitch1: {uplinks: [vmnic1, vmnic2], discovery: both, beacon: 2, "
    "teaming: {active: [vmnic1], standby: [vmnic2]}, shaping: {enabled: true, average: 1, peak: 2, burst: 3}}}\n"
    "    portgroup: {a: {vswitch: vSwitch1, security: {promiscuous: inherit, mac_changes: true}, "
    "teaming: {active: inherit}, shaping: {average: inherit}}}",
    "vmkernel: {vmk1: {portgroup: VM Network, ip: 10.1.0.5, netmask: 255.255.255.0, gateway: 10.1.0.1, stack: vmotion, "
    "services: [vmotion], ipv6: {addresses: ['fd00::5/64'], gateway: 'fd00::1'}}}\n"
    "    tcpip_stack: {vmotion: {gateway: 10.1.0.1, dns: {servers: [10.1.0.53]}}}\n"
    "    route: {10.9.0.0/16: 10.0.0.2, 'fd00:9::/48': {gateway: 'fd00::1'}}",
    "management: {dhcp: true, vlan: 5}",
)


@pytest.mark.parametrize("body", GOOD, ids=["management", "policies", "stacks and routes", "dhcp"])
def test_good(tmp_path: Path, body: str) -> None:
    assert problems(tmp_path, body) == []


BAD = [
    ("two owners of an address", "management: {ip: 10.0.0.5, netmask: 255.255.255.0}\n"
     "    vmkernel: {vmk0: {portgroup: Management Network, dhcp: true}}",
     "one fact with two owners: host.a.management manages what host.a.vmkernel.vmk0 declares too: dhcp"),
    ("two owners of a VLAN", "management: {vlan: 7}\n    portgroup: {Management Network: {vswitch: vSwitch0, vlan: 7}}",
     'declares too: vlan (remove vlan there, or `management:`)'),
    ("of another port group", "management: {vlan: 7}\n    portgroup: {m: {vswitch: vSwitch0, vlan: 7}}\n"
     "    vmkernel: {vmk0: {portgroup: m, services: [management]}}", "portgroup.m declares too: vlan"),
    ("two owners of the gateway", "management: {ip: 10.0.0.5, netmask: 255.255.255.0, gateway: 10.0.0.1}\n"
     "    tcpip_stack: {defaultTcpipStack: {gateway: 10.0.0.1}}",
     "tcpip_stack.defaultTcpipStack declares too: gateway"),
    ("dhcp and an address", "management: {dhcp: true, gateway: 10.0.0.1}", "gateway come from DHCP"),
    ("no netmask", "management: {ip: 10.0.0.5}", "`ip` and `netmask` belong together"),
    ("neither", "management: {dhcp: false}", "needs `ip` and `netmask`"),
    ("a gateway elsewhere", "management: {ip: 10.0.0.5, netmask: 255.255.255.0, gateway: 10.1.0.1}",
     "gateway 10.1.0.1 is not in the adapter's network 10.0.0.0/24"),
    ("another letter case", "vmkernel: {vmk1: {portgroup: VM Network, dhcp: true, ipv6: {addresses: ['FD00::5/64']}}}",
     "write fd00::5/64 for 'FD00::5/64'"),
    ("no prefix", "vmkernel: {vmk1: {portgroup: VM Network, dhcp: true, ipv6: {addresses: ['fd00::5']}}}",
     "write fd00::5/64"),
    ("link-local", "vmkernel: {vmk1: {portgroup: VM Network, dhcp: true, ipv6: {addresses: ['fe80::5/64']}}}",
     "makes link-local addresses itself"),
    ("a service of another stack", "vmkernel: {vmk1: {portgroup: VM Network, dhcp: true, stack: vmotion, "
     "services: [management]}}", "the stack vmotion carries vmotion alone: management cannot use it"),
    ("no such stack", "vmkernel: {vmk1: {portgroup: VM Network, dhcp: true, stack: vmotoin}}",
     "stack names a tcpip_stack that does not exist"),
    ("an order of strange NICs", "vswitch: {vSwitch1: {uplinks: [vmnic1], teaming: {active: [vmnic2]}}}",
     "teaming names vmnic2, no uplink of this vSwitch"),
    ("a NIC twice", "vswitch: {vSwitch1: {uplinks: [vmnic1], teaming: {active: [vmnic1], standby: [vmnic1]}}}",
     "vmnic1 cannot be active and standby"),
    ("standby alone", "portgroup: {a: {vswitch: vSwitch0, teaming: {standby: [vmnic1]}}}",
     "teaming.standby without teaming.active"),
    ("half inherited", "portgroup: {a: {vswitch: vSwitch0, teaming: {active: inherit, standby: [vmnic1]}}}",
     "inherited together"),
    ("a wrong word", "portgroup: {a: {vswitch: vSwitch0, security: {promiscuous: accept}}}",
     "security.promiscuous is true, false or inherit, not 'accept'"),
    ("a wrong number", "portgroup: {a: {vswitch: vSwitch0, shaping: {average: 0}}}", "a number from 1, or inherit"),
    ("peak below average", "vswitch: {vSwitch1: {shaping: {average: 5, peak: 4}}}", "shaping.peak is below"),
    ("discovery without uplinks", "vswitch: {vSwitch1: {uplinks: [], discovery: both}}", "those of uplinks"),
    ("bits beyond the prefix", "route: {10.9.0.1/16: 10.0.0.2}", "write 10.9.0.0/16"),
    ("no network", "route: {somewhere: 10.0.0.2}", "'somewhere' is not a network"),
    ("the default gateway", "route: {0.0.0.0/0: 10.0.0.2}", "declare `management: {gateway: …}`"),
    ("gateway6", "tcpip_stack: {vmotion: {gateway6: 10.0.0.1}}", "gateway6 is an IPv6 address"),
]


@pytest.mark.parametrize(("body", "words"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
def test_bad(tmp_path: Path, body: str, words: str) -> None:
    (found,) = problems(tmp_path, body)
    assert words in found
