"""What a set of resource types is, and the checks that it passes at start-up.

A resource type is one literal: schema, read, operations, inverses, windows, order. The list itself lives with
the providers (`providers/vsphere/types/__init__.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from planner.model import Address, Attrs, Change, Diagnostic, Evacuation, LiveHost, Mate, Roll, Step, StepKind
from planner.schema import Field

if TYPE_CHECKING:
    from planner.ports import Call

Does = Literal["create", "delete", "update", "add_item", "remove_item", "act"]

Run: TypeAlias = "Callable[[Any, Call], Attrs | None]"
"""`run(session, call)` makes exactly one mutating call and returns computed facts, if any.

Raises StepFailed. `session` is the provider's own session object.
"""
Observe: TypeAlias = "Callable[[Any, Call], Attrs | None]"
"""`observe(session, call)` reads what the step changes: its attributes, or None where the object is absent."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of step. `call` is the API method that a reviewer reads, and that the twin's dispatcher records.

    does: `create`/`delete` an object, `update` the named `attributes` in one call, `add_item`/`remove_item`
    of the one list attribute named (a step per item), or `act` (only a program places it).
    `disruptive`: what a step may cut, as text or by (before, after); for what hangs on a host it is asked only where
    the object carries that host's management traffic, unless it `cuts` storage or access.
    `opens`, `closes`: acts on the host, once each: before the first step that names them, after the last one. What has
    to come last both ways (a rescan) is the inverse of what opens, and closes.
    `whole`: a step carries all that is declared of its attributes, not only what differs (a password goes along).
    `to` restricts an `update` to certain after-values: `{"running": True}` picks StartService. `given` restricts it to
    certain before-values, where one call makes a thing and another one changes it.
    `early`: predicate (before, after) → the step belongs with the removals (an MTU that shrinks).
    """

    name: str
    call: str
    does: Does
    doc: str
    run: Run
    attributes: tuple[str, ...] = ()
    inverse: str = ""  # name of the operation that undoes it; "" only with `irreversible`
    irreversible: str | Callable[[Attrs | None, Attrs | None], str] = ""  # as text, or by (before, after)
    loses: str = ""  # what undoing it does not bring back, although the object comes back
    window: str = ""  # "maintenance", or ""
    disruptive: str | Callable[[Attrs | None, Attrs | None], str] = ""
    to: Attrs = field(default_factory=dict)
    given: Attrs = field(default_factory=dict)
    early: Callable[[Attrs, Attrs], bool] | None = None
    # Attribute that an update sets → others that change along (uplinks → the failover order): a step takes what they
    # were before along, whole, so that undoing it puts them back, and sets those of them that are declared.
    carries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kind: StepKind = "call"
    provider: str = "vsphere"
    observe: Observe | None = None  # None: the session's own reading of the address
    timeout: float = 600.0  # seconds
    privileges: tuple[str, ...] = ()  # ids of what whoever calls it needs there ("Host.Config.Network")
    stopped: str = ""  # an attribute that must be False meanwhile: where it is True, it is switched off and on again
    # At a newborn's own door; takes it: from then on vCenter has it; restarts it: what it had goes with that boot.
    birth: Literal["", "door", "taken", "restart"] = ""
    settles: Attrs = field(default_factory=dict)  # facts that state has once it is done; None: a fact that ends with it
    cuts: Literal["management", "storage", "access"] = "management"
    opens: tuple[str, ...] = ()
    closes: tuple[str, ...] = ()
    whole: bool = False
    when: str = ""  # a guard (see GUARDS)
    again: bool = False  # live does not show whether it was made, and once more does no harm: in doubt it is repeated


@dataclass(frozen=True, slots=True)
class Draft:
    """A step before it has an id: what a program (see `ResourceType.program`) is made of."""

    operation: str
    before: Attrs | None
    after: Attrs | None
    when: str = ""
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """The steps around a host's children: `head`, then the children's steps, then `tail`.

    `reset`: the children start from the newborn baseline (their live attributes are void).
    `blocked`: why nothing can be planned for this host and its children now. `reborn`: vCenter knows the host, and
    it has booted since it was last configured. `roll`: its image is changed, while the others of its `groups`
    (clusters that do without it meanwhile) go on: at most one of a group is out at a time then.
    """

    head: tuple[Draft, ...] = ()
    tail: tuple[Draft, ...] = ()
    reset: bool = False
    window: bool = False  # head and tail already hold the maintenance window
    blocked: str = ""
    reborn: bool = False
    diagnostics: tuple[Diagnostic, ...] = ()
    roll: Roll | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgramInput:
    """What a program may look at. All values; programs are pure."""

    change: Change
    live: LiveHost | None
    facts: Attrs  # of the state resource; empty where not in state
    children_change: bool  # some child of this host will change
    image: str = ""  # digest of the declared image; "" where the host declares none
    power: str = "manual"  # "twin" | "manual"
    options: Mapping[str, Any] = field(default_factory=dict)
    birth: Attrs = field(default_factory=dict)  # of a boot that vCenter has not seen: it is up, and waits; else empty
    build: str = ""  # `build=` of the declared image; "" where it says none
    hold: str = ""  # why its image is not to be changed by this plan; "" where it may be
    out: tuple[Mate, ...] = ()  # hosts of its cluster that are out, and stay so whatever this plan does
    evacuation: Evacuation | None = None  # None: not read


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource type, declared once.

    `parent` is "host" for what hangs on a host, "" for roots. `setting`: always exists on its host (dns, a
    service): it is updated, never created or deleted, and is adopted. `order` is the row of `operations.md`.
    `read(props, wanted)` turns the property values of one host (path → value) into `{child name: attributes}`;
    `wanted` are the names declared or in state (settings are read for these only).
    """

    name: str
    doc: str
    fields: Mapping[str, Field]
    operations: tuple[Operation, ...]
    order: int
    parent: str = ""
    singleton: bool = False
    setting: bool = False
    shorthand: str = ""  # the field that a scalar body sets (option)
    label_doc: str = ""
    label: Callable[[str], str] | None = None  # what is wrong with a label, as a sentence; "" where nothing is
    siblings: Mapping[str, str] = field(default_factory=dict)  # field → sibling type that must exist on the host
    paths: tuple[str, ...] = ()  # HostSystem property paths that `read` needs
    read: Callable[[Mapping[str, Any], frozenset[str]], Mapping[str, Attrs]] | None = None
    # Of a root that is no entity of the inventory (a role, a tag): which of these live has, and its attributes. It gets
    # the provider's session, and for each address what to know it by: what is recorded of it, then what is declared.
    look: Callable[[Any, Mapping[Address, Sequence[Attrs]]], Mapping[Address, Attrs]] | None = None
    # What `read` needs and no property shows: (the host, names, its properties) → pseudo-path → value, by reading.
    # Asked only of hosts on which such an object is declared or recorded; a fault leaves these objects unread.
    ask: Callable[[Any, frozenset[str], Mapping[str, Any]], Mapping[str, Any]] | None = None
    # Of arrays among `paths`: the keys of the elements that reading these names needs, instead of the whole array.
    keys: Callable[[frozenset[str]], Mapping[str, frozenset[str]]] | None = None
    baseline: Mapping[str, Attrs] = field(default_factory=dict)  # objects of a newborn host, by name
    initial: Attrs = field(default_factory=dict)  # attributes right after `create` that create itself cannot set
    program: Callable[[ProgramInput], Program] | None = None
    drafts: Callable[[Change], Sequence[Draft]] | None = None  # the steps of an update that takes several calls
    manages: bool = False  # it is what management traffic runs over, whatever it is called (see `disruptive`)
    check: Callable[[Sequence[Change], Mapping[str, Attrs]], Iterable[Diagnostic]] | None = None
    # Rules on what the object's host stands in, and on what the object itself refers to, at plan: a change, and root
    # type → attributes that it will have.
    around: Callable[[Change, Mapping[str, Attrs]], Iterable[Diagnostic]] | None = None
    key: str = ""  # field whose values must be unique across the fleet (host: mac)
    unique: tuple[str, ...] = ()  # more such fields (host: name; vmkernel: ip)
    distinct: tuple[str, ...] = ()  # values, or items of lists, that one sibling only may have (vswitch: uplinks)
    pool: Mapping[str, str] = field(default_factory=dict)  # of `distinct`: what the items are, where other types take
    # them, too (a physical NIC is an uplink of one switch, of whichever kind)
    # A field with `replace` that does change in place where this says so of the two values.
    moves: Mapping[str, Callable[[Any, Any], bool]] = field(default_factory=dict)
    # Field that may name a root → (field of that root, sibling type that stands for that root's own root on this host):
    # an adapter on a distributed port group stands on the host's membership of that group's switch.
    over: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    known_by: str = ""  # field by which live objects get their labels, instead of by name (dvs: switch)
    within: Mapping[str, str] = field(default_factory=dict)  # number → type below it: at most the number there
    shared: tuple[str, ...] = ()  # objects of one name are one object across hosts: these must agree (nfs: server)
    shared_within: str = ""  # root type inside which they are one (nfs: datacenter); "": the whole fleet
    # References, and lists of them → attribute that what they name must have in common with this object.
    alike: Mapping[str, str] = field(default_factory=dict)
    # type → names that it manages (ntp: service ntpd); as a mapping: only where that attribute of its own is declared
    owns: Mapping[str, tuple[str, ...] | Mapping[str, str]] = field(default_factory=dict)
    # Facts of other objects of its host that it manages, by its own attributes and what is declared there, by (type,
    # name): type, name and attributes of each.
    claims: Callable[[Attrs, Mapping[tuple[str, str], Attrs]], Iterable[tuple[str, str, tuple[str, ...]]]] | None = None
    validate: Callable[[Attrs], Iterable[str]] | None = None  # rules across fields: a sentence for each breach
    facts: tuple[str, ...] = ()  # computed values kept in state
    tested: tuple[str, ...] = ("twin",)
    # What a declared object needs of its host: (name, its attributes, what the host will have by type and name; of
    # settings only what is declared) → what is wrong and what to do; None where nothing is.
    fits: Callable[[str, Attrs, Mapping[tuple[str, str], Attrs]], tuple[str, str] | None] | None = None
    along: tuple[str, ...] = ()  # settings of the same host that are read along, for `rules`
    # What objects of several types on one host have to say of each other: (what it has by (type, name) before any
    # step, all changes on it) → what is wrong.
    rules: Callable[[Mapping[tuple[str, str], Attrs], Sequence[Change]], Iterable[Diagnostic]] | None = None
    # Why a live object is dead (an export whose server is gone); "": it is not. One that nobody declares any more is
    # removed then, whoever made it.
    dead: Callable[[Attrs], str] | None = None

    def baseline_for(self, name: str) -> Attrs | None:
        """Attributes of the object of that name on a newborn host; None where a newborn has none.

        A setting always exists: the entry "*" stands for names that the baseline does not list.
        """
        found = self.baseline.get(name)
        return found if found is not None or not self.setting else self.baseline.get("*", {})


