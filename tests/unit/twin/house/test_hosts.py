"""How hosts come to vCenter, leave it, are lost and found: AddHost, reconnect, maintenance, moves, removal."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim, vmodl

from providers.twin.house import House
from tests.support.twin import (
    SEED,
    boot,
    cluster,
    connect_spec,
    done,
    door,
    host,
    mac_of,
    make_house,
    name_of,
    vcenter,
)


def add(house: House, number: int, password: str = "", **more: Any) -> Any:
    return done(cluster(vcenter(house, codec=True)).AddHost_Task(connect_spec(house, number, password, **more), True))


def reconnect(found: Any, spec: Any = None, *, sync: bool = True) -> Any:
    return done(found.ReconnectHost_Task(spec, vim.HostSystem.ReconnectSpec(syncState=sync)))


@pytest.fixture
def house() -> House:
    """One newborn host that is on, one machine that is off."""
    made = make_house(machines=2)
    boot(made, 1)
    return made


# --- adding -----------------------------------------------------------------------------------------------


def test_add_host_keeps_what_the_host_is(house: House) -> None:
    own = door(house, 1).rootFolder.childEntity[0].hostFolder.childEntity[0].host[0]
    done(own.EnterMaintenanceMode_Task(0))
    added = add(house, 1)
    assert added.runtime.inMaintenanceMode
    assert (added.name, added.runtime.connectionState) == ("esx01.test", "connected")
    assert added.hardware.systemInfo.uuid == house.machine(mac_of(1)).uuid
    assert added.parent.name == "prod"
    assert [each.name for each in added.network] == ["Management Network", "VM Network"]
    assert house.calls[-1].host == "esx01.test"


def test_add_host_needs_the_certificate(house: House) -> None:
    for thumbprint in ("", "00:11"):
        with pytest.raises(vim.fault.SSLVerifyFault) as caught:
            add(house, 1, sslThumbprint=thumbprint)
        assert caught.value.thumbprint == house.door_identity(house.machine(mac_of(1)).ip).sha1
    add(house, 1)


@pytest.mark.parametrize(("more", "fault"), [
    ({"password": "wrong"}, vim.fault.InvalidLogin),
    ({"userName": "nobody"}, vim.fault.InvalidLogin),
    ({"hostName": "nowhere.test"}, vim.fault.NoHost),
    ({"hostName": name_of(2)}, vim.fault.NoHost),  # off
    ({"hostName": ""}, vmodl.fault.InvalidArgument),
])
def test_add_host_refused(house: House, more: dict[str, Any], fault: Any) -> None:
    before = house.dump()
    with pytest.raises(fault):
        add(house, 1, **more)
    assert house.dump() == before


def test_add_host_twice(house: House) -> None:
    added = add(house, 1)
    with pytest.raises(vim.fault.AlreadyConnected):
        add(house, 1)
    with pytest.raises(vim.fault.AlreadyConnected):
        add(house, 1, hostName=house.machine(mac_of(1)).ip)
    done(added.DisconnectHost_Task())
    with pytest.raises(vim.fault.DuplicateName):
        add(house, 1)


def test_a_host_of_another_vcenter_is_taken_by_force_only() -> None:
    facts = 'machines: {"52:54:00:01:00:01": {name: esx01.test, managed_by: other}}\n'
    house = make_house(machines=1, seed=SEED + facts)
    with pytest.raises(vim.fault.AlreadyBeingManaged):
        add(house, 1)
    add(house, 1, force=True)
    assert house.dump()["machines"][mac_of(1)]["managed"] == "this vCenter"


def test_a_clock_that_is_a_day_off() -> None:
    house = make_house(machines=1, seed=SEED + 'machines: {"52:54:00:01:00:01": {name: esx01.test, skew: 90000}}\n')
    boot(house, 1)
    with pytest.raises(vim.fault.HostConnectFault, match="clock"):
        add(house, 1)
    box = house.box(mac_of(1))
    box.skew = 3600
    add(house, 1)


# --- lost and found ---------------------------------------------------------------------------------------


@pytest.fixture
def lost() -> tuple[House, Any]:
    """A configured host that was rebooted: vCenter remembers it, and it is newborn."""
    house = make_house(hosts=1)
    found = host(vcenter(house, codec=True))
    found.configManager.networkSystem.AddVirtualSwitch("vSwitch1")
    boot(house, 1)
    return house, found


def test_a_reborn_host_needs_credentials(lost: tuple[House, Any]) -> None:
    house, found = lost
    assert found.runtime.connectionState == "notResponding"
    with pytest.raises(vim.fault.SSLVerifyFault):
        reconnect(found)
    with pytest.raises(vim.fault.InvalidLogin):
        reconnect(found, connect_spec(house, 1, userName=None))
    with pytest.raises(vim.fault.InvalidLogin):
        reconnect(found, connect_spec(house, 1, "wrong"))
    reconnect(found, connect_spec(house, 1))
    assert found.runtime.connectionState == "connected"
    assert [each.name for each in found.config.network.vswitch] == ["vSwitch0"]
    with pytest.raises(vim.fault.InvalidState):
        reconnect(found)


def test_other_hardware_under_the_same_name_is_not_recognised(lost: tuple[House, Any]) -> None:
    house, found = lost
    house.box(mac_of(1)).uuid = "00000000-0000-0000-0000-000000000001"
    with pytest.raises(vim.fault.HostConnectFault) as caught:
        reconnect(found, connect_spec(house, 1))
    assert isinstance(caught.value.faultCause, vim.fault.UnrecognizedHost)


def test_a_host_that_does_not_answer_takes_no_changes(lost: tuple[House, Any]) -> None:
    _, found = lost
    for call in (lambda: found.configManager.networkSystem.AddVirtualSwitch("x"),
                 lambda: done(found.EnterMaintenanceMode_Task(60)),
                 lambda: found.configManager.serviceSystem.StartService("TSM"),
                 lambda: done(found.RebootHost_Task(True))):
        with pytest.raises(vmodl.fault.HostNotConnected):
            call()
    assert [each.name for each in found.config.network.vswitch] == ["vSwitch0", "vSwitch1"]


def test_late_notice_shows_a_dead_host_as_connected() -> None:
    house = make_house(hosts=1)
    house.contact.late = True
    found = host(vcenter(house))
    boot_time = found.runtime.bootTime
    boot(house, 1)
    assert (found.runtime.connectionState, found.runtime.bootTime) == ("connected", boot_time)
    with pytest.raises(vmodl.fault.HostNotReachable):
        found.configManager.networkSystem.AddVirtualSwitch("x")
    assert found.runtime.connectionState == "notResponding"
    reconnect(found, connect_spec(house, 1))
    assert found.runtime.bootTime > boot_time


def test_disconnect_and_reconnect_without_credentials() -> None:
    house = make_house(hosts=1)
    before = house.dump()
    found = host(vcenter(house, codec=True))
    done(found.DisconnectHost_Task())
    assert found.runtime.connectionState == "disconnected"
    with pytest.raises(vmodl.fault.HostNotConnected):
        found.configManager.networkSystem.AddVirtualSwitch("x")
    reconnect(found)
    assert house.dump() == before


def test_a_host_that_answers_again_reconnects_by_itself() -> None:
    house = make_house(hosts=1)
    found = host(vcenter(house))
    house.stop_responding(mac_of(1))
    assert found.runtime.connectionState == "notResponding"
    with pytest.raises(vim.fault.NoHost):
        reconnect(found)
    house.start_responding(mac_of(1))
    assert found.runtime.connectionState == "connected"


def test_fault_rule_stops_a_host() -> None:
    house = make_house(hosts=1)
    house.faults.add(kind="host_stops", method="EnterMaintenanceMode_Task", target="esx01.test")
    found = host(vcenter(house))
    with pytest.raises(vmodl.fault.HostCommunication):
        done(found.EnterMaintenanceMode_Task(60))
    assert found.runtime.connectionState == "notResponding"


def test_reboot_from_vcenter_goes_to_the_network() -> None:
    import threading

    house = make_house(hosts=1)
    asked = threading.Event()
    house.network_boot = lambda _machine: asked.set()
    found = host(vcenter(house))
    with pytest.raises(vim.fault.InvalidState):
        done(found.RebootHost_Task(False))
    done(found.EnterMaintenanceMode_Task(60))
    done(found.RebootHost_Task(False))
    assert asked.wait(10)
    assert (house.machine(mac_of(1)).power, found.runtime.connectionState) == ("booting", "notResponding")
    assert found.runtime.inMaintenanceMode  # as vCenter remembers it


# --- maintenance, moves, removal --------------------------------------------------------------------------

VMS = """
datacenters: [dc0]
clusters:
  dc0/prod: {drs: {enabled: true, automation: fullyAutomated}, ha: {enabled: true}}
