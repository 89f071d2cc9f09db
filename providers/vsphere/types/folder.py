"""Folder: for hosts and clusters, VMs, networks, datastores, or (above the datacenters) for datacenters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, StepFailed
from planner.ports import Call
from planner.schema import reference, string
from providers.vsphere.tools import Tools, after, quoted, refuse_children

KINDS = {"host": "hostFolder", "vm": "vmFolder", "network": "networkFolder", "datastore": "datastoreFolder"}
"""Kind of folder → the Datacenter property that holds such folders."""
_HOLDS = {"host": "ComputeResource", "vm": "VirtualMachine", "network": "Network", "datastore": "Datastore",
          "datacenter": "Datacenter"}
"""Kind of folder → a type that only such folders hold."""


def create(tools: Tools, call: Call) -> Attrs:
    made = _parent(tools, call).CreateFolder(name=quoted(str(after(call).get("name") or call.address.name)))
    tools.keep(call.address, made)
    return {"id": str(made._moId)}


def _parent(tools: Tools, call: Call) -> Any:
    wanted = after(call)
    if wanted.get("parent"):
        parent = tools.entity(wanted["parent"], call)
        holds = {kind._wsdlName for kind in tools.read(parent, "childType").get("childType") or ()}
        if wanted.get("kind") and _HOLDS[str(wanted["kind"])] not in holds:
            raise StepFailed("a folder holds what its parent holds", f"{wanted['parent']} holds no {wanted['kind']}",
                             "remove `kind`, or choose another `parent`")
        return parent
    if not wanted.get("datacenter"):
        return tools.root_folder()
    place = KINDS.get(str(wanted.get("kind") or "host"))
    if place is None:
        raise StepFailed("folders of this kind do not live in a datacenter", str(wanted.get("kind")))
    return tools.read(tools.entity(wanted["datacenter"], call), place)[place]


def rename(tools: Tools, call: Call) -> None:
    tools.wait(tools.entity(call.address, call).Rename_Task(newName=quoted(str(after(call)["name"]))), call)


def destroy(tools: Tools, call: Call) -> None:
    """Destroying a folder would take the disks of its VMs along: only an empty one is."""
    folder = tools.entity(call.address, call)
    refuse_children(tools, "folder", call.address.name, tools.read(folder, "childEntity").get("childEntity") or ())
    tools.wait(folder.Destroy_Task(), call)


def validate(attributes: Attrs) -> Iterable[str]:
    kind = attributes.get("kind") or "host"
    if attributes.get("parent") and attributes.get("datacenter"):
        yield "set `parent` or `datacenter`, not both: a folder's parent says which datacenter it is in"
    elif kind == "datacenter" and attributes.get("datacenter"):
        yield "a folder of kind datacenter holds datacenters: it cannot be inside one"
    elif kind != "datacenter" and not attributes.get("datacenter") and not attributes.get("parent"):
        yield f"a folder of kind {kind} needs `datacenter` or `parent`"


FOLDER = ResourceType(
    name="folder",
    doc="An inventory folder.",
    fields={
        "name": string("Its name in vCenter; the label where unset. A change renames it in place."),
        "datacenter": reference("The datacenter that it is in.", "datacenter", replace=True),
        "parent": reference("The folder that it is in, instead of the datacenter's top.", "folder", replace=True),
        "kind": string("What it holds; unset: what its parent holds, or hosts and clusters.", replace=True,
                       enum=("host", "vm", "datacenter", "network", "datastore")),
    },
    order=0,
    validate=validate,
    operations=(
        Operation("folder.create", "Folder.CreateFolder", "create", "Create the folder.", create,
                  ("name", "datacenter", "parent", "kind"), inverse="folder.destroy", privileges=("Folder.Create",)),
        Operation("folder.rename", "Folder.Rename_Task", "update", "Rename the folder.", rename, ("name",),
                  inverse="folder.rename", privileges=("Folder.Rename",)),
        Operation("folder.destroy", "Folder.Destroy_Task", "delete",
                  "Destroy the folder; refused unless it is empty at that moment.", destroy, inverse="folder.create",
                  privileges=("Folder.Delete",)),
    ),
    label_doc="the folder's label; its name where `name` is unset",
    tested=("twin", "vcsim"),
)
