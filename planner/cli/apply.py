"""`fleet apply`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli import options
from planner.cli.planning import Style, addresses, make_plan, saved_plan, show_plan
from planner.cli.running import Conduct, Job, approve, refuse_locked
from planner.cli.terminal import Usage
from planner.cli.wiring import Bench, Source, bench, image_digests
from planner.model import Diagnostic, FleetError, Plan

if TYPE_CHECKING:
    from planner.plan import PlanOptions

app = typer.Typer(add_completion=False)


@app.command()
def command(path: Annotated[str, typer.Argument(metavar="PATH|PLANFILE", show_default=False,
                                                help="A fleet, or a plan saved by `fleet plan --out`.")],
            auto_approve: options.AutoApprove = False, reason: options.Reason = "",
            parallelism: options.Parallelism = 10,
            on_failure: options.OnFailure = options.OnFailureChoice.stop, as_json: options.Json = False,
            target: options.Target = None, exclude: options.Exclude = None, replace: options.Replace = None,
            destroy: options.Destroy = False, var: options.Var = None, var_file: options.VarFile = None,
            verbose: options.Verbose = False) -> int:
    """Run exactly the plan: one made now and approved, or one that was saved and reviewed."""
    conduct = Conduct(auto_approve, reason, parallelism, on_failure, as_json)
    conduct.check()
    plan = saved_plan(path)
    if plan is not None:
        if target or exclude or replace or destroy or var or var_file:
            raise Usage(Diagnostic("error", "a saved plan is applied as it is",
                                   "--target, --exclude, --replace, --destroy, --var and --var-file belong to"
                                   " `fleet plan`"))
        return apply_saved(plan, path, conduct, details=verbose)
    from planner.plan import PlanOptions

    source = Source.of(path, var, var_file)
    return apply_now(source, PlanOptions(
        addresses(target, "--target"), addresses(exclude, "--exclude"), addresses(replace, "--replace"), destroy,
        True, source.variables, source.var_files), conduct, details=verbose)


def apply_now(source: Source, wanted: PlanOptions, conduct: Conduct, *, details: bool = False) -> int:
    """Plan, show, ask, run."""
    with bench(source, writable=True) as place:
        refuse_open_run(place)
        return run_plan(place, make_plan(place, wanted), conduct, details=details)


def apply_saved(plan: Plan, path: str, conduct: Conduct, *, details: bool = False) -> int:
    """Show, ask, run a saved plan; the engine refuses it where anything moved since (5)."""
    from planner.plan import check_plan, plan_options

    if not plan.refreshed:
        raise FleetError(Diagnostic("error", "a plan made with --no-refresh cannot be applied", path,
                                    remedy="plan again without --no-refresh"))
    if not plan.source or not Path(plan.source).exists():
        raise FleetError(Diagnostic(
            "error", "the fleet of this plan is not here", f"{path} was made from {plan.source or '(unknown)'}",
            remedy="run it in the folder in which it was planned, with the fleet's files in place"))
    made_with = plan_options(plan)
    with bench(Source(plan.source, made_with.variables, made_with.var_files), writable=True) as place:
        refuse_open_run(place)
        check_plan(place.catalog, plan)
        return run_plan(place, plan, conduct, details=details)


def refuse_open_run(place: Bench) -> None:
    """Before anybody reviews in vain. Raises Incomplete (3), or Locked (6) where that run is at work."""
    from planner.execute.engine import open_run
    from planner.model import Incomplete

    found = open_run(place.store.runs())
    if found is not None:
        refuse_locked(place.store)
        raise Incomplete(Diagnostic(
            "error", "an earlier run is not complete", f"run {found.run} by {found.who}, started {found.started}",
            remedy=f"`fleet resume {place.source.path}`, `fleet rollback {place.source.path}`, or `fleet state abandon"
                   f" {place.source.path} {found.run} --reason TEXT`"))


def run_plan(place: Bench, plan: Plan, conduct: Conduct, *, details: bool) -> int:
    """Show the review, ask, and run. Secrets of the hosts at work are resolved before the first step."""
    from planner.execute.engine import ApplyOptions, Engine, Outcome
    from planner.execute.engine import apply as start

    show_plan(plan, place.catalog, Style(conduct.json, details=details), lines=True)
    if plan.idle:
        return 0
    if not plan.empty:
        place.secrets.check(place.fleet, {step.address.root for step in plan.steps})
        approve(conduct, f"Apply this plan to fleet {plan.fleet}?")
    images = image_digests(place.site, place.fleet)

    def run(engine: Engine) -> Outcome:
        return start(engine, plan, ApplyOptions(conduct.on_failure.value), images)

    return Job(place, plan.steps, plan.steps, conduct).run(run)
