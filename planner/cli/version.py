"""`fleet version`"""

from __future__ import annotations

from typing import Annotated

import typer

from planner.cli.terminal import answer_json, emit

app = typer.Typer(add_completion=False)


def tool() -> str:
    """This tool and its version, as plans and journals record it."""
    from importlib.metadata import version

    return f"fleet {version('fleet')}"


@app.command()
def command(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> int:
    """Print the version."""
    text = tool()
    if as_json:
        answer_json({"name": "fleet", "version": text.split()[1]})
    else:
        emit(text)
    return 0
