"""A local user of a host: its account, and its role on the host itself (not on vCenter)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic, SecretRef, StepFailed, Unknown
from planner.ports import Call
from planner.schema import Field, secret, string
from providers.vsphere.host.secrets import resolved
from providers.vsphere.tools import HostView, Tools, after

LOCKDOWN, USERS, ENTRIES, EXCEPTIONS = "config.lockdownMode", "access.users", "access.entries", "access.exceptions"
SYSTEM = frozenset({"root", "dcui", "vpxuser", "daemon", "nobody"})
"""Accounts that every host has: the host's own, and none of anybody's to declare."""
MODES = {"admin": "accessAdmin", "read_only": "accessReadOnly", "no_access": "accessNoAccess", "none": "accessNone"}
_ROLES = {mode: role for role, mode in MODES.items()} | {"accessOther": "other"}
HIDDEN = Unknown("lockdown mode hides it")
_LOCKED = ("list the user in `lockdown.exceptions`, or set `lockdown: {mode: disabled}`, in an apply of its own first")


def ask(view: HostView, names: frozenset[str], props: Mapping[str, Any]) -> Mapping[str, Any]:
    """Accounts and their permissions are shown by methods only (UserDirectory and HostAccessManager of the host)."""
    access = view.manager("hostAccessManager")
    found = view.manager("userDirectory").RetrieveUserGroups(
        domain=None, searchStr="", belongsToGroup=None, belongsToUser=None, exactMatch=False, findUsers=True,
        findGroups=False)
    locked = str(props.get(LOCKDOWN) or "lockdownDisabled") != "lockdownDisabled"
    return {USERS: found or (), ENTRIES: access.RetrieveHostAccessControlEntries() or (),
            EXCEPTIONS: access.QueryLockdownExceptions() or () if locked else None}


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    """In lockdown mode the permissions of all but the exceptions are taken away for as long as it lasts: what they are
    is hidden then (HostAccessManager.ChangeLockdownMode)."""
    roles = {e.principal: _ROLES.get(str(e.accessMode), "other") for e in props.get(ENTRIES) or () if not e.group}
    exceptions = props.get(EXCEPTIONS)
    found: dict[str, Attrs] = {}
    for each in props.get(USERS) or ():
        name = str(each.principal)
        if each.group or (name in SYSTEM and name not in wanted):
            continue
        hidden = exceptions is not None and name not in exceptions and name not in roles
        found[name] = {"description": str(each.fullName or ""), "role": HIDDEN if hidden else roles.get(name, "none")}
    return found


def _spec(call: Call, values: Attrs) -> Any:
    from pyVmomi import vim

    spec = vim.host.LocalAccountManager.AccountSpecification(id=call.address.name)
    if values.get("password") is not None:
        spec.password = resolved(call, values["password"], "this user's password")
    if values.get("description") is not None:
        spec.description = str(values["description"])
    return spec


def create(tools: Tools, call: Call) -> None:
    tools.manager(call, "accountManager").CreateUser(user=_spec(call, after(call)))


def update(tools: Tools, call: Call) -> None:
    tools.manager(call, "accountManager").UpdateUser(user=_spec(call, after(call)))


def remove(tools: Tools, call: Call) -> None:
    tools.manager(call, "accountManager").RemoveUser(userName=call.address.name)


def grant(tools: Tools, call: Call) -> None:
    from pyVmomi import vmodl

    mode = MODES.get(str(after(call)["role"]))
    if mode is None:
        raise StepFailed("this role cannot be given back", f"{call.address.name} had a combination of permissions",
                         "set them at the host itself")
    try:
        tools.manager(call, "hostAccessManager").ChangeAccessMode(
            principal=call.address.name, isGroup=False, accessMode=mode)
    except vmodl.fault.SecurityError as locked:
        raise StepFailed("the host's lockdown mode protects this user's role", call.address.name,
                         _LOCKED) from locked


def forgotten(before: Attrs | None, wanted: Attrs | None) -> str:
    """Of a user that was adopted nobody knows the password; of a role that was a combination, what it was."""
    if "password" in (wanted or {}) and not isinstance((before or {}).get("password"), SecretRef):
        return "the user's password before is not known"
    return "the user's permissions before were a combination that no role names" \
        if (before or {}).get("role") == "other" else ""


def check(changes: Sequence[Change], _existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    for change in changes:
        if change.address.name in SYSTEM and change.action is not Action.FORGET:
            yield Diagnostic("error", "this user is the host's own", change.address.name, address=change.address,
                             remedy="root's password is `root_password` of the host; remove this user")


def rules(before: Mapping[tuple[str, str], Attrs], changes: Sequence[Change]) -> Iterable[Diagnostic]:
    """In lockdown mode the API changes permissions of the exceptions only. It is lifted before everything else, users
    leave the exceptions before, too; they enter them after all else."""
    lock: Any = dict(before.get(("lockdown", "lockdown"), {}))
    planned: Any = next((c.after for c in changes if c.address.child_type == "lockdown" and c.after), {})
    if lock.get("mode", "disabled") == "disabled" or planned.get("mode") == "disabled":
        return
    excepted = set(lock.get("exceptions") or ()) & set(planned.get("exceptions", lock.get("exceptions")) or ())
    for change in changes:
        if change.address.child_type != "users" or change.action not in (Action.CREATE, Action.UPDATE, Action.DELETE):
            continue
        old, new = ((a or {}).get("role", "none") for a in (change.before, change.after))
        unset = change.action is Action.UPDATE and "role" not in (change.after or {})
        if change.address.name not in excepted and old != new and not unset:
            yield Diagnostic("error", "lockdown mode protects this user's role", f"{old} -> {new}",
                             address=change.address, remedy=_LOCKED)


USER = ResourceType(
    name="users",
    doc="A local user of the host, for those who log in at the host itself.",
    parent="host",
    order=15,
    label_doc="the user's name",
    fields={
        "password": secret("Its password, by the host's own rules of quality.", required=True),
        "description": string("Who or what it is for.", default=""),
        "role": Field("string", "What it may do at the host itself. In lockdown mode it counts for exceptions only.",
                      enum=tuple(MODES), default="none"),
    },
    paths=(LOCKDOWN,),
    ask=ask,
    read=read,
    check=check,
    along=("lockdown",),
    rules=rules,
    initial={"role": "none"},
    operations=(
        Operation("users.create", "HostLocalAccountManager.CreateUser", "create", "Create the user.", create,
                  ("password", "description"), inverse="users.remove", privileges=("Host.Local.ManageUserGroups",)),
        Operation("users.update", "HostLocalAccountManager.UpdateUser", "update", "Set password or description.",
                  update, ("password", "description"), inverse="users.update", irreversible=forgotten,
                  privileges=("Host.Local.ManageUserGroups",)),
        Operation("users.role", "HostAccessManager.ChangeAccessMode", "update", "Set what the user may do at the host.",
                  grant, ("role",), inverse="users.role", irreversible=forgotten, privileges=("Global.Settings",)),
        Operation("users.remove", "HostLocalAccountManager.RemoveUser", "delete", "Remove the user.", remove,
                  inverse="users.create", privileges=("Host.Local.ManageUserGroups",)),
    ),
)
