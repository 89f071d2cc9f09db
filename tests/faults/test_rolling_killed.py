"""Rolling image updates on the twin, killed at every step, on the way there and on the way back."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from planner.execute.engine import resume, rollback
from tests.support.lab import Killed
from tests.support.memory_boot import IMAGE, OTHER
from tests.support.rolling import TWO, site, without_vms


def killed(where: str, number: int, ending: str, *, late: bool = False) -> bool:
    """A roll of two hosts, killed before or after the effect of one step. False where it has no such step.

    `late`: vCenter goes on showing hosts that are restarted as connected, until it needs them.
    """
    with site(TWO) as here:
        here.vm("web1", "esx01")
        here.vm("db1", "esx02")
        before = here.opened.dump()
        plan = here.plan()
        killable = [s for s in plan.steps if s.kind in ("call", "boot", "wait")]
        if number >= len(killable):
            return False
        at = killable[number].id

        def hook(point: str, step: str) -> None:
            if (point, step) == (where, at):
                raise Killed

        here.lab.hook = hook
        here.house.contact.late = late
        with contextlib.suppress(Killed):
            assert here.apply(plan).exit_code == 0
            assert killable[number].when  # guarded, and not taken
            return True
        here.reopen()
        here.house.contact.late = late
        here.watch()
        outcome = resume(here.opened.engine()) if ending == "resume" else rollback(here.opened.engine())
        assert outcome.exit_code == 0, (killable[number], outcome)
        assert here.watched == []
        image = OTHER if ending == "resume" else IMAGE
        assert set(here.images().values()) == {image}
        assert {h["maintenance"] for h in here.opened.dump()["hosts"].values()} == {False}
        staged = {mac: found["staged"] for mac, found in here.lab.staged.items()}
        assert set(staged.values()) == {image}
        assert not any(found.get("boots") for found in here.lab.staged.values())
        if ending == "rollback":
            assert without_vms(here.opened.dump()) == without_vms(before)
        assert here.plan("esxi9" if ending == "resume" else "esxi8").empty
        return True


def killed_going_back(where: str, number: int) -> bool:
    """A finished roll of two hosts, whose rollback is killed at one of its calls. False where it has not so many."""
    with site(TWO) as here:
        here.vm("web1", "esx01")
        before = here.opened.dump()
        assert here.apply(here.plan()).exit_code == 0
        here.reopen()
        count = itertools.count()

        def hook(point: str, _step: str) -> None:
            if point == where and next(count) == number:
                raise Killed

        here.lab.hook = hook
        with contextlib.suppress(Killed):
            assert rollback(here.opened.engine()).exit_code == 0
            return False
        here.reopen()
        here.watch()
        outcome = resume(here.opened.engine())
        assert outcome.exit_code == 0, (number, outcome)
        assert here.watched == []
        assert without_vms(here.opened.dump()) == without_vms(before)
        assert {found["staged"] for found in here.lab.staged.values()} == {IMAGE}
        assert here.plan("esxi8").empty
        return True


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_rollback_killed_at_every_call(where: str) -> None:
    number = 0
    while killed_going_back(where, number):
        number += 1
    assert number > 30


@pytest.mark.parametrize("ending", ["resume", "rollback"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_killed_at_every_step(where: str, ending: str) -> None:
    number = 0
    while killed(where, number, ending):
        number += 1
    assert number > 30


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["resume", "rollback"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_killed_at_every_step_with_a_late_vcenter(where: str, ending: str) -> None:
    """Each step with one of the endings: even numbers are resumed, odd ones rolled back."""
    number = 0 if ending == "resume" else 1
    while killed(where, number, ending, late=True):
        number += 2
    assert number > 30
