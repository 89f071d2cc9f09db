"""`fleet reference`"""

from __future__ import annotations

from typing import Annotated

import typer

from planner.cli import options
from planner.cli.terminal import Usage, answer_json, emit
from planner.cli.wiring import installed
from planner.model import Diagnostic

app = typer.Typer(add_completion=False)


@app.command()
def command(
    name: Annotated[str, typer.Argument(metavar="[TYPE]", show_default=False,
                                        help="One resource type; without, all of them.")] = "",
    as_json: options.Json = False,
) -> int:
    """Print the reference of resource types: attributes, calls, inverses. Markdown, read off the catalogue."""
    from planner.config.reference import reference
    from planner.config.reference_text import markdown, one

    data = reference(installed().catalog)
    if not name:
        if as_json:
            answer_json(data)
        else:
            emit(markdown(data))
        return 0
    by_name = {entry["name"]: entry for entry in data["types"]}
    if name not in by_name:
        raise Usage(Diagnostic("error", f"no resource type is called {name!r}", f"there are {', '.join(by_name)}"))
    if as_json:
        answer_json(by_name[name])
    else:
        emit(one(by_name[name]))
    return 0