hosts:
  esx01.test: {mac: 52:54:00:01:00:01, cluster: dc0/prod, config: &config {
    nfs: {shared: {server: nas1, path: /x}}, portgroup: {vMotion: {vswitch: vSwitch0}},
    vmkernel: {vmk1: {portgroup: vMotion, ip: 10.0.20.1, netmask: 255.255.255.0, services: [vmotion]}}}}
  esx02.test: {mac: 52:54:00:01:00:02, cluster: dc0/prod, config: *config}
vms:
  web1: {host: esx01.test, datastores: [shared], networks: [VM Network], power: "on"}
  old1: {host: esx01.test, datastores: [shared], networks: [VM Network]}
"""


def test_entering_maintenance_evacuates_running_vms() -> None:
    found = vcenter(make_house(seed=VMS), codec=True)
    one, two = host(found, 1), host(found, 2)
    done(one.EnterMaintenanceMode_Task(60))
    assert [each.name for each in two.vm] == ["web1"]
    assert [each.name for each in one.vm] == ["old1"]
    with pytest.raises(vim.fault.InvalidState):
        done(one.EnterMaintenanceMode_Task(60))
    done(one.ExitMaintenanceMode_Task(0))
    with pytest.raises(vim.fault.InvalidState):
        done(one.ExitMaintenanceMode_Task(0))


@pytest.mark.parametrize("obstacle", ["no vmotion", "no datastore", "no port group", "no drs"])
def test_vms_that_cannot_move_stop_maintenance(obstacle: str) -> None:
    house = make_house(seed=VMS)
    found = vcenter(house)
    one, two = host(found, 1), host(found, 2)
    if obstacle == "no vmotion":
        two.configManager.virtualNicManager.DeselectVnicForNicType("vmotion", "vmk1")
    elif obstacle == "no datastore":
        two.configManager.datastoreSystem.RemoveDatastore(two.datastore[0])
    elif obstacle == "no port group":
        two.configManager.networkSystem.RemovePortGroup("VM Network")
    else:
        spec = vim.cluster.ConfigSpecEx(drsConfig=vim.cluster.DrsConfigInfo(defaultVmBehavior="manual"))
        done(cluster(found).ReconfigureComputeResource_Task(spec, True))
    with pytest.raises(vim.fault.Timedout, match="web1"):
        done(one.EnterMaintenanceMode_Task(60))
    assert not one.runtime.inMaintenanceMode


def test_what_can_move_has_moved_although_one_vm_stays() -> None:
    more = '  bound: {host: esx01.test, datastores: [local], networks: [VM Network], power: "on"}\n'
    house = make_house(seed=VMS + more + "datastores: {dc0/local: {hosts: [esx01.test]}}\n")
    one, two = host(vcenter(house), 1), host(vcenter(house), 2)
    with pytest.raises(vim.fault.Timedout, match="bound"):
        done(one.EnterMaintenanceMode_Task(60))
    assert [each.name for each in two.vm] == ["web1"]
    assert [(m.vm, m.source, m.target, m.running) for m in house.contact.moves] == [
        ("web1", "esx01.test", "esx02.test", True)]
    done(next(each for each in one.vm if each.name == "bound").PowerOffVM_Task())
    done(one.EnterMaintenanceMode_Task(60))


def test_vms_are_spread_over_the_hosts_that_take_them() -> None:
    seed = VMS.replace("vms:", "  esx03.test: {mac: 52:54:00:01:00:03, cluster: dc0/prod, config: *config}\nvms:")
    more = "".join(f'  app{n}: {{host: esx01.test, datastores: [shared], power: "on"}}\n' for n in range(3))
    found = vcenter(make_house(seed=seed + more))
    done(host(found, 1).EnterMaintenanceMode_Task(60))
    assert [len(host(found, n).vm) for n in (1, 2, 3)] == [1, 2, 2]


def test_a_lost_host_loses_its_vms_to_ha() -> None:
    house = make_house(seed=VMS)
    found = vcenter(house)
    boot(house, 1)
    assert [each.name for each in host(found, 2).vm] == ["web1"]
    old = host(found, 1).vm[0]
    assert (old.name, old.runtime.connectionState) == ("old1", "disconnected")
    reconnect(host(found, 1), connect_spec(house, 1), sync=False)
    assert old.runtime.connectionState == "orphaned"


def test_sync_state_registers_vms_again() -> None:
    house = make_house(seed=VMS)
    found = vcenter(house)
    boot(house, 1)
    reconnect(host(found, 1), connect_spec(house, 1), sync=True)
    [old] = host(found, 1).vm
    assert (old.name, old.runtime.connectionState) == ("old1", "inaccessible")
    spec = vim.host.NasVolume.Specification(remoteHost="nas1", remotePath="/x", localPath="shared", type="NFS",
                                            accessMode="readWrite")
    host(found, 1).configManager.datastoreSystem.CreateNasDatastore(spec)
    assert old.runtime.connectionState == "connected"


def test_removing_a_host() -> None:
    house = make_house(seed=VMS)
    found = vcenter(house, codec=True)
    one, two = host(found, 1), host(found, 2)
    with pytest.raises(vim.fault.InvalidState):
        done(two.Destroy_Task())
    done(one.EnterMaintenanceMode_Task(60))
    with pytest.raises(vim.fault.ResourceInUse, match="old1"):
        done(one.Destroy_Task())
    one.vm[0].UnregisterVM()
    done(one.Destroy_Task())
    assert [each.name for each in cluster(found).host] == ["esx02.test"]
    assert house.dump()["machines"][mac_of(1)]["managed"] == ""
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = one.name
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        one.configManager.networkSystem.AddVirtualSwitch("x")


def test_removing_a_dead_host_forgets_its_vms() -> None:
    house = make_house(seed=VMS)
    found = vcenter(house)
    boot(house, 1)
    done(host(found, 1).Destroy_Task())
    assert sorted(house.dump()["vms"]) == ["dc0/vm/web1"]
    added = add(house, 1)
    assert added.runtime.connectionState == "connected"


def test_moving_between_clusters() -> None:
    house = make_house(seed=SEED.replace("dc0/prod: {}", "dc0/prod: {}, dc0/edge: {}"), hosts=1)
    before = house.dump()
    found = vcenter(house, codec=True)
    esx, edge = host(found), cluster(found, "edge")
    with pytest.raises(vim.fault.InvalidState):
        done(edge.MoveInto_Task([esx]))
    done(esx.EnterMaintenanceMode_Task(60))
    done(edge.MoveInto_Task([esx]))
    assert esx.parent.name == "edge"
    assert house.calls[-1].host == "esx01.test"
    done(cluster(found).MoveInto_Task([esx]))
    done(esx.ExitMaintenanceMode_Task(0))
    assert house.dump() == before


def test_connection_info() -> None:
    house = make_house(hosts=1)
    info = host(vcenter(house, codec=True)).QueryHostConnectionInfo()
    assert info.host.config.name == "esx01.test"
