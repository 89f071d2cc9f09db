"""Which running VMs maintenance mode moves away from a host, and which of them no other host can take.

As vMotion and DRS have it: a VMkernel adapter for vMotion on both sides, the VM's datastores and networks on the other
side, which is connected and not in maintenance mode; and fully automated DRS, or somebody who moves them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

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
    rules = _musts(cluster)
    stuck: dict[str, str] = {vm.moid: why for vm in running if (why := _stuck(vm, host, others, rules))}
    alone = _left_alone(cluster)
    moved = alone if isinstance(alone, set) else {vm.moid for vm in running}
    return Evacuation(_names(running), tuple(sorted(f"{_name(vm)} ({stuck[vm.moid]})" for vm in running
                                                    if vm.moid in stuck)),
                      _names(vm for vm in running if vm.moid in moved and vm.moid not in stuck))


class _Must(NamedTuple):
    """A mandatory DRS rule: these VMs run `on` these hosts, or never do."""

    name: str
    vms: frozenset[str]
    hosts: frozenset[str]
    on: bool

    def allows(self, vm: str, host: str) -> bool:
        return vm not in self.vms or (host in self.hosts) == self.on


def _musts(cluster: Row) -> list[_Must]:
    config = cluster.props.get("configurationEx")
    members = {g.name: frozenset(m._moId for m in (getattr(g, "vm", None) or getattr(g, "host", None) or ()))
               for g in getattr(config, "group", None) or ()}
    found = []
    for rule in getattr(config, "rule", None) or ():
        hosts = getattr(rule, "affineHostGroupName", None) or getattr(rule, "antiAffineHostGroupName", None)
        if rule.enabled and rule.mandatory and hosts:
            found.append(_Must(rule.name, members.get(rule.vmGroupName, frozenset()), members.get(hosts, frozenset()),
                               bool(rule.affineHostGroupName)))
    return found


def _stuck(vm: Row, host: Row, others: Iterable[Row], rules: Iterable[_Must]) -> str:
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
    fits = [h for h in stored if _ids(vm, "network") <= _ids(h, "network")]
    if not fits:
        return "no other host has its networks"
    if not any(all(r.allows(vm.moid, h.moid) for r in rules) for h in fits):
        names = ", ".join(r.name for r in rules if vm.moid in r.vms)
        return f"a mandatory DRS rule keeps it from every other host: {names}"
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
