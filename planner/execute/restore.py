"""Rollback of a run on a host that was reborn since: the earlier applied state, put back on the newborn host.

What the run recorded of such a host holds no more: nothing of it is there to be undone. So the state from before the
run is planned anew for that one host, by the same compiler, and its steps are made and journaled as those of any plan
(a record of the kind `restore` holds them). A host that the run had added is removed instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from planner.execute.again import boot_again
from planner.execute.perform import patiently, perform, settled
from planner.execute.run import Run
from planner.model import (
    Address,
    Fleet,
    FleetError,
    Live,
    LiveHost,
    Plan,
    ReadFailed,
    Rebooted,
    Resource,
    Silent,
    State,
    StateResource,
    Step,
    StepFailed,
    Unknown,
    contains_unknown,
)
from planner.plan import PlanInputs, build_plan, plan_document
from planner.ports import Record
from planner.snapshot import same


@dataclass(frozen=True, slots=True)
class Restoring:
    """What a rollback does on a host that was reborn since. `plan` is None where none can be made: `why` says it."""

    why: str
    plan: Plan | None


@dataclass(slots=True)
class ReadOnly:
    """The journal of a run that is only looked at."""

    run: str
    found: Sequence[Record]

    def records(self) -> Sequence[Record]:
        return self.found

    def append(self, record: Record) -> None:
        raise AssertionError("nothing is journaled by looking at a run")

    def held(self) -> None:
        raise AssertionError("nothing is called by looking at a run")

    def close(self) -> None:
        return


SILENT = "it does not answer, not at its own door either"
REMEDY = "look at the host; `fleet resume` goes on, or plan with the earlier fleet file after `fleet state abandon`"


def reborn_hosts(run: Run) -> dict[Address, str]:
    """Hosts of which this run's before-images are void, and why in words.

    Those that booted after the run configured them; and those that vCenter has lost (or that the run took out of it)
    and whose own door shows another boot, or nothing at all: a stateless host that lost its power boots only when it
    is served again. A host that was gone before the run, and is gone again, is as it was.
    """
    touched = {s.address.root for s in run.plan.steps if s.address.type == "host"
               and s.kind == "call" and run.status.get(s.id) in ("done", "doubt", "undone")}
    if not touched:
        return {}
    known = {**run.recorded, **run.projector.state().resources}
    live = patiently(run, lambda: run.engine.live.snapshot(run.engine.fleet, known, frozenset(touched)))
    found: dict[Address, str] = {}
    for root in sorted(touched):
        host, configured = live.hosts.get(root), _configured(run, root)
        if root in run.restorations:
            found[root] = "its earlier state is being put back"
        elif _restarted(run, root, live):
            found[root] = "it was restarted into another image"
        elif host is not None and host.connection == "connected":
            if configured and host.boot_time > configured:
                found[root] = "it was reborn since"
        elif (_was_there(run, root) if host is None else host.connection == "notResponding") and \
                not _gone_before(run, root):
            why = _booted(run, root)
            found.update({root: why} if why else {})
    return found


def _configured(run: Run, root: Address) -> str:
    """The boot that this run worked on; "" where nobody wrote it down (it found the host reborn, and connected)."""
    own = str(run.configured.get(root, {}).get("boot_time", ""))
    change = next((c for c in run.plan.changes if c.address == root), None)
    if own or root not in run.recorded or (change is not None and change.reborn):
        return own
    return str(run.recorded[root].facts.get("boot_time", ""))


def restarts(run: Run, root: Address) -> list[Step]:
    """The steps of the run's plan that restart this host, which runs until then."""
    role = run.engine.catalog.operations
    return [s for s in run.plan.steps if s.address == root and role[s.operation].birth == "restart"]


def _restarted(run: Run, root: Address, live: Live) -> bool:
    """Whether this run itself has restarted the host, as far as the journal and vCenter tell."""
    host, found = live.hosts.get(root), {run.status.get(s.id) for s in restarts(run, root)}
    if "doubt" in found and "done" not in found:  # vCenter may be late, and show the boot before as connected
        return host is None or host.connection != "connected" or _booted(run, root) == SILENT
    return "done" in found


