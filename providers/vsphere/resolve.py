"""From addresses to managed objects: hint, verified; else identity, searched. Survives MoRefs that change."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from planner.model import Address, Attrs, Fleet, ReadFailed, StateResource, StepFailed
from planner.ports import Call
from providers.vsphere.collector import Collector, Row
from providers.vsphere.dark import HOST, PLACE, all_lit, dark
from providers.vsphere.identity import Container, HostRow, Inventory, Want, inventory, match_hosts
from providers.vsphere.link import Link
from providers.vsphere.paths import KNOWN_BY, LOOKS
from providers.vsphere.placing import Labels
from providers.vsphere.tools import unquoted

ROOTS = {"datacenter": "Datacenter", "folder": "Folder", "cluster": "ClusterComputeResource", "host": "HostSystem",
         "distributed_switch": "VmwareDistributedVirtualSwitch", "distributed_portgroup": "DistributedVirtualPortgroup"}
"""Resource type → managed object type."""
OTHERS = {"DistributedVirtualSwitch": "distributed_switch"}
"""Managed object types that a server may show in place of those."""
STALE_OF = ("DistributedVirtualSwitch", "VmwareDistributedVirtualSwitch")
IDENTITY = ("name", "parent", "summary.hardware.uuid", "config.network.pnic")


def class_of(rtype: str) -> Any:
    from pyVmomi.VmomiSupport import GetWsdlType

    return GetWsdlType("urn:vim25", ROOTS[rtype])


def distributed(types: set[str]) -> dict[Any, tuple[str, ...]]:
    """What is read of distributed switches and port groups: whole configurations only where such are managed."""
    from pyVmomi import vim

    switch = ("config",) if "distributed_switch" in types else ()
    group = ("config",) if "distributed_portgroup" in types else ()
    return {vim.DistributedVirtualSwitch: ("name", "parent", "uuid", *switch),
            vim.dvs.DistributedVirtualPortgroup: ("name", "parent", "config.uplink", *group)}


def host_row(row: Row) -> HostRow:
    """Identity of a host from its properties."""
    props = row.props
    nics = props.get("config.network.pnic") or ()
    parent = props.get("parent")
    return HostRow(row.moid, str(props.get("name", row.moid)), str(props.get("summary.hardware.uuid") or ""),
                   tuple(n.mac.lower() for n in nics), parent._moId if parent is not None else "")


class Resolver:
    """What is known of which address is which object, shared by all threads of a session."""

    def __init__(self, link: Link, collector: Collector, fleet: Fleet) -> None:
        self._link = link
        self._collector = collector
        self._lock = threading.Lock()
        self._known: dict[Address, str] = {}  # verified in this session
        self._managers: dict[tuple[str, str], Any] = {}
        self._wants: dict[Address, Want] = {}
        self._looked: dict[Address, tuple[Attrs, ...]] = {}  # roots that are no entities
        self._inventory: Inventory | None = None
        self._classes: dict[str, Any] = {}  # MoRef → type, where the server shows another one than ours
        self.labels = Labels()
        self.learn(fleet, {})

    def learn(self, fleet: Fleet, state: Mapping[Address, StateResource]) -> None:
        """What is declared and recorded about every root: names and parents to search by."""
        wants, looked = {}, {}
        for address in dict.fromkeys([*state, *fleet.resources]):
            if address.type in LOOKS:
                found = (state.get(address), fleet.resources.get(address))
                looked[address] = tuple(each.attributes for each in found if each is not None)
            elif not address.child_type and address.type in ROOTS:
                recorded, declared = state.get(address), fleet.resources.get(address)
                attributes = [r.attributes for r in (recorded, declared) if r is not None]
                wants[address] = Want(address, tuple(attributes), recorded.id if recorded else "",
                                      str(recorded.facts.get("uuid") or "") if recorded else "",
                                      declared is not None)
        with self._lock:
            self._wants.update(wants)
            self._looked.update(looked)
            self.labels.learn(KNOWN_BY, fleet, state)

    def wants(self, addresses: Iterable[Address]) -> list[Want]:
        return [self._wants[a] for a in addresses if a in self._wants]

    def look(self, tools: Any, addresses: Iterable[Address], call: Call | None = None) -> dict[Address, Attrs]:
        """Which of these roots live has, of those that are no entities of the inventory. `call`: what is made now."""
        by_type: dict[str, dict[Address, tuple[Attrs, ...]]] = {}
        said = tuple(a for a in (call.before, call.after, call.declared) if a) if call is not None else ()
        for address in addresses:
            by_type.setdefault(address.type, {})[address] = said + self._looked.get(address, ())
        found: dict[Address, Attrs] = {}
        for rtype, wanted in by_type.items():
            found.update(LOOKS[rtype](tools, wanted))
        return found

    def said(self, address: Address) -> tuple[Attrs, ...]:
        """What is recorded, then what is declared about a root that is no entity."""
        return self._looked.get(address, ())

    def heard(self, call: Call) -> None:
        """A root that is no entity is now as this call made it: what refers to it has to know."""
        if call.address.type in LOOKS and call.after:
            with self._lock:
                self._looked[call.address] = (*self._looked.get(call.address, ()), {**call.declared, **call.after})

    def references(self, hosts: Iterable[Any]) -> dict[str, str]:
        """MoRef → how a fleet file refers to that host: its address as text, "path:NAME" where nobody declared it."""
        found = {moid: str(a) for a, moid in list(self._known.items()) if a.type == "host"}
        others = [h for h in hosts if h._moId not in found]
        rows = [host_row(r) for r in self._collector.many(others, *IDENTITY)] if others else []
        wants = self.wants(a for a in list(self._wants) if a.type == "host") if rows else []
        matched, _ = match_hosts(wants, rows)
        found |= {row.moid: f"path:{row.name}" for row in rows}
        return found | {moid: str(a) for a, moid in matched.items()}

    # --- what is known ------------------------------------------------------------------------------------

    def keep(self, address: Address, moid: str, kind: Any = None) -> None:
        with self._lock:
            self._known[address] = moid
            if kind is not None and kind is not class_of(address.type):
                self._classes[moid] = kind
            if address.type != "host":
                self._inventory = None  # a new container: read again when one is looked for

    def known(self, address: Address) -> str:
        return self._known.get(address, "")

    def forget(self, address: Address) -> None:
        with self._lock:
            self._known.pop(address.root, None)

    def obj(self, address: Address, moid: str) -> Any:
        return (self._classes.get(moid) or class_of(address.type))(moid, self._link.stub)

    def manager(self, host: Any, name: str) -> Any:
        """A host's manager object. Raises ReadFailed where the host has none of that name."""
        key = (str(host._moId), name)
        found = self._managers.get(key)
        if found is None:
            path = f"configManager.{name}"
            found = self._collector.one(host, path).get(path)
            if found is None:
                raise ReadFailed("this host does not offer a manager object", name,
                                 "check that it is connected, and that this user may configure it")
            self._managers[key] = found
        return found

    def service(self, name: str) -> Any:
        """A manager object of vCenter itself. Raises ReadFailed where it has none of that name."""
        found = getattr(self._link.content, name, None)
        if found is None:
            raise ReadFailed("this server does not offer a service", name, "use a vCenter that has it")
        return found

    # --- looking up ---------------------------------------------------------------------------------------

    def find(self, address: Address, call: Call | None = None) -> Any:
        """The managed object of a root; None where live has none. Raises faults where live cannot be read."""
        address = address.root
        known = self.known(address)
        if known:
            return self.obj(address, known)
        moid = self._verified(address, call) or self._searched(address, call)
        if not moid:
            return None
        self._known[address] = moid
        return self.obj(address, moid)

    def entity(self, address: Any, call: Call) -> Any:
        """The same, by address, text or "path:…"; StepFailed where live has none."""
        if isinstance(address, str) and address.startswith("path:"):
            return self._at_path(address.removeprefix("path:"))
        if not address:
            raise StepFailed("the parent of this object is not set", str(call.address))
        wanted = address if isinstance(address, Address) else Address.parse(str(address))
        found = self.find(wanted, call)
        if found is None:
            raise StepFailed("vCenter has no such object", str(wanted), "plan again: something removed it since")
        return found

    def _want(self, address: Address, call: Call | None) -> Want:
        want = self._wants.get(address, Want(address, ()))
        if call is None:
            return want
        own: list[Attrs] = []
        if address == call.address.root:
            own = [a for a in (call.before, call.declared, call.after) if a and not call.address.child_type]
            own = own or [call.declared]
        uuid = str(call.facts.get("uuid") or want.uuid) if address == call.address.root else want.uuid
        merged = {k: v for a in (*want.attributes, *own) for k, v in a.items() if v is not None}
        return Want(address, (*own, *want.attributes, merged), call.ids(address) or want.id, uuid)

    def _verified(self, address: Address, call: Call | None) -> str:
        """The hint, if that object is still there and is the one. A container is what its MoRef says it is."""
        from pyVmomi import vmodl

        want = self._want(address, call)
        if not want.id:
            return ""
        try:
            found = self._collector.many([self.obj(address, want.id)], *IDENTITY[:3 if address.type == "host" else 1])
        except vmodl.fault.ManagedObjectNotFound:
            return ""
        if not found or address.type != "host":
            return want.id if found else ""
        all_lit(found, *HOST)
        row = host_row(found[0])
        if want.uuid and row.uuid:
            return want.id if row.uuid.lower() == want.uuid.lower() else ""
        names = {str(a.get("name", "")).lower() for a in want.attributes}
        return want.id if row.name.lower() in names else ""

    def _searched(self, address: Address, call: Call | None) -> str:
        want = self._want(address, call)
        if address.type != "host":
            found = self.containers(fresh=True, extra=want)
            if found.lost:
                raise ReadFailed("an object of vCenter could not be read", found.lost)
            return found.matched.get(address, "")
        if want.uuid:
            return self._by_index(want, call)
        rows = self._collector.below(self._link.content.rootFolder, {class_of("host"): IDENTITY})
        matched, diagnostics = match_hosts([want], [host_row(r) for r in rows])
        if address not in matched:
            all_lit(rows)
        if diagnostics:
            raise ReadFailed(diagnostics[0].summary, diagnostics[0].detail, diagnostics[0].remedy)
        return matched.get(address, "")

    def _by_index(self, want: Want, call: Call | None) -> str:
        """By hardware UUID, then by name in its cluster: a few host adds must not each read the whole inventory."""
        index = self._link.content.searchIndex
        hits = index.FindAllByUuid(None, want.uuid, False) or ()
        if len(hits) > 1:
            names = {str(a.get("name", "")).lower() for a in want.attributes}
            rows = [host_row(r) for r in self._collector.many(hits, "name")]
            hits = [class_of("host")(r.moid, self._link.stub) for r in rows if r.name.lower() in names]
            if len(hits) != 1:
                raise ReadFailed("several hosts have one hardware UUID", ", ".join(sorted(r.name for r in rows)))
        for attributes in () if hits else want.attributes:
            cluster = attributes.get("cluster")
            above = self.find(Address.parse(cluster), None) if isinstance(cluster, str) and cluster and \
                not cluster.startswith("path:") else None
            child = index.FindChild(above, str(attributes.get("name"))) if above is not None else None
            if child is not None and type(child)._wsdlName == "HostSystem":
                return str(child._moId)
        return str(hits[0]._moId) if hits else ""

    def _at_path(self, path: str) -> Any:
        found = self.containers(fresh=True)
        hits = [c for m, c in found.containers.items() if m not in found.standard and found.path(m) == path]
        if len(hits) != 1:
            raise StepFailed("vCenter has no such object", path, "plan again: something removed it since")
        return self.obj(Address(hits[0].type, "found"), hits[0].moid)

    # --- containers ---------------------------------------------------------------------------------------

    def containers(self, *, fresh: bool, extra: Want | None = None) -> Inventory:
        """All containers, matched to addresses: one small query."""
        from pyVmomi import vim

        cached = self._inventory
        if cached is not None and not fresh:
            return cached
        wanted = {
            vim.Datacenter: ("name", "parent", "hostFolder", "vmFolder", "datastoreFolder", "networkFolder"),
            vim.Folder: ("name", "parent"),
            vim.ClusterComputeResource: ("name", "parent", "configurationEx", "summary"),
            **distributed({a.type for a in self._wants} | ({extra.address.type} if extra else set())),
        }
        kinds = OTHERS | {wire: rtype for rtype, wire in ROOTS.items()}
        root = self._link.content.rootFolder
        found = self._collector.below(root, wanted)
        self._classes.update({r.moid: type(r.obj) for r in found if type(r.obj)._wsdlName in OTHERS})
        self._name_failover_hosts(found)
        self._name_stale_members(found)
        rows = [Container(r.moid, kinds[type(r.obj)._wsdlName], str(r.props.get("name", r.moid)),
                          _moid(r.props.get("parent")), r.props) for r in found]
        made = inventory(str(root._moId), rows)
        made.dark = {r.moid: why for r in found if (why := dark(r))}
        made.lost = next((why for r in found if (why := dark(r, *PLACE))), "")
        hinted = {a: Want(a, w.attributes, self.known(a) or w.id)
                  for a, w in list(self._wants.items()) if a.type != "host"}
        if extra is not None:
            hinted[extra.address] = extra
        made.match(hinted.values())
        with self._lock:
            for address in hinted:
                self._known.pop(address, None)
            self._known.update(made.matched)
            self._inventory = made
        return made

    def _name_stale_members(self, rows: Iterable[Row]) -> None:
        """Under "stale": members of distributed switches that do not respond, and that nobody declared here."""
        switches = [(row, [m.config.host for m in row.props["config"].host or () if m.config.host is not None])
                    for row in rows if type(row.obj)._wsdlName in STALE_OF and row.props.get("config") is not None]
        hosts = {h._moId: h for _, members in switches for h in members}
        ours = {str(a.get("name", "")).lower() for w in self._wants.values() if w.address.type == "host"
                for a in w.attributes}
        gone = {r.moid: unquoted(str(r.props.get("name", r.moid)))
                for r in self._collector.many(hosts.values(), "name", "runtime.connectionState")
                if str(r.props.get("runtime.connectionState")) == "notResponding"}
        for row, members in switches:
            names = (gone.get(h._moId, "") for h in members)
            row.props["stale"] = sorted(n for n in names if n and n.lower() not in ours)

    def _name_failover_hosts(self, rows: Iterable[Row]) -> None:
        """Clusters name the hosts that stand by as MoRefs: their names, under "failover"."""
        policies = {row.moid: getattr(getattr(row.props.get("configurationEx"), "dasConfig", None),
                                      "admissionControlPolicy", None) for row in rows}
        hosts = {h._moId: h for p in policies.values() for h in getattr(p, "failoverHosts", None) or ()}
        names = {r.moid: str(r.props.get("name", r.moid)) for r in self._collector.many(hosts.values(), "name")} \
            if hosts else {}
        for row in rows if names else ():
            if getattr(policies[row.moid], "failoverHosts", None):
                row.props["failover"] = names


def _moid(obj: Any) -> str:
    return str(obj._moId) if obj is not None else ""
