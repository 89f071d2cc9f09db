"""One reading of vCenter: all hosts with one query on narrow paths, containers with a second, small one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from planner.model import (
    Address,
    Attrs,
    Connection,
    Diagnostic,
    Fleet,
    Live,
    LiveHost,
    LiveObject,
    Mate,
    ReadFailed,
    StateResource,
    Stray,
)
from providers.vsphere import faults
from providers.vsphere.collector import Collector, Row
from providers.vsphere.dark import hidden_hosts
from providers.vsphere.evacuation import OWN_VMS
from providers.vsphere.host.operations import utc
from providers.vsphere.identity import Inventory, match_hosts
from providers.vsphere.link import Link
from providers.vsphere.paths import (
    CHILDREN,
    LOOKS,
    NAMED,
    READERS,
    REFERRING,
    Names,
    Paths,
    gathered,
    paths_for,
    union,
    wanted_names,
)
from providers.vsphere.placing import placed
from providers.vsphere.problems import find_problems
from providers.vsphere.resolve import Resolver, class_of, host_row
from providers.vsphere.strays import VM_STATE, permissions, stray_machines
from providers.vsphere.tools import unquoted
from providers.vsphere.types import option

GUEST = ("guest.hostName", "guest.ipAddress")


class LiveReader:
    """Reads hosts and puts what they have under addresses."""

    def __init__(self, link: Link, collector: Collector, resolver: Resolver, *, coexist: bool) -> None:
        self._link = link
        self._collector = collector
        self._resolver = resolver
        self._coexist = coexist
        self._keyed = True

    # --- rows ---------------------------------------------------------------------------------------------

    def rows(self, paths: Paths, hosts: Iterable[Any] | None = None) -> list[Row]:
        """Properties of these hosts, or of all. Single array elements come back as arrays under the array's path."""
        from pyVmomi import vmodl

        if self._keyed:
            try:
                return gathered(self._fetch(paths.asked(keyed=True), hosts), paths)
            except vmodl.query.InvalidProperty as problem:
                if "[" not in str(problem.name):
                    raise
                self._keyed = False  # this server does not index arrays
        rows = self._fetch(paths.asked(keyed=False), hosts)
        for row in rows:
            if option.PATH in paths.keyed and str(row.props.get("runtime.connectionState", "connected")) == "connected":
                manager = self._resolver.manager(row.obj, "advancedOption")
                found = (option.query(manager, key) for key in sorted(paths.keyed[option.PATH]))
                row.props[option.PATH] = [each for each in found if each is not None]
        return rows

    def _fetch(self, paths: tuple[str, ...], hosts: Iterable[Any] | None) -> list[Row]:
        if hosts is not None:
            return self._collector.many(hosts, *paths)
        return self._collector.below(self._link.content.rootFolder, {class_of("host"): paths})

    def child(self, host: Any, address: Address) -> Attrs | None:
        """One object on one host, read narrowly; None where the host does not have it."""
        rtype, name = address.child_type, address.name
        paths = paths_for({rtype: {name}}, status=False)
        probe = Paths((*paths.plain, "runtime.connectionState", "config.product"), paths.keyed)
        rows = self.rows(probe, [host])
        why = unreadable(rows[0]) if rows else "vCenter does not know it"
        if why:
            raise ReadFailed("this host cannot be read", why)
        names = frozenset({name})
        found = READERS[rtype]({**rows[0].props, **self.asked(rtype, rows[0], names)}, names)
        return self.placed(rtype, address.root, found).get(name)

    def placed(self, rtype: str, root: Address, found: Mapping[str, Attrs]) -> Mapping[str, Attrs]:
        """References of objects on a host as addresses, and their labels."""
        if rtype not in REFERRING:
            return found
        return placed(CHILDREN[rtype], root, found, self._resolver.containers(fresh=False), self._resolver.labels)

    def asked(self, rtype: str, row: Row, names: frozenset[str]) -> Mapping[str, Any]:
        """What reading these children needs beside properties. Raises faults, and ReadFailed."""
        ask = CHILDREN[rtype].ask
        return {} if ask is None or not names else ask(_View(self, row.obj), names, row.props)

    def manager(self, host: Any, name: str) -> Any:
        return self._resolver.manager(host, name)

    def service(self, name: str) -> Any:
        return self._resolver.service(name)

    def many(self, objects: Iterable[Any], *paths: str) -> list[Row]:
        return self._collector.many(objects, *paths)

    # --- snapshot -----------------------------------------------------------------------------------------

    def snapshot(self, tools: Any, fleet: Fleet, state: Mapping[Address, StateResource],
                 only: frozenset[Address] | None) -> Live:
        self._resolver.learn(fleet, state)
        wanted = wanted_names(fleet, state, only)
        roots = [a for a in dict.fromkeys([*state, *fleet.resources]) if not a.child_type
                 and (only is None or a in only)]
        hosts = [a for a in roots if a.type == "host"]
        fresh = only is None or len(hosts) < len(roots)
        inventory = self._resolver.containers(fresh=fresh)
        paths = paths_for(union(wanted))
        rows, matched, diagnostics = self._matched(hosts, paths, only is None)
        hidden = {**hidden_hosts(rows, matched, hosts),
                  **{a: why for a in roots if a.type not in LOOKS and (why := inventory.hidden(a))}}
        vms = dict(self._vms(matched.values()))
        build = _Build(self, inventory, wanted, vms,
                       _out(rows, {row.moid: str(a) for a, row in matched.items()}) if only is None else {})
        states = {moid: vm.state for moid, vm in vms.items()}
        build.strays = stray_machines(self._collector, matched.values(), states, inventory)
        build.permissions = permissions(self._collector, matched.values())
        for address in roots:
            if address.type != "host" and address in inventory.matched:
                moid = inventory.matched[address]
                build.objects[address] = LiveObject(address, inventory.attributes(moid), moid)
        found, warnings = self._problems(inventory) if only is None else ({}, [])
        diagnostics += warnings
        diagnostics += [Diagnostic("error", "something else configures this cluster's hosts", "; ".join(found[moid]),
                                   address=a, remedy="or set `coexist: true` on the vsphere provider")
                        for a, moid in inventory.matched.items() if moid in found and a in fleet.resources]
        for address, row in matched.items():
            self._resolver.keep(address, row.moid)
            build.host(address, row, _declared_mac(fleet, state, address),
                       found.get(row.moid, ()) + found.get(host_row(row).parent, ()))
        looked = self._resolver.look(tools, (a for a in roots if a.type in LOOKS))
        build.objects.update((a, LiveObject(a, attributes)) for a, attributes in looked.items())
        unmanaged: list[Address | str] = [*build.unmanaged]
        if only is None:
            known = {row.moid for row in matched.values()}
            unmanaged += inventory.undeclared()
            unmanaged += sorted(f"{inventory.path(host_row(r).parent)}/{r.props.get('name')}".lstrip("/")
                                for r in rows if r.moid not in known)
        return Live(str(self._link.content.about.instanceUuid or ""), build.objects, build.hosts, tuple(unmanaged),
                    build.unread, hidden, tuple(diagnostics))

    def _problems(self, inventory: Inventory) -> tuple[dict[str, tuple[str, ...]], list[Diagnostic]]:
        if self._coexist:
            return {}, []
        return find_problems(self._link, self._collector, self._resolver, inventory)

    def _matched(self, hosts: list[Address], paths: Paths, everything: bool,
                 ) -> tuple[list[Row], dict[Address, Row], list[Diagnostic]]:
        """Rows by address. For a few hosts only: theirs, found by hint or identity, not the whole inventory."""
        from pyVmomi import vmodl

        if not everything:
            for _ in range(2):  # once more where a host got a new MoRef meanwhile
                objects = {a: o for a in hosts if (o := self._resolver.find(a)) is not None}
                try:
                    rows = self.rows(paths, objects.values())
                except vmodl.fault.ManagedObjectNotFound:
                    for address in hosts:
                        self._resolver.forget(address)
                    continue
                by_id = {row.moid: row for row in rows}
                return rows, {a: by_id[o._moId] for a, o in objects.items() if o._moId in by_id}, []
        rows = self.rows(paths)
        by_id = {row.moid: row for row in rows}
        matched, diagnostics = match_hosts(self._resolver.wants(hosts), [host_row(r) for r in rows])
        return rows, {a: by_id[m] for a, m in matched.items()}, diagnostics

    def _vms(self, rows: Iterable[Row]) -> Iterable[tuple[str, _Vm]]:
        """The VMs on these hosts, by MoRef: one query."""
        machines = [vm for row in rows for vm in row.props.get("vm") or ()]
        for row in self._collector.many(machines, "name", VM_STATE, *GUEST):
            told = (row.props.get(path) for path in GUEST)
            name = unquoted(str(row.props.get("name", row.moid)))
            yield row.moid, _Vm(name, tuple(str(each) for each in told if each), str(row.props.get(VM_STATE) or ""))


