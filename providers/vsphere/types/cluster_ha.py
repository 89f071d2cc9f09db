"""vSphere HA of a cluster: its fields, and how they are read from and written into a ClusterDasConfigInfo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from planner.schema import Field, boolean, integer, string, strings
from providers.vsphere.types.slots import Slot, advanced, option_values, put, shown

_SWITCH = {True: "enabled", False: "disabled"}
_VM, _TOOLS = "defaultVmSettings.", "defaultVmSettings.vmToolsMonitoringSettings."
_STORAGE = "defaultVmSettings.vmComponentProtectionSettings."
SLOTS: Mapping[str, Slot] = {
    "enabled": Slot("enabled", False),
    "host_monitoring": Slot("hostMonitoring", "enabled", _SWITCH),
    "admission_control": Slot("admissionControlEnabled", False),
    "restart_priority": Slot(f"{_VM}restartPriority", "medium"),
    "isolation_response": Slot(f"{_VM}isolationResponse", "none"),
    "vm_monitoring": Slot("vmMonitoring", "vmMonitoringDisabled", {
        "disabled": "vmMonitoringDisabled", "vms": "vmMonitoringOnly", "vmsAndApplications": "vmAndAppMonitoring"}),
    "vm_failure_interval": Slot(f"{_TOOLS}failureInterval", 30),
    "vm_minimum_uptime": Slot(f"{_TOOLS}minUpTime", 120),
    "vm_maximum_failures": Slot(f"{_TOOLS}maxFailures", 3),
    "vm_failure_window": Slot(f"{_TOOLS}maxFailureWindow", -1),
    "storage_protection": Slot("vmComponentProtecting", "disabled", _SWITCH),
    "pdl_response": Slot(f"{_STORAGE}vmStorageProtectionForPDL", "disabled"),
    "apd_response": Slot(f"{_STORAGE}vmStorageProtectionForAPD", "disabled"),
    "apd_delay": Slot(f"{_STORAGE}vmTerminateDelayForAPDSec", 180),
    "apd_cleared": Slot(f"{_STORAGE}vmReactionOnAPDCleared", "none"),
    "heartbeat_policy": Slot("hBDatastoreCandidatePolicy", "allFeasibleDsWithUserPreference"),
}

_OWN = {"slots": ("slot_cpu", "slot_memory"), "percentage": ("cpu", "memory"), "hosts": ("hosts",)}
"""Admission control policy → the keys that only it has."""

ADMISSION = {
    "policy": string("slots: room for the largest VMs of so many hosts; percentage of cpu and memory; hosts: these "
                     "take no VM until another one fails.", enum=("slots", "percentage", "hosts"), required=True),
    "host_failures": integer("How many hosts may fail.", minimum=1, maximum=31, default=1, always=True),
    "cpu": integer("percentage: of CPU; 0 computes it from host_failures.", minimum=0, maximum=100, default=0,
                   always=True),
    "memory": integer("percentage: of memory; 0 computes it from host_failures.", minimum=0, maximum=100, default=0,
                      always=True),
    "slot_cpu": integer("slots: MHz of a slot; 0 computes it.", minimum=0, default=0, always=True),
    "slot_memory": integer("slots: MB of a slot; 0 computes it.", minimum=0, default=0, always=True),
    "hosts": strings("hosts: names of hosts that are in the cluster already.", unordered=True, default=[], always=True),
    "performance_loss": integer("Percent by which VMs may be slower after a failure, before there is a warning.",
                                minimum=0, maximum=100, default=100, always=True),
}

HA = Field("object", "vSphere HA (high availability).", fields={
    "enabled": boolean("Whether VMs of a lost host are restarted elsewhere."),
    "host_monitoring": boolean("Whether hosts exchange heartbeats; off for the time of network maintenance."),
    "admission_control": boolean("Whether capacity is kept back for that."),
    "admission": Field("object", "How much is kept back. One value: what is not named has its default.",
                       fields=ADMISSION),
    "restart_priority": string("Which VMs are restarted first, where a VM says nothing.",
                               enum=("disabled", "lowest", "low", "medium", "high", "highest")),
    "isolation_response": string("What a host does with its VMs when it is cut off.",
                                 enum=("none", "powerOff", "shutdown")),
    "vm_monitoring": string("Whether a VM that stops answering is restarted.",
                            enum=("disabled", "vms", "vmsAndApplications")),
    "vm_failure_interval": integer("Seconds without a heartbeat of a VM's tools.", minimum=1),
    "vm_minimum_uptime": integer("Seconds after a start in which nobody looks.", minimum=0),
    "vm_maximum_failures": integer("How often a VM is restarted within the window.", minimum=0),
    "vm_failure_window": integer("Seconds of that window; -1: no window.", minimum=-1),
    "storage_protection": boolean("Whether VMs are restarted where storage is lost (PDL, APD)."),
    "pdl_response": string("When a device is lost for good.", enum=("disabled", "warning", "restartAggressive")),
    "apd_response": string("When all paths to a device are down.",
                           enum=("disabled", "warning", "restartConservative", "restartAggressive")),
    "apd_delay": integer("Seconds until that, after the host's own time-out.", minimum=0),
    "apd_cleared": string("When the paths come back before that.", enum=("none", "reset")),
    "heartbeat_policy": string("Which datastores heartbeats go through.", enum=(
        "userSelectedDs", "allFeasibleDs", "allFeasibleDsWithUserPreference")),
    "advanced": Field("map", "Advanced options (das.isolationaddress0: \"10.0.0.1\"), as text. One that leaves the "
                      "file stays.", items=Field("string", "Its value.")),
})


def read(das: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """`names`: MoRef → name of the dedicated failover hosts."""
    return {**shown(das, SLOTS), "admission": _policy(das, names), "advanced": advanced(getattr(das, "option", None))}


def _policy(das: Any, names: Mapping[str, str]) -> dict[str, Any]:
    policy: Any = getattr(das, "admissionControlPolicy", None)
    found: dict[str, Any] = {
        "policy": "slots", "host_failures": 1, "cpu": 0, "memory": 0, "slot_cpu": 0, "slot_memory": 0, "hosts": [],
        "performance_loss": 100}
    level = getattr(policy if policy is not None else das, "failoverLevel", None)
    loss = getattr(policy, "resourceReductionToToleratePercent", None)
    found |= {"host_failures": int(level)} if level else {}
    found |= {"performance_loss": int(loss)} if loss is not None else {}
    if hasattr(policy, "cpuFailoverResourcesPercent"):
        found["policy"] = "percentage"
        if not policy.autoComputePercentages:
            found |= {"cpu": int(policy.cpuFailoverResourcesPercent),
                      "memory": int(policy.memoryFailoverResourcesPercent)}
    elif hasattr(policy, "failoverHosts"):
        found |= {"policy": "hosts", "hosts": sorted(names.get(h._moId, h._moId) for h in policy.failoverHosts or ())}
    elif getattr(getattr(policy, "slotPolicy", None), "cpu", None):
        found |= {"slot_cpu": int(policy.slotPolicy.cpu), "slot_memory": int(policy.slotPolicy.memory)}
    return found


def spec(wanted: Mapping[str, Any], live: Any, host: Callable[[str], Any]) -> Any:
    """ClusterDasConfigInfo of what is wanted. `host`: a host of the cluster by its name."""
    from pyVmomi import vim

    made = vim.cluster.DasConfigInfo()
    put(made, live, SLOTS, wanted)
    if wanted.get("admission"):
        made.admissionControlPolicy = _policy_spec(wanted["admission"], host)
    made.option = option_values(wanted.get("advanced"))
    return made


def _policy_spec(wanted: Mapping[str, Any], host: Callable[[str], Any]) -> Any:
    from pyVmomi import vim

    common = {"failoverLevel": wanted["host_failures"],
              "resourceReductionToToleratePercent": wanted["performance_loss"]}
    if wanted["policy"] == "percentage":
        computed = not (wanted["cpu"] or wanted["memory"])
        return vim.cluster.FailoverResourcesAdmissionControlPolicy(
            cpuFailoverResourcesPercent=wanted["cpu"], memoryFailoverResourcesPercent=wanted["memory"],
            autoComputePercentages=computed, **common)
    if wanted["policy"] == "hosts":
        return vim.cluster.FailoverHostAdmissionControlPolicy(
            failoverHosts=[host(name) for name in wanted["hosts"]], **common)
    made = vim.cluster.FailoverLevelAdmissionControlPolicy(**common)
    if wanted["slot_cpu"] or wanted["slot_memory"]:
        made.slotPolicy = vim.cluster.FixedSizeSlotPolicy(cpu=wanted["slot_cpu"], memory=wanted["slot_memory"])
    return made


def validate(ha: Mapping[str, Any]) -> Iterable[str]:
    wanted = ha.get("admission")
    if not isinstance(wanted, Mapping) or wanted.get("policy") not in _OWN:
        return
    policy = str(wanted["policy"])
    for other, keys in _OWN.items():
        for key in keys if other != policy else ():
            if wanted.get(key):
                yield f"ha.admission.{key} belongs to `policy: {other}`, and this one is {policy}"
    pair = [wanted.get(key) for key in _OWN[policy]]
    if policy == "hosts" and not pair[0]:
        yield "`ha.admission: {policy: hosts}` needs `hosts`: the names of those that stand by"
    if policy != "hosts" and bool(pair[0]) != bool(pair[1]):
        yield f"ha.admission: set both of {' and '.join(_OWN[policy])}, or none: then they are computed"
