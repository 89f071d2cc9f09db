"""Whether the vSAN service runs on a host. Disks, networks and policies are vSAN's own API, and not for here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic
from planner.ports import Call
from planner.schema import boolean, string
from providers.vsphere.tools import Tools, after

PATH = "config.vsanHostConfig"


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    config = props.get(PATH)
    if config is None:
        return {}
    info = config.clusterInfo
    return {"vsan": {"enabled": bool(config.enabled), "cluster": str((info and info.uuid) or "")}}


def configure(tools: Tools, call: Call) -> None:
    from pyVmomi import vim

    wanted = after(call)
    config = vim.vsan.host.ConfigInfo(enabled=bool(wanted["enabled"]), hostSystem=tools.host(call))
    if wanted["enabled"] and wanted.get("cluster"):
        config.clusterInfo = vim.vsan.host.ConfigInfo.ClusterInfo(uuid=str(wanted["cluster"]))
    tools.wait(tools.manager(call, "vsanSystem").UpdateVsan_Task(config=config), call)


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    live = existing.get("vsan", {})
    for change in changes:
        wanted = (change.after or {}).get("cluster")
        if change.action is Action.UPDATE and live.get("enabled") is True and wanted and wanted != live.get("cluster"):
            yield Diagnostic("error", "a running vSAN service keeps its cluster",
                             f"it is in {live.get('cluster')}, {wanted} is declared", address=change.address,
                             remedy="set `enabled: false` first, in an apply of its own, or name the cluster it is in")


def validate(attributes: Attrs) -> Iterable[str]:
    if attributes.get("cluster") and attributes.get("enabled") is False:
        yield "`cluster` is what the host joins: it goes with `enabled: true` only"


VSAN = ResourceType(
    name="vsan",
    doc="The vSAN service of the host.",
    parent="host",
    singleton=True,
    setting=True,
    order=14,
    fields={
        "enabled": boolean("Whether the host takes part in vSAN.", default=True, always=True),
        "cluster": string("UUID of the vSAN cluster that it joins; a new one where unset."),
    },
    paths=(PATH,),
    read=read,
    check=check,
    validate=validate,
    baseline={"vsan": {"enabled": False, "cluster": ""}},
    operations=(
        Operation("vsan.enable", "HostVsanSystem.UpdateVsan_Task", "update", "Switch the vSAN service on.", configure,
                  ("enabled", "cluster"), inverse="vsan.disable", to={"enabled": True},
                  privileges=("Host.Config.Storage",)),
        Operation("vsan.disable", "HostVsanSystem.UpdateVsan_Task", "update", "Switch the vSAN service off.",
                  configure, ("enabled", "cluster"), inverse="vsan.enable", to={"enabled": False},
                  loses="the host's place in its vSAN cluster: switched on again, it begins a new one",
                  privileges=("Host.Config.Storage",)),
    ),
    tested=("twin", "recording"),
)
