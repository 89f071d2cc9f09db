"""Acts on a host's storage as a whole: what the steps of targets, ports and LUNs are bracketed by."""

from __future__ import annotations

from planner.catalog import Operation
from planner.ports import Call
from providers.vsphere.tools import Tools

_STORAGE = ("Host.Config.Storage",)


def rescan(tools: Tools, call: Call) -> None:
    tools.manager(call, "storageSystem").RescanAllHba()


def refresh(tools: Tools, call: Call) -> None:
    tools.manager(call, "storageSystem").RefreshStorageSystem()


def scan_vmfs(tools: Tools, call: Call) -> None:
    tools.manager(call, "storageSystem").RescanVmfs()


SCANS: tuple[Operation, ...] = (
    Operation("host.refresh_storage", "HostStorageSystem.RefreshStorageSystem", "act",
              "Let the host look again at the storage that it knows; undone, all adapters are rescanned.", refresh,
              inverse="host.rescan", again=True, privileges=_STORAGE),
    Operation("host.rescan", "HostStorageSystem.RescanAllHba", "act",
              "Rescan all storage adapters: disks appear, and those that are gone leave. What was mapped meanwhile "
              "stays.", rescan,
              inverse="host.refresh_storage", again=True, privileges=_STORAGE),
    Operation("host.scan_vmfs", "HostStorageSystem.RescanVmfs", "act", "Rescan for VMFS volumes.", scan_vmfs,
              inverse="host.scan_vmfs", again=True, privileges=_STORAGE),
    Operation("host.refresh_ports", "HostStorageSystem.RefreshStorageSystem", "act",
              "Let the host look again, before it asks for targets through its ports; undone, all is rescanned.",
              refresh, inverse="host.rescan_ports", again=True, privileges=_STORAGE),
    Operation("host.rescan_ports", "HostStorageSystem.RescanAllHba", "act",
              "Rescan all storage adapters before a port is unbound: what the targets showed that are gone leaves, and "
              "no longer counts as in use.", rescan, inverse="host.refresh_ports", again=True, privileges=_STORAGE),
)
"""There and back alike: scan, refresh, the changes, rescan, scan. So undoing ends with a rescan, too. In the same way
targets are gone, and rescanned, before a port that led to them is unbound."""
