"""The open vSphere provider: reads live, makes the calls of steps, answers guards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from planner.catalog import Operation
from planner.model import (
    Address,
    Attrs,
    Diagnostic,
    Evacuation,
    Fleet,
    FleetError,
    Live,
    ReadFailed,
    StateResource,
    Step,
    StepFailed,
    Unknown,
)
from planner.ports import Call, Clock
from providers.vsphere import faults, privileges, tasks
from providers.vsphere.collector import Collector
from providers.vsphere.connect import Trust, certificate_at, looked_up, open_stub
from providers.vsphere.guards import shown_connected
from providers.vsphere.link import Link
from providers.vsphere.live import LiveReader, host_status
from providers.vsphere.management.path import guard as path_guard
from providers.vsphere.paths import LOOKS, STATUS, Paths
from providers.vsphere.resolve import Resolver
from providers.vsphere.turns import Turns
from providers.vsphere.types import TYPES

LOOK_SECONDS = 5.0
"""How long a newborn's own door may take to show its certificate."""


def api_call(operation: str) -> str:
    """The API method of an operation, for messages."""
    return next((o.call for t in TYPES for o in t.operations if o.name == operation), operation)


class VsphereSession:
    """A LiveSession (see planner.ports) over one SOAP session; safe to use from many threads.

    Also the `tools` of the operations in `types/` and `host/`. `house` is the twin's, None for a real vCenter.
    """

    def __init__(self, link: Link, clock: Clock, fleet: Fleet, *, house: Any = None, timeout: float = 60.0,
                 coexist: bool = False) -> None:
        self.house = house
        self.sent = link.sent
        self._link = link
        self._clock = clock
        self._timeout = timeout
        self._collector = Collector(link)
        self._resolver = Resolver(link, self._collector, fleet)
        self._reader = LiveReader(link, self._collector, self._resolver, coexist=coexist)
        self._restarted: set[Address] = set()
        self._turns = Turns()

    @property
    def instance(self) -> str:
        return str(self._link.content.about.instanceUuid or "")

    # --- reading ------------------------------------------------------------------------------------------

    def snapshot(self, fleet: Fleet, state: Mapping[Address, StateResource],
                 only: frozenset[Address] | None = None) -> Live:
        """Raises FleetError where vCenter cannot be read; ReadFailed where only some hosts were asked for."""
        try:
            return self._reader.snapshot(self, fleet, state, only)
        except FleetError:
            raise
        except Exception as problem:
            failed = faults.read_failed("vCenter", problem)
            if only is not None:
                raise failed from problem
            raise FleetError(f"{failed.summary}: {failed.detail}") from problem

    def observe(self, operation: Operation, call: Call) -> Attrs | None:
        with self._reading(str(call.address)):
            if operation.observe is not None:
                return operation.observe(self, call)
            return self._observe(call)

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as problem:
            raise faults.read_failed(what, problem) from problem

    def _observe(self, call: Call) -> Attrs | None:
        """One object, read narrowly. Not found is looked up once more: an object may have got a new MoRef."""
        from pyVmomi import vmodl

        if call.address.type in LOOKS:
            return self._resolver.look(self, [call.address], call).get(call.address)
        for last in (False, True):
            found = self._resolver.find(call.address, call)
            try:
                if call.address.type == "host":
                    return self._on_host(call, found)
                return self._container(call, found)
            except vmodl.fault.ManagedObjectNotFound:
                self._resolver.forget(call.address)
                if last:
                    raise
        return None

    def _on_host(self, call: Call, host: Any) -> Attrs | None:
        if not call.address.child_type:
            return self._status(call, host)
        if host is None:
            raise ReadFailed("vCenter does not know this host", str(call.address.root))
        return self._reader.child(host, call.address)

    def _container(self, call: Call, found: Any) -> Attrs | None:
        if found is None:
            return None
        inventory = self._resolver.containers(fresh=True)
        moid = str(found._moId)
        return inventory.attributes(moid) if moid in inventory.containers else None

    def live_host(self, call: Call) -> Attrs | None:
        """A host's attributes and status as vCenter shows it; None where vCenter does not know it."""
        from pyVmomi import vmodl

        for _ in range(2):
            host = self._resolver.find(call.address.root, call)
            try:
                return self._status(call, host)
            except vmodl.fault.ManagedObjectNotFound:
                self._resolver.forget(call.address)
        return None

    def _status(self, call: Call, host: Any) -> Attrs | None:
        if host is None:
            return None
        rows = self._reader.rows(Paths(STATUS[:-1]), [host])
        if not rows:
            return None
        parent = rows[0].props.get("parent")
        moid = str(parent._moId) if parent is not None else ""
        inventory = self._resolver.containers(fresh=False)
        if moid not in inventory.containers:
            inventory = self._resolver.containers(fresh=True)
        mac = str((call.after or {}).get("mac") or call.declared.get("mac") or "")
        return {"id": rows[0].moid, **host_status(rows[0], mac, inventory.reference(moid))}

    def evacuations(self, roots: Iterable[Address]) -> dict[Address, Evacuation]:
        """What maintenance mode means now for the running VMs of these hosts. Raises FleetError."""
        from providers.vsphere.evacuation import evacuations

        try:
            hosts = {a: h for a in roots if (h := self._resolver.find(a)) is not None}
            return evacuations(self._collector, hosts)
        except FleetError:
            raise
        except Exception as problem:
            failed = faults.read_failed("virtual machines", problem)
            raise FleetError(Diagnostic("error", failed.summary, failed.detail, remedy=failed.remedy)) from problem

    # --- running ------------------------------------------------------------------------------------------

    def power(self, declared: Attrs) -> str:
        """"twin" for a machine of the twin, "manual" for any other (and for one that the seed powers outside)."""
        mac = str(declared.get("mac") or "")
        if self.house is None or not mac:
            return "manual"
        return "manual" if self.house.machine(mac).external else "twin"

    def prepare(self, steps: Sequence[Step]) -> None:
        """Raises FleetError naming every privilege that the planned operations need and this user lacks."""
        wanted = privileges.needed(steps, self._resolver.labels.value)
        if not wanted:
            return
        try:
            self._resolver.containers(fresh=False)
            entities = {a: self._nearest(a) for a in wanted}
            privileges.check(self._link.content, entities, wanted)
        except FleetError:
            raise
        except Exception as problem:
            failed = faults.read_failed("privileges", problem)
            raise FleetError(f"{failed.summary}: {failed.detail}") from problem

    def _nearest(self, address: Address) -> Any:
        """The object that privileges are checked on: the root itself, what it will be in, or the root folder."""
        known = self._resolver.known(address)
        if known:
            return self._resolver.obj(address, known)
        for want in self._resolver.wants([address]):
            for attributes in want.attributes:
                for name in ("cluster", "folder", "parent", "switch", "datacenter"):
                    text = attributes.get(name)
                    if isinstance(text, str) and text and not text.startswith("path:"):
                        return self._nearest(Address.parse(text))
        return self.root_folder()

    def run(self, operation: Operation, call: Call) -> Attrs:
        with self.sent.watched() as target:
            try:
                found = dict(operation.run(self, call) or {})
                self._resolver.heard(call)
                return found
            except Exception as problem:
                failed = faults.translate(operation.call, problem, sent=target() is not None)
                if failed.in_doubt and failed is not problem and operation.call.endswith("_Task"):
                    self._settle(target(), call)
                if failed is problem:
                    raise
                raise failed from problem

    def _settle(self, entity: Any, call: Call) -> None:
        """At a host's own door the log-in is gone with the connection; its tasks are short."""
        if entity._stub is self._link.stub:
            tasks.settle(self._collector, self._link.content.taskManager, self._clock, entity, call)

    def guard(self, name: str, call: Call) -> bool:
        with self._reading(f"guard {name}"):
            if name == "not-yet":
                found = self._observe(call) or {}
                return any(found.get(k) != v for k, v in (call.after or {}).items() if not isinstance(v, Unknown))
            if name in ("moves", "beside"):
                return path_guard(self, name, call)
            status = self.live_host(call)
            if status is None:
                raise ReadFailed("vCenter does not know this host", str(call.address.root))
            if name == "not-connected":
                return bool(status["connection"] != "connected")
            if name == "shown-connected":
                return shown_connected(status, call.facts)
            raise StepFailed("this guard is not one of vSphere's", name)

    def close(self) -> None:
        self._link.close()
        if self.house is not None:
            self.house.close()

    # --- tools of the operations ---------------------------------------------------------------------------

    def now(self) -> float:
        return self._clock.now()

    def root_folder(self) -> Any:
        return self._link.content.rootFolder

    def service(self, name: str) -> Any:
        return self._resolver.service(name)

    def said(self, address: Address) -> tuple[Attrs, ...]:
        return self._resolver.said(address)

    def references(self, hosts: Iterable[Any]) -> dict[str, str]:
        return self._resolver.references(hosts)

    def looked(self, address: Address) -> Attrs | None:
        return self._resolver.look(self, [address]).get(address)

    def host(self, call: Call) -> Any:
        return self._resolver.entity(call.address.root, call)

    def manager(self, call: Call, name: str) -> Any:
        return self._resolver.manager(self.host(call), name)

    def entity(self, address: Any, call: Call) -> Any:
        return self._resolver.entity(address, call)

    def find(self, address: Any, call: Call | None) -> Any:
        return self._resolver.find(address, call)

    def keep(self, address: Address, obj: Any) -> None:
        self._resolver.keep(address, str(obj._moId), type(obj))

    def known(self, call: Call, field: str) -> str:
        return self._resolver.labels.value(call.address)

    def turn(self, obj: Any, call: Call) -> AbstractContextManager[None]:
        return self._turns.of(str(obj._moId), self._clock, call)

    def forget(self, address: Address) -> None:
        self._resolver.forget(address)

    def restarting(self, root: Address) -> None:
        self._restarted.add(root)

    def restarted(self, root: Address) -> bool:
        """Whether this session has restarted that host: it is on its way."""
        return root in self._restarted

    def read(self, obj: Any, *paths: str) -> Mapping[str, Any]:
        return self._collector.one(obj, *paths)

    def read_all(self, objects: Iterable[Any], *paths: str) -> list[tuple[Any, Mapping[str, Any]]]:
        return [(row.obj, row.props) for row in self._collector.many(objects, *paths)]

    def wait(self, task: Any, call: Call) -> Any:
        return tasks.wait(self._collector, self._clock, task, call, api_call(call.operation))

    # --- hosts' own doors ------------------------------------------------------------------------------------

    def door_stub(self, address: str, trust: Trust) -> Any:
        """A stub of a host's own SDK; the twin's hosts have theirs in the house, certificate included."""
        from providers.vsphere.twin import door_stub

        if self.house is not None:
            return door_stub(self.house, address, trust)
        return open_stub(address, trust, self._timeout)

    def answers(self, birth: Attrs) -> bool:
        """Whether a host still answers at the address of that birth, and shows the certificate that it brought."""
        from providers.vsphere.twin import shown_certificate

        address, trust = str(birth.get("ip") or ""), Trust(certificate=str(birth.get("certificate") or ""))
        try:
            shown = shown_certificate(self.house, address) if self.house is not None else \
                certificate_at(address, LOOK_SECONDS)
        except OSError:
            return False
        return bool(trust.pins) and trust.accepts(shown)

    def leads(self, name: str, wanted: str) -> frozenset[str]:
        """The IPv4 addresses that a host name leads to, as far as this machine knows. `wanted`: it should, by now."""
        from providers.vsphere.twin import name_leads

        return name_leads(self.house, name, wanted) if self.house is not None else looked_up(name)

    def pause(self, seconds: float, call: Call) -> None:
        """Wait a moment. Raises StepFailed where the run is to stop."""
        if call.stop.is_set():
            raise StepFailed("stopped while waiting", str(call.address), "`fleet resume` goes on")
        self._clock.sleep(seconds)

    def wait_on(self, link: Link, task: Any, call: Call) -> Any:
        return tasks.wait(Collector(link), self._clock, task, call, api_call(call.operation))
