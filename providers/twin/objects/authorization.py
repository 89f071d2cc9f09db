"""vCenter's AuthorizationManager: roles and permissions. What a session of the twin may do follows from its user's role
(`core.authorization`); permissions are kept and shown, and nobody else can log in."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim

from providers.twin.core.authorization import AuthorizationManager, privilege_ids
from providers.twin.core.base import ManagedObject, method, prop
from providers.twin.core.meta import data
from providers.twin.objects.base import EntityObject, HouseObject
from providers.twin.objects.network_system import invalid
from providers.twin.parts.access import Grant, RoleDoc, SiteAccess

ALWAYS = ("System.Anonymous", "System.Read", "System.View")
SYSTEM: dict[int, tuple[str, tuple[str, ...] | None]] = {
    -1: ("Admin", None), -2: ("ReadOnly", ALWAYS), -3: ("View", ("System.Anonymous", "System.View")),
    -4: ("Anonymous", ("System.Anonymous",)), -5: ("NoAccess", ()), -6: ("NoCryptoAdmin", None)}
"""Id → name and privileges (None: all) of the roles that nobody can change."""


class Authorization(AuthorizationManager, HouseObject):
    """`vim.AuthorizationManager` of vCenter."""

    @property
    def access(self) -> SiteAccess:
        return self.house.inventory.site.access

    def _keep(self) -> None:
        self.house.inventory.mark(self.house.inventory.site)

    # --- roles --------------------------------------------------------------------------------------------

    @prop("roleList")
    def role_list(self) -> list[Any]:
        everything = [each for each in privilege_ids()]
        found = [_role(number, name, everything if own is None else list(own), system=True)
                 for number, (name, own) in SYSTEM.items()]
        return found + [_role(int(number), role.name, sorted({*role.privileges, *ALWAYS}), system=False)
                        for number, role in self.access.roles.items()]

    def _own(self, number: int) -> RoleDoc:
        found = self.access.roles.get(str(number))
        if found is None and number in SYSTEM:
            raise invalid("roleId", f"{SYSTEM[number][0]} is a role of the system.")
        if found is None:
            raise vim.fault.NotFound(msg=f"There is no role {number}.")
        return found

    def _check(self, name: str, privileges: Any, number: int = 0) -> list[str]:
        if not name or len(name) > 255:
            raise vim.fault.InvalidName(name=name, msg=f"{name!r} is no name of a role.")
        taken = {each.name.lower(): int(key) for key, each in self.access.roles.items()}
        taken |= {each.lower(): key for key, (each, _) in SYSTEM.items()}
        if taken.get(name.lower(), number) != number:
            raise vim.fault.AlreadyExists(name=name, msg=f"There is a role {name} already.")
        unknown = sorted(set(privileges) - set(privilege_ids()))
        if unknown:
            raise invalid("privIds", f"There is no privilege {', '.join(unknown)}.")
        return sorted(set(privileges) - set(ALWAYS))

    @method("AddAuthorizationRole", mutates=True)
    def add_role(self, name: str, privIds: Any = None) -> int:
        kept = self._check(name, privIds or ())
        self.access.last += 1
        self.access.roles[str(self.access.last)] = RoleDoc(name, kept)
        self._keep()
        return self.access.last

    @method("UpdateAuthorizationRole", mutates=True)
    def update_role(self, roleId: int, newName: str, privIds: Any = None) -> None:
        role = self._own(roleId)
        kept = self._check(newName, privIds or (), roleId)
        role.name, role.privileges = newName, kept
        self._keep()

    @method("RemoveAuthorizationRole", mutates=True)
    def remove_role(self, roleId: int, failIfUsed: bool) -> None:
        self._own(roleId)
        used = [each for each in self._grants() if each.role == roleId]
        if used and failIfUsed:
            raise vim.fault.RemoveFailed(msg=f"{len(used)} permissions use this role.")
        del self.access.roles[str(roleId)]
        self.access.grants = [each for each in self.access.grants if each.role != roleId]
        self._keep()

    # --- permissions --------------------------------------------------------------------------------------

    def _grants(self) -> list[Grant]:
        """Those of entities that are still there."""
        return [each for each in self.access.grants if self.world.find(each.entity) is not None]

    def _shown(self, grant: Grant) -> Any:
        entity = self.world.find(grant.entity)
        return data("Permission", entity=entity.ref() if entity else None, principal=grant.principal, group=grant.group,
                    roleId=grant.role, propagate=grant.propagate)

    @method("RetrieveAllPermissions")
    def all_permissions(self) -> Any:
        return [self._shown(each) for each in self._grants()]

    @method("RetrieveRolePermissions")
    def role_permissions(self, roleId: int) -> Any:
        if roleId not in SYSTEM:
            self._own(roleId)
        return [self._shown(each) for each in self._grants() if each.role == roleId]

    @method("RetrieveEntityPermissions")
    def entity_permissions(self, entity: Any, inherited: bool) -> Any:
        here: ManagedObject | None = self.world.resolve(entity)
        found = [each for each in self._grants() if here is not None and each.entity == here.moid]
        while inherited and here is not None and here.parent is not None:
            here = here.parent
            found += [each for each in self._grants() if each.entity == here.moid and each.propagate]
        return [self._shown(each) for each in found]

    @method("SetEntityPermissions", mutates=True, privilege="Authorization.ModifyPermissions")
    def set_permissions(self, entity: Any, permission: Any = None) -> None:
        target = self._target(entity)
        made = []
        for each in permission or ():
            if each.roleId not in SYSTEM and str(each.roleId) not in self.access.roles:
                raise vim.fault.NotFound(msg=f"There is no role {each.roleId}.")
            made.append(Grant(target, _principal(each.principal), bool(each.group), each.roleId, bool(each.propagate)))
        for grant in made:
            self.access.grants = [g for g in self.access.grants if not _same(g, target, grant.principal, grant.group)]
            self.access.grants.append(grant)
        self._keep()

    @method("RemoveEntityPermission", mutates=True, privilege="Authorization.ModifyPermissions")
    def remove_permission(self, entity: Any, user: str, isGroup: bool) -> None:
        target, principal = self._target(entity), _principal(user)
        left = [g for g in self.access.grants if not _same(g, target, principal, isGroup)]
        if len(left) == len(self.access.grants):
            raise vim.fault.NotFound(msg=f"{user} has no permission there.")
        self.access.grants = left
        self._keep()

    def _target(self, entity: Any) -> str:
        found = self.world.resolve(entity)
        if not isinstance(found, EntityObject):
            raise invalid("entity", "Permissions are set on entities of the inventory.")
        return found.moid


def _role(number: int, name: str, privileges: list[str], *, system: bool) -> Any:
    return data("AuthorizationRole", roleId=number, system=system, name=name, privilege=privileges,
                info=data("Description", label=name, summary=name))


def _principal(name: str) -> str:
    """As vCenter keeps it: DOMAIN\\name. Raises UserNotFound for an empty one (any other name is known)."""
    user, at, domain = name.rpartition("@")
    if not name.strip():
        raise vim.fault.UserNotFound(principal=name, unresolved=True, msg="There is no such user.")
    return f"{domain.upper()}\\{user}" if at else name


def _same(grant: Grant, entity: str, principal: str, group: bool) -> bool:
    return (grant.entity, grant.principal.lower(), grant.group) == (entity, principal.lower(), group)
