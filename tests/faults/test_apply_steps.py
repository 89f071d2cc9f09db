"""A fault at every mutating step of fixed applies.

Either the apply completes by itself (the fault passes: a session expires, a reply is lost, vCenter restarts …), or it
ends with 3 (1 where nothing was changed) and, once the fault is gone, `resume` ends where an undisturbed apply ends
and `rollback` restores. In each case the calls made are the reviewed steps, each once, in order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from planner.execute.engine import resume, rollback
from planner.model import Step
from tests.faults.kit import FIXED, MAC, Bench, Injection, Rule, bench, complete, restored
from tests.support.lab import CATALOG

SCENARIOS = sorted(FIXED)
DEFINITE = "vmodl.fault.NotEnoughLicenses"  # a RuntimeFault: any method may raise it; it says that the call failed
DOUBTFUL = "vmodl.fault.SystemError"  # nobody knows whether the call took effect
Rules = Callable[[str], list[Rule] | None]
"""API call ("Wire.Method") → fault rules; None where that kind of fault cannot hit that call."""


def rule(kind: str, **more: Any) -> Rules:
    return lambda method: [{"kind": kind, "method": method, **more}]


def task_rule(kind: str, **more: Any) -> Rules:
    return lambda method: [{"kind": kind, "method": method, **more}] if method.endswith("_Task") else None


def reads(kind: str, **more: Any) -> Rules:
    """On readings of properties, whatever object they are of."""
    return lambda _method: [{"kind": kind, "method": "RetrievePropertiesEx", **more}]


def busy(times: int) -> Rules:
    """The entity is busy with another task: that passes."""
    return task_rule("task_fault", fault="vim.fault.TaskInProgress", times=times)


def both(*kinds: Rules) -> Rules:
    def rules(method: str) -> list[Rule] | None:
        found = [each(method) for each in kinds]
        return None if None in found else [r for each in found for r in each or ()]

    return rules


PASSES: dict[str, tuple[str, Rules]] = {
    "session expired at the call": ("call", rule("expire_session")),
    "session expired at a reading, and again at the call": ("look", both(reads("expire_session"),
                                                                       rule("expire_session"))),
    "reset twice before the effect": ("call", rule("reset", times=2)),
    "reset at a reading": ("look", reads("reset")),
    "lost reply": ("call", rule("lost_reply")),
    "lost reply, and the readings after it reset": ("call", both(rule("lost_reply"), reads("reset", times=3))),
    "lost reply of a slow task": ("call", both(task_rule("slow_task", seconds=3.0), rule("lost_reply"))),
    "vCenter restarts at the call": ("call", rule("restart", refuse=2)),
    "vCenter restarts at a reading": ("look", reads("restart")),
    "busy twice": ("call", busy(2)),
    "slow task": ("call", task_rule("slow_task", seconds=20.0)),
    "doubtful fault after the effect": ("call", rule("fault", fault=DOUBTFUL, after=True)),
    "doubtful task fault after the effect": ("call", task_rule("task_fault", fault=DOUBTFUL, after=True)),
    "doubtful fault before the effect": ("call", rule("fault", fault=DOUBTFUL)),
}

STOPS: dict[str, tuple[str, Rules]] = {
    "fault": ("call", rule("fault", fault=DEFINITE)),
    "task failed": ("call", task_rule("task_fault", fault=DEFINITE)),
    "fault after the effect": ("call", rule("fault", fault=DEFINITE, after=True)),
    "task failed after the effect": ("call", task_rule("task_fault", fault=DEFINITE, after=True)),
    "doubtful fault for good": ("call", rule("fault", fault=DOUBTFUL, times=0)),
    "busy for good": ("call", busy(0)),
    "reset for good": ("call", rule("reset", times=0)),
    "vCenter gone before the effect": ("call", rule("restart", refuse=100000)),
    "vCenter gone after the effect": ("call", both(rule("lost_reply"), reads("reset", times=0))),
    "readings reset for good": ("look", reads("reset", times=0)),
    "readings fail for good": ("look", reads("fault", fault=DOUBTFUL, times=0)),
}


@functools.cache
def steps_of(name: str) -> tuple[Step, ...]:
    """The calls of the two long applies; of the others those operations that only they have."""
    with bench(name) as here:
        found = here.calls
    long = ("birth", "changes")
    known = {s.operation for n in long if name not in long for s in steps_of(n)}
    return tuple(s for s in found if s.operation not in known)


EVERY = ("session expired at the call", "reset twice before the effect", "lost reply", "fault", "task failed",
         "fault after the effect", "vCenter gone after the effect", "readings reset for good")
"""These kinds hit every step of the long applies; the others every second one, by turns."""


def at_every_step(name: str, kind: str, check: Callable[[Bench, Injection], None]) -> None:
    """Each step of the apply that this kind of fault can hit, on a fresh copy."""
    at, rules = {**PASSES, **STOPS}[kind]
    hits = [(s, r) for s in steps_of(name) if (r := rules(CATALOG.operations[s.operation].call)) is not None]
    if kind not in EVERY and len(hits) > 5:
        hits = hits[[*PASSES, *STOPS].index(kind) % 2::2]
    hit = 0
    for step, found in hits:
        with bench(name) as here:
            injection = Injection(step.id, found, at)
            try:
                check(here, injection)
            except BaseException as error:
                error.add_note(f"at step {step.id}: {step.operation} of {step.address}")
                raise
            hit += injection.done
    assert hit or len(steps_of(name)) < 5, "this kind of fault hits no step"


@pytest.mark.parametrize("kind", PASSES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_fault_that_passes_changes_nothing(name: str, kind: str) -> None:
    def check(here: Bench, injection: Injection) -> None:
        outcome = here.apply(injection)
        assert outcome.exit_code == 0, outcome
        here.house.faults.clear()
        complete(here, name)

    at_every_step(name, kind, check)


@pytest.mark.parametrize("kind", STOPS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_fault_that_stays_stops_the_run(name: str, kind: str) -> None:
    """Half of the steps are resumed, the other half rolled back; by the next kind of fault the other way round."""
    shift = list(STOPS).index(kind)

    def check(here: Bench, injection: Injection) -> None:
        number = int(injection.step[1:]) // (1 if kind in EVERY else 2)
        ended(here, name, injection, "resume" if (number + shift) % 2 else "rollback")

    at_every_step(name, kind, check)


def ended(here: Bench, name: str, injection: Injection, ending: str) -> None:
    outcome = here.apply(injection)
    if not injection.done:  # a guard was not taken
        assert outcome.exit_code == 0, outcome
        return
    here.house.faults.clear()
    assert outcome.failures, outcome
    assert all(s.id >= injection.step for s, _, _ in outcome.failures), outcome
    if outcome.exit_code == 1:
        assert here.made() == []
        assert here.opened.dump() == here.before
        assert here.opened.store.runs()[-1].outcome == "failed"
        assert here.state() == here.recorded
        again = here.opened.plan()
        assert [s.operation for s in again.steps] == [s.operation for s in here.plan.steps]
        return
    assert outcome.exit_code == 3, outcome
    assert here.opened.store.runs()[-1].outcome == "incomplete"
    here.reopen()
    if ending == "resume":
        outcome = resume(here.engine())
        assert outcome.exit_code == 0, outcome
        complete(here, name)
    else:
        outcome = rollback(here.engine())
        assert outcome.exit_code == 0, outcome
        restored(here)


@pytest.mark.parametrize("ending", ["resume", "rollback"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_host_that_stops_responding_at_its_step(name: str, ending: str) -> None:
    """`host_stops` in the middle of the call; for calls on others than a host, right before it."""
    for step in steps_of(name):
        if step.address.type != "host":
            continue
        with bench(name) as here:
            injection = Injection(step.id, [], "call", lambda house: house.stop_responding(MAC))
            try:
                outcome = here.apply(injection)
                if not injection.done or step.operation == "host.remove":  # what does not answer can be removed
                    assert outcome.exit_code == 0, outcome
                    continue
                here.house.start_responding(MAC)
                if step.id == here.plan.steps[0].id:  # then nothing was changed, and no run is open
                    assert outcome.exit_code == 1, outcome
                    continue
                assert outcome.exit_code == 3, outcome
                assert outcome.failures[0][0].id == step.id
                here.reopen()
                outcome = (resume if ending == "resume" else rollback)(here.engine())
                assert outcome.exit_code == 0, outcome
                (complete(here, name) if ending == "resume" else restored(here))
            except BaseException as error:
                error.add_note(f"at step {step.id}: {step.operation} of {step.address}")
                raise
