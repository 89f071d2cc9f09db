"""Values that only apply can know (a DHCP lease, a UUID): put into a step right before its first begin.

The journal's begin record holds the step as it was made, so that resume and rollback see the same values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from planner.model import Attrs, FleetError, Step, StepFailed, Unknown, contains_unknown, decode

if TYPE_CHECKING:
    from planner.execute.run import Run


def resolved(run: Run, step: Step) -> Step | None:
    """The step with every value known; None where nothing is left for it to do. Raises StepFailed where one is not.

    None: the item that it was to add turned out to be one that the list has by then.
    """
    if not contains_unknown(step.after):
        return step
    with run.resolving:
        try:
            found = run.engine.resolve(run.projector.state()).get(step.address, {})
        except FleetError as error:
            raise StepFailed(f"{step.address} cannot be evaluated", str(error),
                             "mend the fleet, then roll back or abandon this run: it follows its own plan") from error
    if run.engine.catalog.operations[step.operation].does in ("add_item", "remove_item"):
        made = _item(run, step, found)
    else:
        made = with_values(step, step.before, {k: found.get(k, v) if contains_unknown(v) else v
                                               for k, v in (step.after or {}).items()})
    missing = [k for k, v in (made.after or {}).items() if contains_unknown(v)] if made else []
    if missing:
        raise StepFailed(f"{step.address}: a value is still not known", ", ".join(missing),
                         "write it into the fleet, or apply what it comes from first (--target)")
    if made is not None:
        run.steps[step.id] = made
    return made


def _item(run: Run, step: Step, found: Attrs) -> Step | None:
    """A step that adds one item of a list: the unknown items of the plan are, in order, those that it did not know.

    Two that turn out to be one, or to be an item that the file names as well, leave steps with nothing to do.
    """
    (key, planned), = (step.after or {}).items()
    whole, change = found.get(key), run.changes[step.address]
    if not isinstance(whole, (list, tuple)) or contains_unknown(whole):
        return step  # still unknown
    known = [i for i in _items(change.after, key) if not isinstance(i, Unknown)]
    learnt = sorted({str(i) for i in whole} - {str(i) for i in known})
    number = sum(isinstance(i, Unknown) for i in planned)  # type: ignore[union-attr]
    if number > len(learnt):
        return None
    base = [i for i in _items(step.before, key) if not isinstance(i, Unknown)]
    before, after = ({key: sorted([*base, *learnt[:n]])} for n in (number - 1, number))
    return with_values(step, before, after)


def _items(attributes: Attrs | None, key: str) -> Sequence[Any]:
    items = (attributes or {}).get(key)
    return items if isinstance(items, (list, tuple)) else ()


def with_values(step: Step, before: Attrs | None, after: Attrs) -> Step:
    """The step, and its way back, with these values."""
    inverse = step.inverse
    if inverse is not None:
        inverse = replace(inverse, before=after if inverse.before is not None else None,
                          after=before if inverse.after is not None else None)
    return replace(step, before=before, after=after, inverse=inverse)


def as_begun(step: Step, record: Mapping[str, Any]) -> Step:
    """The step as its begin record has it."""
    after = record.get("after")
    if after is None or not contains_unknown(step.after):
        return step
    return with_values(step, decode(record.get("before")), decode(after))
