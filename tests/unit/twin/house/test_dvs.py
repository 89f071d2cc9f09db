"""Distributed switches at vCenter, through real XML: what they answer, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from tests.support.twin import SEED, boot, connect_spec, done, host, mac_of, make_house, vcenter

Vmware = vim.dvs.VmwareDistributedVirtualSwitch
BOTH = SEED + """
hosts:
  esx01.test: {mac: 52:54:00:01:00:01, cluster: dc0/prod}
  gone.test: {mac: 52:54:00:01:00:09, cluster: dc0/prod, state: gone}
switches:
  dc0/dvs: {uplinks: [up1, up2], portgroups: {vm: {vlan: 20}}, hosts: {esx01.test: [vmnic1], gone.test: [vmnic1]}}
vms:
  web1: {host: esx01.test, networks: [vm], power: "on"}
"""


@pytest.fixture
def site() -> Any:
    house = make_house(hosts=2)
    return house, vcenter(house, codec=True)


def create(found: Any, name: str = "dvs", **more: Any) -> Any:
    spec = Vmware.ConfigSpec(name=name, **more)
    folder = found.rootFolder.childEntity[0].networkFolder
    return done(folder.CreateDVS_Task(spec=vim.DistributedVirtualSwitch.CreateSpec(configSpec=spec)))


def member(esx: Any, operation: str, *nics: str, keys: tuple[str, ...] = ()) -> Any:
    pnics = [vim.dvs.HostMember.PnicSpec(pnicDevice=nic, uplinkPortKey=key or None)
             for nic, key in zip(nics, [*keys, *[""] * len(nics)], strict=False)]
    backing = None if operation == "remove" else vim.dvs.HostMember.PnicBacking(pnicSpec=pnics)
    return vim.dvs.HostMember.ConfigSpec(operation=operation, host=esx, backing=backing)


def reconfigure(switch: Any, *hosts: Any, version: str | None = None, **more: Any) -> Any:
    spec = Vmware.ConfigSpec(configVersion=version or switch.config.configVersion, host=list(hosts), **more)
    return done(switch.ReconfigureDvs_Task(spec=spec))


def group(switch: Any, name: str, **more: Any) -> Any:
    spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(name=name, **more)
    done(switch.AddDVPortgroup_Task(spec=[spec]))
    return next(each for each in switch.portgroup if each.name == name)


def port(switch: Any, pg: Any, key: str | None = None) -> Any:
    return vim.dvs.PortConnection(switchUuid=switch.uuid, portgroupKey=pg.key, portKey=key)


def test_a_new_switch_has_its_group_of_uplinks(site: Any) -> None:
    switch = create(site[1], maxMtu=9000)
    assert (switch.config.maxMtu, switch.config.productInfo.version, switch.config.lacpApiVersion) == (
        9000, "8.0.3", "multipleLag")
    assert [each.config.uplink for each in switch.portgroup] == [True]
    assert list(switch.config.uplinkPortPolicy.uplinkPortName) == [f"Uplink {n}" for n in range(1, 5)]
    assert switch.config.networkResourceManagementEnabled is False


def test_hosts_join_change_and_leave(site: Any) -> None:
    switch, esx = create(site[1]), host(site[1])
    reconfigure(switch, member(esx, "add", "vmnic1"))
    proxy = esx.config.network.proxySwitch[0]
    assert (proxy.dvsUuid, proxy.dvsName) == (switch.uuid, "dvs")
    assert [nic.pnicDevice for nic in proxy.spec.backing.pnicSpec] == ["vmnic1"]
    assert [each.value for each in proxy.uplinkPort] == [f"Uplink {n}" for n in range(1, 5)]
    assert [each._moId for each in switch.summary.hostMember] == [esx._moId]
    reconfigure(switch, member(esx, "edit", "vmnic3", "vmnic2"))
    assert {nic.pnicDevice for nic in esx.config.network.proxySwitch[0].spec.backing.pnicSpec} == {"vmnic2", "vmnic3"}
    reconfigure(switch, member(esx, "remove"))
    assert not esx.config.network.proxySwitch
    assert not switch.summary.hostMember


def test_adapters_sit_on_ports(site: Any) -> None:
    switch, esx = create(site[1]), host(site[1])
    reconfigure(switch, member(esx, "add", "vmnic1"))
    pg, net = group(switch, "vm", numPorts=4), esx.configManager.networkSystem
    ip = vim.host.IpConfig(dhcp=False, ipAddress="10.0.0.9", subnetMask="255.255.255.0")
    assert net.AddVirtualNic(portgroup="", nic=vim.host.VirtualNic.Specification(
        ip=ip, distributedVirtualPort=port(switch, pg))) == "vmk1"
    vnic = esx.config.network.vnic[1]
    assert (vnic.portgroup, vnic.spec.distributedVirtualPort.portgroupKey) == ("", pg.key)
    net.UpdateVirtualNic(device="vmk1", nic=vnic.spec)  # its own port is no news
    assert esx.config.network.vnic[1].spec.distributedVirtualPort.portKey == vnic.spec.distributedVirtualPort.portKey
    net.UpdateVirtualNic(device="vmk1", nic=vim.host.VirtualNic.Specification(portgroup="VM Network"))
    assert esx.config.network.vnic[1].spec.distributedVirtualPort is None


def on_dvs(found: Any) -> tuple[Any, Any]:
    """vmnic1 on a switch, and an adapter of esx on a group of it."""
    switch, esx = create(found), host(found)
    reconfigure(switch, member(esx, "add", "vmnic1"))
    pg = group(switch, "vm", numPorts=1, autoExpand=False)
    esx.configManager.networkSystem.AddVirtualNic(portgroup="", nic=vim.host.VirtualNic.Specification(
        ip=vim.host.IpConfig(dhcp=True), distributedVirtualPort=port(switch, pg)))
    return switch, pg


Refused = Callable[[Any, Any, Any, Any], Any]
REFUSED: dict[str, tuple[Refused, Any]] = {
    "a version that is not the newest": (
        lambda s, p, e, f: reconfigure(s, version="1"), vim.fault.ConcurrentAccess),
    "no version": (lambda s, p, e, f: done(s.ReconfigureDvs_Task(spec=Vmware.ConfigSpec(maxMtu=1500))),
                   vmodl.fault.InvalidArgument),
    "a member twice": (lambda s, p, e, f: reconfigure(s, member(e, "add")), vim.fault.AlreadyExists),
    "no member": (lambda s, p, e, f: reconfigure(s, member(host(f, 2), "edit")), vim.fault.NotFound),
    "a standard switch's NIC": (lambda s, p, e, f: reconfigure(s, member(e, "edit", "vmnic0")),
                                vim.fault.ResourceInUse),
    "no such NIC": (lambda s, p, e, f: reconfigure(s, member(e, "edit", "vmnic9")), vim.fault.NotFound),
    "no such port": (lambda s, p, e, f: reconfigure(s, member(e, "edit", "vmnic1", keys=("999",))),
                     vmodl.fault.InvalidArgument),
    "an adapter is on it": (lambda s, p, e, f: reconfigure(s, member(e, "remove")), vim.fault.ResourceInUse),
    "MTU": (lambda s, p, e, f: reconfigure(s, maxMtu=100), vmodl.fault.InvalidArgument),
    "what is not played": (lambda s, p, e, f: reconfigure(s, switchIpAddress="10.0.0.1"), vmodl.fault.NotSupported),
    "a name twice": (lambda s, p, e, f: create(f), vim.fault.DuplicateName),
    "a group's name twice": (lambda s, p, e, f: group(s, "vm"), vim.fault.DuplicateName),
    "a switch with hosts": (lambda s, p, e, f: done(s.Destroy_Task()), vim.fault.ResourceInUse),
    "a group in use": (lambda s, p, e, f: done(p.Destroy_Task()), vim.fault.ResourceInUse),
    "the group of uplinks": (lambda s, p, e, f: done(s.portgroup[0].Destroy_Task()), vim.fault.InvalidState),
    "all ports taken": (lambda s, p, e, f: e.configManager.networkSystem.AddVirtualNic(
        portgroup="", nic=vim.host.VirtualNic.Specification(
            ip=vim.host.IpConfig(dhcp=True), distributedVirtualPort=port(s, p))), vim.fault.PlatformConfigFault),
    "a switch that it is not in": (lambda s, p, e, f: host(f, 2).configManager.networkSystem.AddVirtualNic(
        portgroup="", nic=vim.host.VirtualNic.Specification(
            ip=vim.host.IpConfig(dhcp=True), distributedVirtualPort=port(s, p))), vmodl.fault.InvalidArgument),
    "its NIC on a standard switch": (lambda s, p, e, f: e.configManager.networkSystem.AddVirtualSwitch(
        vswitchName="v1", spec=vim.host.VirtualSwitch.Specification(
            numPorts=8, bridge=vim.host.VirtualSwitch.BondBridge(nicDevice=["vmnic1"]))), vim.fault.ResourceInUse),
    "fewer ports than are in use": (lambda s, p, e, f: done(p.ReconfigureDVPortgroup_Task(
        spec=vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
            configVersion=p.config.configVersion, numPorts=0, autoExpand=False))), vim.fault.DvsFault),
    "an old version of a group": (lambda s, p, e, f: done(p.ReconfigureDVPortgroup_Task(
        spec=vim.dvs.DistributedVirtualPortgroup.ConfigSpec(configVersion="0"))), vim.fault.ConcurrentAccess),
    "an uplink that the switch has not": (lambda s, p, e, f: done(p.ReconfigureDVPortgroup_Task(
        spec=vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
            configVersion=p.config.configVersion, defaultPortConfig=Vmware.VmwarePortConfigPolicy(
                uplinkTeamingPolicy=Vmware.UplinkPortTeamingPolicy(
                    inherited=False, uplinkPortOrder=Vmware.UplinkPortOrderPolicy(
                        inherited=False, activeUplinkPort=["up9"])))))), vmodl.fault.InvalidArgument),
    "no LAG of that key": (lambda s, p, e, f: done(s.UpdateDVSLacpGroupConfig_Task(lacpGroupSpec=[
        Vmware.LacpGroupSpec(operation="remove", lacpGroupConfig=Vmware.LacpGroupConfig(key="x"))])),
        vim.fault.DvsFault),
    "a lower version": (lambda s, p, e, f: done(s.PerformDvsProductSpecOperation_Task(
        operation="upgrade", productSpec=vim.dvs.ProductSpec(version="7.0.0"))), vim.fault.DvsFault),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing(site: Any, case: str) -> None:
    house, found = site
    switch, pg = on_dvs(found)
    call, fault = REFUSED[case]
    dump, serial = house.dump(), switch.config.configVersion
    with pytest.raises(fault):
        call(switch, pg, host(found), found)
    assert house.dump() == dump
    assert switch.config.configVersion == serial


def test_an_uplink_with_a_nic_stays_and_may_be_renamed(site: Any) -> None:
    switch, esx = create(site[1]), host(site[1])

    def named(*names: str) -> Any:
        return vim.DistributedVirtualSwitch.NameArrayUplinkPortPolicy(uplinkPortName=list(names))

    reconfigure(switch, member(esx, "add"))
    second = esx.config.network.proxySwitch[0].uplinkPort[1].key
    reconfigure(switch, member(esx, "edit", "vmnic1", keys=(second,)))
    with pytest.raises(vim.fault.ResourceInUse):
        reconfigure(switch, uplinkPortPolicy=named("only"))
    reconfigure(switch, uplinkPortPolicy=named("first", "second"))
    shown = {each.key: each.value for each in esx.config.network.proxySwitch[0].uplinkPort}
    assert (len(shown), shown[second]) == (2, "second")


def test_a_change_that_cuts_management_is_taken_back(site: Any) -> None:
    house, found = site
    switch, esx = create(found), host(found)
    reconfigure(switch, member(esx, "add", "vmnic1"))
    pg = group(switch, "mgmt")
    esx.configManager.networkSystem.UpdateVirtualNic(device="vmk0", nic=vim.host.VirtualNic.Specification(
        distributedVirtualPort=port(switch, pg)))
    dump = house.dump()
    with pytest.raises(vim.fault.DvsOperationBulkFault) as caught:
        reconfigure(switch, member(esx, "edit"))
    assert isinstance(caught.value.hostFault[0].fault, vim.fault.NetworkDisruptedAndConfigRolledBack)
    house.box(mac_of(1)).vlans = [0]
    vlan = Vmware.VmwarePortConfigPolicy(vlan=Vmware.VlanIdSpec(inherited=False, vlanId=77))
    with pytest.raises(vim.fault.DvsOperationBulkFault):
        done(pg.ReconfigureDVPortgroup_Task(spec=vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
            configVersion=pg.config.configVersion, defaultPortConfig=vlan)))
    assert house.dump() == dump


def test_a_host_that_does_not_answer_cannot_join() -> None:
    house = make_house(hosts=1)
    found = vcenter(house, codec=True)
    switch, esx = create(found), host(found)
    house.stop_responding(mac_of(1))
    with pytest.raises(vim.fault.DvsOperationBulkFault) as caught:
        reconfigure(switch, member(esx, "add"))
    assert isinstance(caught.value.hostFault[0].fault, vmodl.fault.HostNotConnected)


def test_a_reborn_host_has_lost_its_part_and_the_switch_still_counts_it() -> None:
    house = make_house(hosts=1)
    found = vcenter(house, codec=True)
    switch, esx = create(found), host(found)
    reconfigure(switch, member(esx, "add", "vmnic1"))
    house.power(mac_of(1), "cycle")
    boot(house, 1)
    done(esx.ReconnectHost_Task(cnxSpec=connect_spec(house, 1)))
    assert not esx.config.network.proxySwitch
    assert [each.status for each in switch.config.host] == ["outOfSync"]
    with pytest.raises(vim.fault.AlreadyExists):
        reconfigure(switch, member(esx, "add"))
    with pytest.raises(vim.fault.DvsOperationBulkFault):
        reconfigure(switch, member(esx, "edit", "vmnic1"))
    reconfigure(switch, member(esx, "remove"))
    reconfigure(switch, member(esx, "add", "vmnic1"))
    assert [each.status for each in switch.config.host] == ["up"]


def test_a_seed_lays_switches_with_members_that_are_gone() -> None:
    house = make_house(seed=BOTH)
    found = vcenter(house, codec=True)
    switch = next(each for each in found.rootFolder.childEntity[0].networkFolder.childEntity if each.name == "dvs")
    assert [(each.config.host.name, each.status) for each in switch.config.host] == [
        ("esx01.test", "up"), ("gone.test", "disconnected")]
    with pytest.raises(vim.fault.ResourceInUse):  # web1 runs on it
        reconfigure(switch, member(host(found), "remove"))
    gone = next(each for each in switch.summary.hostMember if each.name == "gone.test")
    reconfigure(switch, member(gone, "remove"))
    assert [each.name for each in switch.summary.hostMember] == ["esx01.test"]
