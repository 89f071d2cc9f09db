"""Cluster: DRS, HA, DPM, EVC, and where its VMs swap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, StepFailed
from planner.ports import Call
from planner.schema import Field, boolean, integer, reference, string
from providers.vsphere.tools import Tools, after, quoted, refuse_children
from providers.vsphere.types import cluster_evc as evc
from providers.vsphere.types import cluster_ha as ha
from providers.vsphere.types.slots import Slot, advanced, option_values, put, shown

_RATE = {1: 5, 2: 4, 3: 3, 4: 2, 5: 1}
"""The client's threshold (5 is aggressive) → the API's rate (1 is)."""
DRS: Mapping[str, Slot] = {
    "enabled": Slot("enabled", False),
    "automation": Slot("defaultVmBehavior", "fullyAutomated"),
    "migration_threshold": Slot("vmotionRate", 3, _RATE),
    "vm_overrides": Slot("enableVmBehaviorOverrides", True),
    "scalable_shares": Slot("scaleDescendantsShares", "disabled", {True: "scaleCpuAndMemoryShares", False: "disabled"}),
}
DPM: Mapping[str, Slot] = {
    "enabled": Slot("enabled", False),
    "automation": Slot("defaultDpmBehavior", "automated"),
    "threshold": Slot("hostPowerActionRate", 3, _RATE),
}
CONFIG = "configurationEx"


def settings(props: Mapping[str, Any], names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What `configurationEx` and `summary` of a cluster say. `names`: MoRef → name of dedicated failover hosts."""
    config = props[CONFIG]
    drs, proactive = config.drsConfig, getattr(config, "proactiveDrsConfig", None)
    dpm, summary = getattr(config, "dpmConfigInfo", None), props.get("summary")
    found: dict[str, Any] = {
        "drs": {**shown(drs, DRS), "predictive": bool(getattr(proactive, "enabled", False)),
                "advanced": advanced(getattr(drs, "option", None))},
        "ha": ha.read(config.dasConfig, names or {}),
        "dpm": {**shown(dpm, DPM), "advanced": advanced(getattr(dpm, "option", None))},
        "vm_swap_placement": str(getattr(config, "vmSwapPlacement", None) or "vmDirectory"),
    }
    return found if summary is None else {**found, "evc": getattr(summary, "currentEVCModeKey", None) or evc.OFF}


def _spec(wanted: Attrs, live: Any, host: Callable[[str], Any]) -> Any:
    """A ClusterConfigSpecEx with what is wanted set; the rest is left as it is. `live`: configurationEx, or None."""
    from pyVmomi import vim

    spec = vim.cluster.ConfigSpecEx()
    drs, high, dpm = (wanted.get(name) for name in ("drs", "ha", "dpm"))
    if isinstance(drs, Mapping):
        spec.drsConfig = vim.cluster.DrsConfigInfo(option=option_values(drs.get("advanced")))
        put(spec.drsConfig, None, DRS, drs)
        if drs.get("predictive") is not None:
            spec.proactiveDrsConfig = vim.cluster.ProactiveDrsConfigInfo(enabled=drs["predictive"])
    if isinstance(high, Mapping):
        spec.dasConfig = ha.spec(high, live.dasConfig if live is not None else None, host)
    if isinstance(dpm, Mapping):
        spec.dpmConfig = vim.cluster.DpmConfigInfo(option=option_values(dpm.get("advanced")))
        put(spec.dpmConfig, None, DPM, dpm)
    if wanted.get("vm_swap_placement"):
        spec.vmSwapPlacement = str(wanted["vm_swap_placement"])
    return spec


def _no_host(name: str) -> Any:
    raise StepFailed("a new cluster has no hosts that could stand by", f"ha.admission.hosts: {name}",
                     "create it without `policy: hosts`, and declare that in an apply after its hosts have joined")


def _members(tools: Tools, cluster: Any) -> Callable[[str], Any]:
    """A host of the cluster by its name."""
    def find(name: str) -> Any:
        rows = tools.read_all(tools.read(cluster, "host").get("host") or (), "name")
        found = next((obj for obj, props in rows if str(props.get("name")) == name), None)
        if found is None:
            raise StepFailed("no host of this cluster has that name", f"ha.admission.hosts: {name}",
                             "correct the name; a host has to be in the cluster before it can stand by")
        return found

    return find


def create(tools: Tools, call: Call) -> Attrs:
    wanted = after(call)
    if wanted.get("folder"):
        parent = tools.entity(wanted["folder"], call)
    else:
        parent = tools.read(tools.entity(wanted.get("datacenter"), call), "hostFolder")["hostFolder"]
    spec = _spec(wanted, None, _no_host)
    made = parent.CreateClusterEx(name=quoted(str(wanted.get("name") or call.address.name)), spec=spec)
    tools.keep(call.address, made)
    return {"id": str(made._moId)}


