"""AuthorizationManager: which privileges exist, and who has them. One role per user, valid everywhere."""

from __future__ import annotations

from functools import cache
from typing import Any

from pyVmomi import VmomiSupport as Vm
from pyVmomi import vim

from providers.twin.core.base import ManagedObject, World, method, prop
from providers.twin.core.meta import data
from providers.twin.core.sessions import ADMIN, READ_ONLY, Role
from providers.twin.core.views import own_session
from providers.twin.facts.privileges import documented

_ADMIN_ID, _READ_ONLY_ID = -1, -2


@cache
def privilege_ids() -> tuple[str, ...]:
    """Every privilege id that the API's own metadata asks for somewhere, and the documented ones beside it; sorted."""
    found: set[str] = set(documented())
    for definition in list(Vm._managedDefMap.values()):
        for entry in definition[4] or ():
            found.add(entry[4] or "")
        for entry in definition[5] or ():
            found.add(entry[5] or "")
            found.update(parameter[4] or "" for parameter in entry[3])
    return tuple(sorted(each for each in found if "." in each))


def _privilege(name: str) -> Any:
    group, _, short = name.rpartition(".")
    return data("AuthorizationPrivilege", privId=name, onParent=False, name=short, privGroupName=group)


class AuthorizationManager(ManagedObject):
    """`vim.AuthorizationManager`. Roles are given to users by the house (`world.sessions.accounts`)."""

    wire = "AuthorizationManager"

    def __init__(self, world: World, moid: str = "AuthorizationManager") -> None:
        super().__init__(world, moid)

    @prop("privilegeList")
    def privilege_list(self) -> list[Any]:
        return [_privilege(each) for each in privilege_ids()]

    @prop("roleList")
    def role_list(self) -> list[Any]:
        return [_role(_ADMIN_ID, ADMIN), _role(_READ_ONLY_ID, READ_ONLY)]

    @method("HasPrivilegeOnEntity")
    def has_privilege_on_entity(self, entity: Any, sessionId: str, privId: Any) -> list[bool]:
        self.world.resolve(entity)
        role = self._role_of_session(sessionId)
        return [role.grants(each) for each in privId]

    @method("HasPrivilegeOnEntities")
    def has_privilege_on_entities(self, entity: Any, sessionId: str, privId: Any) -> list[Any]:
        return [self._entity(ref, self._role_of_session(sessionId), privId) for ref in entity]

    @method("HasUserPrivilegeOnEntities")
    def has_user_privilege_on_entities(self, entities: Any, userName: str, privId: Any) -> list[Any]:
        return [self._entity(ref, self._role_of_user(userName), privId) for ref in entities]

    @method("FetchUserPrivilegeOnEntities")
    def fetch_user_privilege_on_entities(self, entities: Any, userName: str) -> list[Any]:
        role = self._role_of_user(userName)
        granted = [each for each in privilege_ids() if role.grants(each)]
        return [data("UserPrivilegeResult", entity=self.world.resolve(ref).ref(), privileges=list(granted))
                for ref in entities]

    def _entity(self, ref: Any, role: Role, privileges: Any) -> Any:
        return data("EntityPrivilege", entity=self.world.resolve(ref).ref(), privAvailability=[
            data("PrivilegeAvailability", privId=each, isGranted=role.grants(each)) for each in privileges])

    def _role_of_session(self, key: str) -> Role:
        for each in self.world.sessions.all():
            if each.public == key:
                return each.role
        raise vim.fault.NotAuthenticated(privilegeId="System.View", msg=f"There is no session {key}.")

    def _role_of_user(self, user: str) -> Role:
        session = own_session()
        if session.user == user:
            return session.role
        return self.world.sessions.accounts.role(user) or Role.of("NoAccess", ())


def _role(number: int, role: Role) -> Any:
    privileges = privilege_ids() if role.privileges is None else sorted(role.privileges)
    return data("AuthorizationRole", roleId=number, system=True, name=role.name, privilege=list(privileges),
                info=data("Description", label=role.name, summary=role.name))
