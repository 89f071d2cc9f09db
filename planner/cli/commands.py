"""Which commands exist, found without importing them: `fleet --help` loads none.

Three sources, in this order: the table here, entry points of the group `fleet.commands` (commands that belong to
a provider), and commands of a later version, which answer with one clear sentence.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import typer
from typer.core import TyperGroup

from planner.model import Diagnostic, FleetError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Entry(NamedTuple):
    module: str  # has `app`, a typer.Typer
    help: str


COMMANDS: Mapping[str, Entry] = {
    "init": Entry("planner.cli.init", "Write a starter fleet in the current folder"),
    "validate": Entry("planner.cli.validate", "Check a fleet: everything that can be known without vCenter"),
    "plan": Entry("planner.cli.plan", "Show what would change, and every step in order"),
    "drift": Entry("planner.cli.drift", "Show what live has that state does not expect; changes nothing"),
    "show": Entry("planner.cli.show", "Show a saved plan or a journal, offline"),
    "apply": Entry("planner.cli.apply", "Run exactly the plan"),
    "resume": Entry("planner.cli.resume", "Finish an interrupted or stopped run from its journal"),
    "rollback": Entry("planner.cli.rollback", "Undo a run, step by step, in reverse"),
    "destroy": Entry("planner.cli.destroy", "Plan and apply the removal of everything managed"),
    "state": Entry("planner.cli.state", "Inspect state and its history; the rare repair"),
    "schema": Entry("planner.cli.schema", "Print the JSON Schema of fleet files"),
    "reference": Entry("planner.cli.reference", "Print the reference of resource types: attributes, calls, inverses"),
    "graph": Entry("planner.cli.graph", "Print the graph of references, as dot or mermaid"),
    "output": Entry("planner.cli.output", "Print the fleet's outputs"),
    "version": Entry("planner.cli.version", "Print the version"),
}

LATER: Mapping[str, str] = {
    "rehearse": "running a plan against a twin of what it was planned from",
    "import": "writing YAML and state for what already runs",
    "console": "the expression prompt",
}
"""Commands of the contract that this version does not have, and what they are for."""

PLUGIN_HELP: Mapping[str, str] = {
    "twin": "The embedded twin: power its machines, serve it over HTTPS",
    "image": "Boot images from an ISO or a folder",
    "dhcp": "Print a DHCP server's configuration that boots the fleet's hosts",
    "births": "List who was born when, from where, with which image",
    "midwife": "The site's boot and birth service",
}
"""One line for known commands of providers, so that help need not load them."""


def plugins() -> dict[str, EntryPoint]:
    """Entry points of the group `fleet.commands`, by name; none is loaded."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group="fleet.commands")}


def _unsupported(name: str, context: typer.Context) -> None:
    """Not supported in this version."""
    from planner.cli.terminal import Unsupported

    raise Unsupported(Diagnostic(
        "error", f"`fleet {name}` is not supported in this version", f"It will be {LATER[name]}.",
        remedy="`fleet --help` lists the commands of this version"))


def _later(name: str) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    settings = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}

    @app.command(name, context_settings=settings, hidden=True, add_help_option=False)
    def command(context: typer.Context) -> None:
        _unsupported(name, context)

    return typer.main.get_command(app)


def _loaded(app: typer.Typer, name: str) -> Any:
    app.rich_markup_mode = None  # usage errors are printed by main; rich is not loaded for them
    command = typer.main.get_command(app)
    command.name = name
    return command


class Carried(Exception):
    """Carries an error past typer, which would end the process on its own for these."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class LazyGroup(TyperGroup):
    """Loads a command's module when that command is run, and none for `--help`."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, OSError, EOFError) as error:
            raise Carried(error) from error

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS, *sorted(name for name in plugins() if name not in COMMANDS)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS:
            return _loaded(importlib.import_module(COMMANDS[cmd_name].module).app, cmd_name)
        point = plugins().get(cmd_name)
        if point is not None:
            from planner.cli.workshop import CliWorkshop

            ctx.obj = CliWorkshop()
            return _loaded(load_plugin(point), cmd_name)
        return _later(cmd_name) if cmd_name in LATER else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [(name, COMMANDS[name].help if name in COMMANDS else PLUGIN_HELP.get(name, "From a provider"))
                for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def load_plugin(point: EntryPoint) -> Any:
    """Load one entry point. Raises FleetError that names it."""
    try:
        return point.load()
    except Exception as error:
        raise FleetError(Diagnostic(
            "error", f"the entry point {point.group}:{point.name} cannot be loaded",
            f"{point.value}: {type(error).__name__}: {error}",
            remedy="repair or uninstall the package that declares it")) from error


