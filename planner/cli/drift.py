"""`fleet drift`"""

from __future__ import annotations

import typer

from planner.cli import options
from planner.cli.terminal import answer_json, emit_text, paint, show_diagnostics
from planner.cli.wiring import LIVE, Bench, Source, bench, image_digests
from planner.model import Drift, FleetError, encode
from planner.review.drift import DriftView, render

app = typer.Typer(add_completion=False)


@app.command()
def command(path: options.Path, detailed_exitcode: options.DetailedExitcode = False, as_json: options.Json = False,
            var: options.Var = None, var_file: options.VarFile = None) -> int:
    """Show what live has that state does not expect; changes nothing, ever."""
    with bench(Source.of(path, var, var_file)) as place:
        view = look(place)
    show_diagnostics(d for d in view.diagnostics if d.severity == "warning")
    if as_json:
        answer_json({
            "format": 1, "kind": "fleet.drift", "fleet": view.fleet, "instance": view.instance,
            "drift": [_data(d) for d in view.drift], "reborn": list(view.reborn), "unread": dict(view.unread),
            "unmanaged": list(view.unmanaged)})
    else:
        emit_text(render(view, paint()))
    return 2 if detailed_exitcode and view.drift else 0


def look(place: Bench) -> DriftView:
    """Read live and compare it with state. Raises FleetError where live contradicts the fleet, or is another's."""
    from planner.diff import DiffInputs, compute
    from planner.plan import apply_moved, check_instance
    from planner.snapshot import find_drift

    fleet = place.fleet
    recorded = apply_moved(place.state.resources if place.state else {}, fleet.moved)
    live = place.sessions.live.snapshot(fleet, recorded)
    check_instance(place.state, live)
    errors = [d for d in live.diagnostics if d.severity == "error"]
    if errors:
        raise FleetError(*errors)
    block = fleet.providers.get(LIVE, {})
    result = compute(DiffInputs(
        place.catalog, fleet.resources, recorded, live, image_digests(place.site, fleet, fetch=False),
        options={"coexist": bool(block.get("coexist"))}))
    void = frozenset(a for a, p in result.programs.items() if p.reborn or (p.reset and p.roll is None))
    return DriftView(
        fleet.name, live.instance, find_drift(place.catalog, recorded, live, fleet.resources, void),
        tuple(str(a) for a in void if a in live.hosts and a in recorded and a not in live.unread),
        {str(address): why for address, why in {**live.unread, **live.hidden}.items()},
        tuple(str(u) for u in live.unmanaged), live.diagnostics)


def _data(one: Drift) -> dict[str, object]:
    return {"address": str(one.address), "attribute": one.attribute, "expected": encode(one.expected),
            "found": encode(one.found), "resolved": one.resolved}
