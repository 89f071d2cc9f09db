"""One step, backward: read the step in doubt back, run its recorded inverse, and prove the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from planner.execute.perform import REPEATS, filled, make_call, settled
from planner.execute.run import Run
from planner.graph import CycleError, topological
from planner.model import Action, Address, Attrs, Inverse, Live, ReadFailed, Rebooted, Step, StepFailed
from planner.snapshot import live_digest


def reversed_needs(steps: Sequence[Step]) -> dict[str, set[str]]:
    """A step is undone only after everything that was built on it."""
    needs: dict[str, set[str]] = {s.id: set() for s in steps}
    for step in steps:
        for need in step.needs:
            if need in needs:
                needs[need].add(step.id)
    return needs


def way_back(run: Run, void: Mapping[Address, str], sent_back: Sequence[Address], first: Mapping[Address, str],
             ) -> dict[str, set[str]]:
    """What is undone before what. Hosts that are sent back go one after another, those that are out already first.

    They are planned anew, and so nothing of one is built on anything of another.
    """
    needs = reversed_needs(run.plan.steps)
    if not sent_back:
        return needs
    live = run.engine.live.snapshot(run.engine.fleet, {**run.recorded, **run.projector.state().resources},
                                    frozenset(void))
    out = {a for a in void if a not in live.hosts or live.hosts[a].connection != "connected"
           or live.hosts[a].in_maintenance}
    root = {s.id: s.address.root for s in run.plan.steps}
    loose = {n: {w for w in ws if root[n] == root[w] or not {root[n], root[w]} <= set(void)} for n, ws in needs.items()}
    place = {s.id: i for i, s in enumerate(run.plan.steps)}
    queue = sorted(void, key=lambda a: (a not in out, -place[first[a]]))
    for before, after in pairwise(first[a] for a in queue):
        loose[after].add(before)
    try:
        topological(loose, loose)
    except CycleError:
        return needs
    return loose


def undo(run: Run, number: str, void: Mapping[Address, str], *, restored: bool = False) -> None:
    """Undo one step if it took effect and has an inverse. Raises StepFailed.

    `void`: hosts reborn since, and why; where they are `restored` there is nothing to undo on them.
    """
    step = run.steps[number]
    status = run.status.get(number)
    if status not in ("done", "doubt") or step.inverse is None:
        return
    inverse = recorded_inverse(run, step)
    assert inverse is not None  # noqa: S101 - step.inverse is not None
    try:
        if step.address.root in void and restored:
            run.note("undone", step, effect="void", error=void[step.address.root])
            return
        if step.address.root in void:
            raise StepFailed(f"{step.address.root}: {void[step.address.root]}", "its before-images are void",
                             "`fleet resume` puts the earlier state back on it")
        if status == "doubt" and not _took_effect(run, step, inverse):
            run.note("undone", step, effect="none")
            return
        if inverse != step.inverse and inverse.after == inverse.before:  # what was not known was as it became
            run.note("undone", step, effect="none")
            return
        if step.kind == "call":
            found = settled(run, step.address.root, lambda: _observe(run, step, inverse),
                            lambda now: not run.mismatch(step, inverse.before, now))
            if not run.mismatch(step, inverse.after, found) and run.mismatch(step, inverse.before, found):
                run.note("undone", step, effect="already")
                return
            wrong = run.mismatch(step, inverse.before, found)
            if wrong:
                raise StepFailed(f"{step.address} is not as the run left it", wrong,
                                 "somebody changed it since; restore it by hand, or plan anew")
        run.note("undoing", step, operation=inverse.operation)
        facts = make_call(run, step, inverse)  # a certificate that vCenter gave the host, a new MoRef
        facts.pop("boot_time", None)  # says which boot was configured: that one is not
        run.note("undone", step, **({"facts": facts} if facts else {}))
    except Rebooted as gone:
        run.note("undone", step, effect="void", error=str(gone))
    except StepFailed as error:
        run.note("failed", step, error=str(error), remedy=error.remedy,
                 effect="unknown" if error.in_doubt else "undo")
        raise


def recorded_inverse(run: Run, step: Step) -> Inverse | None:
    """The inverse with its unknowns filled from the before-image that apply recorded."""
    inverse = step.inverse
    if inverse is None:
        return None
    return replace(inverse, after=filled(inverse.after, run.before_images.get(step.id)))


def _observe(run: Run, step: Step, inverse: Inverse) -> Attrs | None:
    for attempt in range(1, REPEATS):
        try:
            return run.observe(step, inverse)
        except Rebooted:
            raise
        except ReadFailed:
            run.engine.clock.sleep(0.5 * attempt)
    return run.observe(step, inverse)


def _took_effect(run: Run, step: Step, inverse: Inverse) -> bool:
    if step.kind != "call":
        return True  # its inverse is idempotent: unstaging what was never staged is nothing
    found = settled(run, step.address.root, lambda: _observe(run, step, inverse),
                    lambda now: run.where(step, inverse.after, step.after, now) == "after")
    where = run.where(step, inverse.after, step.after, found)
    run.note("readback", step, found=where)
    if where == "other":
        raise StepFailed(f"{step.address} is neither as before nor as after the step in doubt",
                         run.mismatch(step, step.after, found), "restore it by hand", in_doubt=True)
    return where == "after"


def left_over(run: Run, live: Live) -> list[str]:
    """Addresses that differ from what they were when the plan was made, announced irreversible effects aside."""
    announced = {s.address.root for s in run.plan.steps
                 if s.irreversible and s.kind == "call" and run.status.get(s.id) in ("done", "doubt")
                 and s.operation.startswith("host.")}
    lasting = {s.address for s in run.plan.steps
               if s.irreversible and s.address.child_type and run.status.get(s.id) in ("done", "doubt")}
    booted = booted_again(run)
    announced |= set(run.restorations)  # proven by themselves: a newborn has more, and less, than nobody ever declared
    different = []
    for text, digest in run.plan.live_digests.items():
        address = Address.parse(text)
        aside = address.root in announced or address in lasting or (address.child_type and address.root in booted)
        if not aside and live_digest(run.engine.catalog, live, address) != digest:
            different.append(text)
    return different


def booted_again(run: Run) -> frozenset[Address]:
    """Hosts that this run booted although they had a configuration: no back-out brings it back, the next plan does."""
    waits = {s.address.root for s in run.plan.steps if s.kind == "wait" and run.status.get(s.id) == "done"}
    return frozenset(c.address for c in run.plan.changes if c.address in waits and c.action is Action.REPLACE)
