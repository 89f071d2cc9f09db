"""What vCenter still has of hosts that went away: virtual machines that it has lost there, permissions, files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.model import Stray
from providers.vsphere.collector import Collector, Row
from providers.vsphere.evacuation import OWN_VMS
from providers.vsphere.identity import Inventory
from providers.vsphere.tools import unquoted

VM_STATE, VMX = "runtime.connectionState", "summary.config.vmPathName"
_LOST = ("orphaned", "inaccessible")


def stray_machines(collector: Collector, hosts: Iterable[Row], states: Mapping[str, str],
                   inventory: Inventory) -> dict[str, tuple[Stray, ...]]:
    """MoRef of a host → those of its VMs that vCenter has lost; of a host that is not connected: all of them.

    `states`: MoRef of a VM → VirtualMachine.ConnectionState. One query, and none where nothing is lost.
    """
    on: dict[str, str] = {}
    machines = []
    for row in hosts:
        gone = str(row.props.get("runtime.connectionState")) != "connected"
        for vm in row.props.get("vm") or ():
            if gone or states.get(vm._moId) in _LOST:
                on[vm._moId] = row.moid
                machines.append(vm)
    found: dict[str, list[Stray]] = {}
    for row in collector.many(machines, "name", VMX, "parent") if machines else ():
        name = unquoted(str(row.props.get("name", row.moid)))
        if not name.startswith(OWN_VMS):
            folder = row.props.get("parent")
            found.setdefault(on[row.moid], []).append(Stray(
                name, states.get(row.moid, ""), str(row.props.get(VMX) or ""),
                "" if folder is None else folder_of(inventory, str(folder._moId))))
    return {moid: tuple(sorted(each, key=lambda s: (s.name, s.vmx))) for moid, each in found.items()}


def folder_of(inventory: Inventory, moid: str) -> str:
    """A VM folder as text: its datacenter for the one that every datacenter has."""
    if moid in inventory.standard:
        return inventory.reference(inventory.containers[moid].parent)
    return inventory.reference(moid)


def permissions(collector: Collector, hosts: Iterable[Row]) -> dict[str, tuple[str, ...]]:
    """MoRef of a host that is not connected → whose permissions are set on it."""
    gone: list[Any] = [row.obj for row in hosts if str(row.props.get("runtime.connectionState")) != "connected"]
    return {row.moid: tuple(sorted({str(p.principal) for p in row.props.get("permission") or ()}))
            for row in (collector.many(gone, "permission") if gone else ())}
