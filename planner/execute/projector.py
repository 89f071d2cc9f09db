"""What a run's journal records mean for the state. Pure, and O(1) per record.

State is a projection: base state, then the head's bookkeeping (moves, adoptions, forgets), then the effect of every
step that is done and not undone. Undoing a step takes its effect out again, so that a rollback ends at the base
exactly, irreversible effects aside. The same code serves the running apply, its checkpoints, and readers that
replay an open journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from planner.catalog import Catalog
from planner.execute.late import as_begun
from planner.model import (
    Action,
    Address,
    Attrs,
    Change,
    Plan,
    State,
    StateResource,
    Step,
    contains_unknown,
    decode,
)
from planner.plan import apply_moved, decode_plan
from planner.ports import Record

OPEN = ("", "incomplete")

_MADE = (Action.CREATE, Action.UPDATE, Action.REPLACE)


def is_open(outcome: str) -> bool:
    """Whether a run with that outcome still waits for resume, rollback or abandon."""
    return outcome in OPEN


@dataclass(slots=True)
class _Track:
    """What this run did to one address."""

    address: Address
    change: Change | None = None
    steps: set[str] = field(default_factory=set)  # ids of its steps
    settled: set[str] = field(default_factory=set)  # done or skipped, and not undone
    effects: dict[str, tuple[Step, dict[str, Any]]] = field(default_factory=dict)  # done and not undone, in order
    images: dict[str, Any] = field(default_factory=dict)  # before-images of what plan could only assume
    restored: dict[str, Any] = field(default_factory=dict)  # facts that an undo brought (a new MoRef)
    now: StateResource | None = None  # base and effects, before the finishing touch
    waiting: dict[str, Any] = field(default_factory=dict)  # facts of a host that is not in state yet


class Projector:
    """Feeds on records in order; `state()` is a snapshot of the projection so far. Not thread-safe.

    `base`: the state before the run. `serial`: that of the projected state; 0 means base + 1. A run that goes on after
    it had ended (a rollback later on) gets another serial: the record's own `serial`, or the next one.
    """

    def __init__(self, base: State | None, plan: Plan, catalog: Catalog, run: str, lineage: str, *,
                 serial: int = 0) -> None:
        self.base, self.plan, self.catalog, self.run, self.lineage = base, plan, catalog, run, lineage
        self.serial = serial or (base.serial if base else 0) + 1
        self.steps: dict[str, Step] = {s.id: s for s in plan.steps}
        self.resources: dict[Address, StateResource] = dict(base.resources) if base else {}
        self.count = 0
        self.complete = False
        self._restoring: dict[str, Step] = {}  # steps of a rollback that put a reborn host's earlier state back
        self._again = 0  # serial of a run that goes on after its end
        self._origin = dict(self.resources)  # the base under the addresses of this run
        self._known: Mapping[str, Any] = {}  # id and facts of what is adopted
        self._begun = self._rolling = self._applied = False
        self._reversible = 0  # steps that are done and could be undone
        self._tracks: dict[Address, _Track] = {}
        self._waits: dict[Address, set[str]] = {}
        for change in plan.changes:
            self._track(change.address).change = change
        for step in plan.steps:
            self._track(step.address).steps.add(step.id)
            if step.kind == "wait":
                self._waits.setdefault(step.address, set()).add(step.id)
        self._followers: dict[Address, list[Address]] = {}
        for change in plan.changes:
            if self._follows(change):
                self._followers.setdefault(change.address.root, []).append(change.address)

    def _track(self, address: Address) -> _Track:
        found = self._tracks.get(address)
        if found is None:
            found = self._tracks[address] = _Track(address)
        return found

    def state(self) -> State:
        base = self.base
        serial = max(self.serial, self._again)
        return State(self.lineage, serial, self.plan.fleet, self.plan.instance, dict(self.resources),
                     base.outputs if base else {}, self.run, self.count, self.complete)

    def apply(self, record: Record) -> None:
        """Take one record into account. Raises KeyError for a step that is not in the plan."""
        self.count += 1
        kind = record["kind"]
        if kind == "head":
            self._head(record)
        elif kind == "restore":
            self._restoring |= {s.id: s for s in restored_plan(record).steps}
        elif record.get("step") in self._restoring:
            self._restored(self._restoring[record["step"]], kind, decode(record.get("facts") or {}))
        elif kind == "begin":
            self.steps[record["step"]] = as_begun(self.steps[record["step"]], record)
            self._image(self.steps[record["step"]], record.get("live"))
        elif kind == "done":
            self._done(self.steps[record["step"]], decode(record.get("facts") or {}))
        elif kind == "skipped":
            self._skipped(self.steps[record["step"]])
        elif kind == "void":
            self._void(self.steps[record["step"]])
        elif kind == "undone":
            self._undone(self.steps[record["step"]], decode(record.get("facts") or {}))
        elif kind in ("resume", "rollback"):
            if self.complete:
                self._again = max(record.get("serial", 0), max(self.serial, self._again) + 1)
            self.complete = False
            if kind == "rollback":
                self._learn(record.get("facts", {}))
                self._roll()
        elif kind == "end":
            self._end(record["outcome"])

    # --- records ---------------------------------------------------------------------------------------------

    def _head(self, record: Record) -> None:
        moved = [(Address.parse(a), Address.parse(b)) for a, b in record.get("moved", ())]
        if moved:
            self._origin = self.resources = apply_moved(self.resources, moved)
            self.resources = dict(self._origin)
        self._known = record.get("adopted", {})
        self._begun = True
        for track in self._tracks.values():
            self._fold(track)

    def _image(self, step: Step, live: Any) -> None:
        if isinstance(live, Mapping):
            images = self._tracks[step.address].images
            for key, value in live.items():
                images.setdefault(key, decode(value))

    def _done(self, step: Step, facts: dict[str, Any]) -> None:
        track = self._tracks[step.address]
        if step.inverse is not None and step.id not in track.effects:
            self._reversible += 1
        again = step.id in track.effects
        track.effects[step.id] = step, facts
        track.settled.add(step.id)
        if again or (not step.address.child_type and step.kind == "wait"):
            self._fold(track)
        else:
            if len(track.effects) == 1:  # an adoption that waited for its host enters now
                track.now = self._start(track)
            track.now = self._effect(track, track.now, step, facts)
            self._publish(track)

    def _skipped(self, step: Step) -> None:
        track = self._tracks[step.address]
        track.settled.add(step.id)
        self._publish(track)

    def _undone(self, step: Step, facts: dict[str, Any]) -> None:
        self._tracks[step.address].restored.update(facts)
        self._void(step)
        self._roll()

    def _restored(self, step: Step, kind: str, facts: dict[str, Any]) -> None:
        """State ends at what it had before the run; only what such a step computes is new (a birth's certificate)."""
        if kind != "done":
            return
        fields = self.catalog.types[step.address.rtype].fields
        operation = self.catalog.operations.get(step.operation)
        computed = {k: v for k, v in (step.after or {}).items() if k not in fields}
        track = self._track(step.address)
        track.restored.update({**computed, **facts, **(operation.settles if operation else {})})
        self._fold(track)

    def _learn(self, facts: Mapping[str, Any]) -> None:
        """What later restores computed: no undoing makes a certificate of a boot that is over good again."""
        for text, known in facts.items():
            track = self._track(Address.parse(text))
            track.restored.update(decode(known))
            self._fold(track)

    def _void(self, step: Step) -> None:
        """The step's effect is out again. Alone, this is no rollback: the step will be done once more."""
        track = self._tracks[step.address]
        if track.effects.pop(step.id, None) is not None and step.inverse is not None:
            self._reversible -= 1
        track.settled.discard(step.id)
        self._fold(track)

    def _roll(self) -> None:
        """A rollback goes on. With nothing left to undo, adoptions, forgets and moves are void, too."""
        self._rolling, self._applied = True, False
        if not self._overlay:
            self._back_to_base()

    def _end(self, outcome: str) -> None:
        self.complete = not is_open(outcome)
        if outcome == "applied":
            self._applied = True
            for track in self._tracks.values():
                self._publish(track)
        elif outcome in ("rolled-back", "failed"):  # failed: nothing was changed, and so nothing is adopted
            self._rolling, self._applied = True, False
            for track in self._tracks.values():
                track.effects = {k: v for k, v in track.effects.items() if v[0].inverse is None}
            self._reversible = 0
            self._back_to_base()
            self._drop_orphans()

    @property
    def _overlay(self) -> bool:
        """Whether the run's bookkeeping (adoptions, forgets) holds: not before its head, not when all is undone."""
        return self._begun and not (self._rolling and self._reversible == 0)

    def _back_to_base(self) -> None:
        self.resources = dict(self.base.resources) if self.base else {}
        self._origin = dict(self.resources)
        for track in self._tracks.values():
            self._fold(track)

    def _drop_orphans(self) -> None:
        """A host that was removed for good takes along what hung on it."""
        gone = {a for a in self._origin if not a.child_type and a not in self.resources}
        if gone:
            self.resources = {a: r for a, r in self.resources.items() if a.root not in gone}

    # --- one address -----------------------------------------------------------------------------------------

    def _fold(self, track: _Track) -> None:
        """Base and effects, from the beginning."""
        track.waiting = {}
        now = self._start(track)
        for step, facts in track.effects.values():
            now = self._effect(track, now, step, facts)
        track.now = now
        self._publish(track)

    def _start(self, track: _Track) -> StateResource | None:
        """What state has of this address once the run has begun and before its first step."""
        base, change = self._origin.get(track.address), track.change
        if change is None or not self._overlay:
            return base
        if change.action is Action.FORGET:
            return base if self._follows(change) and change.address.root in self.resources else None
        if change.adopted:
            if change.assumed and not track.effects and not self._born(change.address.root):
                return base
            return self._adopted(track, change)
        if change.action is Action.NOOP and base is not None:
            return self._recorded(base, change)
        return base

    def _adopted(self, track: _Track, change: Change) -> StateResource:
        after, before = change.after or {}, change.before or {}
        source = after if change.action is Action.NOOP else {k: v for k, v in before.items() if k in after}
        attributes = _known_values(source)
        for key in after:
            if key not in attributes and key in before and key in track.images:
                attributes[key] = track.images[key]
        about = self._known.get(str(change.address), {})
        return StateResource(change.address, "adopted", attributes, about.get("id", ""),
                             decode(about.get("facts", {})))

    def _recorded(self, base: StateResource, change: Change) -> StateResource:
        """Live has it already. A blocked host's change looks alike, but live has not what it asks for."""
        before, after = change.before or {}, change.after or {}
        fields = self.catalog.types[change.address.rtype].fields
        if any(before.get(k) != v for k, v in after.items() if k in fields and fields[k].observed):
            return base
        return replace(base, attributes=_known_values(after))

    def _effect(self, track: _Track, now: StateResource | None, step: Step,
                facts: Mapping[str, Any]) -> StateResource | None:
        """The resource after one more step. Facts of a host that is not in state yet wait for its creation."""
        if step.after is None and step.before is not None:
            track.waiting = {}
            return None
        fields = self.catalog.types[step.address.rtype].fields
        after = step.after or {}
        attributes = _known_values({k: v for k, v in after.items() if k in fields})
        operation = self.catalog.operations.get(step.operation)
        computed = {**{k: v for k, v in after.items() if k not in fields}, **facts,
                    **(operation.settles if operation else {})}
        creates = step.before is None and step.kind == "call" and (
            bool(attributes) or (bool(step.address.child_type) and step.after is not None))
        if creates:
            earlier = track.waiting if now is None else now.facts
            now = StateResource(step.address, "created", attributes, facts=earlier)
            track.waiting = {}
        elif now is None:
            track.waiting.update(computed)
            return None
        else:
            now = replace(now, attributes={**now.attributes, **attributes})
        return _with_facts(now, computed)

    def _publish(self, track: _Track) -> None:
        """Write the finished resource, and look again at what depends on this host being there."""
        address = track.address
        was = address in self.resources
        resource = self._finished(track)
        if not self._overlay and address not in self._origin:
            resource = None
        if resource is not None and track.restored:
            resource = _with_facts(resource, track.restored)
        if resource is None:
            self.resources.pop(address, None)
        else:
            self.resources[address] = resource
        if address in self._followers and (was != (resource is not None) or address in self._waits):
            for follower in self._followers[address]:
                self._fold(self._tracks[follower])

    def _finished(self, track: _Track) -> StateResource | None:
        """With all its steps done, an address has what the plan promised, also what no step of its own carries."""
        change, now = track.change, track.now
        whole = self._applied or (bool(track.steps) and track.settled == track.steps)
        if change is None or not whole or not self._overlay:
            return now
        if change.action is Action.DELETE:
            return None
        if change.action not in _MADE or now is None or change.after is None:
            return now
        attributes = {k: now.attributes[k] if contains_unknown(v) else v for k, v in change.after.items()
                      if not contains_unknown(v) or k in now.attributes}
        return replace(now, attributes=attributes)

    # --- what hangs on a host --------------------------------------------------------------------------------

    def _follows(self, change: Change) -> bool:
        """Whether it depends on its host: adopted on a host still to be born, or leaving with its host."""
        if not change.address.child_type:
            return False
        if change.action is Action.FORGET:
            root = self._tracks.get(change.address.root)
            return root is not None and root.change is not None and root.change.action is Action.DELETE
        return change.adopted and change.assumed

    def _born(self, root: Address) -> bool:
        """The host is in state, and its birth in this run (where the run has one) is done."""
        waits = self._waits.get(root)
        return root in self.resources and (not waits or waits <= self._tracks[root].settled)


def restored_plan(record: Record) -> Plan:
    """The plan in a record of the kind `restore`."""
    return decode_plan(msgspec.json.encode(record["plan"]))


def _known_values(attributes: Attrs) -> dict[str, Any]:
    return {k: v for k, v in attributes.items() if not contains_unknown(v)}


def _with_facts(resource: StateResource, facts: Mapping[str, Any]) -> StateResource:
    """Merge computed values: `id` is the resource's id, None takes a fact away."""
    if not facts:
        return resource
    merged = {k: v for k, v in {**resource.facts, **facts}.items() if v is not None and k != "id"}
    return replace(resource, id=str(facts.get("id") or resource.id), facts=merged)
