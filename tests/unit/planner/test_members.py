"""Roots that list other roots, on the twin: groups are left before a host goes, and joined when it is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from planner.execute.engine import apply, rollback
from planner.model import Action, Address, Plan
from tests.support.lab import Lab, Opened, fleet
from tests.support.lab_fleets import whole
from tests.support.places import quick_folder

ONE, TWO = 'host.esx["esx01"]', 'host.esx["esx02"]'
BOTH = whole({"esx01": ("prod", {}), "esx02": ("prod", {})}, {"prod": {}, "other": {}})
GROUP = {"name": "even", "cluster": "cluster.prod"}


def wanted(hosts: list[str], base: Mapping[str, Any] = BOTH, **more: Any) -> dict[str, Any]:
    return {**base, "host_group.even": {**GROUP, "hosts": hosts}, **more}


@pytest.fixture
def lab() -> Iterator[Lab]:
    with quick_folder() as folder:
        yield Lab(Path(folder))


def opened(lab: Lab, resources: Mapping[str, Any]) -> Opened:
    return lab.open(fleet(resources))


def applied(here: Opened, **options: Any) -> Plan:
    plan = here.plan(**options)
    outcome = apply(here.engine(), plan, images=dict(plan.image_digests))
    assert outcome.exit_code == 0, outcome
    assert here.plan().empty, [str(s) for s in here.plan().steps]
    return plan


def order(plan: Plan) -> list[str]:
    return [f"{s.operation} {s.address.name}" for s in plan.steps
            if s.address.type == "host_group" or s.operation in ("host.add", "host.remove", "host.move")]


def members(here: Opened) -> list[str]:
    found = here.house.dump()["inventory"]["dc0/host/prod"]["parts"]["groups"]
    return list(found["even"]["members"]) if "even" in found else []


def test_a_group_comes_after_its_hosts_and_goes_before_them(lab: Lab) -> None:
    assert order(applied(opened(lab, wanted([ONE, TWO])))) == [
        "host.add esx01", "host.add esx02", "host_group.add even"]
    assert order(applied(opened(lab, {"datacenter.dc0": {"name": "dc0"}}))) == [
        "host_group.remove even", "host.remove esx01", "host.remove esx02"]


def test_a_host_leaves_its_group_first(lab: Lab) -> None:
    here = opened(lab, wanted([ONE, TWO]))
    applied(here)
    before = here.dump()
    here = opened(lab, wanted([ONE], {k: v for k, v in BOTH.items() if not k.startswith(TWO)}))
    plan = applied(here)
    assert order(plan) == ["host_group.update even", "host.remove esx02"]
    assert rollback(here.engine()).exit_code == 0
    assert here.dump()["inventory"] == before["inventory"]


def test_a_host_that_moves_to_another_cluster_leaves_the_group_first(lab: Lab) -> None:
    here = opened(lab, wanted([ONE, TWO]))
    applied(here)
    before = here.dump()
    here = opened(lab, wanted([ONE], {**BOTH, TWO: {**BOTH[TWO], "cluster": "cluster.other"}}))
    assert order(applied(here)) == ["host_group.update even", "host.move esx02"]
    assert rollback(here.engine()).exit_code == 0
    assert here.dump()["inventory"] == before["inventory"]


def test_a_replaced_host_is_in_its_group_again(lab: Lab) -> None:
    here = opened(lab, wanted([ONE, TWO]))
    applied(here)
    before = here.dump()
    plan = here.plan(replaces=(Address.parse(TWO),))
    assert order(plan) == ["host_group.update even", "host.remove esx02", "host.add esx02", "host_group.update even"]
    change = next(c for c in plan.changes if c.address.type == "host_group")
    assert (change.action, change.reason) == (Action.UPDATE, "something that it lists is replaced")
    outcome = apply(here.engine(), plan, images=dict(plan.image_digests))
    assert outcome.exit_code == 0, outcome
    assert members(here) == ["esx01.lab.example", "esx02.lab.example"]
    assert here.plan().empty
    assert rollback(here.engine()).exit_code == 0
    assert here.dump()["inventory"] == before["inventory"]


def test_two_groups_swap_hosts(lab: Lab) -> None:
    odd: dict[str, Any] = {"name": "odd", "cluster": "cluster.prod", "hosts": [TWO]}
    applied(opened(lab, {**wanted([ONE]), "host_group.odd": odd}))
    plan = applied(opened(lab, {**wanted([TWO]), "host_group.odd": {**odd, "hosts": [ONE]}}))
    assert sorted(order(plan)) == ["host_group.update even"] * 2 + ["host_group.update odd"] * 2


def test_a_rule_goes_with_a_group_that_gets_another_name(lab: Lab) -> None:
    rule = {"name": "home", "cluster": "cluster.prod", "kind": "on", "vm_group": "vm_group.web",
            "host_group": "host_group.even", "enabled": True, "mandatory": False}
    more: dict[str, Any] = {"vm_group.web": {"name": "web", "cluster": "cluster.prod", "vms": []},
                            "drs_rule.home": rule}
    here = opened(lab, wanted([ONE], **more))
    applied(here)
    before = here.dump()
    renamed = {**wanted([ONE], **more), "host_group.even": {**GROUP, "name": "Even hosts", "hosts": [ONE]}}
    here = opened(lab, renamed)
    plan = here.plan()
    steps = [s.operation for s in plan.steps]
    assert steps == ["drs_rule.remove", "host_group.remove", "host_group.add", "drs_rule.add"]
    outcome = apply(here.engine(), plan)
    assert outcome.exit_code == 0, outcome
    assert here.plan().empty
    assert rollback(here.engine()).exit_code == 0
    assert here.dump()["inventory"] == before["inventory"]