class CatalogError(Exception):
    """The catalogue contradicts itself. A programming error: refused at start-up."""


@dataclass(frozen=True)
class Catalog:
    """All resource types of all providers, checked."""

    types: Mapping[str, ResourceType]
    operations: Mapping[str, Operation]
    reserved: Mapping[str, str] = field(default_factory=dict)  # block or key of a later version → sentence

    @classmethod
    def of(cls, types: Iterable[ResourceType], acts: Iterable[Operation] = (),
           reserved: Mapping[str, str] | None = None) -> Catalog:
        """`acts` are operations of other providers on these types (boot, power). Raises CatalogError."""
        by_name: dict[str, ResourceType] = {}
        operations: dict[str, Operation] = {}
        for act in acts:
            operations[act.name] = act
        for rtype in types:
            if rtype.name in by_name:
                raise CatalogError(f"resource type {rtype.name} is declared twice")
            by_name[rtype.name] = rtype
            for operation in rtype.operations:
                if operation.name in operations:
                    raise CatalogError(f"operation {operation.name} is declared twice")
                operations[operation.name] = operation
        for operation in operations.values():
            _check_inverse(operation, operations)
            unknown = [n for n in (*operation.opens, *operation.closes) if n not in operations]
            if unknown:
                raise CatalogError(f"operation {operation.name} names {unknown}, which is not in the catalogue")
        for rtype in by_name.values():
            _check_type(rtype, by_name)
        return cls(by_name, operations, reserved or {})

    def children(self, parent: str = "host") -> list[ResourceType]:
        return [t for t in self.types.values() if t.parent == parent]

    def operation(self, step: Step) -> Operation:
        return self.operations[step.operation]


