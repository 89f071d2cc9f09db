"""`fleet plan`"""

from __future__ import annotations

from typing import Annotated

import typer

from planner.cli import options
from planner.cli.planning import Style, addresses, make_plan, show_plan, write_plan
from planner.cli.terminal import note
from planner.cli.wiring import Source, bench
from planner.ports import StateStore

app = typer.Typer(add_completion=False)


@app.command()
def command(path: options.Path,
            out: Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="Save the plan, for `fleet apply`.",
                                             show_default=False)] = "",
            as_json: options.Json = False, markdown: options.Markdown = False, html: options.Html = "",
            target: options.Target = None, exclude: options.Exclude = None, replace: options.Replace = None,
            destroy: options.Destroy = False, refresh: options.Refresh = True, var: options.Var = None,
            var_file: options.VarFile = None, detailed_exitcode: options.DetailedExitcode = False,
            verbose: options.Verbose = False) -> int:
    """Show what would change, and every step in order. Changes nothing."""
    from planner.plan import PlanOptions

    style = Style(as_json, markdown, html, verbose)
    style.check()
    source = Source.of(path, var, var_file)
    wanted = PlanOptions(addresses(target, "--target"), addresses(exclude, "--exclude"),
                         addresses(replace, "--replace"), destroy, refresh, source.variables, source.var_files)
    with bench(source) as place:
        plan = make_plan(place, wanted)
        warn_of_open_run(place.store)
    if out:
        write_plan(plan, out)
    show_plan(plan, place.catalog, style)
    if out and not as_json:
        note(f"Saved: {out}. " + (f"`fleet apply {out}` runs exactly this plan." if refresh else
                                  "It can be read, not applied: it was made with --no-refresh."))
    return 2 if detailed_exitcode and not plan.empty else 0


def warn_of_open_run(store: StateStore) -> None:
    """A plan can be read while a run is open; apply will refuse."""
    from planner.execute.engine import open_run

    found = open_run(store.runs())
    holder = store.holder() if found is not None else ""
    if found is not None and holder:
        note(f"warning: run {found.run} is at work now: the fleet is locked {holder}. This plan shows a moment of it;"
             " plan again when it has ended")
    elif found is not None:
        note(f"warning: run {found.run} is not complete; `fleet resume` or `fleet rollback` comes before an apply")
