"""What a run's journal records mean for the state. Pure, and O(1) per record.

State is a projection: base state, then the head's bookkeeping (moves, adoptions, forgets), then each step done
or undone. The same code serves the running apply, its checkpoints, and readers that replay an open journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from planner.catalog import Catalog
from planner.model import (
    Action,
    Address,
    Attrs,
    Change,
    FleetError,
    Plan,
    State,
    StateResource,
    Step,
    contains_unknown,
    decode,
)
from planner.plan import apply_moved, decode_plan
from planner.ports import Record, StateStore

OPEN = ("", "incomplete")


def is_open(outcome: str) -> bool:
    """Whether a run with that outcome still waits for resume, rollback or abandon."""
    return outcome in OPEN


class Projector:
    """Feeds on records in order; `state()` is a snapshot of the projection so far."""

    def __init__(self, base: State | None, plan: Plan, catalog: Catalog, run: str, lineage: str) -> None:
        self.base, self.plan, self.catalog, self.run, self.lineage = base, plan, catalog, run, lineage
        self.steps: dict[str, Step] = {s.id: s for s in plan.steps}
        self.changes: dict[Address, Change] = {c.address: c for c in plan.changes}
        self.resources: dict[Address, StateResource] = dict(base.resources) if base else {}
        self.images: dict[str, Attrs] = {}
        self.pending: dict[Address, dict[str, Any]] = {}  # facts of a host that is not in state yet
        self.count = 0
        self.bump = 0
        self.complete = False

    def state(self) -> State:
        base = self.base
        return State(self.lineage, (base.serial if base else 0) + 1 + self.bump, self.plan.fleet, self.plan.instance,
                     dict(self.resources), base.outputs if base else {}, self.run, self.count, self.complete)

    def apply(self, record: Record) -> None:
        self.count += 1
        kind = record["kind"]
        if kind == "head":
            self._head(record)
        elif kind == "begin" and isinstance(record.get("live"), Mapping):
            self.images[record["step"]] = decode(record["live"])
        elif kind == "done":
            self._done(self.steps[record["step"]], decode(record.get("facts") or {}))
        elif kind == "undone":
            self._undone(self.steps[record["step"]])
        elif kind == "end":
            self._end(record["outcome"])

    def _head(self, record: Record) -> None:
        moved = [(Address.parse(a), Address.parse(b)) for a, b in record.get("moved", ())]
        if moved:
            self.resources = apply_moved(self.resources, moved)
        known: Mapping[str, Any] = record.get("adopted", {})
        for change in self.plan.changes:
            if change.action is Action.FORGET:
                self.resources.pop(change.address, None)
            elif change.adopted:
                about = known.get(str(change.address), {})
                self.resources[change.address] = StateResource(
                    change.address, "adopted", _known(change.before or {}), about.get("id", ""), about.get("facts", {}))

    def _done(self, step: Step, facts: dict[str, Any]) -> None:
        address = step.address
        identity = str(facts.pop("id", ""))
        if step.after is None:
            if step.before is not None:
                gone = self.resources.pop(address, None)
                if gone is not None:
                    self.pending[address] = dict(gone.facts)
            return
        fields = self.catalog.types[address.rtype].fields
        attributes = {k: v for k, v in step.after.items() if k in fields and not contains_unknown(v)}
        facts.update({k: v for k, v in step.after.items() if k not in fields})
        current = self.resources.get(address)
        if current is None:
            if step.before is not None or step.kind != "call" or not attributes:
                self.pending.setdefault(address, {}).update(facts)
                return
            facts = {**self.pending.pop(address, {}), **facts}
            current = StateResource(address, "created", {})
        self.resources[address] = replace(
            current, attributes={**current.attributes, **attributes}, facts={**current.facts, **facts},
            id=identity or current.id)

    def _undone(self, step: Step) -> None:
        if step.inverse is None:
            return
        address, after = step.address, step.inverse.after
        old = self.base.resources.get(address) if self.base else None
        if after is None:
            self.resources.pop(address, None)
            return
        current = self.resources.get(address) or old
        if current is None:
            return
        image = self.images.get(step.id, {})
        fields = self.catalog.types[address.rtype].fields
        values = {k: image.get(k, v) if contains_unknown(v) else v for k, v in after.items()}
        self.resources[address] = replace(
            current, attributes={**current.attributes, **{k: v for k, v in values.items() if k in fields}},
            facts={**current.facts, **{k: v for k, v in values.items() if k not in fields}})

    def _end(self, outcome: str) -> None:
        if outcome == "applied":
            for address, change in self.changes.items():
                current = self.resources.get(address)
                if current is not None and change.after is not None:
                    self.resources[address] = replace(
                        current, attributes={**current.attributes, **_known(change.after)})
        elif outcome == "rolled-back":
            now = self.resources
            self.resources = dict(self.base.resources) if self.base else {}
            for address, resource in self.resources.items():  # a boot cannot be undone: its facts stay true
                if not address.child_type and address in now:
                    self.resources[address] = replace(resource, facts=now[address].facts)
        self.complete = not is_open(outcome)


def _known(attributes: Attrs) -> dict[str, Any]:
    return {k: v for k, v in attributes.items() if not contains_unknown(v)}


def current_state(store: StateStore, catalog: Catalog) -> State | None:
    """The checkpoint, or where a run is open: its base with the whole journal replayed. None: no state yet."""
    state = store.read()
    info = next((r for r in reversed(store.runs()) if is_open(r.outcome)), None)
    if info is None:
        return state
    records = store.records(info.run)
    if not records:
        return state
    base: State | None = None
    if info.serial:
        old = store.history(info.serial)
        if not old:
            raise FleetError(f"the state of serial {info.serial}, which run {info.run} started from, is missing")
        base = old[0]
    projector = Projector(base, decode_plan(store.plan(info.run)), catalog, info.run, str(records[0]["lineage"]))
    for record in records:
        projector.apply(record)
    return projector.state()
