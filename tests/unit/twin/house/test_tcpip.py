"""HostNetworkSystem: policies, IPv6, stacks, routes, one transaction of changes, and what the host takes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from planner.model import FleetError
from providers.twin.house import House
from tests.support.twin import done, host, mac_of, make_house, reopen, vcenter

Nic, Policy = vim.host.VirtualNic.Specification, vim.host.NetworkPolicy
V6 = vim.host.IpConfig.IpV6Address
Config, Entry = vim.host.NetworkConfig, vim.host.IpRouteEntry


@pytest.fixture
def esx() -> Any:
    return host(vcenter(make_house(hosts=1), codec=True))


@pytest.fixture
def net(esx: Any) -> Any:
    return esx.configManager.networkSystem


def connected_at(house: House) -> str:
    found = house.inventory.host_named("esx01.test")
    assert found is not None
    return found.ip


def static(ip: str, mask: str = "255.255.255.0", **more: Any) -> Any:
    return Nic(ip=vim.host.IpConfig(dhcp=False, ipAddress=ip, subnetMask=mask), **more)


def ipv6(*addresses: Any, **more: Any) -> Any:
    made = vim.host.IpConfig.IpV6AddressConfiguration(ipV6Address=list(addresses), **more)
    return Nic(ip=vim.host.IpConfig(dhcp=True, ipV6Config=made))


def routes(operation: str, network: str, bits: int, gateway: str) -> Any:
    entry = Entry(network=network, prefixLength=bits, gateway=gateway)
    one = [vim.host.IpRouteOp(changeOperation=operation, route=entry)]
    return vim.host.IpRouteTableConfig(**{"ipv6Route" if ":" in network else "ipRoute": one})


def stack(key: str, operation: str = "edit", **more: Any) -> Any:
    return Config(netStackSpec=[Config.NetStackSpec(
        netStackInstance=vim.host.NetStackInstance(key=key, **more), operation=operation)])


def group(**policy: Any) -> Any:
    return vim.host.PortGroup.Specification(name="VM Network", vlanId=0, vswitchName="vSwitch0",
                                            policy=Policy(**policy))


def edited(device: str, spec: Any) -> Any:
    return Config(vnic=[vim.host.VirtualNic.Config(changeOperation="edit", device=device, spec=spec)])


def test_a_newborn_has_the_stacks_and_routes_of_a_real_one(esx: Any) -> None:
    network = esx.config.network
    assert {each.key for each in network.netStackInstance} == {
        "ops", "mirror", "vSphereProvisioning", "vmotion", "defaultTcpipStack"}
    table = network.routeTableInfo.ipRoute
    assert [(each.network, each.prefixLength, each.gateway, each.deviceName) for each in table] == [
        ("0.0.0.0", 0, "10.128.0.1", "vmk0"), ("10.128.0.0", 9, "0.0.0.0", "vmk0")]
    assert network.ipRouteConfig.defaultGateway == "10.128.0.1"
    (local,) = network.vnic[0].spec.ip.ipV6Config.ipV6Address
    assert (local.ipAddress[:6], local.origin) == ("fe80::", "other")


def test_ipv6_addresses_come_and_go_one_by_one(net: Any) -> None:
    net.UpdateVirtualNic("vmk0", ipv6(V6(ipAddress="fd00::5", prefixLength=64, operation="add"), dhcpV6Enabled=True))
    found = net.networkInfo.vnic[0].spec.ip.ipV6Config
    assert [each.origin for each in found.ipV6Address] == ["other", "dhcp", "manual"]
    net.UpdateVirtualNic("vmk0", net.networkInfo.vnic[0].spec)  # read and written back
    assert len(net.networkInfo.vnic[0].spec.ip.ipV6Config.ipV6Address) == 3
    net.UpdateVirtualNic("vmk0", ipv6(V6(ipAddress="fd00::5", prefixLength=64, operation="remove")))
    assert [e.origin for e in net.networkInfo.vnic[0].spec.ip.ipV6Config.ipV6Address] == ["other", "dhcp"]


def test_an_address_moves_between_two_adapters_in_one_transaction(esx: Any, net: Any) -> None:
    """vCenter is connected by the address all the while, whichever adapter has it."""
    lease = net.networkInfo.vnic[0].spec.ip
    net.AddVirtualNic("VM Network", static("10.77.0.5"))
    swap = edited("vmk0", static("10.77.0.5"))
    swap.vnic.append(edited("vmk1", static(lease.ipAddress, lease.subnetMask)).vnic[0])
    net.UpdateNetworkConfig(swap, "modify")
    assert [each.spec.ip.ipAddress for each in net.networkInfo.vnic] == ["10.77.0.5", lease.ipAddress]
    assert esx.runtime.connectionState == "connected"
    with pytest.raises(vim.fault.HostConfigFault) as lost:
        net.RemoveVirtualNic("vmk1")
    cause: Any = lost.value.faultCause
    assert cause.host == "esx01.test"


def test_reconnected_by_the_address_that_dns_has_now(esx: Any, net: Any) -> None:
    house = make_house(hosts=1)
    esx = host(vcenter(house))
    net = esx.configManager.networkSystem
    net.AddVirtualNic("VM Network", static("10.77.0.5"))
    esx.configManager.virtualNicManager.SelectVnicForNicType("management", "vmk1")
    assert house.contact.point("esx01.test", "10.77.0.5") == "10.77.0.5"
    done(esx.DisconnectHost_Task())
    done(esx.ReconnectHost_Task(vim.host.ConnectSpec(hostName="esx01.test", force=False), None))
    assert connected_at(house) == "10.77.0.5"
    net.RemoveVirtualNic("vmk0")
    assert house.door_certificate("10.77.0.5")
    with pytest.raises(ConnectionRefusedError):
        house.door(house.machine(mac_of(1)).ip)


REFUSED: list[tuple[str, Callable[[Any], Any], Any]] = [
    ("policy", lambda net: net.UpdatePortGroup("VM Network", group(nicTeaming=Policy.NicTeamingPolicy(
        policy="loadbalance_loadbased"))), vmodl.fault.InvalidArgument),
    ("shaping", lambda net: net.UpdatePortGroup("VM Network", group(shapingPolicy=Policy.TrafficShapingPolicy(
        enabled=True, averageBandwidth=2, peakBandwidth=1, burstSize=1))), vmodl.fault.InvalidArgument),
    ("IPv6 twice", lambda net: [net.UpdateVirtualNic("vmk0", ipv6(V6(
        ipAddress="fd00::5", prefixLength=64, operation="remove")))], vim.fault.HostConfigFault),
    ("IPv6 prefix", lambda net: net.UpdateVirtualNic("vmk0", ipv6(V6(
        ipAddress="fd00::5", prefixLength=129, operation="add"))), vmodl.fault.InvalidArgument),
    ("another stack", lambda net: net.UpdateVirtualNic("vmk0", Nic(netStackInstanceKey="vmotion")),
     vim.fault.HostConfigFault),
    ("own gateway elsewhere", lambda net: net.UpdateVirtualNic("vmk0", Nic(ipRouteSpec=vim.host.VirtualNic.IpRouteSpec(
        ipRouteConfig=vim.host.IpRouteConfig(defaultGateway="192.0.2.1")))), vim.fault.HostConfigFault),
    ("route to nowhere", lambda net: net.UpdateIpRouteTableConfig(routes("add", "10.9.0.0", 16, "192.0.2.1")),
     vim.fault.HostConfigFault),
    ("route of two kinds", lambda net: net.UpdateIpRouteTableConfig(routes("add", "10.9.0.0", 16, "fd00::1")),
     vmodl.fault.InvalidArgument),
    ("no network", lambda net: net.UpdateIpRouteTableConfig(routes("add", "10.9.0.1", 16, "10.128.0.2")),
     vmodl.fault.InvalidArgument),
    ("default route", lambda net: net.UpdateIpRouteTableConfig(routes("add", "0.0.0.0", 0, "10.128.0.2")),
     vim.fault.HostConfigFault),
    ("no such route", lambda net: net.UpdateIpRouteTableConfig(routes("remove", "10.9.0.0", 16, "10.128.0.2")),
     vim.fault.HostConfigFault),
    ("gateway elsewhere", lambda net: net.UpdateIpRouteConfig(vim.host.IpRouteConfig(defaultGateway="192.0.2.1")),
     vim.fault.HostConfigFault),
    ("replace all", lambda net: net.UpdateNetworkConfig(Config(), "replace"), vmodl.fault.NotSupported),
    ("not simulated", lambda net: net.UpdateNetworkConfig(Config(ipV6Enabled=True), "modify"),
     vmodl.fault.NotSupported),
    ("no such stack", lambda net: net.UpdateNetworkConfig(stack("x"), "modify"), vim.fault.NotFound),
    ("a stack is not made", lambda net: net.UpdateNetworkConfig(stack("x", "add"), "modify"), vmodl.fault.NotSupported),
    ("congestion", lambda net: net.UpdateNetworkConfig(stack("vmotion", congestionControlAlgorithm="x"), "modify"),
     vmodl.fault.InvalidArgument),
    ("no such adapter", lambda net: net.UpdateNetworkConfig(edited("vmk9", static("10.1.1.1")), "modify"),
     vim.fault.NotFound),
    ("vCenter's own address", lambda net: net.UpdateVirtualNic("vmk0", static("10.77.0.5")), vim.fault.HostConfigFault),
]


@pytest.mark.parametrize(("call", "fault"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(call: Callable[[Any], Any], fault: Any) -> None:
    house = make_house(hosts=1)
    before = house.dump()
    with pytest.raises(fault):
        call(host(vcenter(house, codec=True)).configManager.networkSystem)
    assert house.dump() == before


SEED = """
datacenters: [dc0]
clusters: {{dc0/prod: {{}}}}
hosts:
  esx01.test:
    mac: {mac}
    cluster: dc0/prod
    config:
      vmkernel:
        vmk0: {{portgroup: Management Network, ip: 10.7.0.5, netmask: 255.255.255.0, services: [management]}}
      network: {network}