def _on_its_way(run: Run, root: Address, host: LiveHost) -> bool:
    """Whether the run has restarted the host, and vCenter does not have that boot yet."""
    taken = {run.status.get(s.id) for s in run.plan.steps if s.address == root
             and run.engine.catalog.operations[s.operation].birth == "taken"}
    joined = taken & {"done", "skipped"} or ("doubt" in taken and host.connection == "connected")
    return not joined and any(run.status.get(s.id) in ("done", "doubt") for s in restarts(run, root))


def _gone_before(run: Run, root: Address) -> bool:
    """Whether the run itself found it gone: then it reconnected it, or was about to."""
    roles = [run.engine.catalog.operations[s.operation] for s in run.plan.steps if s.address == root]
    return any(o.birth == "taken" and not o.inverse for o in roles) and not restarts(run, root)


def _was_there(run: Run, root: Address) -> bool:
    """Whether the run took a host out of vCenter that was in it."""
    return root in run.recorded and any(
        s.address == root and s.after is None and s.before is not None and run.status.get(s.id) in ("done", "doubt")
        for s in run.plan.steps)


def _booted(run: Run, root: Address) -> str:
    """Why what the host had is gone, as its own door tells; "" where it is still the same boot, or nobody can say."""
    door = next((o for o in run.engine.catalog.operations.values() if o.birth == "door" and o.observe), None)
    if door is None:
        return ""
    probe = Step("", root, door.name, None, None)
    try:
        patiently(run, lambda: run.observe(probe))
    except Rebooted:
        return "it was reborn since"
    except Silent:
        return SILENT
    except ReadFailed:
        return ""
    return ""


# --- the plan ---------------------------------------------------------------------------------------------


def restoration(run: Run, root: Address) -> Plan:
    """The steps that bring one host to what state had of it before the run. Raises StepFailed with the reason."""
    earlier = {a: r for a, r in run.recorded.items() if a.root == root}
    fleet = replace(run.engine.fleet, resources={a: _as_declared(run, r) for a, r in earlier.items()}, moved=(),
                    removed={}, checks=(), warnings=(), outputs={})
    recorded = earlier or _added(run, root)
    live = patiently(run, lambda: run.engine.live.snapshot(_with_parents(run, fleet), {**run.recorded, **recorded},
                                                           frozenset({root})))
    facts = dict(run.facts.get(root, {}))
    if root in recorded:
        old, host = recorded[root], live.hosts.get(root)
        merged = {**old.facts, **{k: v for k, v in facts.items() if k != "boot_time"}}
        if host is not None and host.in_maintenance and _entered_here(run, root):  # by this run, and by no person
            merged["door_maintenance"] = True
        if host is not None and _on_its_way(run, root, host):  # whatever vCenter still shows of the boot before
            live = replace(live, hosts={**live.hosts, root: replace(host, connection="notResponding")})
        recorded = {**recorded, root: replace(old, facts=merged)}
    images = {**run.plan.image_digests, **_image(run, root, earlier.get(root))}
    try:
        plan = build_plan(PlanInputs(
            run.engine.catalog, fleet, State("", 0, fleet.name, live.instance, recorded), live, images,
            run.engine.live.power,
            provider_options={"coexist": any(b.get("coexist") for b in run.engine.fleet.providers.values())}))
    except FleetError as error:
        raise StepFailed(f"the earlier state of {root} cannot be planned", str(error), REMEDY) from error
    blocked = [c.reason for c in plan.changes if c.address == root and c.reason.startswith("blocked")]
    if blocked:
        raise StepFailed(f"the earlier state of {root} cannot be put back", blocked[0], REMEDY)
    return _renamed(plan, f"r{run.numbered()}.")


def _added(run: Run, root: Address) -> dict[Address, StateResource]:
    """A host that the run itself had added, as state had it then: its projection lost it with the first undone step."""
    change = next((c for c in run.plan.changes if c.address == root), None)
    fields = run.engine.catalog.types[root.type].fields
    computed = {k: v for s in run.plan.steps if s.address == root for k, v in (s.after or {}).items()
                if k not in fields}
    attributes = {k: v for k, v in ((change.after if change else None) or {}).items() if not contains_unknown(v)}
    return {root: StateResource(root, "created", attributes, run.identity(root), computed)}


def _as_declared(run: Run, resource: StateResource) -> Resource:
    fields = run.engine.catalog.types[resource.address.rtype].fields
    attributes = {k: v for k, v in resource.attributes.items() if k in fields and not contains_unknown(v)}
    return Resource(resource.address, attributes)


