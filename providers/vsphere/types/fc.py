"""SAN disks (LUNs) that a host must see. What zoning and mapping have not given it is looked for by a rescan."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic, StepFailed
from planner.ports import Call
from planner.schema import boolean
from providers.vsphere.tools import Tools

PATH = "config.storageDevice.scsiTopology.adapter"
_LIVE = "storageDeviceInfo.scsiTopology.adapter"
_NAME = re.compile(r"(naa|eui)\.([0-9a-f]{16,64})")


def keys_of(adapters: Iterable[Any] | None) -> set[str]:
    """Keys of the LUNs that are reached through any adapter: "key-vim.host.ScsiDisk-0200…"."""
    return {str(lun.scsiLun) for each in adapters or () for target in each.target or () for lun in target.lun or ()}


def present(name: str, keys: Iterable[str]) -> bool:
    """Whether a LUN is among them. A key holds the world-wide name, behind type and LUN number: reading the topology is
    a fraction of reading the disks."""
    digits = name.partition(".")[2]
    return any(digits in key for key in keys)


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    if PATH not in props:
        return {name: {"present": False} for name in wanted}
    keys = keys_of(props[PATH])
    return {name: {"present": present(name, keys)} for name in wanted}


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    for change in changes:
        name = change.address.name
        if change.action in (Action.FORGET, Action.DELETE):
            continue
        if not _NAME.fullmatch(name):
            yield Diagnostic("error", "this is no world-wide name of a disk", name, address=change.address,
                             remedy="write naa.… or eui.…, in lower case: mpx. and t10. names are a host's own")
        if (change.after or {}).get("present") is False:
            yield Diagnostic("error", "a LUN cannot be declared absent", name, address=change.address,
                             remedy="remove it from the file; to take it from the host, unmap it on the array")


def rescan(tools: Tools, call: Call) -> None:
    """Look once, on all adapters. Raises StepFailed where the LUN still is not there."""
    manager = tools.manager(call, "storageSystem")
    manager.RescanAllHba()
    if not present(call.address.name, keys_of(tools.read(manager, _LIVE).get(_LIVE))):
        raise StepFailed("this LUN is not presented to the host", f"{call.address.name}: all adapters were rescanned",
                         "check zoning and LUN mapping (or the iSCSI targets) for this host, then resume")


FC = ResourceType(
    name="fc",
    doc="A LUN, over Fibre Channel or iSCSI, that the host must see; looked for by a rescan where it does not.",
    parent="host",
    setting=True,
    order=11,
    fields={"present": boolean("Always true: a LUN that is declared must be there.", default=True, always=True)},
    label_doc="the LUN's canonical name: naa.…, eui.…",
    paths=(PATH,),
    read=read,
    check=check,
    baseline={"*": {"present": False}},
    operations=(
        Operation("fc.rescan", "HostStorageSystem.RescanAllHba", "update",
                  "Rescan all adapters for this LUN; fails where it is not there then.", rescan, ("present",),
                  irreversible="a rescan only looks: what it finds stays in sight", to={"present": True},
                  when="not-yet", privileges=("Host.Config.Storage",)),
    ),
)
