"""Enhanced vMotion Compatibility of a cluster: its own manager object, and its own calls."""

from __future__ import annotations

from typing import Any

from planner.catalog import Operation
from planner.model import Attrs, StepFailed
from planner.ports import Call
from planner.schema import string
from providers.vsphere.tools import Tools, after

OFF = "off"
FIELD = string("EVC mode (intel-broadwell, amd-zen2, …): hosts hide what newer CPUs can do beyond it. off: none.")


def configure(tools: Tools, call: Call) -> None:
    """Ask first which hosts cannot: the fault of the call itself names none of them reliably."""
    mode = str(after(call)["evc"])
    manager = tools.entity(call.address, call).EvcManager()
    wrong = tools.wait(manager.CheckConfigureEvcMode_Task(evcModeKey=mode), call) or ()
    if wrong:
        raise StepFailed(f"the cluster cannot have the EVC mode {mode}", "; ".join(_reason(tools, w) for w in wrong),
                         "choose an older mode, or power off the VMs (move the hosts) that are named")
    tools.wait(manager.ConfigureEvcMode_Task(evcModeKey=mode), call)


def _reason(tools: Tools, found: Any) -> str:
    from providers.vsphere.faults import fault_name, fault_text

    names = sorted(str(p.get("name")) for _, p in tools.read_all(found.host or (), "name"))
    text = fault_text(found.error)
    return f"{', '.join(names) or 'the mode itself'} ({fault_name(found.error)}{': ' if text else ''}{text})"


def disable(tools: Tools, call: Call) -> None:
    tools.wait(tools.entity(call.address, call).EvcManager().DisableEvcMode_Task(), call)


def hides(before: Attrs | None, wanted: Attrs | None) -> str:
    """What it means for VMs that run."""
    return "running VMs keep the CPU features that they were started with: one that uses more than the mode keeps " \
           "its host from it, and a wider mode is seen by a VM once it is powered off and on"


def mixes(before: Attrs | None, wanted: Attrs | None) -> str:
    """Without EVC a VM may start with CPU features that other hosts lack."""
    return "from now on a VM may start with CPU features that other hosts lack, and cannot move to them"


_PRIVILEGES = ("Host.Inventory.EditCluster",)
OPERATIONS = (
    Operation("cluster.disable_evc", "ClusterEVCManager.DisableEvcMode_Task", "update", "Turn EVC off.", disable,
              ("evc",), inverse="cluster.enable_evc", to={"evc": OFF}, disruptive=mixes, privileges=_PRIVILEGES),
    Operation("cluster.enable_evc", "ClusterEVCManager.ConfigureEvcMode_Task", "update",
              "Turn EVC on; refused, by name, where a host or a running VM is beyond the mode.", configure, ("evc",),
              inverse="cluster.disable_evc", given={"evc": OFF}, disruptive=hides, privileges=_PRIVILEGES),
    Operation("cluster.change_evc", "ClusterEVCManager.ConfigureEvcMode_Task", "update",
              "Change the EVC mode; refused, by name, where a host or a running VM is beyond it.", configure, ("evc",),
              inverse="cluster.change_evc", disruptive=hides, privileges=_PRIVILEGES),
)
