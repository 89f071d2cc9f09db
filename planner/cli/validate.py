"""`fleet validate`"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from planner.cli import options
from planner.cli.terminal import answer_json, diagnostic_data, emit, failure, note, paint, show_diagnostics
from planner.cli.wiring import Site, Source, image_digests, installed, load
from planner.model import Diagnostic, Fleet, FleetError
from planner.review.values import count

app = typer.Typer(add_completion=False)


@app.command()
def command(path: options.Path, as_json: options.Json = False, var: options.Var = None,
            var_file: options.VarFile = None,
            strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors.")] = False) -> int:
    """Check a fleet: everything that can be known without vCenter."""
    try:
        site = installed()
        fleet = load(site, Source.of(path, var, var_file))
        fleet = replace(fleet, warnings=offline_problems(site, fleet))
    except FleetError as error:
        if not as_json:
            raise
        answer_json({**failure(error.exit_code, error.diagnostics), "kind": "validation", "valid": False})
        return error.exit_code
    failed = [check for check in fleet.checks if check.passed is False]
    good = not failed and not (strict and fleet.warnings)
    if as_json:
        answer_json({
            "kind": "validation", "valid": good, "exit_code": 0 if good else 1, "fleet": fleet.name,
            "objects": len(fleet.resources), "hosts": _hosts(fleet),
            "checks": [{"name": c.name, "passed": c.passed, "message": c.message} for c in fleet.checks],
            "diagnostics": [diagnostic_data(d) for d in fleet.warnings]})
        return 0 if good else 1
    show_diagnostics(fleet.warnings)
    for check in failed:
        note(f"{check.mark or fleet.path}: {paint().red('check failed')}: {check.name}: {check.message}")
    if good:
        emit(paint().green(f"Fleet {fleet.name} is valid") + f": {count(len(fleet.resources), 'object')} on"
             f" {count(_hosts(fleet), 'host')}.")
    return 0 if good else 1


def offline_problems(site: Site, fleet: Fleet) -> tuple[Diagnostic, ...]:
    """What the providers can tell without a server: images, credentials, files; and the fleet's own warnings.

    Returns warnings. Raises FleetError with all of it where there is an error.
    """
    found = [*fleet.warnings]
    for provider in site.providers.values():
        look = getattr(provider, "problems", None)  # optional: see planner.ports.Provider
        found += look(fleet) if look is not None else ()
    try:
        image_digests(site, fleet, fetch=False)
    except FleetError as error:
        found += error.diagnostics
    if any(one.severity == "error" for one in found):
        raise FleetError(*found)
    return tuple(found)


def _hosts(fleet: Fleet) -> int:
    return sum(a.type == "host" and not a.child_type for a in fleet.resources)
