"""Orphaned VMs, from plan to rollback, on the twin: named, unregistered where declared, registered again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planner.execute.engine import apply, resume, rollback
from planner.model import Plan
from tests.support.lab import Killed, Lab, Opened, fleet
from tests.support.lab_fleets import whole
from tests.support.places import quick_folder

ONE, MAC = 'host.esx["esx01"]', "52:54:00:00:00:11"
NFS = {"images": {"server": "nas1", "path": "/x", "version": "3", "access": "readWrite"}}
PLAIN = whole({"esx01": ("prod", {"nfs": NFS})}, {"prod": {}})
CLEAN = {**PLAIN, ONE: {**PLAIN[ONE], "orphans": "unregister"}}


@pytest.fixture
def lab() -> Iterator[Lab]:
    with quick_folder() as folder:
        yield Lab(Path(folder))


def applied(here: Opened, plan: Plan) -> None:
    outcome = apply(here.engine(), plan, images=dict(plan.image_digests))
    assert outcome.exit_code == 0, outcome


def with_orphan(lab: Lab, vmx: str = "") -> Opened:
    """A host with a VM that vCenter has lost (somebody reconnected it without syncState)."""
    from providers.twin.model import Vm

    here = lab.open(fleet(PLAIN))
    applied(here, here.plan())
    house = here.house
    host = house.inventory.host_of(MAC)
    center = house.inventory.datacenter_of(host)
    store = house.inventory.datastore_named(center, "images")
    with house.change():
        house.inventory.put(Vm("vm-9", "web1", center.vm, host.id, uuid="u", state="orphaned", vmx=vmx,
                               datastores=[store.id] if not vmx else []))
    return here


def texts(plan: Plan) -> list[str]:
    return [f"{d.summary}: {d.detail}" for d in plan.diagnostics]


def test_it_is_only_named_where_nobody_said_otherwise(lab: Lab) -> None:
    plan = with_orphan(lab).plan()
    assert not plan.steps
    assert texts(plan) == ["vCenter has lost virtual machines on this host: web1 ([images] web1/web1.vmx) is orphaned"]


def test_it_leaves_by_name_and_comes_back(lab: Lab) -> None:
    before = with_orphan(lab).dump()
    here = lab.open(fleet(CLEAN))
    plan = here.plan()
    [step] = plan.steps
    assert (step.operation, step.irreversible) == ("host.unregister_vm", "")
    assert step.inverse is not None
    assert step.before is not None
    named: Any = step.before["registered"]
    assert (named["name"], named["vmx"]) == ("web1", "[images] web1/web1.vmx")
    applied(here, plan)
    assert here.dump()["vms"] == {}
    assert here.plan().empty
    assert rollback(here.engine()).exit_code == 0
    now = here.dump()
    assert now["vms"]["dc0/vm/web1"] == {**before["vms"]["dc0/vm/web1"], "state": "connected"}
    assert {k: now[k] for k in ("inventory", "hosts", "datastores")} == {
        k: before[k] for k in ("inventory", "hosts", "datastores")}


@pytest.mark.parametrize("point", ["before", "after"])
def test_killed_at_that_step_it_is_finished_once(lab: Lab, point: str) -> None:
    with_orphan(lab)
    here = lab.open(fleet(CLEAN))
    plan = here.plan()

    def hook(where: str, step: str) -> None:
        if (where, step) == (point, plan.steps[0].id):
            raise Killed

    lab.hook = hook
    with pytest.raises(Killed):
        apply(here.engine(), plan)
    lab.hook = lambda _where, _step: None
    made = [c.method for c in here.house.calls if c.method == "VirtualMachine.UnregisterVM"]
    here = lab.open(fleet(CLEAN))
    assert resume(here.engine()).exit_code == 0
    assert made + [c.method for c in here.house.calls] == ["VirtualMachine.UnregisterVM"]
    assert here.dump()["vms"] == {}


def test_one_whose_file_nobody_knows_is_irreversible_and_said_so(lab: Lab) -> None:
    here = with_orphan(lab)
    machine = here.house.inventory.docs["vm-9"]
    with here.house.change():
        machine.datastores.clear()
        here.house.inventory.mark(machine)
    plan = lab.open(fleet(CLEAN)).plan()
    [step] = plan.steps
    assert "nothing can register it again" in step.irreversible
    assert step.inverse is None


def test_one_that_came_back_meanwhile_is_left_alone(lab: Lab) -> None:
    here = with_orphan(lab)
    here = lab.open(fleet(CLEAN))
    plan = here.plan()
    machine = here.house.inventory.docs["vm-9"]
    with here.house.change():
        machine.state = "connected"
        here.house.inventory.mark(machine)
    outcome = apply(here.engine(), plan)
    assert outcome.exit_code == 1, outcome
    assert list(here.dump()["vms"]) == ["dc0/vm/web1"]
