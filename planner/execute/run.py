"""One run in progress: journal, statuses, facts and checkpoints. Shared by apply, resume and rollback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from planner.catalog import Catalog, Operation
from planner.execute.late import as_begun
from planner.execute.project import Projector
from planner.execute.projector import restored_plan
from planner.execute.walk import Lanes, Stop
from planner.model import (
    Address,
    Attrs,
    Change,
    Fleet,
    FleetError,
    Inverse,
    Live,
    Plan,
    ResolveSecret,
    State,
    StateResource,
    Step,
    decode,
    encode,
)
from planner.ports import Call, Clock, Event, Journal, Listener, LiveSession, Record, Session, StateStore
from planner.snapshot import mismatch

Side = Literal["before", "after", "other"]
Status = Literal["done", "skipped", "doubt", "failed", "undone", "stopped"]

CHECKPOINT_SECONDS = 5.0
LAG_SECONDS = 3.0
"""What vCenter shows of an object may lag a call on it: for so long a reading that contradicts is looked at again."""
_FAILED: Mapping[str, Status] = {"unknown": "doubt", "undo": "done"}  # what failed to be undone is still there


@dataclass(frozen=True, slots=True)
class Who:
    """Who runs it, from where and why; written at the head of the journal."""

    user: str
    host: str
    reason: str = ""
    job: str = ""

    def record(self) -> dict[str, str]:
        return {"who": self.user, "host": self.host, "reason": self.reason, "job": self.job}


@dataclass(frozen=True, slots=True)
class Engine:
    """What execution needs from the outside. `sessions` by provider name; `live` is the one that reads vCenter."""

    catalog: Catalog
    fleet: Fleet
    sessions: Mapping[str, Session]
    live: LiveSession
    store: StateStore
    secret: ResolveSecret
    clock: Clock
    who: Who
    listener: Listener = lambda _event: None
    stop: Stop = field(default_factory=Stop)
    parallelism: int = 10
    boots: int = 32
    outputs: Callable[[State], Attrs] = lambda _state: {}
    resolve: Callable[[State], Mapping[Address, Attrs]] = lambda _state: {}  # declared attributes, by what state knows
    new_id: Callable[[], str] = lambda: ""  # a run id; wired by the CLI
    patient: bool = True  # births may take long: waits for them take no lane. False: all are there already


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. `unfinished` names steps whose call was still running at a hard stop."""

    exit_code: int
    run: str
    message: str
    failures: tuple[tuple[Step, str, str], ...] = ()  # step, what went wrong, what to do
    unfinished: tuple[str, ...] = ()


