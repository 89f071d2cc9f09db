"""Datacenter: a root of the inventory, on vCenter's root folder or in a folder of datacenters."""

from __future__ import annotations

from planner.catalog import Operation, ResourceType
from planner.model import Attrs
from planner.ports import Call
from planner.schema import reference, string
from providers.vsphere.tools import Tools, after, quoted, refuse_children


def create(tools: Tools, call: Call) -> Attrs:
    folder = after(call).get("folder")
    parent = tools.entity(folder, call) if folder else tools.root_folder()
    made = parent.CreateDatacenter(name=quoted(str(after(call).get("name") or call.address.name)))
    tools.keep(call.address, made)
    return {"id": str(made._moId)}


def rename(tools: Tools, call: Call) -> None:
    task = tools.entity(call.address, call).Rename_Task(newName=quoted(str(after(call)["name"])))
    tools.wait(task, call)


def destroy(tools: Tools, call: Call) -> None:
    datacenter = tools.entity(call.address, call)
    folders = tools.read(datacenter, "hostFolder", "vmFolder", "datastoreFolder", "networkFolder")
    # a plain Network is only a view of port groups of that name: it comes and goes with its hosts
    inside = [child for _, props in tools.read_all(folders.values(), "childEntity")
              for child in props.get("childEntity") or () if type(child)._wsdlName != "Network"]
    refuse_children(tools, "datacenter", call.address.name, inside)
    tools.wait(datacenter.Destroy_Task(), call)


DATACENTER = ResourceType(
    name="datacenter",
    doc="A datacenter: the container of clusters, hosts, datastores and networks.",
    fields={
        "name": string("Its name in vCenter; the label where unset. A change renames it in place."),
        "folder": reference("The folder (of kind datacenter) that holds it; the root folder where unset.", "folder",
                            replace=True),
    },
    order=0,
    operations=(
        Operation("datacenter.create", "Folder.CreateDatacenter", "create", "Create the datacenter.", create,
                  ("name", "folder"), inverse="datacenter.destroy", privileges=("Datacenter.Create",)),
        Operation("datacenter.rename", "Datacenter.Rename_Task", "update", "Rename the datacenter.", rename,
                  ("name",), inverse="datacenter.rename", privileges=("Datacenter.Rename",)),
        Operation("datacenter.destroy", "Datacenter.Destroy_Task", "delete",
                  "Destroy the datacenter; refused unless it is empty at that moment.", destroy,
                  inverse="datacenter.create", privileges=("Datacenter.Delete",)),
    ),
    label_doc="the datacenter's label; its name where `name` is unset",
    tested=("twin", "vcsim"),
)
