"""State as tables and as JSON data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from planner.model import State, StateResource, encode
from planner.ports import RunInfo
from planner.review.paint import clean
from planner.review.values import text


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns for people; nothing in a cell can drive the terminal."""
    from tabulate import tabulate

    cells = [[clean(cell) for cell in row] for row in rows]
    return tabulate(cells, headers=list(headers), tablefmt="simple" if headers else "plain", disable_numparse=True)


def resource_data(resource: StateResource) -> dict[str, Any]:
    return {
        "address": str(resource.address), "type": resource.address.rtype, "origin": resource.origin,
        "id": resource.id, "schema_version": resource.schema_version, "attributes": encode(resource.attributes),
        "facts": encode(resource.facts),
    }  # fmt: skip


def resource_rows(resource: StateResource) -> list[tuple[str, str]]:
    """Attributes, then facts; values that hold several lines (a certificate) by their first."""
    rows = [("address", str(resource.address)), ("origin", resource.origin), ("id", resource.id)]
    rows += [(key, text(value)) for key, value in resource.attributes.items()]
    rows += [(f"({key})", _first_line(text(value))) for key, value in sorted(resource.facts.items())]
    return rows


def _first_line(shown: str) -> str:
    head, more, _ = shown.partition("\\n")
    return f'{head}…"' if more else head


def state_data(fleet: str, state: State | None) -> dict[str, Any]:
    """`fleet state list --json`: without attributes, which `show` and `pull` print."""
    now = state or State("", 0, fleet, "", {})
    resources = sorted(now.resources.values(), key=lambda r: str(r.address))
    return {
        "format": 1, "kind": "fleet.state", "fleet": fleet, "lineage": now.lineage, "serial": now.serial,
        "instance": now.instance, "run": now.run, "complete": now.complete,
        "resources": [{"address": str(r.address), "type": r.address.rtype, "origin": r.origin, "id": r.id}
                      for r in resources],
    }  # fmt: skip


def history_rows(states: Sequence[State], runs: Sequence[RunInfo]) -> list[dict[str, Any]]:
    """One row per serial, oldest first, with its run; runs that wrote no serial of their own stand at their time."""
    known = {info.run: info for info in runs}
    written = {state.run for state in states}
    rows = [_row(state, known.get(state.run)) for state in states]
    for info in runs:
        if info.run in written:
            continue
        at = next((i for i, row in enumerate(rows) if row["started"] and row["started"] > info.started), len(rows))
        rows.insert(at, _row(None, info))
    return rows


def _row(state: State | None, info: RunInfo | None) -> dict[str, Any]:
    return {
        "serial": state.serial if state else None, "resources": len(state.resources) if state else None,
        "run": info.run if info else state.run if state else "", "started": info.started if info else "",
        "by": f"{info.who}@{info.host}" if info else "", "outcome": (info.outcome or "open") if info else "",
        "reason": info.reason if info else "", "records": info.records if info else None,
        "damaged": info.damaged if info else "",
    }  # fmt: skip
