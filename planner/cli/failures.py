"""What failed in the last run, said again by a plan that would do it once more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.model import Diagnostic, Plan

if TYPE_CHECKING:
    from planner.ports import Record, StateStore


@dataclass(frozen=True, slots=True)
class Failure:
    """A step's last failure: what it said, and what to do."""

    error: str
    remedy: str


def failures(records: Iterable[Record]) -> Mapping[tuple[str, str], Failure]:
    """(address, operation) → how it failed, of steps that were not done afterwards. Pure."""
    begun: dict[str, tuple[str, str]] = {}
    found: dict[tuple[str, str], Failure] = {}
    for record in records:
        step, kind = str(record.get("step", "")), record["kind"]
        if kind == "begin":
            begun[step] = (str(record.get("address", "")), str(record.get("operation", "")))
        elif kind == "failed" and step in begun:
            found[begun[step]] = Failure(str(record.get("error", "")), str(record.get("remedy", "")))
        elif kind == "done" and step in begun:
            found.pop(begun[step], None)
        elif kind == "undoing":  # what fails from here on is its undoing
            begun.pop(step, None)
    return found


def said_again(store: StateStore, plan: Plan) -> tuple[Diagnostic, ...]:
    """A warning for each step that failed in the newest run, and would be made again as it is. Raises FleetError."""
    newest = next(iter(reversed(store.runs())), None)
    if newest is None or newest.outcome == "applied" or newest.damaged or not plan.steps:
        return ()
    known = failures(store.records(newest.run))
    again = {(str(step.address), step.operation): step for step in plan.steps} if known else {}
    return tuple(
        Diagnostic("warning", f"this step failed in run {newest.run}: {again[key].operation}", failure.error,
                   address=again[key].address, remedy=failure.remedy)
        for key, failure in known.items() if key in again)
