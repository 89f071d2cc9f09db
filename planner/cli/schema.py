"""`fleet schema`"""

from __future__ import annotations

import typer

from planner.cli.terminal import answer_json
from planner.cli.wiring import installed

app = typer.Typer(add_completion=False)


@app.command()
def command() -> int:
    """Print the JSON Schema of fleet files, for completion and checks in editors."""
    from planner.config import json_schema

    site = installed()
    answer_json(json_schema(site.catalog, site.blocks))
    return 0
