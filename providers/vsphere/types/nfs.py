"""NFS datastore, mounted on a host. Its label is the datastore's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, StepFailed
from planner.ports import Call
from planner.schema import Field, string
from providers.vsphere.tools import Tools, after

PATH = "config.fileSystemVolume.mountInfo"
_VERSIONS = {"NFS": "3", "NFS41": "4.1"}
_TYPES = {version: kind for kind, version in _VERSIONS.items()}


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    found: dict[str, Attrs] = {}
    for each in props.get(PATH) or ():
        volume = each.volume
        if getattr(volume, "remoteHost", None) is not None:
            found[volume.name] = {"server": _server(volume), "path": volume.remotePath,
                                  "version": _VERSIONS.get(volume.type, volume.type),
                                  "access": each.mountInfo.accessMode}
    return found


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
    },
    label_doc="the datastore's name",
    paths=(PATH,),
    read=read,
    operations=(
        Operation("nfs.mount", "HostDatastoreSystem.CreateNasDatastore", "create", "Mount the export.", mount,
                  ("server", "path", "version", "access"), inverse="nfs.unmount", privileges=("Host.Config.Storage",)),
        Operation("nfs.unmount", "HostDatastoreSystem.RemoveDatastore", "delete",
                  "Unmount the datastore; what is on the server stays.", unmount, inverse="nfs.mount",
                  privileges=("Host.Config.Storage",)),
    ),
)
