"""Calls through the in-process stub, directly and through the codec."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim, vmodl

from providers.twin.core.dispatch import UndeclaredFault
from providers.twin.core.recorder import MutatingCall
from tests.unit.twin.core.toy import PASSWORD, USER, Host, Network, Toy, content_of


def _spec() -> Any:
    return vim.host.VirtualSwitch.Specification(
        numPorts=128, mtu=9000, bridge=vim.host.VirtualSwitch.BondBridge(nicDevice=["vmnic1"]))


def message_of(fault: Any) -> str:
    return str(fault.msg or "")


def _network(content: Any) -> Any:
    return content.rootFolder.childEntity[0].configManager.networkSystem


def test_service_content_is_complete_and_anonymous(toy: Toy, codec: bool) -> None:
    content = content_of(toy.stub(codec=codec))
    assert content.about.instanceUuid == "toy-instance"
    assert content.about.apiType == "VirtualCenter"
    assert content.searchIndex._moId == "SearchIndex"
    assert content.perfManager._moId == "PerfMgr"


def test_nothing_but_content_without_login(toy: Toy, codec: bool) -> None:
    content = content_of(toy.stub(codec=codec))
    with pytest.raises(vim.fault.NotAuthenticated):
        _ = content.rootFolder.childEntity
    with pytest.raises(vim.fault.NotAuthenticated):
        vim.Folder("no-such", toy.stub(codec=codec)).CreateFolder("x")


def test_login_checks_the_password_and_logout_ends_the_session(toy: Toy, codec: bool) -> None:
    content = content_of(toy.stub(codec=codec))
    with pytest.raises(vim.fault.InvalidLogin):
        content.sessionManager.Login(USER, "wrong")
    session = content.sessionManager.Login(USER, PASSWORD)
    assert session.userName == USER
    assert content.sessionManager.currentSession.key == session.key
    content.sessionManager.Logout()
    with pytest.raises(vim.fault.NotAuthenticated):
        _ = content.rootFolder.childEntity


def test_a_mutating_call_takes_effect_is_recorded_and_committed(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    _network(content).AddVirtualSwitch(vswitchName="vSwitch1", spec=_spec())
    assert toy.root.hosts[0].switches == {"vSwitch0": 1500, "vSwitch1": 9000}
    assert toy.world.calls == [
        MutatingCall("HostNetworkSystem.AddVirtualSwitch", "esx01.lab.example", "esx01.lab.example")]
    assert len(toy.commits) == 1


def test_arguments_are_copies(toy: Toy, codec: bool) -> None:
    content, spec = toy.login(codec=codec), _spec()
    _network(content).AddVirtualSwitch(vswitchName="vSwitch1", spec=spec)
    spec.bridge.nicDevice.append("vmnic7")
    spec.mtu = 1
    network = toy.world.find("networkSystem-1")
    assert isinstance(network, Network)
    kept = network.last_spec
    assert list(kept.bridge.nicDevice) == ["vmnic1"]
    assert kept.mtu == 9000
    assert type(kept.bridge.nicDevice).__name__ == "str[]"


def test_a_declared_fault_reaches_the_client_with_its_fields(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    with pytest.raises(vim.fault.AlreadyExists) as caught:
        _network(content).AddVirtualSwitch(vswitchName="vSwitch0")
    assert caught.value.name == "vSwitch0"
    assert message_of(caught.value)
    assert toy.world.calls == []
    assert toy.commits == []


def test_an_undeclared_fault_is_a_loud_error_of_the_twin(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    with pytest.raises(UndeclaredFault, match=r"Folder\.CreateFolder raised vim\.fault\.HostConnectFault"):
        content.rootFolder.CreateFolder("x")


def test_what_is_not_simulated_is_named(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    host = content.rootFolder.childEntity[0]
    with pytest.raises(vmodl.fault.NotSupported, match=r"HostSystem\.RebootHost_Task") as caught:
        host.RebootHost_Task(force=True)
    assert "host-1" in message_of(caught.value)
    with pytest.raises(vmodl.fault.NotSupported, match=r"HostSystem\.capability"):
        _ = host.capability
    with pytest.raises(vmodl.fault.NotSupported, match=r"PerformanceManager\.perfCounter"):
        _ = content.perfManager.perfCounter


def test_an_object_that_is_gone(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    host = content.rootFolder.childEntity[2]
    assert host.Destroy_Task().info.state == "success"
    with pytest.raises(vmodl.fault.ManagedObjectNotFound) as caught:
        _ = host.name
    assert caught.value.obj._moId == "host-3"
    assert toy.world.calls == [MutatingCall("HostSystem.Destroy_Task", "esx03.lab.example", "esx03.lab.example")]


def test_privileges_of_the_role_are_enforced(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec, user="reader")
    assert content.rootFolder.childEntity[0].name == "esx01.lab.example"
    with pytest.raises(vim.fault.NoPermission) as caught:
        _network(content).AddVirtualSwitch(vswitchName="vSwitch1")
    assert caught.value.privilegeId == "Host.Config.Network"
    with pytest.raises(vim.fault.NoPermission) as caught:
        content.rootFolder.childEntity[0].Destroy_Task()
    assert caught.value.privilegeId == "Host.Inventory.RemoveHostFromCluster"
    hosts = list(content.rootFolder.childEntity)
    asked = ["Host.Config.Network", "System.Read"]
    answer = content.authorizationManager.HasUserPrivilegeOnEntities(hosts[:1], "reader", asked)
    assert {each.privId: each.isGranted for each in answer[0].privAvailability} == {
        "Host.Config.Network": False, "System.Read": True}
    granted = content.authorizationManager.FetchUserPrivilegeOnEntities(hosts[:1], "reader")[0].privileges
    assert "System.Read" in granted
    assert "Host.Config.Network" not in granted


def test_values_have_their_declared_types(toy: Toy, codec: bool) -> None:
    host = toy.login(codec=codec).rootFolder.childEntity[0]
    assert list(host.disabledMethod) == ["ExitMaintenanceMode_Task"]
    assert isinstance(host.parent, vim.Folder)


def test_a_task_reports_what_happened(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    host = content.rootFolder.childEntity[0]
    info = host.EnterMaintenanceMode_Task(timeout=0).info
    assert (info.state, info.descriptionId, info.entityName) == (
        "success", "HostSystem.enterMaintenanceMode", "esx01.lab.example")
    assert info.name.info.wsdlName == "EnterMaintenanceMode_Task"
    assert info.reason.userName == USER
    assert info.completeTime >= info.queueTime
    failed = host.EnterMaintenanceMode_Task(timeout=0).info
    assert failed.state == "error"
    assert isinstance(failed.error, vim.fault.InvalidState)
    assert message_of(failed.error) == "already in maintenance mode"
    assert [each.info.state for each in content.taskManager.recentTask] == ["success", "error"]
    with pytest.raises(vim.fault.InvalidState):
        content.taskManager.recentTask[0].CancelTask()
    assert len(toy.world.calls) == 1


def test_a_handler_sees_the_host_object(toy: Toy) -> None:
    assert isinstance(toy.world.resolve(vim.HostSystem("host-1")), Host)
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        toy.world.resolve(vim.VirtualMachine("host-1"))


def test_search_index(toy: Toy, codec: bool) -> None:
    content = toy.login(codec=codec)
    search = content.searchIndex
    assert search.FindByInventoryPath("esx02.lab.example")._moId == "host-2"
    assert search.FindByInventoryPath("nobody") is None
    assert search.FindChild(content.rootFolder, "esx03.lab.example")._moId == "host-3"
    assert search.FindByUuid(uuid="00000000-0000-0000-0000-000000000002", vmSearch=False)._moId == "host-2"
    assert search.FindByDnsName(dnsName="ESX01", vmSearch=False)._moId == "host-1"
    assert search.FindByDnsName(dnsName="esx01.lab.example", vmSearch=False)._moId == "host-1"
    assert search.FindByUuid(uuid="x", vmSearch=True) is None
