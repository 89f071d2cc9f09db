"""Which running VMs maintenance mode moves away from a host, and which of them no other host can take.

As vMotion and DRS have it: a VMkernel adapter for vMotion on both sides, the VM's datastores and networks on the other
side, which is connected and not in maintenance mode; and fully automated DRS, or somebody who moves them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.model import Address, Evacuation
from providers.vsphere.collector import Collector, Row

OWN_VMS = "vCLS"  # VMs of vSphere's own cluster services come and go by themselves with maintenance mode
_HOST = ("name", "parent", "runtime.connectionState", "runtime.inMaintenanceMode", "summary.config.vmotionEnabled",
         "datastore", "network", "vm")
_VM = ("name", "runtime.powerState", "datastore", "network")


def evacuations(collector: Collector, hosts: Mapping[Address, Any]) -> dict[Address, Evacuation]:
    """`hosts`: their HostSystem objects. A few queries, however many hosts and VMs there are."""
    clusters = _by_id(collector.many(dict.fromkeys(
        r.props["parent"] for r in collector.many(hosts.values(), "parent")), "host", "configurationEx"))
    members = _by_id(collector.many([h for c in clusters.values() for h in c.props.get("host") or ()], *_HOST))
    asked = {host._moId for host in hosts.values()}
    machines = _by_id(collector.many([vm for moid in asked if moid in members
                                      for vm in members[moid].props.get("vm") or ()], *_VM))
    return {address: _evacuation(members[host._moId], clusters[members[host._moId].props["parent"]._moId], members,
                                 machines) for address, host in hosts.items() if host._moId in members}


def _evacuation(host: Row, cluster: Row, members: Mapping[str, Row], machines: Mapping[str, Row]) -> Evacuation:
    own = [machines[vm._moId] for vm in host.props.get("vm") or () if vm._moId in machines]
    running = [vm for vm in own if str(vm.props.get("runtime.powerState")) == "poweredOn"
               and not str(vm.props.get("name")).startswith(OWN_VMS)]
    others = [members[h._moId] for h in cluster.props.get("host") or () if h._moId != host.moid]
    stuck: dict[str, str] = {vm.moid: why for vm in running if (why := _stuck(vm, host, others))}
    alone = _left_alone(cluster)
    moved = alone if isinstance(alone, set) else {vm.moid for vm in running}
    return Evacuation(_names(running), tuple(sorted(f"{_name(vm)} ({stuck[vm.moid]})" for vm in running
                                                    if vm.moid in stuck)),
                      _names(vm for vm in running if vm.moid in moved and vm.moid not in stuck))


def _stuck(vm: Row, host: Row, others: Iterable[Row]) -> str:
    """Why no other host takes a running VM; "" where one does."""
    usable = [h for h in others if str(h.props.get("runtime.connectionState")) == "connected"
              and not h.props.get("runtime.inMaintenanceMode")]
    if not usable:
        return "no other host of its cluster is connected and out of maintenance mode"
    if not host.props.get("summary.config.vmotionEnabled"):
        return "its host has no VMkernel adapter for vMotion"
    with_adapter = [h for h in usable if h.props.get("summary.config.vmotionEnabled")]
    if not with_adapter:
        return "no other host has a VMkernel adapter for vMotion"
    stored = [h for h in with_adapter if _ids(vm, "datastore") <= _ids(h, "datastore")]
    if not stored:
        return "no other host has its datastores"
    if not any(_ids(vm, "network") <= _ids(h, "network") for h in stored):
        return "no other host has its networks"
    return ""


def _left_alone(cluster: Row) -> set[str] | None:
    """MoRefs of VMs that DRS is told not to move by itself; None: it moves none."""
    found = cluster.props.get("configurationEx")
    drs = getattr(found, "drsConfig", None)
    if drs is None or not drs.enabled or str(drs.defaultVmBehavior or "fullyAutomated") != "fullyAutomated":
        return None
    return {str(each.key._moId) for each in getattr(found, "drsVmConfig", None) or ()
            if each.enabled is False or str(each.behavior or "fullyAutomated") != "fullyAutomated"}


def _by_id(rows: Iterable[Row]) -> dict[str, Row]:
    return {row.moid: row for row in rows}


def _ids(row: Row, path: str) -> set[str]:
    return {str(each._moId) for each in row.props.get(path) or ()}


def _name(vm: Row) -> str:
    return str(vm.props.get("name", vm.moid))


def _names(machines: Iterable[Row]) -> tuple[str, ...]:
    return tuple(sorted(map(_name, machines)))
