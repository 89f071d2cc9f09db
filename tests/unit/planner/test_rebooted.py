"""A host that a run boots loses its configuration: the review says it, rollback does not blame itself for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planner.execute.engine import ApplyOptions, apply, reborn_since, resume, rollback
from planner.model import Address
from planner.plan import back_out
from planner.review.back_out import render as back_out_text
from planner.review.text import render
from planner.review.view import review
from tests.support.lab import CATALOG, Lab, Opened, fleet
from tests.support.lab_fleets import EDITED, FIRST

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


# --- rollback on a host that was reborn since -------------------------------------------------------------------

MAC = "52:54:00:00:00:11"
CHANGED = EDITED["everything on the host changes"]


def reconnected(house: Any) -> None:
    """It boots, and a person reconnects it in vCenter."""
    house.complete_boot(MAC, build="24022510", version="8.0.3", image="d" * 64)
    with house.change():
        host = house.inventory.host_of(MAC)
        house.contact.connect(host, house.box(MAC))


def vm_on_it(house: Any) -> None:
    from providers.twin.model import Vm

    with house.change():
        host = house.inventory.host_of(MAC)
        house.inventory.put(Vm("vm-1", "web1", house.inventory.datacenter_of(host).vm, host.id, uuid="u"))


def test_a_reborn_host_that_is_connected_gets_its_earlier_state_back(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    applied(lab, FIRST)
    opened = applied(lab, CHANGED)
    since = len(opened.house.calls)
    reconnected(opened.house)
    preview = reborn_since(opened.engine())
    outcome = rollback(opened.engine())
    assert outcome.exit_code == 0, outcome.failures
    assert f"{HOST}, reborn since, got back what was applied before" in outcome.message
    assert lab.open(fleet(FIRST)).plan().empty
    shown = preview[HOST].plan
    assert (preview[HOST].why, shown is not None) == ("it was reborn since", True)
    assert shown is not None
    reviewed = [CATALOG.operations[s.operation].call for s in shown.steps if s.kind == "call"]
    on_host = [c.method for c in opened.house.calls[since:] if c.host == "esx01.lab.example"]
    assert on_host == reviewed
    assert "birth.wait" not in {s.operation for s in shown.steps}


def test_what_the_review_of_a_rollback_says_of_a_silent_host(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    applied(lab, FIRST)
    opened = applied(lab, CHANGED)
    opened.house.power(MAC, "off")
    found = reborn_since(opened.engine())[HOST]
    assert found.plan is not None
    text = back_out_text("r1", "now", review(opened.plan(), CATALOG, ()), None,
                         {str(HOST): (found.why, review(found.plan, CATALOG, details=True))})
    assert f"restored: {HOST}: it does not answer, not at its own door either; on it nothing is undone" in text
    assert "power on, or reset if on" in text
    records = opened.store.records(opened.store.runs()[-1].run)
    assert records[-1]["kind"] == "end"  # looking writes nothing


def test_an_automatic_rollback_boots_nothing_that_nobody_reviewed(tmp_path: Path) -> None:
    """Its review said "reboots: none": the host that fell silent is left, with the way on."""
    lab = Lab(tmp_path)
    applied(lab, FIRST)
    opened = lab.open(fleet(CHANGED))
    plan = opened.plan()
    step = next(s for s in plan.steps if s.operation == "vswitch.add" or s.operation == "vswitch.update")

    def hook(point: str, number: str) -> None:
        if (point, number) == ("before", step.id):
            opened.house.power(MAC, "off")

    lab.hook = hook
    outcome = apply(opened.engine(), plan, ApplyOptions("rollback"), dict(plan.image_digests))
    lab.hook = lambda _point, _step: None
    assert outcome.exit_code == 3
    assert opened.house.machine(MAC).power == "off"
    opened = lab.open(fleet(CHANGED))
    outcome = resume(opened.engine())
    assert outcome.exit_code == 0, outcome.failures
    assert lab.open(fleet(FIRST)).plan().empty


def test_a_host_that_only_vcenter_lost_is_not_booted(tmp_path: Path) -> None:
    """Its own door shows the same boot: nothing is void, and nothing can be undone until it is back."""
    lab = Lab(tmp_path)
    applied(lab, FIRST)
    opened = applied(lab, CHANGED)
    with opened.house.change():
        opened.house.contact.lose(opened.house.inventory.host_of(MAC), gone=False)
    assert reborn_since(opened.engine()) == {}
    boots = opened.house.machine(MAC).boot
    outcome = rollback(opened.engine())
    assert outcome.exit_code == 3
    assert opened.house.machine(MAC).boot == boots
    opened.house.start_responding(MAC)
    outcome = resume(lab.open(fleet(CHANGED)).engine())
    assert outcome.exit_code == 0, outcome.failures
    assert lab.open(fleet(FIRST)).plan().empty


def test_a_host_that_the_run_had_added_and_that_has_vms_stays_with_a_reason(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    opened = applied(lab, FIRST)
    vm_on_it(opened.house)
    opened.house.power(MAC, "off")
    outcome = rollback(opened.engine())
    assert outcome.exit_code == 3
    assert "virtual machines are registered on this host" in outcome.failures[0][1]
    assert "web1" in outcome.failures[0][1]


def test_the_way_back_has_marks_of_its_own(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    plan = lab.open(fleet(FIRST)).plan()
    marks = {s.operation: s.disruptive for s in back_out(plan)}
    assert marks["host.enter_maintenance"] == "moves running VMs to other hosts"
    assert not any(s.disruptive for s in plan.steps)