def _check_inverse(operation: Operation, operations: Mapping[str, Operation]) -> None:
    name = operation.name
    if operation.kind in ("wait", "verify"):
        return
    if not operation.inverse:
        if not operation.irreversible:
            raise CatalogError(f"operation {name} has neither an inverse nor a reason why it has none")
        return
    inverse = operations.get(operation.inverse)
    if inverse is None:
        raise CatalogError(f"operation {name}: its inverse {operation.inverse} is not in the catalogue")
    if inverse.window and inverse.window != operation.window:
        raise CatalogError(
            f"operation {name}: its inverse {inverse.name} needs the window {inverse.window!r}, which it lacks"
        )


def _check_type(rtype: ResourceType, types: Mapping[str, ResourceType]) -> None:
    if rtype.parent and rtype.parent not in types:
        raise CatalogError(f"resource type {rtype.name}: no parent type {rtype.parent}")
    known = set(rtype.fields)
    for operation in rtype.operations:
        missing = set(operation.attributes) - known
        if operation.stopped:
            missing |= {operation.stopped} - known
            if {False, True} - {o.to.get(operation.stopped) for o in rtype.operations}:
                raise CatalogError(f"operation {operation.name}: nothing switches {operation.stopped} off and on")
        if missing and operation.does != "act":
            raise CatalogError(f"operation {operation.name} covers undeclared attributes {sorted(missing)}")
    for name in rtype.siblings.values():
        if name not in types:
            raise CatalogError(f"resource type {rtype.name}: no sibling type {name}")
    if not rtype.setting and rtype.program is None:
        made = {o.does for o in rtype.operations}
        if not {"create", "delete"} <= made:
            raise CatalogError(f"resource type {rtype.name} cannot be created and deleted, and is no setting")


GUARDS: Mapping[str, str] = {
    "not-yet": "only if live does not have it by then",
    "not-connected": "only if vCenter does not have the host connected",
    "shown-connected": "only if vCenter still shows the host as connected although it was reborn",
    "moves": "only if the host does not have that address by its lease",
    "beside": "only if a second path was opened",
    "not-restarted": "only if an interrupted run goes on, and the host has not been born yet",
}
"""Guards that plan may write on a step and only apply can evaluate, with the words that a reviewer reads."""
