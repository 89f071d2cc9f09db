"""`fleet graph`"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from planner.cli import options
from planner.cli.terminal import answer_json, emit
from planner.cli.wiring import Source, installed, load

app = typer.Typer(add_completion=False)


class Format(StrEnum):
    dot = "dot"
    mermaid = "mermaid"


@app.command()
def command(path: options.Path,
            form: Annotated[Format, typer.Option("--format", help="Graphviz' dot, or mermaid.")] = Format.dot,
            as_json: options.Json = False, var: options.Var = None, var_file: options.VarFile = None) -> int:
    """Print the graph of references: who needs whom."""
    from planner.review.graph import dot, edges, mermaid

    site = installed()
    fleet = load(site, Source.of(path, var, var_file))
    if as_json:
        answer_json({"nodes": [str(a) for a in fleet.resources],
                     "edges": [{"from": str(a), "to": str(b)} for a, b in edges(fleet, site.catalog)]})
    else:
        emit((dot if form is Format.dot else mermaid)(fleet, site.catalog))
    return 0