def _with_parents(run: Run, fleet: Fleet) -> Fleet:
    """For reading: the containers, too, by which a host's cluster is told."""
    above: dict[Address, Resource] = {a: _as_declared(run, r) for a, r in run.recorded.items()
                                      if not a.child_type and a.type != "host"}
    return replace(fleet, resources={**run.engine.fleet.resources, **above, **fleet.resources})


def _entered_here(run: Run, root: Address) -> bool:
    return any(s.address == root and (s.before or {}).get("in_maintenance") is False
               and run.status.get(s.id) in ("done", "doubt", "undone") for s in run.steps.values())


def _image(run: Run, root: Address, resource: StateResource | None) -> dict[str, str]:
    """The image that the host ran, by the name that it had; where nobody knows it, the one that the run gave it."""
    name = str(resource.attributes.get("image") or "") if resource else ""
    digest = str(resource.facts.get("image") or "") if resource else ""
    digest = digest or next((r.after for r in run.plan.rolls if r.address == root), "")
    return {name: digest} if name and digest else {}


def _renamed(plan: Plan, prefix: str) -> Plan:
    """Steps with ids of their own: the run's journal has others of its own plan."""
    steps = tuple(replace(s, id=prefix + s.id, needs=tuple(prefix + n for n in s.needs)) for s in plan.steps)
    return replace(plan, steps=steps)


# --- its steps --------------------------------------------------------------------------------------------


def restore(run: Run, root: Address) -> None:
    """Put the earlier state back on one host, and prove it. Raises StepFailed; the journal has all of it first."""
    plan = run.restorations.get(root)
    if plan is None or _lost_again(run, root, plan):
        plan = restoration(run, root)
        run.note("restore", None, root=root, plan=plan_document(plan))
    else:
        boot_again(run, plan.steps)
    for session in run.engine.sessions.values():
        session.prepare(plan.steps)
    for step in plan.steps:
        if run.status.get(step.id) not in ("done", "skipped"):
            if run.engine.stop.soft.is_set():
                raise StepFailed(f"stopped while {root} gets its earlier state back", "", "`fleet resume` goes on")
            perform(run, step.id)
    wrong = _different(run, root)
    if wrong:
        raise StepFailed(f"{root} does not read back as it was before the run", "; ".join(wrong), REMEDY)


def _lost_again(run: Run, root: Address, plan: Plan) -> bool:
    """Whether the host is gone once more after its restoration had connected it."""
    taken = [s for s in plan.steps if run.engine.catalog.operations[s.operation].birth == "taken"]
    if taken and not any(run.status.get(s.id) == "done" for s in taken):
        return False
    live = run.engine.live.snapshot(run.engine.fleet, run.recorded, frozenset({root}))
    host = live.hosts.get(root)
    return host is not None and host.connection == "notResponding"


def _different(run: Run, root: Address) -> list[str]:
    """What of the host's earlier state live contradicts, in words; for one that was not there: whether it is gone."""
    earlier = {a: r for a, r in run.recorded.items() if a.root == root}
    live = settled(run, root, lambda: patiently(run, lambda: run.engine.live.snapshot(
        run.engine.fleet, {**run.projector.state().resources, **earlier}, frozenset({root}))),
        lambda found: not _contradictions(run, root, earlier, found))
    return _contradictions(run, root, earlier, live)


def _contradictions(run: Run, root: Address, earlier: Mapping[Address, StateResource], live: Live) -> list[str]:
    if not earlier:
        return [f"{root} is still in vCenter"] if root in live.hosts else []
    wrong: list[str] = []
    for address, resource in earlier.items():
        fields = run.engine.catalog.types[address.rtype].fields
        found: Mapping[str, Any] = live.objects[address].attributes if address in live.objects else {}
        if address in live.unread or root in live.unread or address not in live.objects:
            wrong.append(f"{address} cannot be read" if address in live.objects else f"{address} does not exist")
            continue
        wrong += [f"{address}: {k} is {found.get(k)!r}, it was {v!r}" for k, v in resource.attributes.items()
                  if k in fields and fields[k].observed and not contains_unknown(v) and not same(v, found.get(k))
                  and not isinstance(found.get(k), Unknown)]
    return wrong