machines: {{"{mac}": {{vlans: [0, 5]}}}}
"""


def test_a_seed_says_policies_stacks_routes_and_vlans() -> None:
    network = ("{policy: {VM Network: {security: {promiscuous: true}, teaming: {failback: false, active: [vmnic0]}}}, "
               "ipv6: {vmk0: {addresses: ['fd00::5/64']}}, "
               "tcpip_stack: {own: {gateway: 10.7.0.1, servers: [10.0.0.53]}}, "
               "route: {10.9.0.0/16: 10.7.0.2}}")
    house = reopen(None, seed=SEED.format(mac=mac_of(1), network=network))
    net = host(vcenter(house, codec=True)).configManager.networkSystem
    found = net.networkInfo
    policy = next(each for each in found.portgroup if each.spec.name == "VM Network").spec.policy
    assert (policy.security.allowPromiscuous, policy.nicTeaming.rollingOrder) == (True, True)
    assert next(each for each in found.netStackInstance if each.key == "own").dnsConfig.address == ["10.0.0.53"]
    assert found.routeTableInfo.ipRoute[-1].gateway == "10.7.0.2"
    assert connected_at(house) == "10.7.0.5"
    management = vim.host.PortGroup.Specification(name="Management Network", vlanId=5, vswitchName="vSwitch0",
                                                  policy=Policy())
    net.UpdatePortGroup("Management Network", management)
    management.vlanId = 6
    with pytest.raises(vim.fault.HostConfigFault):
        net.UpdatePortGroup("Management Network", management)


@pytest.mark.parametrize("network", [
    "{policy: {nope: {}}}", "{ipv6: {vmk7: {}}}", "{on_stack: {vmk0: nope}}", "{route: {10.9.0.1/16: 10.7.0.2}}"])
def test_a_seed_that_does_not_fit(network: str) -> None:
    with pytest.raises(FleetError, match="network"):
        reopen(None, seed=SEED.format(mac=mac_of(1), network=network))
