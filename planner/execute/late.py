"""Values that only apply can know (a DHCP lease, a UUID): put into a step right before its first begin.

The journal's begin record holds the step as it was made, so that resume and rollback see the same values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from planner.model import Attrs, FleetError, Step, StepFailed, contains_unknown, decode

if TYPE_CHECKING:
    from planner.execute.run import Run


def resolved(run: Run, step: Step) -> Step:
    """The step with every value known. Raises StepFailed where one still is not."""
    if not contains_unknown(step.after):
        return step
    with run.resolving:
        try:
            found = run.engine.resolve(run.projector.state()).get(step.address)
        except FleetError as error:
            raise StepFailed(f"{step.address} cannot be evaluated", str(error),
                             "mend the fleet, then roll back or abandon this run: it follows its own plan") from error
    made = with_after(step, {k: (found or {}).get(k, v) if contains_unknown(v) else v
                             for k, v in (step.after or {}).items()})
    missing = [k for k, v in (made.after or {}).items() if contains_unknown(v)]
    several = run.engine.catalog.operations[step.operation].does in ("add_item", "remove_item")
    if missing or several:
        raise StepFailed(f"{step.address}: a value is still not known", ", ".join(missing or (step.after or {})),
                         "write it into the fleet, or apply what it comes from first (--target)")
    run.steps[step.id] = made
    return made


def with_after(step: Step, after: Attrs) -> Step:
    """The step, and its way back, with these values."""
    inverse = step.inverse
    if inverse is not None and inverse.before is not None:
        inverse = replace(inverse, before=after)
    return replace(step, after=after, inverse=inverse)


def as_begun(step: Step, record: Mapping[str, Any]) -> Step:
    """The step as its begin record has it."""
    after = record.get("after")
    return with_after(step, decode(after)) if after is not None and contains_unknown(step.after) else step
