"""A role of vCenter: a name for a set of privileges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Address, Attrs, StepFailed
from planner.ports import Call
from planner.schema import string, strings
from providers.vsphere.tools import Tools, after

ALWAYS = frozenset({"System.Anonymous", "System.Read", "System.View"})
"""Privileges that every role of one's own has, whether they are named or not."""
SYSTEM = frozenset({"Admin", "ReadOnly", "View", "Anonymous", "NoAccess", "NoCryptoAdmin", "NoTrustedAdmin"})


def roles(tools: Tools) -> list[Any]:
    """All roles that vCenter has (AuthorizationRole)."""
    return list(tools.read(tools.service("authorizationManager"), "roleList").get("roleList") or ())


def named(found: Iterable[Any], name: str) -> Any:
    return next((each for each in found if each.name == name), None)


def look(tools: Tools, wanted: Mapping[Address, Sequence[Attrs]]) -> dict[Address, Attrs]:
    live = roles(tools)
    found: dict[Address, Attrs] = {}
    for address, known in wanted.items():
        names = [str(each.get("name") or address.name) for each in known] or [address.name]
        role = next((hit for name in names if (hit := named(live, name)) is not None), None)
        if role is not None:
            found[address] = {"name": role.name, "privileges": [*sorted(set(role.privilege or ()) - ALWAYS)],
                              "id": str(role.roleId)}
    return found


def _role(tools: Tools, call: Call) -> Any:
    """The live role that the step changes: by the name that it has before. Raises StepFailed."""
    name = str((call.before or {}).get("name") or call.declared.get("name") or call.address.name)
    found = named(roles(tools), name)
    if found is None:
        raise StepFailed("vCenter has no such role", name, "plan again: something removed it since")
    if found.system:
        raise StepFailed("this role belongs to vCenter itself", name, "declare a role of your own under another name")
    return found


def add(tools: Tools, call: Call) -> Attrs:
    wanted: Any = after(call)
    made = tools.service("authorizationManager").AddAuthorizationRole(
        name=str(wanted.get("name") or call.address.name), privIds=list(wanted.get("privileges") or ()))
    return {"id": str(made)}


def update(tools: Tools, call: Call) -> None:
    """The API sets both at once: what does not change is said again."""
    role, wanted = _role(tools, call), dict[str, Any](after(call))
    tools.service("authorizationManager").UpdateAuthorizationRole(
        roleId=role.roleId, newName=str(wanted.get("name") or role.name),
        privIds=list(wanted.get("privileges", sorted(set(role.privilege or ()) - ALWAYS))))


def remove(tools: Tools, call: Call) -> None:
    tools.service("authorizationManager").RemoveAuthorizationRole(roleId=_role(tools, call).roleId, failIfUsed=True)


def validate(attributes: Attrs) -> Iterable[str]:
    privileges: Any = attributes.get("privileges")
    usual = sorted(ALWAYS & set(privileges if isinstance(privileges, (list, tuple)) else ()))
    if usual:
        yield f"every role has {', '.join(usual)}: leave them out"
    if attributes.get("name") in SYSTEM:
        yield f"{attributes['name']} is a role of vCenter itself: refer to it by its name, declare none of that name"


_PRIVILEGES = ("Authorization.ModifyRoles",)

ROLE = ResourceType(
    name="role",
    doc="A role of vCenter: a set of privileges, for permissions.",
    order=0,
    label_doc="the role's label; its name where `name` is unset",
    fields={
        "name": string("Its name in vCenter; the label where unset. A change renames it in place."),
        "privileges": strings("Privilege ids (Host.Config.Network, …), all that it has.", default=[], unordered=True),
    },
    look=look,
    validate=validate,
    operations=(
        Operation("role.add", "AuthorizationManager.AddAuthorizationRole", "create", "Add the role.", add,
                  ("name", "privileges"), inverse="role.remove", privileges=_PRIVILEGES),
        Operation("role.update", "AuthorizationManager.UpdateAuthorizationRole", "update",
                  "Set the role's name and privileges.", update, ("name", "privileges"), inverse="role.update",
                  privileges=_PRIVILEGES),
        Operation("role.remove", "AuthorizationManager.RemoveAuthorizationRole", "delete",
                  "Remove the role; refused while a permission uses it.", remove, inverse="role.add",
                  privileges=_PRIVILEGES),
    ),
    tested=("twin", "vcsim"),
)
