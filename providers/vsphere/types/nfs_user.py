"""The user as whom a host proves itself to NFS 4.1 servers by Kerberos: HostStorageSystem.SetNFSUser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic, SecretRef
from planner.ports import Call
from planner.schema import Field, secret
from providers.vsphere.host.secrets import resolved
from providers.vsphere.tools import HostView, Tools, after

USER = "nfs.user"
KERBEROS = ("SEC_KRB5", "SEC_KRB5I")


def ask(view: HostView, _names: frozenset[str], _props: Mapping[str, Any]) -> Mapping[str, Any]:
    """Shown by a method only, which asks for the privilege Host.Config.Storage."""
    return {USER: view.manager("storageSystem").QueryNFSUser()}


def read(props: Mapping[str, Any], _wanted: frozenset[str]) -> dict[str, Attrs]:
    found = props.get(USER)
    return {"nfs_user": {"user": str(found.user)}} if found is not None and found.user else {}


def set_user(tools: Tools, call: Call) -> None:
    wanted = after(call)
    tools.manager(call, "storageSystem").SetNFSUser(
        user=str(wanted["user"]), password=resolved(call, wanted.get("password"), "the NFS user's password"))


def set_password(tools: Tools, call: Call) -> None:
    tools.manager(call, "storageSystem").ChangeNFSUserPassword(
        password=resolved(call, after(call).get("password"), "the NFS user's password"))


def clear(tools: Tools, call: Call) -> None:
    tools.manager(call, "storageSystem").ClearNFSUser()


def forgotten(before: Attrs | None, _wanted: Attrs | None) -> str:
    """A host shows nobody the password that it has."""
    known = isinstance((before or {}).get("password"), SecretRef)
    return "" if known else "the NFS user's password before is not known"


def rules(before: Mapping[tuple[str, str], Attrs], changes: Sequence[Change]) -> Iterable[Diagnostic]:
    """A host does not let go of its NFS user while a datastore is mounted by Kerberos."""
    for change in changes:
        if change.address.child_type != "nfs_user" or change.action not in (Action.DELETE, Action.REPLACE):
            continue
        leaving = {c.address.name for c in changes if c.address.child_type == "nfs"
                   and c.action in (Action.DELETE, Action.REPLACE)}
        staying = sorted(name for (kind, name), each in before.items()
                         if kind == "nfs" and each.get("security") in KERBEROS and name not in leaving)
        if staying:
            yield Diagnostic("error", "the NFS user is in use", f"by datastores with Kerberos: {', '.join(staying)}",
                             address=change.address,
                             remedy="unmount them in an apply of its own first, or keep the user")


NFS_USER = ResourceType(
    name="nfs_user",
    doc="The Active Directory user as whom the host reads and writes NFS 4.1 datastores with Kerberos.",
    parent="host",
    singleton=True,
    order=11,  # before the datastores that need it
    fields={
        "user": Field("string", "Its name in the host's domain; all of the host's Kerberos datastores use it.",
                      required=True, replace=True),
        "password": secret("That user's password.", required=True),
    },
    ask=ask,
    read=read,
    rules=rules,
    operations=(
        Operation("nfs_user.set", "HostStorageSystem.SetNFSUser", "create", "Set the NFS user.", set_user,
                  ("user", "password"), inverse="nfs_user.clear", privileges=("Host.Config.Storage",)),
        Operation("nfs_user.password", "HostStorageSystem.ChangeNFSUserPassword", "update",
                  "Set the NFS user's password.", set_password, ("password",), inverse="nfs_user.password",
                  irreversible=forgotten, privileges=("Host.Config.Storage",)),
        Operation("nfs_user.clear", "HostStorageSystem.ClearNFSUser", "delete", "Take the NFS user away.", clear,
                  inverse="nfs_user.set", irreversible=forgotten, privileges=("Host.Config.Storage",)),
    ),
)
