"""NFS datastore, mounted on a host. Its label is the datastore's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, StepFailed, Value
from planner.ports import Call
from planner.schema import Field, computed, string
from providers.vsphere.tools import Tools, after
from providers.vsphere.types.nfs_user import KERBEROS

PATH = "config.fileSystemVolume.mountInfo"
_VERSIONS = {"NFS": "3", "NFS41": "4.1"}
_TYPES = {version: kind for kind, version in _VERSIONS.items()}


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    found: dict[str, Attrs] = {}
    for each in props.get(PATH) or ():
        volume = each.volume
        if getattr(volume, "remoteHost", None) is not None:
            attributes: dict[str, Value] = {
                "server": _server(volume), "path": volume.remotePath,
                "version": _VERSIONS.get(volume.type, volume.type), "access": each.mountInfo.accessMode,
                "security": volume.securityType or "AUTH_SYS"}
            if each.mountInfo.accessible is False:
                why = each.mountInfo.inaccessibleReason
                attributes["dead"] = f"its server does not answer{f' ({why})' if why else ''}"
            found[volume.name] = attributes
    return found


def dead(attributes: Attrs) -> str:
    """Why a mount is of no use now; "" where it is. Such a datastore is taken from the host, never destroyed."""
    return str(attributes.get("dead") or "")


def validate(attributes: Attrs) -> Iterable[str]:
    servers = str(attributes.get("server") or "").split(",")
    if any(not each.strip() for each in servers) and attributes.get("server"):
        yield "`server` has an empty name in it: write them as nas1,nas2"
    elif len(set(servers)) < len(servers):
        yield "`server` names one server twice"
    if attributes.get("version", "3") == "3":
        if servers[1:]:
            yield 'several servers need `version: "4.1"`: version 3 uses one'
        if attributes.get("security", "AUTH_SYS") != "AUTH_SYS":
            yield f"`security: {attributes['security']}` needs `version: \"4.1\"`"


def fits(_name: str, attributes: Attrs, host: Mapping[tuple[str, str], Attrs]) -> tuple[str, str] | None:
    """Kerberos needs the host in a domain, and its user there (vSphere Storage: "Configure NFS Storage for Kerberos
    Authentication")."""
    security = attributes.get("security")
    if security not in KERBEROS:
        return None
    missing = [name for name in ("active_directory", "nfs_user") if (name, name) not in host]
    return (f"`security: {security}` needs {' and '.join(f'`{name}`' for name in missing)} on this host",
            "declare what is missing, also where the host has it already") if missing else None


def _server(volume: Any) -> str:
    """NFS 4.1 may have several servers, written as in the fleet file: joined by commas."""
    return ",".join(volume.remoteHostNames) if volume.remoteHostNames else str(volume.remoteHost)


def mount(tools: Tools, call: Call) -> None:
    from pyVmomi import vim

    wanted = after(call)
    servers = str(wanted["server"]).split(",")
    kind = _TYPES[str(wanted.get("version") or "3")]
    spec = vim.host.NasVolume.Specification(
        remoteHost=servers[0], remotePath=wanted["path"], localPath=call.address.name, type=kind,
        accessMode=wanted.get("access") or "readWrite")
    if kind == "NFS41":
        spec.remoteHostNames = servers
        if wanted.get("security"):
            spec.securityType = str(wanted["security"])
    system = tools.manager(call, "datastoreSystem")
    made = system.CreateNasDatastore(spec=spec)
    named = str(tools.read(made, "name").get("name") or "")
    if named != call.address.name:  # another export has the name: vCenter appended a number. Take it back at once
        system.RemoveDatastore(datastore=made)
        raise StepFailed("vCenter gave the datastore another name",
                         f"{call.address.name} became {named}: another export has that name in this datacenter",
                         "unmount the other export on every host (also on hosts that are not connected), or rename")


def unmount(tools: Tools, call: Call) -> None:
    """Found by what it mounts: vCenter may show another name where two exports share one."""
    stores = tools.read(tools.host(call), "datastore").get("datastore") or ()
    for store, props in tools.read_all(stores, "info"):
        volume = getattr(props.get("info"), "nas", None)
        if volume is not None and volume.name == call.address.name:
            tools.manager(call, "datastoreSystem").RemoveDatastore(datastore=store)
            return
    raise StepFailed("this NFS datastore is not mounted", call.address.name,
                     "plan again: something unmounted it since")


def lost(before: Attrs | None, _after: Attrs | None) -> str:
    """Of a mount whose server does not answer."""
    return "it cannot be mounted again while its server does not answer" if dead(before or {}) else ""


NFS = ResourceType(
    name="nfs",
    doc="An NFS export, mounted as a datastore.",
    parent="host",
    order=12,
    shared=("server", "path", "version"),
    shared_within="datacenter",
    fields={
        "server": Field("string", "The server, spelled the same on all hosts; several of NFS 4.1 joined by commas.",
                        required=True, replace=True),
        "path": Field("string", "The exported folder.", required=True, replace=True),
        "version": string("NFS version.", default="3", enum=("3", "4.1"), replace=True),
        "access": string("Whether it may be written to.", default="readWrite", enum=("readOnly", "readWrite"),
                         replace=True),
        "security": string("How users are told apart (4.1): AUTH_SYS, or by Kerberos, which needs the host's "
                           "`active_directory` and `nfs_user`.", default="AUTH_SYS",
                           enum=("AUTH_SYS", "SEC_KRB5", "SEC_KRB5I"), replace=True),
        # Not observed: a server that comes and goes between plan and apply, or rollback, is no changed setting.
        "dead": replace(computed("Why it is of no use now: its server does not answer; empty where it does."),
                        observed=False),
    },
    label_doc="the datastore's name",
    paths=(PATH,),
    read=read,
    validate=validate,
    fits=fits,
    dead=dead,
    operations=(
        Operation("nfs.mount", "HostDatastoreSystem.CreateNasDatastore", "create", "Mount the export.", mount,
                  ("server", "path", "version", "access", "security"), inverse="nfs.unmount",
                  privileges=("Host.Config.Storage",)),
        Operation("nfs.unmount", "HostDatastoreSystem.RemoveDatastore", "delete",
                  "Unmount the datastore; what is on the server stays.", unmount, inverse="nfs.mount",
                  irreversible=lost,
                  privileges=("Host.Config.Storage",)),
    ),
)
