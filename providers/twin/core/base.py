"""The base of every simulated managed object, and the registry of one door's objects.

    class HostDnsThing(ManagedObject):
        wire = "HostNetworkSystem"

        @prop("networkInfo")
        def network_info(self) -> Any:
            return data("HostNetworkInfo", ...)

        @method("AddVirtualSwitch", mutates=True, privilege="Host.Config.Network")
        def add_virtual_switch(self, vswitchName: str, spec: Any = None) -> None:
            raise vim.fault.AlreadyExists(name=vswitchName)

Method parameters have the API's own names; absent optional ones arrive as None (lists: empty typed arrays). Arguments
are copies: a handler may keep them. Properties return pyVmomi values, built fresh or never changed afterwards, or
simulated objects (and lists of them), which become references. A method or property of the type that has no handler
raises `NotSupported` naming it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pyVmomi import vmodl

from providers.twin.core.context import current
from providers.twin.core.meta import vim_type
from providers.twin.core.recorder import MutatingCall

if TYPE_CHECKING:
    from planner.ports import Clock
    from providers.twin.core.faults import FaultRules
    from providers.twin.core.sessions import SessionTable
    from providers.twin.core.tasks import TaskTable

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Handler:
    """How one method is simulated. `privilege` overrides or completes the metadata's."""

    wire: str
    function: str  # attribute name on the class, so that subclasses may override
    mutates: bool = False
    task: bool = False
    privilege: str = ""
    cancelable: bool = False


def prop(*paths: str) -> Callable[[F], F]:
    """The decorated method gives the property at each of these paths ("networkInfo", "config.network.vswitch").

    The longest registered prefix of an asked path wins, so a narrow path need not build its parents.
    """

    def mark(function: F) -> F:
        function.__twin_props__ = (*getattr(function, "__twin_props__", ()), *paths)  # type: ignore[attr-defined]
        return function

    return mark


def item(path: str) -> Callable[[F], F]:
    """The decorated method gives one item of the array at this path by its key, None where it has none.

    For keyed paths (`config.option["Mem.MemZipEnable"]`), so that one item need not build the whole array. The array
    itself has a `prop` of its own.
    """

    def mark(function: F) -> F:
        function.__twin_items__ = (*getattr(function, "__twin_items__", ()), path)  # type: ignore[attr-defined]
        return function

    return mark


def method(wire: str, *, mutates: bool = False, task: bool = False, privilege: str = "",
           cancelable: bool = False) -> Callable[[F], F]:
    """The decorated method simulates the API method of this wire name ("AddHost_Task").

    `mutates`: recorded and committed when it returns. `task`: runs as a Task; what it returns is the task's result, a
    fault it raises is the task's error. `privilege`: asked for where the metadata names none.
    """

    def mark(function: F) -> F:
        function.__twin_method__ = Handler(  # type: ignore[attr-defined]
            wire, function.__name__, mutates, task, privilege, cancelable)
        return function

    return mark


class ManagedObject:
    """One simulated managed object. Subclasses set `wire`, the API's type name, and decorate their handlers."""

    wire: ClassVar[str] = ""
    props: ClassVar[dict[str, str]] = {}  # property path → attribute name of its function
    items: ClassVar[dict[str, str]] = {}  # path of an array → attribute name of what gives one item by its key
    handlers: ClassVar[dict[str, Handler]] = {}  # wire method name → handler

    def __init__(self, world: World, moid: str) -> None:
        self.world = world
        self.moid = moid

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.props, cls.items, cls.handlers = {}, {}, {}
        for base in reversed(cls.__mro__):  # mixins included
            for name, value in vars(base).items():
                for path in getattr(value, "__twin_props__", ()):
                    cls.props[path] = name
                for path in getattr(value, "__twin_items__", ()):
                    cls.items[path] = name
                handler = getattr(value, "__twin_method__", None)
                if handler is not None:
                    cls.handlers[handler.wire] = handler

    @property
    def name(self) -> str:
        """Inventory name; "" for objects that have none (managers)."""
        return ""

    @property
    def parent(self) -> ManagedObject | None:
        """The containing entity."""
        return None

    def children(self) -> Iterable[ManagedObject]:
        """What a container view, FindChild and inventory paths find right below this object."""
        return ()

    def contents(self) -> Iterable[ManagedObject]:
        """What a recursive view of this very object has beside what is below it: the machines of a cluster or host."""
        return ()

    @property
    def entity(self) -> ManagedObject:
        """The inventory entity that this object is or belongs to (a host's managers: the host)."""
        return self

    @property
    def host_name(self) -> str:
        """Name of the host that calls on this object change; "" where none."""
        entity = self.entity
        return entity.name if entity.wire == "HostSystem" else ""

    def ref(self) -> Any:
        """The managed object reference, bound to the caller's stub. Make it anew for each answer; never keep it."""
        return vim_type(self.wire)(self.moid, current().stub)

    def __repr__(self) -> str:
        return f"<{self.wire} {self.moid} {self.name}>" if self.name else f"<{self.wire} {self.moid}>"


