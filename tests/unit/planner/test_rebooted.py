"""A host that a run boots loses its configuration: the review says it, rollback does not blame itself for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planner.execute.engine import apply, rollback
from planner.model import Address
from planner.plan import back_out
from planner.review.text import render
from planner.review.view import review
from tests.support.lab import CATALOG, Lab, Opened, fleet
from tests.support.lab_fleets import FIRST

HOST = Address.parse('host.esx["esx01"]')


def applied(lab: Lab, resources: dict[str, Any]) -> Opened:
    opened = lab.open(fleet(resources))
    plan = opened.plan()
    assert apply(opened.engine(), plan, images=dict(plan.image_digests)).exit_code == 0
    return opened


def test_a_replaced_host_comes_back_without_its_configuration_and_the_next_plan_restores_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    renamed = {**FIRST, str(HOST): {**FIRST[str(HOST)], "name": "other.lab.example"}}
    before = applied(lab, FIRST).dump()
    plan = lab.open(fleet(renamed)).plan()
    text = render(review(plan, CATALOG, back_out(plan)))
    assert f"not restored: configuration of {HOST} (a boot discards it)" in text
    opened = applied(lab, renamed)
    outcome = rollback(opened.engine())
    assert (outcome.exit_code, str(HOST) in outcome.message) == (0, True), outcome
    opened = lab.open(fleet(FIRST))
    again = opened.plan()
    assert all(c.reborn for c in again.changes), again.changes
    assert not again.drift
    assert apply(opened.engine(), again, images=dict(again.image_digests)).exit_code == 0
    now = opened.dump()
    for dump in (before, now):  # the boot in between took its host name from the other name
        del dump["hosts"]["esx01.lab.example"]["config"]["dns"]["hostname"]
    assert now["hosts"] == before["hosts"]


def test_the_way_back_has_marks_of_its_own(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    plan = lab.open(fleet(FIRST)).plan()
    marks = {s.operation: s.disruptive for s in back_out(plan)}
    assert marks["host.enter_maintenance"] == "moves running VMs to other hosts"
    assert not any(s.disruptive for s in plan.steps)
