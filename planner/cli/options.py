"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer

Path: TypeAlias = Annotated[str, typer.Argument(metavar="PATH", help="A fleet file, or a folder of them.",
                                                show_default=False)]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON on stdout, diagnostics included.")]
Markdown: TypeAlias = Annotated[bool, typer.Option("--markdown", help="Markdown, for tickets and pull requests.")]
Html: TypeAlias = Annotated[str, typer.Option("--html", hidden=True)]
Verbose: TypeAlias = Annotated[bool, typer.Option(
    "--verbose", "-v", help="Fold nothing: every host's steps, every restored object.")]
Var: TypeAlias = Annotated[list[str] | None, typer.Option("--var", metavar="NAME=VALUE", help="Set a variable.",
                                                          show_default=False)]
VarFile: TypeAlias = Annotated[list[str] | None, typer.Option(
    "--var-file", metavar="FILE", help="Variables from a YAML file.", show_default=False)]
Target: TypeAlias = Annotated[list[str] | None, typer.Option(
    "--target", metavar="ADDR", help="Only this address and what it needs.", show_default=False)]
Exclude: TypeAlias = Annotated[list[str] | None, typer.Option(
    "--exclude", metavar="ADDR", help="Not this address, nor what needs it.", show_default=False)]
Replace: TypeAlias = Annotated[list[str] | None, typer.Option(
    "--replace", metavar="ADDR", help="Remove and create this address anew.", show_default=False)]
Destroy: TypeAlias = Annotated[bool, typer.Option("--destroy", help="Plan the removal of everything managed.")]
Refresh: TypeAlias = Annotated[bool, typer.Option(
    "--refresh/--no-refresh", help="Whether to read live; without, the plan cannot be applied.")]
DetailedExitcode: TypeAlias = Annotated[bool, typer.Option(
    "--detailed-exitcode", help="Exit 2 where there is something to do.")]
AutoApprove: TypeAlias = Annotated[bool, typer.Option("--auto-approve", help="Do not ask.")]
Reason: TypeAlias = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in journal and history.",
                                                show_default=False)]
Parallelism: TypeAlias = Annotated[int, typer.Option("--parallelism", metavar="N", min=1, max=1000,
                                                     help="How many steps run at once.")]


class OnFailureChoice(StrEnum):
    stop = "stop"
    rollback = "rollback"
    continue_ = "continue"


OnFailure: TypeAlias = Annotated[OnFailureChoice, typer.Option(
    "--on-failure", help="After a failed step: end the running ones and stop, roll everything back, or go on with"
                         " what does not depend on it.")]
