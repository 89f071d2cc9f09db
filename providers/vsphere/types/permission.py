"""A permission: who has which role on an object of vCenter's inventory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Address, Attrs, StepFailed
from planner.ports import Call
from planner.schema import Field, boolean, names_root
from providers.vsphere.tools import Tools, after
from providers.vsphere.types.role import named, roles

ROOT = "root"
_ENTITY = Field("string", "What it is on: a reference; or root, all of vCenter (its root folder).", default=ROOT,
                always=True, replace=True, to=("datacenter", "folder", "cluster", "host"))
_PRIVILEGES = ("Authorization.ModifyPermissions",)


def normal(principal: str) -> str:
    """`name@domain` and `DOMAIN\\name` are one; case does not count."""
    name, at, domain = principal.rpartition("@")
    return (f"{domain}\\{name}" if at else principal).lower()


def look(tools: Tools, wanted: Mapping[Address, Sequence[Attrs]]) -> dict[Address, Attrs]:
    """All permissions of vCenter with one call; each is shown in the words that are used of it."""
    known = roles(tools)
    live = {(str(p.entity._moId), normal(p.principal), bool(p.group)): p
            for p in tools.service("authorizationManager").RetrieveAllPermissions() or () if p.entity is not None}
    found: dict[Address, Attrs] = {}
    for address, said in wanted.items():
        for each in said:
            entity = _entity(tools, each)
            if not each.get("principal") or entity is None:
                continue
            hit = live.get((str(entity._moId), normal(str(each["principal"])), bool(each.get("group"))))
            if hit is not None:
                texts = [str(a["role"]) for a in said if a.get("role")]
                found[address] = {**{k: v for k, v in each.items() if k in ("entity", "principal")},
                                  "group": bool(hit.group), "propagate": bool(hit.propagate),
                                  "role": _text(tools, known, hit.roleId, texts)}
                break
    return found


def _entity(tools: Tools, attributes: Attrs) -> Any:
    """The object that it is on; None where live does not have it."""
    text = str(attributes.get("entity") or ROOT)
    return tools.root_folder() if text == ROOT else tools.find(Address.parse(text), None)


def _text(tools: Tools, known: Iterable[Any], number: int, texts: Iterable[str]) -> str:
    """A role as it is spoken of: by the reference that leads to it, else by its name."""
    for text in texts:
        if _number(tools, known, text) == number:
            return text
    return next((str(each.name) for each in known if each.roleId == number), str(number))


def _number(tools: Tools, known: Iterable[Any], text: str) -> int | None:
    if text.startswith("role."):
        role = tools.looked(Address.parse(text))
        return int(str(role["id"])) if role is not None else None
    found = named(known, text)
    return int(found.roleId) if found is not None else None


def put(tools: Tools, call: Call) -> None:
    """Adds or replaces this one rule; the others of that object stay."""
    from pyVmomi import vim

    wanted: Any = after(call) if call.before is None else {**call.declared, **after(call)}
    number = _number(tools, roles(tools), str(wanted["role"]))
    if number is None:
        raise StepFailed("vCenter has no such role", str(wanted["role"]), "declare the role, or correct its name")
    permission = vim.AuthorizationManager.Permission(
        principal=str(wanted["principal"]), group=bool(wanted.get("group")), roleId=number,
        propagate=bool(wanted.get("propagate", True)))
    tools.service("authorizationManager").SetEntityPermissions(entity=_on(tools, call, wanted), permission=[permission])


def remove(tools: Tools, call: Call) -> None:
    was: Any = call.before or call.declared
    tools.service("authorizationManager").RemoveEntityPermission(
        entity=_on(tools, call, was), user=str(was["principal"]), isGroup=bool(was.get("group")))


def _on(tools: Tools, call: Call, attributes: Attrs) -> Any:
    text = str(attributes.get("entity") or ROOT)
    return tools.root_folder() if text == ROOT else tools.entity(text, call)


def validate(attributes: Attrs) -> Iterable[str]:
    entity = attributes.get("entity")
    if isinstance(entity, str) and entity != ROOT and not names_root(_ENTITY, entity):
        yield f"`entity` is a reference (${{cluster.prod}}), or {ROOT} for all of vCenter"


PERMISSION = ResourceType(
    name="permission",
    doc="A permission: a user or group has a role on an object of vCenter, and on what is below it.",
    order=0,
    label_doc="any label",
    fields={
        "entity": _ENTITY,
        "principal": Field("string", "User or group: DOMAIN\\name, or name@domain.", required=True, replace=True),
        "group": Field("bool", "Whether that is a group.", default=False, always=True, replace=True),
        "role": Field("string", "A role: a reference to a declared one, or the name of any that vCenter has "
                      "(ReadOnly, NoAccess, …).", required=True, to=("role",)),
        "propagate": boolean("Whether it also holds for everything below.", default=True, always=True),
    },
    look=look,
    validate=validate,
    operations=(
        Operation("permission.set", "AuthorizationManager.SetEntityPermissions", "create", "Give the role.", put,
                  ("entity", "principal", "group", "role", "propagate"), inverse="permission.remove",
                  privileges=_PRIVILEGES),
        Operation("permission.update", "AuthorizationManager.SetEntityPermissions", "update",
                  "Set the role, and how far it reaches.", put, ("role", "propagate"), inverse="permission.update",
                  privileges=_PRIVILEGES),
        Operation("permission.remove", "AuthorizationManager.RemoveEntityPermission", "delete",
                  "Take the permission away.", remove, inverse="permission.set", privileges=_PRIVILEGES),
    ),
)