class Run:
    """Mutable bookkeeping of one run; its methods are safe from several threads."""

    def __init__(self, engine: Engine, plan: Plan, journal: Journal, projector: Projector, live: Live) -> None:
        self.engine, self.plan, self.journal, self.projector = engine, plan, journal, projector
        self.steps = {s.id: s for s in plan.steps}
        self.changes: dict[Address, Change] = {c.address: c for c in plan.changes}
        self.status: dict[str, Status] = {}
        self.before_images: dict[str, Attrs | None] = {}
        self.attempts: dict[str, int] = {}
        self.facts: dict[Address, dict[str, Any]] = {}
        self.configured: dict[Address, dict[str, Any]] = {}  # facts as this run itself recorded them
        self._ids: dict[Address, str] = {a: o.id for a, o in live.objects.items() if o.id}
        self._lock = threading.Lock()
        self.resolving = threading.Lock()
        self._written = engine.clock.now()
        self.restorations: dict[Address, Plan] = {}  # of a rollback: what puts reborn hosts' earlier state back
        self.restored = 0  # restorations so far
        self._numbered = 0
        self._called: dict[Address, float] = {}
        self._opened = self._written
        self.reopened = False  # an earlier process made calls, maybe a moment ago
        self.recorded: Mapping[Address, StateResource] = projector.state().resources
        for address, resource in self.recorded.items():
            if not address.child_type:
                self.facts[address] = dict(resource.facts)
            if resource.id:
                self._ids.setdefault(address, resource.id)
        for address, host in live.hosts.items():
            known = {"uuid": host.uuid, "boot_time": host.boot_time, "ip": host.ip, "build": host.build}
            self.facts.setdefault(address, {}).update({k: v for k, v in known.items() if v})

    # --- journal --------------------------------------------------------------------------------------------

    def note(self, kind: str, step: Step | None = None, /, **data: Any) -> None:
        """Append one record durably, project it onto state, checkpoint now and then."""
        record: Record = {"kind": kind, **({"step": step.id} if step else {}), **encode(data)}
        self.journal.append(record)
        self.replay(record)
        if self.engine.clock.now() - self._written > CHECKPOINT_SECONDS:
            with suppress(FleetError):  # the journal has it; where the disk is full, the next record says so
                self.checkpoint()
        if step is not None:
            message = str(data.get("error") or data.get("reason") or data.get("guard") or "")
            self.engine.listener(Event(kind, step.id, str(step.address), step.operation, message, record))

    def replay(self, record: Record) -> None:
        """Take one record into account: when it is written, and when a journal is read again."""
        kind, number = record["kind"], record.get("step", "")
        with self._lock:
            if kind == "restore":
                self._restoring(Address.parse(record["root"]), restored_plan(record))
            elif kind == "rollback":
                for text, facts in record.get("facts", {}).items():
                    self.facts.setdefault(Address.parse(text), {}).update(decode(facts))
            elif kind == "begin":
                self.status[number] = "doubt"
                self.before_images[number] = decode(record.get("live"))
                self.steps[number] = as_begun(self.steps[number], record)
            elif kind in ("done", "skipped", "undone", "stopped"):
                self.status[number] = kind
            elif kind == "void":  # whatever it was, a boot took it away
                self.status[number] = "undone"
                if self.steps[number].kind == "wait":  # only a later birth answers it now
                    facts = self.facts.setdefault(self.steps[number].address, {})
                    facts["void_birth"] = facts.get("born", "")
            elif kind == "failed":
                self.status[number] = _FAILED.get(record.get("effect", ""), "failed")
            if kind in ("done", "undone"):
                step = self.steps[number]
                facts = decode(record.get("facts") or {})
                identity = facts.pop("id", "")
                if identity:
                    self._ids[step.address] = str(identity)
                if facts and not step.address.child_type:
                    self.facts.setdefault(step.address, {}).update(facts)
                if facts and not step.address.child_type and kind == "done":
                    self.configured.setdefault(step.address, {}).update(facts)
            self.projector.apply(record)

    def _restoring(self, root: Address, plan: Plan) -> None:
        """Steps of a rollback's own; what the run's plan says of that host does not count any more."""
        self.restored += 1
        self.restorations[root] = plan
        self.steps.update({s.id: s for s in plan.steps})
        self.changes = {a: c for a, c in self.changes.items() if a.root != root}
        self.changes.update({c.address: c for c in plan.changes})

    def numbered(self) -> int:
        """A number for one more restoration; several hosts are planned at once."""
        with self._lock:
            self._numbered = max(self._numbered, self.restored) + 1
            return self._numbered

    def checkpoint(self) -> None:
        with self._lock:
            self._written = self.engine.clock.now()
            self.engine.store.write(self.projector.state())

    # --- calls ----------------------------------------------------------------------------------------------

    def session(self, operation: Operation) -> Session:
        return self.engine.sessions[operation.provider]

    def call(self, step: Step, inverse: Inverse | None = None) -> Call:
        """The call of a step, or of its inverse."""
        name = inverse.operation if inverse else step.operation
        before, after = (inverse.before, inverse.after) if inverse else (step.before, step.after)
        root = step.address.root

        def waiting(reason: str) -> None:
            self.engine.listener(Event("waiting", step.id, str(step.address), name, reason))

        stop = self.engine.stop.soft if step.kind == "wait" else self.engine.stop.hard  # a wait can end without harm
        deadline = self.engine.clock.now() + self.engine.catalog.operations[name].timeout
        return Call(step.address, name, before, after, self.facts.get(root, {}), self.declared(root), self.identity,
                    self.engine.secret, stop, deadline, step.id, waiting)

    def calling(self, root: Address) -> None:
        """A call on what belongs to this root is made now."""
        self._called[root] = self.engine.clock.now()

    def lagging(self, root: Address | None = None) -> bool:
        """Whether live may still show what was before a call: on that root, or on any."""
        last = max(self._called.values(), default=0.0) if root is None else self._called.get(root, 0.0)
        if self.reopened:
            last = max(last, self._opened)
        return not self.engine.stop.hard.is_set() and self.engine.clock.now() < last + LAG_SECONDS

    def identity(self, address: Address) -> str:
        return self._ids.get(address, "")

    def declared(self, root: Address) -> Attrs:
        """What the plan (else the recorded state, else the file) says about the root of a step.

        What only a file can say (a password) does not outlive its line there.
        """
        change = self.changes.get(root)
        recorded = self.recorded.get(root)
        attributes: dict[str, Any] = dict(recorded.attributes) if recorded else {}
        resource = self.engine.fleet.resources.get(root)
        fields = self.engine.catalog.types[root.rtype].fields
        if resource is not None:
            attributes = {k: v for k, v in attributes.items() if k not in fields or fields[k].observed}
            attributes.update(resource.attributes)
        if change is not None:
            attributes.update({k: v for k, v in (change.before or {}).items()
                               if resource is None or k not in fields or fields[k].observed})
            attributes.update(change.after or {})
        return attributes

    def observe(self, step: Step, inverse: Inverse | None = None) -> Attrs | None:
        call = self.call(step, inverse)
        operation = self.engine.catalog.operations[call.operation]
        return self.session(operation).observe(operation, call)

    def mismatch(self, step: Step, expected: Attrs | None, found: Attrs | None) -> str:
        """Words for how live differs from what a step expects; what cannot be read back (a password) is no part."""
        return mismatch(self._visible(step, expected), found)

    def _visible(self, step: Step, attributes: Attrs | None) -> Attrs | None:
        fields = self.engine.catalog.types[step.address.rtype].fields
        return None if attributes is None else {k: v for k, v in attributes.items()
                                                if k not in fields or fields[k].observed}

    def blind(self, step: Step, before: Attrs | None, after: Attrs | None, found: Attrs | None) -> bool:
        """Whether live cannot tell if this took effect (only a password changes): then it is repeated, or undone.

        An operation that can tell observes the secret as the reference that it was set by.
        """
        if self.engine.catalog.operations[step.operation].again:
            return True
        if before == after or self._visible(step, before) != self._visible(step, after):
            return False
        changed = [k for k, v in (after or {}).items() if v != (before or {}).get(k)]
        return not any((found or {}).get(k) == (after or {})[k] for k in changed)

    def where(self, step: Step, before: Attrs | None, after: Attrs | None, found: Attrs | None) -> Side:
        """Which side of a step live is on; "after" where the two cannot be told apart."""
        if not self.mismatch(step, after, found):
            return "after"
        return "before" if not self.mismatch(step, before, found) else "other"

    def lanes(self, steps: Sequence[Step], *, backward: bool = False) -> Lanes:
        slow = frozenset(s.id for s in steps if s.kind == "wait" and self.engine.patient and not backward)
        births = {s.address.root: s.id for s in steps if s.kind == "wait"}
        gates = {} if backward else {s.id: births[s.address.root] for s in steps
                                     if s.operation.startswith("power.") and s.address.root in births}
        if self.engine.parallelism <= 1:
            slow, gates = frozenset(), {}
        return Lanes(self.engine.parallelism, slow, gates, self.engine.boots)
