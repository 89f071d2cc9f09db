"""Roles, permissions, custom fields, licences."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim

from tests.contract.differential.peers import Peer
from tests.contract.differential.probing import made, probe


@probe
def a_role(peer: Peer) -> Any:
    manager = peer.authorizationManager
    peer.things["role"] = manager.AddAuthorizationRole("operators", ["Host.Config.Network"])
    (found,) = [r for r in manager.roleList if r.roleId == peer.role]
    return [found.name, "Host.Config.Network" in found.privilege, "System.View" in found.privilege, found.system]


@probe
def a_roles_name_again(peer: Peer) -> Any:
    return peer.authorizationManager.AddAuthorizationRole("operators", [])


@probe
def a_role_with_a_privilege_that_does_not_exist(peer: Peer) -> Any:
    return peer.authorizationManager.AddAuthorizationRole("wrong", ["No.Such.Privilege"])


@probe
def a_role_of_the_system(peer: Peer) -> Any:
    return peer.authorizationManager.RemoveAuthorizationRole(-1, True)


@probe
def a_permission(peer: Peer) -> Any:
    given = vim.AuthorizationManager.Permission(principal="LAB\\ops", group=True, roleId=made(peer, "role"),
                                                propagate=True)
    entity = made(peer, "dc")
    peer.authorizationManager.SetEntityPermissions(entity, [given])
    found = peer.authorizationManager.RetrieveEntityPermissions(entity, False)
    return [(p.principal.upper(), p.group, p.roleId == made(peer, "role"), p.propagate) for p in found]


@probe
def a_role_in_use(peer: Peer) -> Any:
    return peer.authorizationManager.RemoveAuthorizationRole(made(peer, "role"), True)


@probe
def a_permission_taken_away(peer: Peer) -> Any:
    peer.authorizationManager.RemoveEntityPermission(made(peer, "dc"), "LAB\\ops", True)
    return len(peer.authorizationManager.RetrieveEntityPermissions(made(peer, "dc"), False))


@probe
def a_permission_that_is_not_there(peer: Peer) -> Any:
    return peer.authorizationManager.RemoveEntityPermission(made(peer, "dc"), "LAB\\nobody", False)


@probe
def a_custom_field(peer: Peer) -> Any:
    found = peer.customFieldsManager.AddCustomFieldDef("rack", vim.HostSystem)
    peer.things["field"] = found.key
    return [found.name, found.managedObjectType and found.managedObjectType.__name__]


@probe
def a_custom_fields_name_again(peer: Peer) -> Any:
    return peer.customFieldsManager.AddCustomFieldDef("rack", vim.HostSystem).name


@probe
def a_custom_field_renamed(peer: Peer) -> Any:
    peer.customFieldsManager.RenameCustomFieldDef(made(peer, "field"), "room")
    return [f.name for f in peer.customFieldsManager.field if f.key == peer.field]


@probe
def a_custom_field_that_is_not_there(peer: Peer) -> Any:
    return peer.customFieldsManager.RemoveCustomFieldDef(4711)


@probe
def licences(peer: Peer) -> Any:
    return [each.editionKey for each in peer.licenseManager.licenses]
