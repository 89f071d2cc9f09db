"""Desired, state and live → changes: pure, one `Change` per address that something happens to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from planner.catalog import Catalog, Program, ProgramInput, ResourceType
from planner.checks import Checks
from planner.compare import (
    as_recorded,
    below,
    carriers,
    changed_attributes,
    in_order,
    observed,
)
from planner.handover import Standing
from planner.members import listed_again
from planner.model import (
    Action,
    Address,
    Attrs,
    Change,
    Diagnostic,
    Live,
    LiveHost,
    Mate,
    Resource,
    StateResource,
    Unknown,
    contains_unknown,
)
from planner.snapshot import restrict


def manual(_declared: Attrs) -> str:
    """Power of a machine that nobody but a person can start."""
    return "manual"


@dataclass(frozen=True, slots=True)
class DiffInputs:
    """`desired` and `recorded` are already narrowed to what was asked for; moves are already applied."""

    catalog: Catalog
    desired: Mapping[Address, Resource]
    recorded: Mapping[Address, StateResource]
    live: Live
    image_digests: Mapping[str, str] = field(default_factory=dict)
    power: Callable[[Attrs], str] = manual
    replaces: frozenset[Address] = frozenset()
    keep: frozenset[Address] = frozenset()  # `removed` with destroy: false
    options: Mapping[str, Any] = field(default_factory=dict)
    leaving: str = "no longer declared"  # why what is not desired leaves
    births: Mapping[Address, Attrs] = field(default_factory=dict)  # see ProgramInput.birth
    builds: Mapping[str, str] = field(default_factory=dict)  # image name → its `build=`
    held: Mapping[Address, str] = field(default_factory=dict)  # see ProgramInput.hold


@dataclass(frozen=True, slots=True)
class DiffResult:
    changes: Mapping[Address, Change]
    programs: Mapping[Address, Program]
    diagnostics: tuple[Diagnostic, ...] = ()
    management: frozenset[Address] = frozenset()  # changed objects that carry a host's management traffic
    standing: Mapping[Address, Standing] = field(default_factory=dict)  # of changed objects on hosts


def compute(inputs: DiffInputs) -> DiffResult:
    """All changes, by address: roots before what hangs on them. Raises nothing: problems are diagnostics."""
    return _Differ(inputs).run()


class _Differ(Checks):
    def __init__(self, inputs: DiffInputs) -> None:
        self.inputs = inputs
        self.catalog = inputs.catalog
        self.changes: dict[Address, Change] = {}
        self.programs: dict[Address, Program] = {}
        self.diagnostics: list[Diagnostic] = []
        self.hanging: dict[Address, dict[Address, None]] = {}  # what is declared or recorded on each root
        self.live_under: dict[Address, list[Address]] = {}
        self.management: set[Address] = set()
        self.standing: dict[Address, Standing] = {}

    def run(self) -> DiffResult:
        for address in [*self.inputs.desired, *self.inputs.recorded]:
            under = self.hanging.setdefault(address.root, {})
            if address.child_type:
                under[address] = None
        for address in self.inputs.live.objects:
            if address.child_type:
                self.live_under.setdefault(address.root, []).append(address)
        for root in self.hanging:
            if root in self.inputs.live.hidden:
                self._unread(root, self.inputs.live.hidden[root])
            elif self.catalog.types[root.type].program is None:
                self._put(self._object(root))
            else:
                self._host(root, tuple(self.hanging[root]))
        self.changes.update(listed_again(self.catalog, self.inputs.desired, self.inputs.live, self.changes))
        self._check_roots()
        return DiffResult(self.changes, self.programs, tuple(self.diagnostics), frozenset(self.management),
                          self.standing)

    # --- hosts ----------------------------------------------------------------------------------------------

    def _host(self, root: Address, hanging: tuple[Address, ...]) -> None:
        if root not in self.inputs.desired and root not in self.inputs.recorded:
            return  # what nobody manages is never touched, whatever hangs on it
        change = self._object(root)
        if change is None:
            resource = self.inputs.desired.get(root)
            live = self.inputs.live.objects.get(root)
            attributes = resource.attributes if resource else {}
            change = Change(root, Action.NOOP, live.attributes if live else None,
                            in_order(self.catalog.types[root.type], attributes))
        program = self._program(change, children_change=False)
        self.diagnostics.extend(program.diagnostics)
        if program.blocked:
            self._block(root, change, program)
            return
        if change.action is Action.DELETE or (change.action is Action.FORGET):
            self._put(change)
            self._forget_children(root, hanging, leaving=True)
            self.programs[root] = program
            return
        extra = self._exclusive(root, program)
        children = list(dict.fromkeys((*hanging, *extra)))
        for address in children:
            self._put(self._child(address, program, goes=address in extra))
        self._cascade(root, children)
        made = [self.changes[a] for a in children if a in self.changes]
        changed = any(c.action not in (Action.NOOP, Action.FORGET) for c in made)
        self.programs[root] = self._program(change, children_change=changed) if changed else program
        roll = self.programs[root].roll
        if roll is not None:
            self._mark_lost(root)
            change = replace(change, action=Action.UPDATE, reason=f"boots image {roll.image}")
        restored = self.programs[root].reborn or roll is not None
        if change.action is not Action.NOOP or change.adopted or change.reason or self.programs[root].head:
            self.changes[root] = replace(change, reborn=restored)
        if restored:
            self._mark_restored(children)
        self._check_children(root, program, made)
        if changed:
            carrying = self._carrying(root, program, made)
            self.management |= {c.address for c in made if (c.address.rtype, c.address.name) in carrying
                                or self.catalog.types[c.address.rtype].manages}

    def _mark_restored(self, children: Iterable[Address]) -> None:
        """What gets back exactly what was last applied: a review folds it into one line."""
        for address in children:
            change, recorded = self.changes.get(address), self.inputs.recorded.get(address)
            if change is not None and recorded is not None and change.action in (Action.CREATE, Action.UPDATE) and all(
                    recorded.attributes.get(k) == v for k, v in self.inputs.desired[address].attributes.items()):
                self.changes[address] = replace(change, reborn=True)

    def _mark_lost(self, root: Address) -> None:
        """What nobody declared on a stateless host is gone with its reboot."""
        lost = [a for a in self.live_under.get(root, ()) if a not in self.inputs.desired
                and a not in self.inputs.recorded and self.catalog.types[a.rtype].baseline_for(a.name) is None]
        if lost:
            names = [f"{a.rtype} {a.name}" for a in lost]
            self.diagnostics.append(Diagnostic(
                "warning", "what nobody declared on this host is lost when it reboots",
                ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else ""), address=root,
                remedy="declare what has to stay"))

    def _program(self, change: Change, *, children_change: bool) -> Program:
        rtype = self.catalog.types[change.address.type]
        assert rtype.program is not None  # noqa: S101 - narrowed by the caller
        recorded = self.inputs.recorded.get(change.address)
        resource = self.inputs.desired.get(change.address)
        image = str((resource.attributes.get("image") if resource else "") or "")
        live = self.inputs.live.hosts.get(change.address)
        return rtype.program(ProgramInput(
            change, live, recorded.facts if recorded else {}, children_change,
            self.inputs.image_digests.get(image, ""), self.inputs.power(change.after or {}), self.inputs.options,
            self.inputs.births.get(change.address, {}), self.inputs.builds.get(image, ""), self._held(change.address),
            self._out(live), self.inputs.live.evacuations.get(change.address),
        ))

    def _held(self, root: Address) -> str:
        resource = self.inputs.desired.get(root)
        if resource is not None and "image" in resource.lifecycle.ignore_changes:
            return "its lifecycle ignores changes of the image"
        return self.inputs.held.get(root, "")

    def _out(self, live: LiveHost | None) -> tuple[Mate, ...]:
        """Of the hosts of its cluster that are out: those that this plan does not bring back."""
        if live is None or not live.mates:
            return ()
        coming = {str(a) for a in self.inputs.desired if not a.child_type}
        leaving = {str(a) for a, r in self.inputs.recorded.items() if not a.child_type and str(a) not in coming
                   and r.origin == "created" and a not in self.inputs.keep}
        return tuple(m for m in live.mates if not (
            (m.why == "notResponding" and m.address in coming)
            or (m.why != "disconnected" and m.address in leaving)))

    def _block(self, root: Address, change: Change, program: Program) -> None:
        why = program.blocked
        self.programs[root] = Program(blocked=why)
        self.changes[root] = replace(change, action=Action.NOOP, adopted=False, reason=f"blocked: {why}")
        if not any(d.severity == "error" for d in program.diagnostics):  # which say it already
            self.diagnostics.append(Diagnostic("warning", "nothing is planned for this host", why, address=root))

    def _forget_children(self, root: Address, hanging: Iterable[Address], *, leaving: bool) -> None:
        for address in hanging:
            recorded = self.inputs.recorded.get(address)
            if recorded is not None and (leaving or address not in self.inputs.desired):
                self.changes[address] = Change(address, Action.FORGET, recorded.attributes, None,
                                               reason="leaves with its host")

    def _unread(self, root: Address, why: str) -> None:
        unread = Diagnostic("error", "live could not be read", why, address=root, remedy=(
            f"see what vCenter says of it, or plan without it: --exclude '{root}'"))
        if self.diagnostics[-1:] != [unread]:  # once for the host, not for each object on it
            self.diagnostics.append(unread)

    def _child(self, address: Address, program: Program, *, goes: bool = False) -> Change | None:
        """`goes`: a newborn has it, and its host is exclusive."""
        if not program.reset:
            if why := self.inputs.live.unknown(address):
                self._unread(address.root, why)
                return None
            return self._object(address)
        rtype = self.catalog.types[address.rtype]
        resource = self.inputs.desired.get(address)
        recorded = self.inputs.recorded.get(address)
        baseline = rtype.baseline_for(address.name)
        if resource is None:
            if goes and baseline is not None:
                return Change(address, Action.DELETE, observed(rtype, baseline), None,
                              reason="undeclared on an exclusive host", assumed=True)
            if recorded is None:
                return None
            return Change(address, Action.FORGET, recorded.attributes, None, reason="a newborn host does not have it")
        if baseline is None:
            return self._create(rtype, resource, "restored as declared" if recorded else "")
        if rtype.setting:
            baseline = {**{k: Unknown("read after birth") for k in resource.attributes}, **baseline}
        change = self._existing(rtype, resource, baseline, recorded)
        return replace(change, assumed=True) if change else None

    def _exclusive(self, root: Address, program: Program) -> list[Address]:
        """Undeclared objects on a host that says `exclusive: true`; what carries management is never among them."""
        resource = self.inputs.desired.get(root)
        if resource is None or not resource.exclusive:
            return []
        if program.reset:
            newborn = self._before(root, program)
            kept = carriers(self.catalog, newborn, self._root)
            return [root.under(*key) for key in newborn if key not in kept and not self.catalog.types[key[0]].setting
                    and root.under(*key) not in self.inputs.desired]
        live = {a: self.inputs.live.objects[a].attributes for a in self.live_under.get(root, ())}
        kept = carriers(self.catalog, {(a.rtype, a.name): v for a, v in live.items()}, self._root)
        undeclared = (a for a in self.inputs.live.unmanaged if isinstance(a, Address) and a.root == root)
        return [a for a in undeclared if a in live and (a.rtype, a.name) not in kept]

    # --- one object -----------------------------------------------------------------------------------------

    def _put(self, change: Change | None) -> None:
        if change is not None:
            self.changes[change.address] = change

    def _object(self, address: Address) -> Change | None:
        rtype = self.catalog.types[address.rtype]
        resource = self.inputs.desired.get(address)
        recorded = self.inputs.recorded.get(address)
        live = self.inputs.live.objects.get(address)
        found = as_recorded(live.attributes, recorded.attributes if recorded else None) if live else None
        if resource is None:
            return self._leaving(address, rtype, recorded, found)
        if found is None:
            if rtype.setting:
                self.diagnostics.append(Diagnostic(
                    "error", f"this host has no such {rtype.name}", f"{address.name!r} does not exist there",
                    resource.mark, address, "check the name, or remove the declaration"))
                return None
            return self._create(rtype, resource, "was deleted outside of fleet" if recorded else "")
        return self._existing(rtype, resource, found, recorded)

    def _leaving(self, address: Address, rtype: ResourceType, recorded: StateResource | None,
                 found: Attrs | None) -> Change | None:
        if recorded is None:
            if found is None:
                return None
            dead = rtype.dead(found) if rtype.dead is not None else ""
            return Change(address, Action.DELETE, found if dead else observed(rtype, found), None,
                          reason=f"undeclared on an exclusive host{dead and ', and '}{dead}")
        if found is None and address not in self.inputs.live.hosts:
            return Change(address, Action.FORGET, recorded.attributes, None, reason="already gone")
        kept = address in self.inputs.keep or address.root in self.inputs.keep
        dead = rtype.dead(found) if rtype.dead is not None and found is not None and not kept else ""
        if dead:
            return Change(address, Action.DELETE, found, None, reason=f"{self.inputs.leaving}, and {dead}")
        if recorded.origin == "adopted" or rtype.setting or kept:
            why = "was adopted: stays as it is" if recorded.origin == "adopted" else "stays as it is"
            return Change(address, Action.FORGET, recorded.attributes, None, reason=why)
        unseen = {k: v for k, v in recorded.attributes.items() if k in rtype.fields and not rtype.fields[k].observed
                  and rtype.program is None}  # what making it again needs, and only state can tell
        return Change(address, Action.DELETE, observed(rtype, {**unseen, **found} if found is not None else
                                                       recorded.attributes), None, reason=self.inputs.leaving)

    def _create(self, rtype: ResourceType, resource: Resource, reason: str) -> Change:
        after = dict(resource.attributes)
        for name, declared in rtype.fields.items():
            if name not in after and declared.default is not None:
                after[name] = declared.default
        after = in_order(rtype, after)
        unknown = tuple(k for k, v in after.items() if contains_unknown(v))
        unknown += tuple(k for k, f in rtype.fields.items() if f.computed)
        return Change(resource.address, Action.CREATE, None, after, unknown, reason)

    def _existing(self, rtype: ResourceType, resource: Resource, found: Attrs,
                  recorded: StateResource | None) -> Change | None:
        address = resource.address
        wanted = resource.attributes
        adopted = recorded is None
        forced = address in self.inputs.replaces
        if not forced and recorded is not None and recorded.attributes == wanted and \
                all(k in found and found[k] == v for k, v in wanted.items()):
            return None
        wanted = in_order(rtype, wanted)
        changed = changed_attributes(rtype, wanted, found, resource.lifecycle.ignore_changes,
                                     recorded.attributes if recorded else None)
        before = {k: restrict(wanted[k], found[k]) for k in wanted if k in found}
        unseen = {k: v for k, v in (recorded.attributes if recorded else {}).items()
                  if k in wanted and k not in found and not rtype.fields[k].observed}  # what only state can tell
        before |= unseen
        after = {k: v for k, v in wanted.items() if k not in resource.lifecycle.ignore_changes or k not in found}
        unknown = tuple(k for k, v in wanted.items() if contains_unknown(v))
        fixed = [k for k in changed if rtype.fields[k].replace and not (
            k in rtype.moves and rtype.moves[k](found.get(k), wanted[k]))]
        if forced or fixed:
            created = self._create(rtype, resource, "")
            why = "asked for by --replace" if forced else f"{', '.join(fixed)} cannot be changed in place"
            return replace(created, action=Action.REPLACE, before={**unseen, **observed(rtype, found)}, reason=why)
        if changed:
            along = {k for o in rtype.operations for name, more in o.carries.items() if name in changed for k in more}
            told = recorded.attributes if recorded else {}
            before |= {k: told[k] for k in along if k in told and not rtype.fields[k].observed}
            before |= {k: found[k] for k in along if k in found}
            return Change(address, Action.UPDATE, before, after, unknown, adopted=adopted)
        if adopted:
            return Change(address, Action.NOOP, before, after, reason="exists already: adopted", adopted=True)
        new = [k for k, v in after.items() if recorded is not None and recorded.attributes.get(k) != v]
        if new:
            blind = all(not rtype.fields[k].observed for k in new)
            return Change(address, Action.NOOP, before, after,
                          reason="recorded: nothing is called" if blind else "recorded: live has it already")
        return None

    # --- between the objects of one host --------------------------------------------------------------------

    def _cascade(self, root: Address, children: list[Address]) -> None:
        """An object that is replaced takes along what is built on it (a port group's vmkernel adapters)."""
        gone = {(a.rtype, a.name) for a in children
                if a in self.changes and self.changes[a].action in (Action.REPLACE, Action.DELETE)}
        again = bool(gone)
        objects = {(a.rtype, a.name): self.inputs.live.objects[a].attributes
                   for a in (self.live_under.get(root, ()) if gone else ())}
        while again:
            again = False
            for address in children:
                resource, found = self.inputs.desired.get(address), self.inputs.live.objects.get(address)
                current = self.changes.get(address)
                if resource is None or found is None or (address.rtype, address.name) in gone or \
                        (current is not None and current.action is Action.CREATE):
                    continue
                rtype = self.catalog.types[address.rtype]
                if any(k in resource.attributes and found.attributes.get(k) != resource.attributes[k]
                       and moves(found.attributes.get(k), resource.attributes[k]) for k, moves in rtype.moves.items()):
                    continue  # it moves away, in place
                on = [name for kind, name in below(self.catalog, objects, (address.rtype, address.name), self._root)
                      if (kind, name) in gone]
                if on:
                    created = self._create(rtype, resource, f"is on {on[0]}, which is replaced")
                    self.changes[address] = replace(created, action=Action.REPLACE,
                                                    before=observed(rtype, found.attributes))
                    gone.add((address.rtype, address.name))
                    again = True