class World:
    """The objects behind one door (vCenter's, or one host's own SDK), and what all doors of a house share.

    `lock` (one RLock per house), `clock`, `faults` and `calls` are shared between doors by passing them on. `on_commit`
    is called under the lock after a successful mutating call, before its reply leaves: there the house persists.
    `on_host_stops(host_name)` is called by the fault rule "host stops responding".
    """

    def __init__(self, *, door: str = "vcenter", clock: Clock | None = None, lock: threading.RLock | None = None,
                 faults: FaultRules | None = None, calls: list[MutatingCall] | None = None,
                 on_commit: Callable[[], None] | None = None,
                 on_host_stops: Callable[[str], None] | None = None) -> None:
        from providers.twin.core.clock import WallClock
        from providers.twin.core.faults import FaultRules
        from providers.twin.core.sessions import SessionTable
        from providers.twin.core.tasks import TaskTable

        self.door = door
        self.clock: Clock = clock or WallClock()
        self.lock = lock or threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.faults: FaultRules = faults if faults is not None else FaultRules()
        self.calls: list[MutatingCall] = calls if calls is not None else []
        self.sessions: SessionTable = SessionTable(self)
        self.tasks: TaskTable = TaskTable(self)
        self.version = 0  # rises with every change; property filters look at it
        self.templates: Any = None  # of hosts that are alike (see soap.templates); None: each is made on its own
        self._on_commit = on_commit
        self._on_host_stops = on_host_stops
        self._objects: dict[str, ManagedObject] = {}
        self._serials: dict[str, int] = {}

    # --- registry -----------------------------------------------------------------------------------------

    def add(self, *objects: ManagedObject) -> None:
        """Register objects under their moid. Raises ValueError for a moid that is taken."""
        for each in objects:
            if self._objects.setdefault(each.moid, each) is not each:
                raise ValueError(f"managed object id {each.moid} is already taken by {self._objects[each.moid]!r}")

    def discard(self, *objects: ManagedObject) -> None:
        """Forget objects; those that are not registered are left alone."""
        for each in objects:
            self._objects.pop(each.moid, None)

    def objects(self) -> Iterable[ManagedObject]:
        """All registered objects, in order of registration."""
        return list(self._objects.values())

    def lookup(self, wire: str, moid: str) -> ManagedObject:
        """The object with this id, if it is of that type (or a subtype). Raises vmodl.fault.ManagedObjectNotFound.

        A house that makes objects on demand overrides `find`, not this.
        """
        found = self.find(moid)
        if found is not None and (found.wire == wire or issubclass(vim_type(found.wire), vim_type(wire))):
            return found
        ref = vim_type(wire)(moid, current().stub)
        raise vmodl.fault.ManagedObjectNotFound(
            obj=ref, msg=f"The object '{wire}:{moid}' has already been deleted or has not been completely created")

    def find(self, moid: str) -> ManagedObject | None:
        """The object with this id, a session's own objects (views, collectors) included; None where there is none."""
        session = current().session
        if session is not None:
            own = session.objects.get(moid)
            if own is not None:
                return own
        return self._objects.get(moid)

    def resolve(self, ref: Any) -> Any:
        """The simulated object behind a reference; None for None. Raises vmodl.fault.ManagedObjectNotFound."""
        return None if ref is None else self.lookup(type(ref)._wsdlName, ref._moId)

    def next_id(self, prefix: str) -> str:
        """A fresh managed object id: `host-1`, `host-2` … A house that persists ids restores `serials`."""
        while True:
            self._serials[prefix] = number = self._serials.get(prefix, 0) + 1
            if f"{prefix}-{number}" not in self._objects:
                return f"{prefix}-{number}"

    @property
    def serials(self) -> dict[str, int]:
        """The last number given out per id prefix; assign to `serials.update(…)` after loading."""
        return self._serials

    # --- changes ------------------------------------------------------------------------------------------

    def touch(self) -> None:
        """Something readable changed (outside of a mutating call, too): wake up who waits for updates."""
        with self.lock:
            self.version += 1
            self.changed.notify_all()

    def commit(self) -> None:
        """After a successful mutating call, under the lock, before the reply leaves."""
        if self._on_commit is not None:
            self._on_commit()
        self.touch()

    def host_stops(self, host: str) -> None:
        """A fault rule says that this host stops responding now. Raises RuntimeError where the house cannot do that."""
        if self._on_host_stops is None:
            raise RuntimeError("a fault rule stops a host, but this house gave World no on_host_stops")
        self._on_host_stops(host)
