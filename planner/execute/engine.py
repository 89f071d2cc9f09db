"""Apply, resume and rollback: the only places that start and end a run."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from planner.execute.again import boot_again
from planner.execute.perform import perform, settled
from planner.execute.project import Projector, base_of, current_state, is_open, next_serial, settle
from planner.execute.restore import ReadOnly, Restoring, reborn_hosts, restarts, restoration, restore
from planner.execute.run import Engine, Outcome, Run, Who
from planner.execute.undo import booted_again, left_over, undo, way_back
from planner.execute.walk import Policy, Walk, Walked
from planner.model import (
    Address,
    Attrs,
    Diagnostic,
    FleetError,
    Incomplete,
    Live,
    Plan,
    Stale,
    State,
    StateResource,
    Step,
    StepFailed,
    encode,
)
from planner.plan import apply_moved, check_plan, decode_plan, encode_plan
from planner.ports import Event, Journal, Record, RunInfo
from planner.snapshot import live_digest

__all__ = ["ApplyOptions", "Engine", "Outcome", "Who", "apply", "check_fresh", "open_run", "resume", "rollback"]

OnFailure = Literal["stop", "rollback", "continue"]

RESTORE = "restore"
"""Mode of runs that a midwife makes by itself (see `rebirths`)."""


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    on_failure: OnFailure = "stop"


# --- before a run -----------------------------------------------------------------------------------------


def open_run(runs: Sequence[RunInfo]) -> RunInfo | None:
    """The run that was interrupted or stopped part-way; at most one exists."""
    return next((r for r in reversed(runs) if is_open(r.outcome)), None)


def check_fresh(engine: Engine, plan: Plan, state: State | None, live: Live, images: dict[str, str] | None) -> None:
    """Raise Stale (5) when what the plan was made from has moved; FleetError (1) for another vCenter."""
    if plan.instance != live.instance:
        raise FleetError(Diagnostic(
            "error", "this plan was made on another vCenter", f"plan: {plan.instance}, this server: {live.instance}",
            remedy="plan again on this vCenter"))
    if not plan.refreshed:
        raise FleetError("a plan made with --no-refresh cannot be applied")
    moved: list[str] = []
    if plan.config_digest != engine.fleet.digest:
        moved.append("the fleet's configuration changed")
    if (state.lineage if state else "") != plan.lineage:
        moved.append("the state has another lineage" if plan.lineage else "a state exists now")
    elif state is not None and state.serial != plan.serial:
        moved.append(f"the state is at serial {state.serial}, the plan was made at {plan.serial}")
    if images is not None:
        moved += [f"image {n} has other bytes" for n, d in plan.image_digests.items() if images.get(n) != d]
    moved += [f"{text} changed on live" for text, digest in plan.live_digests.items()
              if live_digest(engine.catalog, live, Address.parse(text)) != digest]
    if moved:
        raise Stale(Diagnostic("error", "the plan is stale", "; ".join(moved), remedy="run `fleet plan` again"))


# --- the three ways in ------------------------------------------------------------------------------------


def apply(engine: Engine, plan: Plan, options: ApplyOptions = ApplyOptions(),
          images: dict[str, str] | None = None) -> Outcome:
    """Run exactly the plan. Raises FleetError before anything was changed; afterwards the Outcome says it."""
    store = engine.store
    check_plan(engine.catalog, plan)
    with store.lock("apply", engine.who.reason):
        _refuse_open(engine)
        state = settle(store, engine.catalog)
        live = engine.live.snapshot(engine.fleet, apply_moved(state.resources if state else {}, engine.fleet.moved))
        check_fresh(engine, plan, state, live, images)
        if plan.idle:
            return Outcome(0, "", "nothing to change")
        for session in engine.sessions.values():
            session.prepare(plan.steps)
        run = _begin(engine, plan, state, live)
        return _forward(run, [s.id for s in plan.steps], options.on_failure)


def resume(engine: Engine, options: ApplyOptions = ApplyOptions()) -> Outcome:
    """Finish the open run; an interrupted rollback is finished as a rollback. FleetError where none is open."""
    with engine.store.lock("resume", engine.who.reason):
        info = open_run(engine.store.runs())
        if info is None:
            raise FleetError(Diagnostic("error", "no run is open", remedy="`fleet apply` starts a new one"))
        run, records = _reopen(engine, info)
        backward = any(r["kind"] == "rollback" for r in records)
        for session in engine.sessions.values():
            session.prepare(run.plan.steps)
        run.note("rollback" if backward else "resume", None, **engine.who.record())
        if backward:
            return _backward(run)
        boot_again(run, run.plan.steps)
        left = [s.id for s in run.plan.steps if run.status.get(s.id) not in ("done", "skipped")]
        return _forward(run, left, options.on_failure)


def rollback(engine: Engine, name: str = "") -> Outcome:
    """Undo the newest run that is not undone, in reverse. FleetError where there is none (or another is named)."""
    with engine.store.lock("rollback", engine.who.reason):
        info = newest_not_undone(engine.store.runs())
        if info is None:
            raise FleetError(Diagnostic("error", "no run to roll back", remedy="`fleet state history` lists runs"))
        if name and name != info.run:
            raise FleetError(Diagnostic("error", "only the newest run that is not undone can be rolled back",
                                        f"that is {info.run}, asked for {name}", remedy=f"roll back {info.run} first"))
        run, _ = _reopen(engine, info)
        for session in engine.sessions.values():
            session.prepare(run.plan.steps)
        serial = next_serial(engine.store.read(), info.run)  # a serial is never used twice
        run.note("rollback", None, serial=serial, facts=_since(engine, info), **engine.who.record())
        return _backward(run)


def reborn_since(engine: Engine) -> dict[Address, Restoring]:
    """What a rollback now would do instead of undoing, for its review: reads only. Raises FleetError."""
    info = newest_not_undone(engine.store.runs())
    if info is None:
        return {}
    run, _ = _reopen(engine, info, ReadOnly(info.run, engine.store.records(info.run)))
    found = {}
    for root, why in reborn_hosts(run).items():
        try:
            found[root] = Restoring(why, restoration(run, root))
        except StepFailed as refused:
            found[root] = Restoring(f"{why}; {refused}", None)
    return found


def newest_not_undone(runs: Sequence[RunInfo]) -> RunInfo | None:
    """The run that `rollback` undoes; None where there is none. FleetError where state was edited by hand since.

    A midwife's restore changed nothing that was applied, so what was applied before it is undone. One that is open is
    finished first: a host that is stripped of all it had is nobody's way back.
    """
    for info in reversed(runs):
        if is_open(info.outcome) and info.mode == RESTORE:
            raise FleetError(Diagnostic(
                "error", "a restore is not complete, and cannot be undone", f"run {info.run} by {info.who}",
                remedy="`fleet resume` finishes it, if the midwife does not; then roll back"))
        if is_open(info.outcome) or (info.outcome == "applied" and info.mode != RESTORE):
            return info
        if info.outcome == "edited":
            raise FleetError(Diagnostic(
                "error", "state was changed by hand since the last run, which can no longer be undone",
                f"run {info.run} by {info.who}, {info.started}: {info.reason or 'no reason given'}",
                remedy="`fleet plan` with the earlier fleet file restores the earlier configuration"))
    return None


def _since(engine: Engine, info: RunInfo) -> dict[str, Attrs]:
    """What is known now of hosts that were restored after that run: births, certificates, boots. Else {}."""
    later = [i for i in engine.store.runs() if (i.started, i.run) > (info.started, info.run)]
    if not any(i.mode == RESTORE for i in later):
        return {}
    now = current_state(engine.store, engine.catalog)
    return {str(a): r.facts for a, r in (now.resources if now else {}).items() if r.facts and not a.child_type}


def _refuse_open(engine: Engine) -> None:
    info = open_run(engine.store.runs())
    if info is not None:
        raise Incomplete(Diagnostic(
            "error", "an earlier run is not complete", f"run {info.run} by {info.who}, started {info.started}",
            remedy=f"`fleet resume`, `fleet rollback`, or `fleet state abandon PATH {info.run} --reason …`"))


def _begin(engine: Engine, plan: Plan, state: State | None, live: Live, mode: str = "apply") -> Run:
    lineage = state.lineage if state else str(uuid.uuid4())
    name = engine.new_id()
    document = encode_plan(plan, compress=True)
    journal = engine.store.begin(name, document)
    projector = Projector(state, plan, engine.catalog, name, lineage)
    run = Run(engine, plan, journal, projector, live)
    adopted = {str(c.address): {"id": live.objects[c.address].id, "facts": _host_facts(live, c.address)}
               for c in plan.changes if c.adopted and c.address in live.objects}
    run.note("head", None, run=name, plan=hashlib.sha256(document).hexdigest(), fleet=plan.fleet, lineage=lineage,
             serial=state.serial if state else 0, instance=plan.instance, adopted=adopted,
             moved=[(str(a), str(b)) for a, b in engine.fleet.moved], mode=mode, **engine.who.record())
    run.checkpoint()
    engine.listener(Event("start", message=name, data={"steps": len(plan.steps)}))
    return run


def _host_facts(live: Live, address: Address) -> dict[str, str]:
    host = live.hosts.get(address)
    return {} if host is None else {"uuid": host.uuid, "boot_time": host.boot_time, "build": host.build}


def _reopen(engine: Engine, info: RunInfo, journal: Journal | None = None) -> tuple[Run, Sequence[Record]]:
    """A run read back from its journal: same plan, statuses and facts as when it stopped."""
    store = engine.store
    journal = journal or store.journal(info.run)
    records = list(journal.records())
    plan = decode_plan(store.plan(info.run))
    check_plan(engine.catalog, plan)
    head, base = records[0] if records else {}, base_of(store, info)
    live = engine.live.snapshot(engine.fleet, _known(engine, base, head))
    if plan.instance != live.instance:
        raise FleetError(Diagnostic("error", "that run was made on another vCenter",
                                    f"run: {plan.instance}, this server: {live.instance}"))
    projector = Projector(base, plan, engine.catalog, info.run,
                          str(head.get("lineage", "")))
    run = Run(engine, plan, journal, projector, live)
    for record in records:
        run.replay(record)
    run.reopened = True
    return run, records


def _known(engine: Engine, base: State | None, head: Record) -> dict[Address, StateResource]:
    """All that the run ever knew: what it forgot or removed meanwhile is still referred to (a host's old cluster)."""
    moved = [(Address.parse(a), Address.parse(b)) for a, b in head.get("moved", ())]
    now = current_state(engine.store, engine.catalog)
    return {**apply_moved(base.resources if base else {}, moved), **(now.resources if now else {})}


# --- forward ----------------------------------------------------------------------------------------------


def _forward(run: Run, numbers: Sequence[str], on_failure: OnFailure) -> Outcome:
    policy: Policy = "continue" if on_failure == "continue" else "stop"
    steps = [run.steps[n] for n in numbers]
    needs = {s.id: s.needs for s in steps}
    inside = set(numbers)
    walked = _walk(run, numbers, {n: [w for w in ws if w in inside] for n, ws in needs.items()},
                   lambda n: perform(run, n), policy)
    if not walked.failed and not walked.left and not walked.running:
        return _finish(run, "applied", 0, "applied")
    if _failures(run, walked) and on_failure == "rollback" and not walked.running:
        run.note("rollback", None, **run.engine.who.record())
        return replace(_backward(run, after_failure=True), failures=_failures(run, walked))
    return _stopped(run, walked)


def _walk(run: Run, numbers: Sequence[str], needs: dict[str, list[str]] | dict[str, set[str]],
          work: Callable[[str], None], policy: Policy, *, backward: bool = False) -> Walked:
    lanes = run.lanes([run.steps[n] for n in numbers], backward=backward)
    return Walk(numbers, needs, work, lanes, run.engine.stop, policy).run()


def _failures(run: Run, walked: Walked) -> tuple[tuple[Step, str, str], ...]:
    """Steps that failed; a wait that was broken off by a stop is none of them."""
    return tuple((run.steps[n], str(e), e.remedy) for n, e in walked.failed.items() if run.status.get(n) != "stopped")


def _stopped(run: Run, walked: Walked) -> Outcome:
    changed = any(run.status.get(s.id) in ("done", "doubt") and s.kind != "verify" for s in run.plan.steps)
    failures = _failures(run, walked)
    interrupted = run.engine.stop.soft.is_set()
    if not changed and not walked.running:
        code = 130 if interrupted and not failures else 1
        return replace(_finish(run, "failed", code, "nothing was changed"), failures=failures)
    if not walked.running:
        run.note("end", outcome="incomplete")
    run.checkpoint()
    run.journal.close()
    left = len(walked.left) + len(walked.failed) + len(walked.running)
    message = f"{left} of {len(run.plan.steps)} steps are not done; `fleet resume` or `fleet rollback` ends the run"
    return Outcome(3, run.journal.run, message + _not_rolled(run), failures, tuple(walked.running))


def _not_rolled(run: Run) -> str:
    """Which hosts still have the image that they had: each waited for the one before."""
    begun = {s.address.root for s in run.plan.steps if run.status.get(s.id)}
    left = [str(r.address) for r in run.plan.rolls if r.address not in begun]
    return f"; {', '.join(left[:10])}{f' and {len(left) - 10} more' if len(left) > 10 else ''}" \
           " go on with the image that they have" if left else ""


def _finish(run: Run, outcome: str, code: int, message: str) -> Outcome:
    """End a run: last record, outputs, final checkpoint."""
    run.note("end", outcome=outcome)
    state = run.projector.state()
    if outcome == "applied":
        state = replace(state, outputs=encode(dict(run.engine.outputs(state))))
    try:
        run.engine.store.write(replace(state, complete=True))
    except FleetError as error:  # the end is on disk: readers take the state from the journal
        message += f"; the journal has it all, but its checkpoint is missing: {error}"
    run.journal.close()
    run.engine.listener(Event("end", message=message))
    return Outcome(code, run.journal.run, message)


# --- backward ---------------------------------------------------------------------------------------------


def _backward(run: Run, *, after_failure: bool = False) -> Outcome:
    """Undo what was done; afterwards live must equal what the plan saw, announced effects aside."""
    steps = list(reversed(run.plan.steps))
    void = reborn_hosts(run)
    sent_back = [a for a in void if restarts(run, a)]  # restarted by the run itself: also after a failure
    first = {s.address.root: s.id for s in steps}  # undone last: by then all that its host was built on is back

    def work(number: str) -> None:
        root = run.steps[number].address.root
        restored = root in void and (not after_failure or root in sent_back)
        if restored and number == first[root]:
            restore(run, root)
        undo(run, number, void, restored=restored)

    walked = _walk(run, [s.id for s in steps], way_back(run, void, sent_back, first), work, "continue", backward=True)
    if walked.failed or walked.left or walked.running:
        return _stopped_backward(run, walked)
    state = run.projector.state()
    known = {**state.resources, **run.recorded}  # settings are read only where somebody knows them
    live = settled(run, None, lambda: run.engine.live.snapshot(run.engine.fleet, known),
                   lambda found: not left_over(run, found))
    different = left_over(run, live)
    if different:
        run.note("end", outcome="incomplete")
        run.checkpoint()
        run.journal.close()
        message = f"rolled back, but live differs from before: {', '.join(different)}; put that right and" \
                  " `fleet resume`, or `fleet state abandon` the run"
        return Outcome(3, run.journal.run, message)
    message = "rolled back, verified equal to before"
    reborn = [a for a in void if a not in sent_back]
    if reborn:
        message += f"; {', '.join(map(str, reborn))}, reborn since, got back what was applied before"
    if sent_back:
        message += f"; {', '.join(map(str, sent_back))}, restarted once more, got back what was applied before"
    lost = ", ".join(str(a) for a in sorted(booted_again(run)) if a not in void)
    if lost:
        message += f", but for the configuration of {lost}, which its boot took: the next plan restores it"
    return _finish(run, "rolled-back", 4 if after_failure else 0, message)


def _stopped_backward(run: Run, walked: Walked) -> Outcome:
    if not walked.running:
        run.note("end", outcome="incomplete")
    run.checkpoint()
    run.journal.close()
    left = len(walked.failed) + len(walked.left) + len(walked.running)
    message = f"{left} of {len(run.plan.steps)} steps are not undone; `fleet resume` continues the rollback"
    return Outcome(3, run.journal.run, message, _failures(run, walked), tuple(walked.running))
