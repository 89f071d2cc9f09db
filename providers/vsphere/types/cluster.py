"""Cluster, with the switches of DRS and HA."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs
from planner.ports import Call
from planner.schema import Field, boolean, reference, string
from providers.vsphere.tools import Tools, after, quoted, refuse_children


def settings(config: Any) -> dict[str, Any]:
    """`drs` and `ha` of a ClusterConfigInfoEx."""
    drs, das = config.drsConfig, config.dasConfig
    return {
        "drs": {"enabled": bool(drs.enabled), "automation": str(drs.defaultVmBehavior or "fullyAutomated")},
        "ha": {"enabled": bool(das.enabled), "admission_control": bool(das.admissionControlEnabled)},
    }


def _spec(wanted: Attrs) -> Any:
    """A ClusterConfigSpecEx with what is wanted set; the rest is left as it is."""
    from pyVmomi import vim

    spec = vim.cluster.ConfigSpecEx()
    drs, ha = wanted.get("drs"), wanted.get("ha")
    if isinstance(drs, Mapping):
        spec.drsConfig = vim.cluster.DrsConfigInfo(enabled=drs.get("enabled"), defaultVmBehavior=drs.get("automation"))
    if isinstance(ha, Mapping):
        spec.dasConfig = vim.cluster.DasConfigInfo(enabled=ha.get("enabled"),
                                                   admissionControlEnabled=ha.get("admission_control"))
    return spec


def create(tools: Tools, call: Call) -> Attrs:
    wanted = after(call)
    if wanted.get("folder"):
        parent = tools.entity(wanted["folder"], call)
    else:
        parent = tools.read(tools.entity(wanted.get("datacenter"), call), "hostFolder")["hostFolder"]
    made = parent.CreateClusterEx(name=quoted(str(wanted.get("name") or call.address.name)), spec=_spec(wanted))
    tools.keep(call.address, made)
    return {"id": str(made._moId)}


def update(tools: Tools, call: Call) -> None:
    cluster = tools.entity(call.address, call)
    tools.wait(cluster.ReconfigureComputeResource_Task(spec=_spec(after(call)), modify=True), call)


def rename(tools: Tools, call: Call) -> None:
    tools.wait(tools.entity(call.address, call).Rename_Task(newName=quoted(str(after(call)["name"]))), call)


def destroy(tools: Tools, call: Call) -> None:
    cluster = tools.entity(call.address, call)
    refuse_children(tools, "cluster", call.address.name, tools.read(cluster, "host").get("host") or ())
    tools.wait(cluster.Destroy_Task(), call)


def validate(attributes: Attrs) -> Iterable[str]:
    if bool(attributes.get("datacenter")) == bool(attributes.get("folder")):
        yield "a cluster is in a `datacenter` or in a `folder`: set one of the two"


def touches_vms(before: Attrs | None, wanted: Attrs | None) -> str:
    """What DRS and HA do to virtual machines when they are switched."""
    old, new = ({k: dict(v) for k, v in (a or {}).items() if isinstance(v, Mapping)} for a in (before, wanted))
    found = []
    drs, had = new.get("drs", {}), old.get("drs", {})
    if had.get("enabled") is True and drs.get("enabled") is False:
        found.append("turning DRS off removes the cluster's resource pools for good")
    on = drs.get("enabled", had.get("enabled")) is not False
    if on and drs.get("automation", had.get("automation")) == "fullyAutomated" and had != {**had, **drs}:
        found.append("DRS moves running VMs from now on")
    if old.get("ha", {}).get("enabled") is True and new.get("ha", {}).get("enabled") is False:
        found.append("HA restarts no VM of a lost host any more")
    return "; ".join(found)


CLUSTER = ResourceType(
    name="cluster",
    doc="A cluster of hosts.",
    fields={
        "name": string("Its name in vCenter; the label where unset. A change renames it in place."),
        "datacenter": reference("The datacenter that it is in (its top folder of hosts).", "datacenter", replace=True),
        "folder": reference("The folder of hosts that it is in, instead of a datacenter's top.", "folder",
                            replace=True),
        "drs": Field("object", "Distributed Resource Scheduler.", fields={
            "enabled": boolean("Whether DRS is on."),
            "automation": string("What DRS does by itself.",
                                 enum=("manual", "partiallyAutomated", "fullyAutomated")),
        }),
        "ha": Field("object", "High availability.", fields={
            "enabled": boolean("Whether VMs of a lost host are restarted elsewhere."),
            "admission_control": boolean("Whether capacity is kept back for that."),
        }),
    },
    order=0,
    validate=validate,
    operations=(
        Operation("cluster.create", "Folder.CreateClusterEx", "create", "Create the cluster.", create,
                  ("name", "datacenter", "folder", "drs", "ha"), inverse="cluster.destroy",
                  privileges=("Host.Inventory.CreateCluster",)),
        Operation("cluster.update", "ClusterComputeResource.ReconfigureComputeResource_Task", "update",
                  "Set DRS and HA; what is not named stays.", update, ("drs", "ha"), inverse="cluster.update",
                  disruptive=touches_vms, privileges=("Host.Inventory.EditCluster",)),
        Operation("cluster.rename", "ClusterComputeResource.Rename_Task", "update", "Rename the cluster.", rename,
                  ("name",), inverse="cluster.rename", privileges=("Host.Inventory.RenameCluster",)),
        Operation("cluster.destroy", "ClusterComputeResource.Destroy_Task", "delete",
                  "Destroy the cluster; refused unless it has no host at that moment.", destroy,
                  inverse="cluster.create", privileges=("Host.Inventory.DeleteCluster",)),
    ),
    label_doc="the cluster's label; its name where `name` is unset",
    tested=("twin", "vcsim"),
)
