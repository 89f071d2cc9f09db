"""Hosts' own doors, and who may come in."""

from __future__ import annotations

import pytest
from pyVmomi import vim, vmodl

from tests.support.twin import boot, content, done, door, host, mac_of, make_house, vcenter

Account = vim.host.LocalAccountManager.AccountSpecification


def test_a_newborn_lets_root_in_with_an_empty_password() -> None:
    house = make_house(machines=1)
    boot(house, 1)
    found = door(house, 1, codec=True)
    own = found.rootFolder.childEntity[0].hostFolder.childEntity[0].host[0]
    assert (found.about.apiType, own.name, own.runtime.inMaintenanceMode) == ("HostAgent", "esx01.test", False)
    done(own.EnterMaintenanceMode_Task(0))
    assert own.runtime.inMaintenanceMode
    done(own.ExitMaintenanceMode_Task(0))
    with pytest.raises(vim.fault.InvalidState):
        done(own.ExitMaintenanceMode_Task(0))
    assert [call.method for call in house.calls] == [
        "HostSystem.EnterMaintenanceMode_Task", "HostSystem.ExitMaintenanceMode_Task"]
    assert {call.host for call in house.calls} == {"esx01.test"}


def test_setting_the_password() -> None:
    house = make_house(machines=1)
    boot(house, 1)
    accounts = door(house, 1, codec=True).accountManager
    with pytest.raises(vim.fault.UserNotFound):
        accounts.UpdateUser(Account(id="nobody", password="Secret-1"))
    with pytest.raises(vmodl.fault.SystemError, match="Weak password"):
        accounts.UpdateUser(Account(id="root", password="secret"))
    accounts.UpdateUser(Account(id="root", password="Secret-1"))
    for wrong in ("", "secret-1"):
        with pytest.raises(vim.fault.InvalidLogin):
            door(house, 1, wrong)
    door(house, 1, "Secret-1")
    assert house.dump()["passwords"][mac_of(1)]["root"]


def test_nothing_works_before_login() -> None:
    house = make_house(hosts=1)
    for stub in (house.door(house.machine(mac_of(1)).ip), house.stub(signed_in=False)):
        with pytest.raises(vim.fault.NotAuthenticated):
            _ = content(stub).rootFolder.childEntity


def test_vcenter_has_one_user() -> None:
    from providers.twin import house as module

    found = content(make_house().stub(signed_in=False, codec=True))
    with pytest.raises(vim.fault.InvalidLogin):
        found.sessionManager.Login(module.USER, "wrong")
    found.sessionManager.Login(module.USER, module.PASSWORD)
    assert found.rootFolder.childEntity[0].name == "dc0"


def test_what_the_door_changes_vcenter_sees() -> None:
    house = make_house(hosts=1)
    own = door(house, 1).rootFolder.childEntity[0].hostFolder.childEntity[0].host[0]
    own.configManager.networkSystem.AddPortGroup(vim.host.PortGroup.Specification(
        name="extra", vlanId=7, vswitchName="vSwitch0", policy=vim.host.NetworkPolicy()))
    found = host(vcenter(house))
    assert [each.name for each in found.network] == ["Management Network", "VM Network", "extra"]
    done(own.EnterMaintenanceMode_Task(0))
    assert found.runtime.inMaintenanceMode


def test_whole_host_goes_through_the_codec() -> None:
    found = host(vcenter(make_house(hosts=1), codec=True))
    assert found.config.product.version == "8.0.3"
    assert found.summary.config.sslThumbprint
    assert found.hardware.cpuInfo.numCpuCores == 32
    assert found.configManager.networkSystem._moId.startswith("networkSystem-")


def test_vcenter_objects_through_the_codec() -> None:
    found = vcenter(make_house(hosts=1), codec=True)
    assert found.about.instanceUuid
    assert [each.editionKey for each in found.licenseManager.licenses] == ["eval"]
    datacenter = found.rootFolder.childEntity[0]
    assert [each.summary.name for each in datacenter.network] == ["Management Network", "VM Network"]
    assert found.rootFolder.childType
