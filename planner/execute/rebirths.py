"""A restore as a journaled run: it goes on past a host that fails, and leaves no run behind that waits for a person.

What a restore could not do is done by a new one, from what live shows then. So an open restore blocks no apply: it is
either at work, or was interrupted, and then it is resumed before anything else is restored. All of this happens under
the fleet's lock, which the caller holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner.catalog import Catalog
from planner.execute.again import boot_again
from planner.execute.engine import RESTORE, _begin, _forward, _reopen
from planner.execute.project import is_open, projected
from planner.execute.run import Engine, Outcome
from planner.model import Live, Plan, State
from planner.plan import check_plan
from planner.ports import Record, RunInfo, StateStore

MODE = RESTORE
WHO = "midwife"
SETTLED = ("done", "skipped")


def own(info: RunInfo) -> bool:
    """Whether a run is one of these, and no person's."""
    return not info.damaged and (info.who, info.mode) == (WHO, MODE)


def restore(engine: Engine, plan: Plan, state: State, live: Live) -> Outcome:
    """Run a restore's plan. Raises FleetError before anything was changed."""
    check_plan(engine.catalog, plan)
    for session in engine.sessions.values():
        session.prepare(plan.steps)
    run = _begin(engine, plan, state, live, MODE)
    return _forward(run, [s.id for s in plan.steps], "continue")


def resume(engine: Engine, info: RunInfo) -> Outcome:
    """Finish an interrupted restore. Raises FleetError where it cannot be read, or vCenter cannot."""
    run, _ = _reopen(engine, info)
    for session in engine.sessions.values():
        session.prepare(run.plan.steps)
    run.note("resume", None, **engine.who.record())
    boot_again(run, run.plan.steps)
    return _forward(run, [s.id for s in run.plan.steps if run.status.get(s.id) not in SETTLED], "continue")


def give_up(store: StateStore, catalog: Catalog, run: str, reason: str) -> State | None:
    """Close an open restore: the state keeps what was last applied, and what was restored of it. Raises FleetError."""
    journal = store.journal(run)
    try:
        journal.append({"kind": "end", "outcome": "abandoned", "who": WHO, "reason": reason})
    finally:
        journal.close()
    info = next(i for i in store.runs() if i.run == run)
    state = projected(store, catalog, info, store.read())
    if state is not None:
        store.write(state)
    return state


def settled(records: Sequence[Record]) -> frozenset[str]:
    """Ids of the steps that are done or were not needed, by a run's journal."""
    found: set[str] = set()
    for record in records:
        kind, step = record["kind"], record.get("step", "")
        if kind in SETTLED:
            found.add(step)
        elif kind in ("begin", "void", "undone", "failed"):
            found.discard(step)
    return frozenset(found)


def still_open(store: StateStore, run: str) -> bool:
    return any(i.run == run and is_open(i.outcome) for i in store.runs())
