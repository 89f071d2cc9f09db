"""`fleet destroy`"""

from __future__ import annotations

import typer

from planner.cli import options
from planner.cli.apply import apply_now
from planner.cli.planning import addresses
from planner.cli.running import Conduct
from planner.cli.wiring import Source

app = typer.Typer(add_completion=False)


@app.command()
def command(path: options.Path, auto_approve: options.AutoApprove = False, reason: options.Reason = "",
            parallelism: options.Parallelism = 10,
            on_failure: options.OnFailure = options.OnFailureChoice.stop, as_json: options.Json = False,
            target: options.Target = None, exclude: options.Exclude = None, var: options.Var = None,
            var_file: options.VarFile = None, verbose: options.Verbose = False) -> int:
    """Plan and apply the removal of everything managed. What was adopted is only forgotten."""
    from planner.plan import PlanOptions

    conduct = Conduct(auto_approve, reason, parallelism, on_failure, as_json)
    conduct.check()
    source = Source.of(path, var, var_file)
    wanted = PlanOptions(addresses(target, "--target"), addresses(exclude, "--exclude"), (), True, True,
                         source.variables, source.var_files)
    return apply_now(source, wanted, conduct, details=verbose)
