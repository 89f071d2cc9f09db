"""`fleet rollback`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli import options
from planner.cli.running import Conduct, Job, approve, refuse_locked
from planner.cli.terminal import answer_json, emit_text, note, paint
from planner.cli.wiring import Bench, Source, bench
from planner.model import Address, Diagnostic, FleetError, Plan, Step, encode
from planner.ports import RunInfo

if TYPE_CHECKING:
    from planner.execute.restore import Restoring

app = typer.Typer(add_completion=False)


@app.command()
def command(path: options.Path,
            run: Annotated[str, typer.Argument(metavar="[RUN]", help="The run to undo; the newest not undone.",
                                               show_default=False)] = "",
            plan_only: Annotated[bool, typer.Option("--plan", help="Print how, and change nothing.")] = False,
            auto_approve: options.AutoApprove = False, reason: options.Reason = "",
            parallelism: options.Parallelism = 10, as_json: options.Json = False, var: options.Var = None,
            var_file: options.VarFile = None, verbose: options.Verbose = False) -> int:
    """Undo a run, step by step, in reverse; live is read back and must equal what it was before."""
    from planner.execute.engine import Engine, Outcome
    from planner.execute.engine import rollback as start

    conduct = Conduct(auto_approve, reason, parallelism, json=as_json)
    if not plan_only:
        conduct.check()
    with bench(Source.of(path, var, var_file), writable=not plan_only) as place:
        info, plan, undo = reverse(place, run)
        if not plan_only:
            refuse_locked(place.store)
        job = Job(place, plan.steps, undo, conduct, backward=True)
        _show(place, info, plan, undo, restored(job, plan_only=plan_only), as_json=as_json, details=verbose)
        if plan_only:
            return 0
        place.secrets.check(place.fleet, {step.address.root for step in undo})
        approve(conduct, f"Roll run {info.run} back?")

        def begin(engine: Engine) -> Outcome:
            return start(engine, info.run)

        return job.run(begin)


def restored(job: Job, *, plan_only: bool) -> Mapping[Address, Restoring]:
    """Hosts that were reborn since: why, and the steps that put what was applied before back on them."""
    from planner.execute.engine import reborn_since
    from planner.execute.walk import Stop

    try:
        return reborn_since(job.engine(Stop(), lambda _event: None))
    except FleetError as error:
        if not plan_only:
            raise
        note(f"warning: live cannot be read, so hosts that were reborn since do not show: {error}")
        return {}


def reverse(place: Bench, run: str) -> tuple[RunInfo, Plan, list[Step]]:
    """The run to undo, its plan, and the reverse steps of what it did (or may have done). Raises FleetError."""
    from planner.execute.engine import newest_not_undone
    from planner.plan import back_out, decode_plan
    from planner.review.journal import journal_view

    info = newest_not_undone(place.store.runs())
    if info is None:
        raise FleetError(Diagnostic("error", "no run to roll back", remedy="`fleet state history` lists the runs"))
    if run and run != info.run:
        raise FleetError(Diagnostic(
            "error", "only the newest run that is not undone can be rolled back",
            f"that is {info.run}, asked for {run}", remedy=f"roll back {info.run} first"))
    plan = decode_plan(place.store.plan(info.run))
    view = journal_view(info.run, place.store.records(info.run), plan)
    touched = {s.id for s in view.steps if s.outcome in ("done", "begin", "failed", "undoing")}
    return info, plan, [step for step in back_out(plan) if step.id in touched]


def _show(place: Bench, info: RunInfo, plan: Plan, undo: list[Step], restored: Mapping[Address, Restoring], *,
          as_json: bool, details: bool) -> None:
    from planner.review.back_out import render
    from planner.review.view import review

    undo = [step for step in undo if step.address.root not in restored]
    views = {str(root): (found.why, review(found.plan, place.catalog, details=True) if found.plan else None)
             for root, found in restored.items()}

    if as_json:
        answer_json({
            "kind": "rollback", "run": info.run,
            "steps": [{"undoes": s.id, "address": str(s.address), "operation": s.operation, "before": encode(s.before),
                       "after": encode(s.after)} for s in undo],
            "stays": [{"step": s.id, "address": str(s.address), "operation": s.operation, "reason": s.irreversible}
                      for s in plan.steps if s.irreversible],
            "restores": [{"address": str(root), "reason": found.why,
                          "steps": [{"address": str(s.address), "operation": s.operation, "before": encode(s.before),
                                     "after": encode(s.after)} for s in (found.plan.steps if found.plan else ())]}
                         for root, found in restored.items()]}, lines=True)
        return
    view = review(plan, place.catalog, undo, details=details)
    emit_text(render(info.run, f"{info.started} by {info.who}@{info.host}", view, paint(), views))
