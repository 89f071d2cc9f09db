"""The main job: random pairs of fleets, kill point, before or after the effect, and ending, on twin and catalogue."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from planner.execute.engine import apply, resume, rollback
from planner.execute.project import current_state
from planner.model import FleetError, Plan
from tests.support.lab import CATALOG, IMAGE, Killed, Lab, Opened, fleet
from tests.support.lab_fleets import EDITED, FIRST, fleets
from tests.support.memory_boot import BUILD, VERSION
from tests.support.places import quick_folder

SETTINGS = settings(deadline=None, report_multiple_bugs=False, derandomize=True, database=None,
                    suppress_health_check=list(HealthCheck))


def begun(lab: Lab, resources: dict[str, Any]) -> None:
    """Apply a first fleet, whole; afterwards there is nothing to plan."""
    opened = lab.open(fleet(resources))
    plan = opened.plan()
    outcome = apply(opened.engine(), plan, images=dict(plan.image_digests))
    assert outcome.exit_code == 0, outcome
    again = opened.plan()
    assert again.empty, [str(s) for s in again.steps] + [str(c) for c in again.changes]


def restored(before: dict[str, Any], now: dict[str, Any]) -> None:
    """The inventory is as before, less what a plan announces as irreversible: a machine's power, boot and password.

    A machine that was off before and runs now must at least be as it was born.
    """
    kept = ("inventory", "hosts", "datastores", "vms", "networks")
    assert {k: now.get(k) for k in kept} == {k: before.get(k) for k in kept}
    for mac, machine in now["machines"].items():
        was = before["machines"].get(mac) or {**newborn(mac), "image": machine["image"]}
        assert machine == was, mac


@functools.cache
def newborn(mac: str) -> Any:
    """The dump of a machine right after its birth."""
    from providers.twin.house import MachineSpec, open_house

    name = {"11": "esx01", "12": "esx02"}[mac[-2:]]
    house = open_house(None, "lab", machines=[MachineSpec(mac, f"{name}.lab.example")], writable=True)
    house.complete_boot(mac, build=BUILD, version=VERSION, image=IMAGE)
    return house.dump()["machines"][mac]


def calls_made(opened: Opened, since: int) -> list[str]:
    return [c.method for c in opened.house.calls[since:]]


def reviewed(plan: Plan, skipped: set[str]) -> list[str]:
    return [CATALOG.operations[s.operation].call for s in plan.steps if s.kind == "call" and s.id not in skipped]


def skipped_steps(opened: Opened, run: str) -> set[str]:
    return {r["step"] for r in opened.store.records(run) if r["kind"] == "skipped"}


def run_pair(first: dict[str, Any], second: dict[str, Any], kill: tuple[str, int] | None, ending: str,
             folder: Path) -> None:
    """One example. `kill`: the point, and which step of the plan (modulo its length)."""
    lab = Lab(folder)
    begun(lab, first)
    opened = lab.open(fleet(second))
    before, base = opened.dump(), opened.store.read()
    try:
        plan = opened.plan()
    except FleetError:
        assume(False)
        return
    killable = [s for s in plan.steps if s.kind in ("call", "boot", "wait")]
    since = len(opened.house.calls)
    if kill is None or not killable:
        outcome = apply(opened.engine(), plan, images=dict(plan.image_digests))
        assert outcome.exit_code == 0, outcome
        assert opened.plan().empty
        if outcome.run:
            assert calls_made(opened, since) == reviewed(plan, skipped_steps(opened, outcome.run))
        return
    point = (kill[0], killable[kill[1] % len(killable)].id)

    def hook(where: str, step: str) -> None:
        if (where, step) == point:
            raise Killed

    lab.hook = hook
    with pytest.raises(Killed):
        apply(opened.engine(), plan, images=dict(plan.image_digests))
    lab.hook = lambda _where, _step: None
    opened = lab.open(fleet(second))
    assert current_state(opened.store, CATALOG) is not None
    if ending == "resume":
        outcome = resume(opened.engine())
        assert outcome.exit_code == 0, outcome
        again = opened.plan()
        assert again.empty, (again.steps, again.changes)
    else:
        outcome = rollback(opened.engine())
        assert outcome.exit_code == 0, outcome
        restored(before, opened.dump())
        now = opened.store.read()
        assert {a: (r.origin, r.attributes) for a, r in now.resources.items()} == {
            a: (r.origin, r.attributes) for a, r in (base.resources if base else {}).items()}


@settings(SETTINGS, max_examples=600)
@given(first=fleets(), second=fleets(), kill=st.tuples(st.sampled_from(["before", "after"]), st.integers(0, 60)),
       ending=st.sampled_from(["resume", "rollback"]))
def test_killed(first: dict[str, Any], second: dict[str, Any], kill: tuple[str, int], ending: str) -> None:
    with quick_folder() as folder:
        run_pair(first, second, kill, ending, folder)


@settings(SETTINGS, max_examples=300)
@given(first=fleets(), second=fleets())
def test_apply_is_the_reviewed_list(first: dict[str, Any], second: dict[str, Any]) -> None:
    with quick_folder() as folder:
        run_pair(first, second, None, "", folder)


@pytest.mark.parametrize("name", sorted(EDITED))
def test_three_fixed_pairs_apply(name: str, tmp_path: Path) -> None:
    run_pair(FIRST, EDITED[name], None, "", tmp_path)
