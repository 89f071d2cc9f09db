"""`fleet output`"""

from __future__ import annotations

from typing import Annotated

import typer

from planner.cli import options
from planner.cli.terminal import answer_json, emit
from planner.cli.wiring import Source, bench
from planner.model import Diagnostic, FleetError, encode
from planner.review.values import text

app = typer.Typer(add_completion=False)


@app.command()
def command(path: options.Path,
            name: Annotated[str, typer.Argument(metavar="[NAME]", help="Only this output.", show_default=False)] = "",
            raw: Annotated[bool, typer.Option("--raw", help="A string without quotes, for scripts.")] = False,
            as_json: options.Json = False, var: options.Var = None, var_file: options.VarFile = None) -> int:
    """Print the fleet's outputs, with what state knows; sensitive ones only by name."""
    with bench(Source.of(path, var, var_file)) as place:
        found = dict(place.fleet.outputs)
    if name and name not in found:
        raise FleetError(Diagnostic("error", "no such output", name, remedy=f"there are: {', '.join(found) or 'none'}"))
    if name and not as_json:
        value = found[name].value
        shown = value if raw and isinstance(value, str) else text(value)
        emit("(sensitive)" if found[name].sensitive else shown)
    elif as_json:
        data = {n: {"value": None if o.sensitive else encode(o.value), "sensitive": o.sensitive}
                for n, o in found.items()}
        answer_json(data[name] if name else data)
    else:
        for one, output in found.items():
            emit(f"{one} = {'(sensitive)' if output.sensitive else text(output.value)}")
    return 0
