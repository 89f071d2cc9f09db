"""One step, forward: guard, look at live, write the inverse down, make the call, read back when in doubt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from planner.execute.late import resolved
from planner.execute.run import Run
from planner.model import (
    Action,
    Address,
    Attrs,
    Inverse,
    Live,
    ReadFailed,
    Step,
    StepFailed,
    Unknown,
    contains_unknown,
)
from planner.snapshot import mismatch

T = TypeVar("T")

REPEATS = 4
"""How often one call is made at most: after a retryable fault, or after a lost reply that had no effect."""


def perform(run: Run, number: str) -> None:
    """Bring one step to done (or skipped). Raises StepFailed; every way it can end is in the journal first."""
    step = run.steps[number]
    try:
        if run.status.get(number) == "doubt" and _settle(run, step):
            return
        if step.when and not _guard(run, step):
            run.note("skipped", step, guard=step.when)
            return
        if step.kind == "verify":
            verify(run, step)
            return
        known = resolved(run, step)
        if known is None:
            run.note("skipped", step, guard="nothing to do: the list has it already")
            return
        step = known
        live = _look(run, step) if step.kind == "call" else None
        run.note("begin", step, operation=step.operation, address=step.address, before=step.before, after=step.after,
                 inverse=inverse_record(step), live=live)
        facts = make_call(run, step, None)
        run.note("done", step, facts=facts)
    except StepFailed as error:
        if step.kind == "wait" and run.engine.stop.soft.is_set():  # no failure: resumed, it waits again
            run.note("stopped", step, reason=str(error))
            raise
        effect = "unknown" if error.in_doubt else "none"
        run.note("failed", step, error=str(error), remedy=error.remedy, effect=effect)
        raise


def patiently(run: Run, read: Callable[[], T]) -> T:
    """A reading, tried again where the connection broke: a moment's trouble is no reason to stop a run."""
    for attempt in range(1, REPEATS):
        try:
            return read()
        except ReadFailed as unread:
            if not unread.retry or run.engine.stop.hard.is_set():
                raise
            run.engine.clock.sleep(0.5 * attempt)
    return read()


def settled(run: Run, root: Address | None, read: Callable[[], T], good: Callable[[T], bool]) -> T:
    """A reading that is as it should be; else the one that stays, once live can lag no call any more."""
    found, pause = read(), 0.05
    while not good(found) and run.lagging(root):
        run.engine.clock.sleep(pause)
        pause = min(pause * 1.6, 0.8)
        found = read()
    return found


def inverse_record(step: Step) -> dict[str, Any] | None:
    inverse = step.inverse
    return None if inverse is None else {"operation": inverse.operation, "before": inverse.before,
                                         "after": inverse.after}


def _guard(run: Run, step: Step) -> bool:
    operation = run.engine.catalog.operations[step.operation]

    def take() -> bool:
        return patiently(run, lambda: run.session(operation).guard(step.when, run.call(step)))

    return settled(run, step.address.root, take, lambda found: step.when != "not-yet" or not found)


def _look(run: Run, step: Step) -> Attrs | None:
    """The true before-image. Live must equal the step's `before`; an assumed one must not be contradicted."""
    live = settled(run, step.address.root, lambda: patiently(run, lambda: run.observe(step)),
                   lambda found: not run.mismatch(step, step.before, found))
    wrong = run.mismatch(step, step.before, live)
    if wrong:
        expected = "the newborn baseline assumed" if step.assumed else "it was at plan time"
        raise StepFailed(f"{step.address} is not as {expected}", wrong,
                         "look at it in vCenter, then `fleet plan` again" if not step.assumed
                         else f"declare what {step.address.root} really has after birth, or change its boot image")
    return live


def _settle(run: Run, step: Step) -> bool:
    """A step whose reply was never seen. True: it took effect, nothing is left to do."""
    if step.kind in ("wait", "manual", "boot", "verify"):
        return False  # safe to repeat: resume stages and boots again what is not born yet
    found = settled(run, step.address.root, lambda: patiently(run, lambda: run.observe(step)),
                    lambda found: run.where(step, step.before, step.after, found) == "after")
    where = run.where(step, step.before, step.after, found)
    run.note("readback", step, found=where)
    if where == "after" and run.blind(step, step.before, step.after, found):
        return False
    if where == "after":
        run.note("done", step, facts=extra_facts(run, step, found))
        return True
    if where == "before":
        return False
    raise StepFailed(f"{step.address} is neither as before nor as after the step in doubt",
                     run.mismatch(step, step.after, found),
                     "look at it in vCenter; `fleet rollback` restores what can be restored", in_doubt=True)