def _out(rows: Iterable[Row], addresses: Mapping[str, str]) -> dict[str, list[tuple[str, Mate]]]:
    """Cluster (MoRef) → those of its hosts that take no VMs now, by MoRef."""
    found: dict[str, list[tuple[str, Mate]]] = {}
    for row in rows:
        state = str(row.props.get("runtime.connectionState", "notResponding"))
        why = "maintenance" if state == "connected" and row.props.get("runtime.inMaintenanceMode") else state
        if why == "maintenance" or why == "notResponding" or why == "disconnected":
            identity = host_row(row)
            found.setdefault(identity.parent, []).append(
                (row.moid, Mate(identity.name, why, addresses.get(row.moid, ""))))  # type: ignore[arg-type]
    return found


def _declared_mac(fleet: Fleet, state: Mapping[Address, StateResource], address: Address) -> str:
    source = fleet.resources.get(address) or state.get(address)
    return str(source.attributes.get("mac") or "") if source else ""


def unreadable(row: Row) -> str:
    """Why the attributes of a host are unknown; "" where they are not."""
    connection = str(row.props.get("runtime.connectionState", ""))
    if connection != "connected":
        return {"notResponding": "it does not respond", "disconnected": "it is disconnected in vCenter"}.get(
            connection, "vCenter does not say whether it is connected")
    if "config.product" not in row.props:
        fault = row.missing.get("config.product")
        return f"vCenter has no configuration of it ({faults.fault_name(fault) if fault else 'unset'})"
    bad = [f"{p}: {faults.fault_name(f)}" for p, f in row.missing.items() if faults.fault_name(f) != "InvalidProperty"]
    return f"it could not be read ({'; '.join(bad[:3])})" if bad else ""


