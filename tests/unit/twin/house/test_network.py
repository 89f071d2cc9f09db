"""HostNetworkSystem and HostVirtualNicManager, through vCenter and real XML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from tests.support.twin import done, host, make_house, vcenter

Spec = vim.host.VirtualSwitch.Specification


@pytest.fixture
def esx() -> Any:
    return host(vcenter(make_house(hosts=1), codec=True))


@pytest.fixture
def net(esx: Any) -> Any:
    return esx.configManager.networkSystem


def switch(*uplinks: str, mtu: int | None = None, ports: int = 128, policy: Any = None) -> Any:
    bridge = vim.host.VirtualSwitch.BondBridge(nicDevice=list(uplinks)) if uplinks else None
    return Spec(numPorts=ports, mtu=mtu, bridge=bridge, policy=policy)


def group(name: str, vswitch: str = "vSwitch0", vlan: int = 0) -> Any:
    return vim.host.PortGroup.Specification(
        name=name, vlanId=vlan, vswitchName=vswitch, policy=vim.host.NetworkPolicy())


def static(ip: str, mask: str = "255.255.255.0", **more: Any) -> Any:
    return vim.host.VirtualNic.Specification(
        ip=vim.host.IpConfig(dhcp=False, ipAddress=ip, subnetMask=mask), **more)


def test_a_newborn_host(esx: Any) -> None:
    network = esx.config.network
    assert [(each.name, each.mtu, list(each.spec.bridge.nicDevice)) for each in network.vswitch] == [
        ("vSwitch0", 1500, ["vmnic0"])]
    assert [(each.spec.name, each.spec.vlanId, each.spec.vswitchName) for each in network.portgroup] == [
        ("Management Network", 0, "vSwitch0"), ("VM Network", 0, "vSwitch0")]
    assert [(each.device, each.portgroup, each.spec.ip.dhcp, each.spec.mtu) for each in network.vnic] == [
        ("vmk0", "Management Network", True, 1500)]
    assert [each.device for each in network.pnic] == ["vmnic0", "vmnic1", "vmnic2", "vmnic3"]
    assert (network.pnic[0].mac, network.vnic[0].spec.mac) == ("52:54:00:01:00:01", "52:54:00:01:00:01")
    tagged = {each.nicType: list(each.selectedVnic) for each in esx.config.virtualNicManagerInfo.netConfig}
    assert tagged["management"] == ["management.key-vim.host.VirtualNic-vmk0"]
    assert not any(keys for kind, keys in tagged.items() if kind != "management")


def test_manager_and_config_are_views_of_one_model(esx: Any, net: Any) -> None:
    net.AddVirtualSwitch("vSwitch1", switch("vmnic1", "vmnic2", mtu=9000))
    net.AddPortGroup(group("vMotion", "vSwitch1", 20))
    assert net.AddVirtualNic("vMotion", static("10.0.20.11", mtu=9000)) == "vmk1"
    esx.configManager.virtualNicManager.SelectVnicForNicType("vmotion", "vmk1")
    for network in (esx.config.network, net.networkInfo):
        assert [(each.name, each.mtu) for each in network.vswitch] == [("vSwitch0", 1500), ("vSwitch1", 9000)]
        assert network.portgroup[2].spec.vlanId == 20
        assert network.vnic[1].spec.ip.ipAddress == "10.0.20.11"
    found = esx.configManager.virtualNicManager.QueryNetConfig("vmotion")
    assert [each.key for each in found.candidateVnic if each.key in found.selectedVnic] == [
        "vmotion.key-vim.host.VirtualNic-vmk1"]
    assert [each.name for each in esx.network] == ["Management Network", "VM Network", "vMotion"]


def test_update_switch_keeps_what_is_unset(net: Any) -> None:
    net.AddVirtualSwitch("vSwitch1", switch("vmnic1", mtu=9000))
    net.UpdateVirtualSwitch("vSwitch1", switch("vmnic2", "vmnic3", ports=256))
    found = net.networkInfo.vswitch[1]
    assert (found.mtu, list(found.spec.bridge.nicDevice), found.spec.numPorts) == (9000, ["vmnic2", "vmnic3"], 256)
    net.UpdateVirtualSwitch("vSwitch1", switch())
    assert net.networkInfo.vswitch[1].spec.bridge is None


def test_policy_is_kept_and_inherited(net: Any) -> None:
    policy = vim.host.NetworkPolicy(security=vim.host.NetworkPolicy.SecurityPolicy(allowPromiscuous=True))
    net.AddVirtualSwitch("vSwitch1", switch("vmnic1", policy=policy))
    net.AddPortGroup(group("a", "vSwitch1"))
    found = net.networkInfo
    assert found.vswitch[1].spec.policy.security.allowPromiscuous is True
    assert found.vswitch[1].spec.policy.security.macChanges is False
    assert found.portgroup[2].computedPolicy.security.allowPromiscuous is True
    assert found.portgroup[2].spec.policy.security.allowPromiscuous is None


def test_reading_a_policy_and_writing_it_back_changes_nothing() -> None:
    house = make_house(hosts=1)
    before = house.dump()
    net = host(vcenter(house, codec=True)).configManager.networkSystem
    found = net.networkInfo
    net.UpdateVirtualSwitch("vSwitch0", found.vswitch[0].spec)
    net.UpdatePortGroup("VM Network", found.portgroup[1].spec)
    net.UpdateVirtualNic("vmk0", found.vnic[0].spec)
    assert house.dump() == before


def test_nic_order_must_name_uplinks(net: Any) -> None:
    order = vim.host.NetworkPolicy.NicOrderPolicy(activeNic=["vmnic3"])
    policy = vim.host.NetworkPolicy(nicTeaming=vim.host.NetworkPolicy.NicTeamingPolicy(nicOrder=order))
    with pytest.raises(vim.fault.HostConfigFault, match="vmnic3"):
        net.AddVirtualSwitch("vSwitch1", switch("vmnic1", policy=policy))


def test_rename_port_group_takes_its_adapter_along(esx: Any, net: Any) -> None:
    net.UpdatePortGroup("Management Network", group("Mgmt", vlan=5))
    assert esx.config.network.vnic[0].portgroup == "Mgmt"
    assert [each.name for each in esx.network] == ["VM Network", "Mgmt"]


def test_adapter_numbers_are_the_lowest_free(net: Any) -> None:
    for name in ("a", "b", "c"):
        net.AddPortGroup(group(name))
        net.AddVirtualNic(name, static("10.0.0.5"))
    net.RemoveVirtualNic("vmk2")
    assert net.AddVirtualNic("b", static("10.0.0.6")) == "vmk2"
    assert [each.device for each in net.networkInfo.vnic] == ["vmk0", "vmk1", "vmk2", "vmk3"]


def test_dhcp_and_static(net: Any) -> None:
    net.AddPortGroup(group("a"))
    dhcp = vim.host.VirtualNic.Specification(ip=vim.host.IpConfig(dhcp=True))
    net.AddVirtualNic("a", dhcp)
    leased = net.networkInfo.vnic[1].spec.ip
    assert leased.dhcp
    assert leased.ipAddress.startswith("100.")
    net.UpdateVirtualNic("vmk1", static("10.9.9.9"))
    assert net.networkInfo.vnic[1].spec.ip.ipAddress == "10.9.9.9"
    net.UpdateVirtualNic("vmk1", dhcp)
    assert net.networkInfo.vnic[1].spec.ip.ipAddress == leased.ipAddress


REFUSED: list[tuple[str, Callable[[Any], Any], Any]] = [
    ("switch exists", lambda net: net.AddVirtualSwitch("vSwitch0"), vim.fault.AlreadyExists),
    ("uplink taken", lambda net: net.AddVirtualSwitch("v", switch("vmnic0")), vim.fault.ResourceInUse),
    ("no such uplink", lambda net: net.AddVirtualSwitch("v", switch("vmnic9")), vim.fault.HostConfigFault),
    ("mtu", lambda net: net.AddVirtualSwitch("v", switch(mtu=9001)), vmodl.fault.InvalidArgument),
    ("ports", lambda net: net.AddVirtualSwitch("v", switch(ports=0)), vmodl.fault.InvalidArgument),
    ("no such switch", lambda net: net.UpdateVirtualSwitch("v", switch()), vim.fault.NotFound),
    ("remove no switch", lambda net: net.RemoveVirtualSwitch("v"), vim.fault.NotFound),
    ("switch in use", lambda net: net.RemoveVirtualSwitch("vSwitch0"), vim.fault.ResourceInUse),
    ("management uplink", lambda net: net.UpdateVirtualSwitch("vSwitch0", switch()), vim.fault.HostConfigFault),
    ("group exists", lambda net: net.AddPortGroup(group("VM Network")), vim.fault.AlreadyExists),
    ("group, no switch", lambda net: net.AddPortGroup(group("a", "v")), vim.fault.NotFound),
    ("vlan", lambda net: net.AddPortGroup(group("a", vlan=4096)), vmodl.fault.InvalidArgument),
    ("no such group", lambda net: net.UpdatePortGroup("a", group("a")), vim.fault.NotFound),
    ("group renamed onto another", lambda net: net.UpdatePortGroup("VM Network", group("Management Network")),
     vim.fault.AlreadyExists),
    ("remove no group", lambda net: net.RemovePortGroup("a"), vim.fault.NotFound),
    ("group in use", lambda net: net.RemovePortGroup("Management Network"), vim.fault.ResourceInUse),
    ("group has an adapter", lambda net: net.AddVirtualNic("Management Network", static("10.1.1.1")),
     vim.fault.AlreadyExists),
    ("adapter, no group", lambda net: net.AddVirtualNic("a", static("10.1.1.1")), vmodl.fault.InvalidArgument),
    ("address", lambda net: net.AddVirtualNic("VM Network", static("10.1.1.300")), vmodl.fault.InvalidArgument),
    ("netmask", lambda net: net.AddVirtualNic("VM Network", static("10.1.1.1", "255.0.255.0")),
     vmodl.fault.InvalidArgument),
    ("no address", lambda net: net.AddVirtualNic("VM Network", vim.host.VirtualNic.Specification()),
     vmodl.fault.InvalidArgument),
    ("no such adapter", lambda net: net.UpdateVirtualNic("vmk9", static("10.1.1.1")), vim.fault.NotFound),
    ("remove no adapter", lambda net: net.RemoveVirtualNic("vmk9"), vim.fault.NotFound),
    ("management adapter", lambda net: net.RemoveVirtualNic("vmk0"), vim.fault.HostConfigFault),
    ("no such stack", lambda net: net.AddVirtualNic("VM Network", static("10.1.1.1", netStackInstanceKey="x")),
     vim.fault.HostConfigFault),
    ("not simulated", lambda net: net.RestartServiceConsoleVirtualNic("vmk0"), vmodl.fault.NotSupported),
]


@pytest.mark.parametrize(("call", "fault"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(call: Callable[[Any], Any], fault: Any) -> None:
    house = make_house(hosts=1)
    before = house.dump()
    with pytest.raises(fault):
        call(host(vcenter(house, codec=True)).configManager.networkSystem)
    assert house.dump() == before


def test_service_tags(esx: Any, net: Any) -> None:
    tags = esx.configManager.virtualNicManager
    for call, name, device in ((tags.SelectVnicForNicType, "nonsense", "vmk0"),
                               (tags.SelectVnicForNicType, "vmotion", "vmk7"),
                               (tags.DeselectVnicForNicType, "vmotion", "vmk0")):
        with pytest.raises(vmodl.fault.InvalidArgument):
            call(name, device)
    with pytest.raises(vim.fault.HostConfigFault, match="management"):
        tags.DeselectVnicForNicType("management", "vmk0")
    net.AddPortGroup(group("Mgmt2"))
    net.AddVirtualNic("Mgmt2", static("10.1.1.1"))
    tags.SelectVnicForNicType("management", "vmk1")
    tags.DeselectVnicForNicType("management", "vmk0")
    with pytest.raises(vim.fault.HostConfigFault) as lost:
        net.RemoveVirtualNic("vmk0")  # by its address vCenter is connected
    assert isinstance(lost.value.faultCause, vim.fault.NetworkDisruptedAndConfigRolledBack)
    done(esx.DisconnectHost_Task())
    done(esx.ReconnectHost_Task(None, None))
    net.RemoveVirtualNic("vmk0")
    assert [each.device for each in net.networkInfo.vnic] == ["vmk1"]


def test_dns(esx: Any, net: Any) -> None:
    found = net.dnsConfig
    assert (found.dhcp, found.hostName, list(found.address), found.domainName) == (True, "esx01", [], "")
    net.UpdateDnsConfig(vim.host.DnsConfig(
        dhcp=False, hostName="esx01", domainName="lab.example", address=["10.0.0.53"], searchDomain=["lab.example"]))
    found = esx.config.network.dnsConfig
    assert (found.dhcp, list(found.address), found.domainName, list(found.searchDomain)) == (
        False, ["10.0.0.53"], "lab.example", ["lab.example"])
    with pytest.raises(vmodl.fault.InvalidArgument):
        net.UpdateDnsConfig(vim.host.DnsConfig(dhcp=False, hostName="a", domainName="", address=["nonsense"]))
    net.UpdateDnsConfig(vim.host.DnsConfig(dhcp=True, hostName="", domainName="ignored", address=["10.0.0.1"]))
    assert list(net.dnsConfig.address) == []
