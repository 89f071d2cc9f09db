"""A fault at every step of a rollback: it passes, or the rollback ends with 3 and `resume` finishes it as a rollback.

Also `--on-failure`: rollback (4, verified equal to before), continue (independent branches go on), stop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from planner.execute.engine import resume, rollback
from planner.model import Address, Step
from tests.faults.kit import Bench, Rule, applied, bench, planned, restored, two_hosts, two_hosts_done
from tests.support.lab import CATALOG, Lab
from tests.support.lab_fleets import FIRST
from tests.support.places import quick_folder
from tests.support.twin import vcenter

DEFINITE = "vmodl.fault.NotEnoughLicenses"
DOUBTFUL = "vmodl.fault.SystemError"
PASSES: dict[str, Rule] = {
    "session expired": {"kind": "expire_session"},
    "reset before the effect": {"kind": "reset"},
    "lost reply": {"kind": "lost_reply"},
    "vCenter restarts": {"kind": "restart", "refuse": 1},
    "doubtful fault after the effect": {"kind": "fault", "fault": DOUBTFUL, "after": True},
}
STOPS: dict[str, Rule] = {
    "fault": {"kind": "fault", "fault": DEFINITE},
    "fault after the effect": {"kind": "fault", "fault": DEFINITE, "after": True},
    "reset for good": {"kind": "reset", "times": 0},
    "vCenter gone": {"kind": "restart", "refuse": 100000},
}


def undone(name: str) -> list[Step]:
    with applied(name) as here:
        return [s for s in here.calls if s.inverse is not None]


def strike(here: Bench, step: Step, rule: Rule) -> Callable[[], bool]:
    """Add the rule right before the inverse of that step is called. Returns whether that came to pass."""
    assert step.inverse is not None
    method, struck = CATALOG.operations[step.inverse.operation].call, [False]

    def hook(point: str, number: str) -> None:
        if (point, number) == ("before", step.id) and not struck[0]:
            struck[0] = True
            here.house.faults.add({"method": method, **rule})

    here.lab.hook = hook
    return lambda: struck[0]


@pytest.mark.parametrize("kind", [*PASSES, *STOPS])
@pytest.mark.parametrize("name", ["birth", "changes", "move"])
def test_a_fault_at_every_step_of_a_rollback(name: str, kind: str) -> None:
    rule = {**PASSES, **STOPS}[kind]
    for step in undone(name):
        with applied(name) as here:
            struck = strike(here, step, rule)
            outcome = rollback(here.engine())
            here.lab.hook = lambda _point, _step: None
            here.house.faults.clear()
            try:
                assert struck()
                if kind in STOPS:
                    assert outcome.exit_code == 3, outcome
                    assert here.opened.store.runs()[-1].outcome == "incomplete"
                    here.reopen()
                    outcome = resume(here.engine())
                assert outcome.exit_code == 0, outcome
                restored(here)
            except BaseException as error:
                error.add_note(f"undoing step {step.id}: {step.operation} of {step.address}")
                raise


# --- --on-failure ---------------------------------------------------------------------------------------------

SWITCH: Rule = {"kind": "fault", "method": "AddVirtualSwitch", "target": "esx01*", "fault": DEFINITE, "times": 0}
FAILS = "vswitch.add"


def begun(here: Bench) -> list[str]:
    return [r["step"] for r in here.records() if r["kind"] == "begin"]


def dependants(here: Bench, step: str) -> set[str]:
    found = {step}
    for each in here.plan.steps:  # in topological order
        if found & set(each.needs):
            found.add(each.id)
    return found - {step}


@pytest.mark.parametrize("parallelism", [1, 4])
def test_continue_goes_on_with_what_does_not_depend_on_the_failure(parallelism: int) -> None:
    with two_hosts(parallelism) as here:
        here.house.faults.add(SWITCH)
        outcome = here.apply(on_failure="continue")
        assert outcome.exit_code == 3
        ((failed, text, _),) = outcome.failures
        assert (str(failed.address), failed.operation) == ('host.esx["esx01"].vswitch.vSwitch1', FAILS)
        assert "NotEnoughLicenses" in text
        skipped = dependants(here, failed.id)
        assert {"portgroup.add", "vmkernel.add", "host.exit_maintenance"} <= {
            s.operation for s in here.plan.steps if s.id in skipped}
        assert not skipped & set(begun(here))
        settled = {r["step"] for r in here.records() if r["kind"] in ("done", "skipped")}
        assert settled == {s.id for s in here.plan.steps} - skipped - {failed.id}
        now, wanted = here.opened.dump(), two_hosts_done()
        assert now["machines"]["52:54:00:00:00:12"] == wanted["machines"]["52:54:00:00:00:12"]
        assert now["machines"]["52:54:00:00:00:11"]["maintenance"]
        here.reopen()
        here.house.faults.clear()
        outcome = resume(here.engine())
        assert outcome.exit_code == 0, outcome
        assert here.opened.dump() == wanted
        assert here.opened.plan().empty
        assert sorted(here.made()) == sorted(here.reviewed())


def test_stop_starts_nothing_more() -> None:
    with two_hosts() as here:
        here.house.faults.add(SWITCH)
        outcome = here.apply(on_failure="stop")
        assert outcome.exit_code == 3
        ((failed, _, _),) = outcome.failures
        assert failed.operation == FAILS
        assert begun(here)[-1] == failed.id
        assert here.made() == here.reviewed()[:len(here.made())]


def test_stop_lets_running_steps_end() -> None:
    """With threads: what runs when a step fails ends and is written down, nothing is left in doubt."""
    with two_hosts(4) as here:
        here.house.faults.add(SWITCH)
        outcome = here.apply(on_failure="stop")
        assert outcome.exit_code == 3
        ended = {r["step"] for r in here.records() if r["kind"] in ("done", "failed")}
        assert set(begun(here)) <= ended
        here.reopen()
        here.house.faults.clear()
        outcome = resume(here.engine())
        assert outcome.exit_code == 0, outcome
        assert here.opened.dump() == two_hosts_done()


@pytest.mark.parametrize("parallelism", [1, 4])
def test_rollback_on_failure_is_verified_and_4(parallelism: int) -> None:
    with two_hosts(parallelism) as here:
        here.house.faults.add(SWITCH)
        outcome = here.apply(on_failure="rollback")
        assert outcome.exit_code == 4, outcome
        assert "verified equal to before" in outcome.message
        assert [s.operation for s, _, _ in outcome.failures] == [FAILS]
        restored(here)
        assert here.opened.dump()["inventory"] == here.before["inventory"]


@pytest.mark.parametrize("name", ["changes", "move"])
def test_rollback_of_changes_on_failure(name: str) -> None:
    with bench(name) as here:
        last = here.calls[-1]
        here.house.faults.add({"kind": "fault", "method": CATALOG.operations[last.operation].call,
                               "fault": DEFINITE, "times": 1})
        outcome = here.apply(on_failure="rollback")
        assert outcome.exit_code == 4, outcome
        restored(here)


def test_a_rollback_on_failure_that_fails_is_3_and_resumed_as_a_rollback() -> None:
    with bench("changes") as here:
        here.house.faults.add({"kind": "fault", "method": "CreateNasDatastore", "fault": DEFINITE, "times": 0})
        outcome = here.apply(on_failure="rollback")  # mounting fails, and so does mounting the old one again
        assert outcome.exit_code == 3, outcome
        here.reopen()
        outcome = resume(here.engine())
        assert outcome.exit_code == 0, outcome
        restored(here)


def elsewhere(house: Any) -> None:
    """Somebody else changes a service of the host meanwhile."""
    host = vcenter(house).searchIndex.FindByDnsName(None, "esx01.lab.example", False)
    host.configManager.serviceSystem.UpdateServicePolicy("TSM-SSH", "automatic")


def test_a_rollback_after_which_live_differs_is_not_4() -> None:
    with bench("changes") as here:
        here.house.faults.add({"kind": "fault", "method": "CreateNasDatastore", "fault": DEFINITE, "times": 1})

        def hook(point: str, step: str) -> None:
            if point == "before" and here.plan.steps[int(step[1:]) - 1].operation == "nfs.mount":
                here.lab.hook = lambda _point, _step: None
                elsewhere(here.house)

        here.lab.hook = hook
        outcome = here.apply(on_failure="rollback")
        assert outcome.exit_code == 3, outcome
        assert 'service["TSM-SSH"]' in outcome.message
        assert here.opened.store.runs()[-1].outcome == "incomplete"


def test_what_a_newborn_turned_out_to_have_already_is_not_taken_away() -> None:
    """The plan does not know whether a newborn's DCUI runs. It does: so nothing was changed, and nothing is undone."""
    service = Address.parse('host.esx["esx01"].service.DCUI')
    site = {a: b for a, b in FIRST.items() if not Address.parse(a).child_type} | {str(service): {"running": True}}
    with quick_folder() as folder:
        here = planned(Lab(folder), site)
        assert "service.start" in [s.operation for s in here.plan.steps]
        assert here.apply().exit_code == 0
        count = len(here.house.calls)
        outcome = rollback(here.engine())
        assert outcome.exit_code == 0, outcome
        assert "HostServiceSystem.StopService" not in [c.method for c in here.house.calls[count:]]