class _View:
    """`providers.vsphere.tools.HostView`."""

    def __init__(self, reader: LiveReader, obj: Any) -> None:
        self._reader = reader
        self.obj = obj

    def manager(self, name: str) -> Any:
        return self._reader.manager(self.obj, name)

    def service(self, name: str) -> Any:
        return self._reader.service(name)

    def read(self, obj: Any, *paths: str) -> Mapping[str, Any]:
        for _, props in self.read_all([obj], *paths):
            return props
        return {}

    def read_all(self, objects: Iterable[Any], *paths: str) -> list[tuple[Any, Mapping[str, Any]]]:
        found = self._reader.many(objects, *paths)
        for row in found:
            for fault in row.missing.values():
                raise fault
        return [(row.obj, row.props) for row in found]


class _Vm(NamedTuple):
    """`guest`: host name and address inside of it. `state`: VirtualMachine.ConnectionState."""

    name: str
    guest: tuple[str, ...] = ()
    state: str = ""


class _Build:
    """Collects live objects by address."""

    def __init__(self, reader: LiveReader, inventory: Inventory, wanted: Mapping[Address, Names],
                 vms: Mapping[str, _Vm], out: Mapping[str, list[tuple[str, Mate]]]) -> None:
        self.objects: dict[Address, LiveObject] = {}
        self.hosts: dict[Address, LiveHost] = {}
        self.unread: dict[Address, str] = {}
        self.unmanaged: list[Address] = []
        self.strays: Mapping[str, tuple[Stray, ...]] = {}  # by host
        self.permissions: Mapping[str, tuple[str, ...]] = {}
        self._reader = reader
        self._inventory = inventory
        self._wanted = wanted
        self._vms = vms
        self._out = out  # cluster → its hosts that take no VMs, by MoRef

    def host(self, address: Address, row: Row, mac: str, problems: tuple[str, ...]) -> None:
        status = host_status(row, mac, self._inventory.reference(host_row(row).parent))
        self.objects[address] = LiveObject(address, {k: status[k] for k in ("name", "mac", "cluster")}, row.moid)
        vms = sorted(self._vms.get(vm._moId, _Vm(vm._moId)) for vm in row.props.get("vm") or ())
        self.hosts[address] = LiveHost(
            address, row.moid, status["connection"], status["uuid"], status["mac"], status["boot_time"],
            status["build"], status["in_maintenance"], tuple(v.name for v in vms if not v.name.startswith(OWN_VMS)),
            management_ip(row.props), problems, tuple(
                mate for moid, mate in self._out.get(host_row(row).parent, ()) if moid != row.moid),
            tuple((v.name, each) for v in vms for each in v.guest), tuple(self._inventory.members(row.moid)),
            self.strays.get(row.moid, ()), self.permissions.get(row.moid, ()))
        why = unreadable(row)
        if why:
            self.unread[address] = why
            return
        self._children(address, row)

    def _children(self, address: Address, row: Row) -> None:
        from pyVmomi import vmodl

        wanted = self._wanted.get(address, {})
        for rtype, read in READERS.items():
            names = wanted.get(rtype)
            singleton = CHILDREN[rtype].singleton
            if names is None and rtype not in NAMED:
                continue
            try:
                asked = self._reader.asked(rtype, row, frozenset(names or ()))
            except (vmodl.MethodFault, ReadFailed) as problem:
                why = faults.read_failed(rtype, problem)
                self.unread.update((address.under(rtype, "" if singleton else n), f"{why.summary}: {why.detail}")
                                   for n in names or ())
                continue
            props = {**row.props, **asked} if asked else row.props
            found = self._reader.placed(rtype, address, read(props, frozenset(names or ())))
            for name, attributes in found.items():
                child = Address(address.type, address.label, address.key, rtype, "" if singleton else name)
                self.objects[child] = LiveObject(child, attributes)
                if not names or name not in names:
                    self.unmanaged.append(child)


def host_status(row: Row, mac: str, cluster: str) -> dict[str, Any]:
    """A host's own attributes and status. `mac`: the declared one, which counts when any NIC has it."""
    props, identity = row.props, host_row(row)
    connection: Connection = str(props.get("runtime.connectionState", "notResponding"))  # type: ignore[assignment]
    booted, product = props.get("runtime.bootTime"), props.get("config.product")
    shown = mac if mac.lower() in identity.macs else (identity.macs[0] if identity.macs else "")
    return {"name": identity.name, "mac": shown, "cluster": cluster, "connection": connection,
            "uuid": identity.uuid, "boot_time": utc(booted) if booted else "",
            "build": str(product.build) if product is not None else "",
            "in_maintenance": bool(props.get("runtime.inMaintenanceMode"))}


def management_ip(props: Mapping[str, Any]) -> str:
    """Address of the adapter that carries management; of vmk0 where none says so."""
    found = ""
    for name, attributes in READERS["vmkernel"](props, frozenset()).items():
        services: Any = attributes["services"]
        if "management" in services:
            return str(attributes["ip"])
        found = str(attributes["ip"]) if name == "vmk0" else found
    return found