def make_call(run: Run, step: Step, inverse: Inverse | None) -> dict[str, Any]:
    """The one mutating call, of a step or of its inverse; repeated only when live shows that it had no effect."""
    call = run.call(step, inverse)
    operation = run.engine.catalog.operations[call.operation]
    session = run.session(operation)
    sent = False  # an earlier attempt may have taken effect after all: a task that goes on
    for attempt in range(1, REPEATS + 1):
        run.journal.held()  # who may have lost the lock calls nothing any more
        try:
            facts = dict(session.run(operation, call))
            run.calling(step.address.root)
            return facts
        except StepFailed as error:
            run.calling(step.address.root)
            if error.retry and attempt < REPEATS:
                run.note("readback", step, found="before", error=str(error))
                run.engine.clock.sleep(min(2.0 ** attempt, 10.0))
                continue
            if step.kind != "call" or (error.retry and not error.in_doubt):
                raise
            if not error.in_doubt:
                other = _contradiction(run, step, inverse, error)
                if other is None:
                    raise
                if sent and not run.mismatch(step, call.after, other.live):
                    return extra_facts(run, step, other.live) if inverse is None else {}
                raise StepFailed(error.summary, error.detail, error.remedy, in_doubt=True) from error
            sent = True
            found = settled(run, step.address.root, partial(_read_back, run, step, inverse, error),
                            lambda now: run.where(step, call.before, call.after, now) == "after")
            where = run.where(step, call.before, call.after, found)
            run.note("readback", step, found=where, error=str(error))
            if where == "after" and not run.blind(step, call.before, call.after, found):
                return extra_facts(run, step, found) if inverse is None else {}
            if where == "other" or attempt == REPEATS:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


@dataclass(frozen=True, slots=True)
class _Found:
    live: Attrs | None


def _contradiction(run: Run, step: Step, inverse: Inverse | None, error: StepFailed) -> _Found | None:
    """The server says that the call failed: what live shows where it is not as before all the same; else None."""
    call = run.call(step, inverse)
    try:
        found = run.observe(step, inverse)
    except ReadFailed:
        return None  # nothing speaks against the server's word
    if not run.mismatch(step, filled(call.before, run.before_images.get(step.id)), found):
        return None
    run.note("readback", step, found=run.where(step, call.before, call.after, found), error=str(error))
    return _Found(found)


def filled(attributes: Attrs | None, image: Attrs | None) -> Attrs | None:
    """Attributes that plan could not know, as apply found them before the call."""
    if attributes is None or image is None:
        return attributes
    return {k: image.get(k, v) if isinstance(v, Unknown) else v for k, v in attributes.items()}


def _read_back(run: Run, step: Step, inverse: Inverse | None, error: StepFailed) -> Attrs | None:
    """Live after a lost reply. The connection may need a moment; a read that keeps failing leaves the doubt."""
    for attempt in range(1, REPEATS + 1):
        try:
            return run.observe(step, inverse)
        except ReadFailed as unread:
            if attempt == REPEATS:
                raise StepFailed(error.summary, f"{error.detail}; and live could not be read back: {unread}",
                                 "`fleet resume` reads it again", in_doubt=True) from unread
            run.engine.clock.sleep(0.5 * attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")


def extra_facts(run: Run, step: Step, found: Attrs | None) -> dict[str, Any]:
    """Computed values that a reading carries besides the schema's attributes; stands in for a lost reply's."""
    fields = run.engine.catalog.types[step.address.rtype].fields
    known = (step.after or {}).keys()
    return {k: v for k, v in (found or {}).items() if k not in fields and k not in known}


def verify(run: Run, step: Step) -> None:
    """Read a host back: every object that this plan changed on it must now be as planned."""
    root = step.address
    known = {**run.recorded, **run.projector.state().resources} if root in run.restorations else \
        run.projector.state().resources  # settings are read only where somebody knows them
    live = settled(run, root, lambda: patiently(run, lambda: run.engine.live.snapshot(
        run.engine.fleet, known, frozenset({root}))),
        lambda found: not compliance(run, root, found))
    wrong = [*_other_build(run, step, live), *compliance(run, root, live)]
    if wrong:
        raise StepFailed(f"{root} does not read back as configured", "; ".join(wrong),
                         "it stays in maintenance mode; `fleet plan` shows what differs")
    run.note("done", step, facts={})


def _other_build(run: Run, step: Step, live: Live) -> list[str]:
    """That the host runs another build than its image, or than it was born with, in words."""
    wanted = str((step.after or {}).get("build") or run.configured.get(step.address, {}).get("build") or "")
    host = live.hosts.get(step.address)
    if not wanted or host is None or host.build in ("", wanted):
        return []
    return [f"it runs build {host.build}, and its image is build {wanted}"]


def compliance(run: Run, root: Address, live: Live) -> list[str]:
    """What of a host's planned objects live contradicts, in words."""
    wrong = []
    for address, change in run.changes.items():
        if address.root != root or not address.child_type or change.action in (Action.FORGET, Action.NOOP):
            continue
        fields = run.engine.catalog.types[address.rtype].fields
        expected = None if change.after is None else {
            k: v for k, v in change.after.items() if fields[k].observed and not contains_unknown(v)}
        found = live.objects.get(address)
        if change.after is None and found is None:
            continue
        if address in live.unread or root in live.unread:
            wrong.append(f"{address} cannot be read")
            continue
        text = mismatch(expected, found.attributes if found else None)
        if text:
            wrong.append(f"{address}: {text}")
    return wrong
