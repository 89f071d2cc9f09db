"""`fleet resume`"""

from __future__ import annotations

import typer

from planner.cli import options
from planner.cli.running import Conduct, Job, approve, refuse_locked
from planner.cli.terminal import emit_text, paint
from planner.cli.wiring import Source, bench
from planner.model import Diagnostic, FleetError

app = typer.Typer(add_completion=False)


@app.command()
def command(path: options.Path, auto_approve: options.AutoApprove = False, reason: options.Reason = "",
            parallelism: options.Parallelism = 10,
            on_failure: options.OnFailure = options.OnFailureChoice.stop, as_json: options.Json = False,
            var: options.Var = None, var_file: options.VarFile = None) -> int:
    """Finish an interrupted or stopped run from its journal; an interrupted rollback is finished as one."""
    from planner.execute.engine import ApplyOptions, Engine, Outcome, open_run
    from planner.execute.engine import resume as start
    from planner.plan import decode_plan
    from planner.review.journal import journal_view, render

    conduct = Conduct(auto_approve, reason, parallelism, on_failure, as_json)
    conduct.check()
    with bench(Source.of(path, var, var_file), writable=True) as place:
        info = open_run(place.store.runs())
        if info is None:
            raise FleetError(Diagnostic("error", "no run is open", remedy="`fleet apply` starts a new one"))
        refuse_locked(place.store)
        plan = decode_plan(place.store.plan(info.run))
        view = journal_view(info.run, place.store.records(info.run), plan)
        backward = any(one.what == "rollback" for one in view.sessions)
        if not as_json:
            emit_text(render(view, paint()))
        place.secrets.check(place.fleet, {step.address.root for step in plan.steps})
        approve(conduct, f"{'Go on rolling back' if backward else 'Finish'} run {info.run}?")
        settled = {s.id for s in view.steps if s.outcome in (("undone",) if backward else ("done", "skipped"))}
        left = [step for step in plan.steps if step.id not in settled]

        def run(engine: Engine) -> Outcome:
            return start(engine, ApplyOptions(conduct.on_failure.value))

        return Job(place, plan.steps, left, conduct, backward).run(run)