def update(tools: Tools, call: Call) -> None:
    cluster = tools.entity(call.address, call)
    spec = _spec(after(call), tools.read(cluster, CONFIG).get(CONFIG), _members(tools, cluster))
    tools.wait(cluster.ReconfigureComputeResource_Task(spec=spec, modify=True), call)


def rename(tools: Tools, call: Call) -> None:
    tools.wait(tools.entity(call.address, call).Rename_Task(newName=quoted(str(after(call)["name"]))), call)


def destroy(tools: Tools, call: Call) -> None:
    cluster = tools.entity(call.address, call)
    refuse_children(tools, "cluster", call.address.name, tools.read(cluster, "host").get("host") or ())
    tools.wait(cluster.Destroy_Task(), call)


def validate(attributes: Attrs) -> Iterable[str]:
    if bool(attributes.get("datacenter")) == bool(attributes.get("folder")):
        yield "a cluster is in a `datacenter` or in a `folder`: set one of the two"
    drs, high, dpm = (attributes.get(name) for name in ("drs", "ha", "dpm"))
    if isinstance(high, Mapping):
        yield from ha.validate(high)
    if isinstance(dpm, Mapping) and isinstance(drs, Mapping) and dpm.get("enabled") and drs.get("enabled") is False:
        yield "DPM moves VMs by DRS: `dpm.enabled` needs `drs.enabled`"


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
    if old.get("ha", {}).get("host_monitoring") is True and new.get("ha", {}).get("host_monitoring") is False:
        found.append("HA does not notice lost hosts any more")
    power = new.get("dpm", {})
    if power.get("enabled", old.get("dpm", {}).get("enabled")) and power.get("automation") != "manual" and power:
        found.append("DPM moves VMs away and powers hosts off from now on")
    return "; ".join(found)


_CONFIGURED = ("drs", "ha", "dpm", "vm_swap_placement")

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
            "migration_threshold": integer("As the client shows it: 1 conservative … 5 aggressive.", minimum=1,
                                           maximum=5),
            "vm_overrides": boolean("Whether single VMs may have an automation of their own."),
            "scalable_shares": boolean("Whether shares of a resource pool grow with what is in it."),
            "predictive": boolean("Whether DRS acts on forecasts of VMware Aria Operations."),
            "advanced": Field("map", "Advanced options, as text. One that leaves the file stays.",
                              items=Field("string", "Its value.")),
        }),
        "ha": ha.HA,
        "dpm": Field("object", "Distributed Power Management; its hosts need IPMI, iLO or wake-on-LAN.", fields={
            "enabled": boolean("Whether hosts are powered off where they are not needed."),
            "automation": string("Whether it does so by itself.", enum=("manual", "automated")),
            "threshold": integer("As the client shows it: 1 conservative … 5 aggressive.", minimum=1, maximum=5),
            "advanced": Field("map", "Advanced options, as text. One that leaves the file stays.",
                              items=Field("string", "Its value.")),
        }),
        "vm_swap_placement": string("Where the swap file of a running VM is: vmDirectory with the VM, hostLocal on a "
                                    "datastore that its host names.", enum=("vmDirectory", "hostLocal")),
        "evc": evc.FIELD,
    },
    initial={"evc": evc.OFF},
    order=0,
    validate=validate,
    operations=(
        Operation("cluster.create", "Folder.CreateClusterEx", "create", "Create the cluster.", create,
                  ("name", "datacenter", "folder", *_CONFIGURED), inverse="cluster.destroy",
                  privileges=("Host.Inventory.CreateCluster",)),
        Operation("cluster.update", "ClusterComputeResource.ReconfigureComputeResource_Task", "update",
                  "Set DRS, HA, DPM and swap placement; what is not named stays.", update, _CONFIGURED,
                  inverse="cluster.update",
                  disruptive=touches_vms, privileges=("Host.Inventory.EditCluster",)),
        *evc.OPERATIONS,
        Operation("cluster.rename", "ClusterComputeResource.Rename_Task", "update", "Rename the cluster.", rename,
                  ("name",), inverse="cluster.rename", privileges=("Host.Inventory.RenameCluster",)),
        Operation("cluster.destroy", "ClusterComputeResource.Destroy_Task", "delete",
                  "Destroy the cluster; refused unless it has no host at that moment.", destroy,
                  inverse="cluster.create", privileges=("Host.Inventory.DeleteCluster",)),
    ),
    label_doc="the cluster's label; its name where `name` is unset",
    tested=("twin", "vcsim"),
)
