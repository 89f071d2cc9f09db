"""Access to the twin's hosts and vCenter, through real XML: what its methods do, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim, vmodl

from tests.support.twin import boot, cluster, content, done, door, host, make_house, vcenter

GOOD = "Lasting.1!"


@pytest.fixture
def center() -> Any:
    return vcenter(make_house(hosts=1), codec=True)


@pytest.fixture
def esx(center: Any) -> Any:
    return host(center)


def account(name: str, password: str | None = GOOD, description: str | None = None) -> Any:
    return vim.host.LocalAccountManager.AccountSpecification(id=name, password=password, description=description)


def people(esx: Any, text: str = "", *, exact: bool = False) -> dict[str, str]:
    found = esx.configManager.userDirectory.RetrieveUserGroups(None, text, None, None, exact, True, False)
    return {each.principal: each.fullName for each in found}


def modes(esx: Any) -> dict[str, str]:
    found = esx.configManager.hostAccessManager.RetrieveHostAccessControlEntries()
    return {each.principal: each.accessMode for each in found}


def test_users(esx: Any) -> None:
    accounts = esx.configManager.accountManager
    assert set(people(esx)) == {"root", "dcui", "vpxuser"}
    accounts.CreateUser(account("backup", description="nightly"))
    assert people(esx, "BACK") == people(esx, "backup", exact=True) == {"backup": "nightly"}
    accounts.UpdateUser(account("backup", None, "weekly"))
    assert people(esx, "backup") == {"backup": "weekly"}
    assert "backup" not in modes(esx)
    accounts.RemoveUser("backup")
    assert people(esx, "backup") == {}


@pytest.mark.parametrize(("call", "fault"), [
    (lambda a: a.CreateUser(account("root")), vim.fault.AlreadyExists),
    (lambda a: a.CreateUser(account("no space")), vmodl.fault.InvalidArgument),
    (lambda a: a.CreateUser(account("weak", "short")), vmodl.fault.SystemError),
    (lambda a: a.UpdateUser(account("nobody")), vim.fault.UserNotFound),
    (lambda a: a.RemoveUser("nobody"), vim.fault.UserNotFound),
    (lambda a: a.RemoveUser("dcui"), vmodl.fault.SecurityError),
])
def test_users_refused(esx: Any, call: Any, fault: Any) -> None:
    with pytest.raises(fault):
        call(esx.configManager.accountManager)


def test_what_users_may_do_and_lockdown(esx: Any) -> None:
    access = esx.configManager.hostAccessManager
    for name in ("backup", "spare"):
        esx.configManager.accountManager.CreateUser(account(name))
        access.ChangeAccessMode(name, False, "accessReadOnly")
    assert modes(esx) == {"root": "accessAdmin", "dcui": "accessAdmin", "vpxuser": "accessAdmin",
                          "backup": "accessReadOnly", "spare": "accessReadOnly"}
    with pytest.raises(vim.fault.UserNotFound):
        access.UpdateLockdownExceptions(["nobody"])
    access.UpdateLockdownExceptions(["backup"])
    access.ChangeLockdownMode("lockdownStrict")
    assert (esx.config.lockdownMode, access.lockdownMode, esx.config.adminDisabled) == (
        "lockdownStrict", "lockdownStrict", True)
    assert set(modes(esx)) == {"dcui", "vpxuser", "backup"}
    assert not next(s.running for s in esx.config.service.service if s.key == "DCUI")
    with pytest.raises(vmodl.fault.SecurityError):
        access.ChangeAccessMode("spare", False, "accessAdmin")
    with pytest.raises(vmodl.fault.SecurityError):
        esx.configManager.serviceSystem.StartService("DCUI")
    access.ChangeAccessMode("backup", False, "accessNone")
    access.ChangeLockdownMode("lockdownDisabled")
    assert set(modes(esx)) == {"root", "dcui", "vpxuser", "spare"}
    assert next(s.running for s in esx.config.service.service if s.key == "DCUI")
    assert access.QueryLockdownExceptions() == ["backup"]
    with pytest.raises(vim.fault.AuthMinimumAdminPermission):
        access.ChangeAccessMode("root", False, "accessNone")
    with pytest.raises(vmodl.fault.InvalidArgument):
        access.ChangeAccessMode("spare", False, "accessOther")


def test_lockdown_keeps_the_hosts_own_door_shut() -> None:
    house = make_house(hosts=1)
    esx = host(vcenter(house))
    with pytest.raises(vim.fault.AuthMinimumAdminPermission):
        door(house, 1).rootFolder.childEntity[0].hostFolder.childEntity[0].host[0].configManager \
            .hostAccessManager.ChangeLockdownMode("lockdownNormal")
    esx.configManager.hostAccessManager.ChangeLockdownMode("lockdownNormal")
    with pytest.raises(vim.fault.InvalidLogin):
        door(house, 1)
    esx.configManager.hostAccessManager.UpdateLockdownExceptions(["root"])
    assert door(house, 1).about.apiType == "HostAgent"


def test_active_directory(esx: Any) -> None:
    local, store = esx.configManager.authenticationManager.supportedStore
    assert local.info.enabled
    with pytest.raises(vim.fault.InvalidState):
        done(store.LeaveCurrentDomain_Task(False))
    for given, fault in ((("nodots", "u", GOOD), vim.fault.DomainNotFound),
                         (("lab.example", "u", ""), vim.fault.InvalidLogin)):
        with pytest.raises(fault):
            done(store.JoinDomain_Task(*given))
    done(store.JoinDomain_Task("lab.example/hosts", "u", GOOD))
    shown = esx.config.authenticationManagerInfo.authConfig[1]
    assert (shown.joinedDomain, shown.enabled, store.info.joinedDomain) == ("LAB.EXAMPLE", True, "LAB.EXAMPLE")
    with pytest.raises(vim.fault.InvalidState):
        done(store.JoinDomain_Task("lab.example", "u", GOOD))
    access = esx.configManager.hostAccessManager
    access.ChangeAccessMode("LAB\\ops", False, "accessAdmin")
    with pytest.raises(vim.fault.InvalidState, match="have permissions"):
        done(store.LeaveCurrentDomain_Task(False))
    done(store.LeaveCurrentDomain_Task(True))
    assert "LAB\\ops" not in modes(esx)
    with pytest.raises(vmodl.fault.NotSupported):
        store.JoinDomainWithCAM_Task("lab.example", "proxy")


def snmp(**given: Any) -> Any:
    return vim.host.SnmpSystem.SnmpConfigSpec(**given)


def target(name: str, community: str) -> Any:
    return vim.host.SnmpSystem.SnmpConfigSpec.Destination(hostName=name, port=162, community=community)


def test_snmp(esx: Any) -> None:
    agent = esx.configManager.snmpSystem
    with pytest.raises(vmodl.fault.InvalidArgument):
        agent.ReconfigureSnmpAgent(snmp(enabled=True))
    agent.ReconfigureSnmpAgent(snmp(readOnlyCommunities=["one", "two"], trapTargets=[target("nms", "one")]))
    agent.ReconfigureSnmpAgent(snmp(enabled=True, port=1161))
    found = agent.configuration
    assert (found.enabled, found.port, len(found.readOnlyCommunities)) == (True, 1161, 2)
    assert found.trapTargets[0].community == found.readOnlyCommunities[0] != "one"
    agent.ReconfigureSnmpAgent(snmp(readOnlyCommunities=list(found.readOnlyCommunities)))  # what was read is known
    assert list(agent.configuration.readOnlyCommunities) == list(found.readOnlyCommunities)
    with pytest.raises(vim.fault.InsufficientResourcesFault):
        agent.ReconfigureSnmpAgent(snmp(trapTargets=[target(str(n), "one") for n in range(4)]))
    agent.ReconfigureSnmpAgent(snmp(readOnlyCommunities=[""]))
    found = agent.configuration
    assert (found.enabled, found.port, list(found.readOnlyCommunities), list(found.trapTargets)) == (
        False, 161, [], [])


def test_certificates(center: Any, esx: Any) -> None:
    manager = esx.configManager.certificateManager
    before = manager.certificateInfo
    assert before.issuer == before.subject
    done(center.certificateManager.CertMgrRefreshCertificates_Task([esx]))
    after = manager.certificateInfo
    assert (after.subject, after.status) == (before.subject, "good")
    assert after.issuer.endswith("CN=CA")
    with pytest.raises(vmodl.fault.NotSupported):
        manager.GenerateCertificateSigningRequest(False)


def test_all_of_a_host_is_gone_with_a_stateless_boot() -> None:
    house = make_house(hosts=1)
    esx = host(vcenter(house))
    esx.configManager.accountManager.CreateUser(account("backup"))
    esx.configManager.hostAccessManager.ChangeLockdownMode("lockdownStrict")
    boot(house, 1)
    running = house.box("52:54:00:01:00:01").running
    assert running is not None
    access = running.config.access
    assert (access.users, access.lockdown) == ({}, "lockdownDisabled")
    assert content(house.door(house.machine("52:54:00:01:00:01").ip)).about.apiType == "HostAgent"


# --- vCenter ------------------------------------------------------------------------------------------------


def test_roles_and_permissions(center: Any) -> None:
    manager, prod = center.authorizationManager, cluster(center)
    number = manager.AddAuthorizationRole("ops", ["Host.Config.Network"])
    manager.UpdateAuthorizationRole(number, "operators", ["Host.Config.Storage"])
    found = next(each for each in manager.roleList if each.roleId == number)
    assert (found.name, "Host.Config.Storage" in found.privilege, found.system) == ("operators", True, False)
    rule = vim.AuthorizationManager.Permission(principal="a@lab.example", group=False, roleId=number, propagate=True)
    manager.SetEntityPermissions(prod, [rule])
    assert [(p.principal, p.roleId) for p in manager.RetrieveAllPermissions()] == [("LAB.EXAMPLE\\a", number)]
    assert len(manager.RetrieveEntityPermissions(host(center), True)) == 1
    assert len(manager.RetrieveEntityPermissions(host(center), False)) == 0
    assert len(manager.RetrieveRolePermissions(number)) == 1
    with pytest.raises(vim.fault.RemoveFailed):
        manager.RemoveAuthorizationRole(number, True)
    manager.RemoveEntityPermission(prod, "lab.example\\A", False)
    manager.RemoveAuthorizationRole(number, True)
    assert number not in [each.roleId for each in manager.roleList]


@pytest.mark.parametrize(("call", "fault"), [
    (lambda m, _: m.AddAuthorizationRole("admin", []), vim.fault.AlreadyExists),
    (lambda m, _: m.AddAuthorizationRole("", []), vim.fault.InvalidName),
    (lambda m, _: m.AddAuthorizationRole("x", ["No.Such"]), vmodl.fault.InvalidArgument),
    (lambda m, _: m.UpdateAuthorizationRole(-1, "x", []), vmodl.fault.InvalidArgument),
    (lambda m, _: m.RemoveAuthorizationRole(99, True), vim.fault.NotFound),
    (lambda m, e: m.RemoveEntityPermission(e, "a", False), vim.fault.NotFound),
    (lambda m, e: m.SetEntityPermissions(e, [vim.AuthorizationManager.Permission(
        principal="a", group=False, roleId=99, propagate=True)]), vim.fault.NotFound),
    (lambda m, e: m.SetEntityPermissions(e, [vim.AuthorizationManager.Permission(
        principal=" ", group=False, roleId=-2, propagate=True)]), vim.fault.UserNotFound),
])
def test_roles_and_permissions_refused(center: Any, call: Any, fault: Any) -> None:
    with pytest.raises(fault):
        call(center.authorizationManager, cluster(center))


def test_licences(center: Any, esx: Any) -> None:
    manager = center.licenseManager
    assigned = manager.licenseAssignmentManager
    key = "AAAAA-BBBBB-CCCCC-DDDDD-11111"
    assert [e.assignedLicense.editionKey for e in assigned.QueryAssignedLicenses(esx._moId)] == ["eval"]
    shown = assigned.UpdateAssignedLicense(esx._moId, key, None).licenseKey
    assert shown != key
    assert shown.endswith("-11111")
    assert [each.licenseKey for each in manager.licenses][1:] == [shown]
    assert [e.entityId for e in assigned.QueryAssignedLicenses()] == [esx._moId]
    with pytest.raises(vmodl.fault.InvalidArgument):
        manager.RemoveLicense(shown)
    assigned.RemoveAssignedLicense(esx._moId)
    manager.RemoveLicense(key)
    for call, fault in ((lambda: assigned.UpdateAssignedLicense("host-0", key, None), vim.fault.LicenseEntityNotFound),
                        (lambda: assigned.UpdateAssignedLicense(esx._moId, "nonsense", None),
                         vmodl.fault.InvalidArgument)):
        with pytest.raises(fault):
            call()


def test_custom_attributes(center: Any, esx: Any) -> None:
    manager = center.customFieldsManager
    made = manager.AddCustomFieldDef("owner", vim.HostSystem, None, None)
    with pytest.raises(vim.fault.DuplicateName):
        manager.AddCustomFieldDef("owner", None, None, None)
    other = manager.AddCustomFieldDef("owner", vim.VirtualMachine, None, None)
    manager.RenameCustomFieldDef(other.key, "keeper")
    manager.SetField(esx, made.key, "team a")
    assert [(each.key, each.value) for each in esx.value] == [(made.key, "team a")]
    assert [each.name for each in esx.availableField] == ["owner"]
    with pytest.raises(vmodl.fault.InvalidArgument):
        manager.SetField(cluster(center), made.key, "x")
    manager.SetField(esx, made.key, "")
    assert list(esx.value) == []
    manager.SetField(esx, made.key, "again")
    manager.RemoveCustomFieldDef(made.key)
    assert list(esx.customValue) == []
    with pytest.raises(vmodl.fault.InvalidArgument):
        manager.RemoveCustomFieldDef(made.key)
