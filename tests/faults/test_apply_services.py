"""Services of a host: at each step, each fault that the API declares for its call, once.

The apply ends with 3 (1 where nothing was changed), names the fault, and once it is gone `resume` ends where an
undisturbed apply ends and `rollback` restores.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planner.execute.engine import apply, resume, rollback
from planner.model import Plan, Step
from providers.twin.core.meta import methods_of
from tests.faults.kit import Bench, Injection, planned
from tests.support.lab import CATALOG, Lab, fleet
from tests.support.lab_fleets import whole
from tests.support.places import quick_folder

PROD: dict[str, Any] = {"prod": {"ha": {"enabled": False}}}
AT = 'host.esx["esx01"]'
BEFORE: dict[str, dict[str, Any]] = {
    "ntp": {"servers": ["10.0.0.1"]}, "power_policy": {"policy": "dynamic"}, "swap": {"system": ["host_local"]},
    'nfs["a"]': {"server": "nas1", "path": "/a", "version": "3", "access": "readWrite"},
}
AFTER: dict[str, dict[str, Any]] = {
    "ptp": {"domain": 7, "ports": [{"device": "vmk0", "ip": "", "netmask": ""}], "fallback": True},
    "syslog": {"targets": ["udp://10.0.0.9:514"], "rotate": 20, "log_dir": "[a] /logs", "allowed": ["10.0.0.9"]},
    'firewall["sshClient"]': {"enabled": True, "allowed": ["10.0.0.0/8"]}, 'firewall["webAccess"]': {"enabled": False},
    "power_policy": {"policy": "static"}, 'module["lpfc"]': {"options": "lpfc_lun_queue_depth=64"},
    "swap": {"datastore": "a", "system": ["datastore"], "system_datastore": "a"}, "vsan": {"enabled": True},
    "autostart": {"enabled": True, "start_delay": 5}, 'nfs["a"]': BEFORE['nfs["a"]'],
}
DEFINITE = "vmodl.fault.NotEnoughLicenses"  # any method may raise it


def site(children: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {**whole({"esx01": ("prod", {})}, PROD), **{f"{AT}.{name}": body for name, body in children.items()}}


@pytest.fixture(scope="module")
def base() -> Iterator[tuple[Path, Lab]]:
    """The host with what it has before."""
    with quick_folder() as folder:
        lab = Lab(folder)
        opened = lab.open(fleet(site(BEFORE)))
        plan = opened.plan()
        assert apply(opened.engine(), plan, images=dict(plan.image_digests)).exit_code == 0
        yield folder, lab


def fresh(base: tuple[Path, Lab], folder: Path) -> Bench:
    source, lab = base
    shutil.copytree(source, folder, dirs_exist_ok=True)
    return planned(Lab(folder, dict(lab.staged), lab.clock), site(AFTER))


def steps(plan: Plan) -> list[Step]:
    return [s for s in plan.steps if s.kind == "call"]


def declared(step: Step) -> list[str]:
    wire, _, method = CATALOG.operations[step.operation].call.partition(".")
    return [*methods_of(wire)[method].faults, DEFINITE]


def test_every_operation_is_among_the_steps(base: tuple[Path, Lab]) -> None:
    """Or its inverse is: what is switched off here is switched on there."""
    ours = ("firewall", "power_policy", "module", "ptp", "swap", "vsan", "autostart", "syslog")
    with quick_folder() as folder:
        made = {s.operation for s in steps(fresh(base, folder).plan)}
    made |= {CATALOG.operations[name].inverse for name in made}
    assert {o.name for t in ours for o in CATALOG.types[t].operations} - made == {"autostart.vms"}  # it has no VM


@pytest.mark.parametrize("ending", ["resume", "rollback"])
@pytest.mark.parametrize("after", [False, True], ids=["before the effect", "after the effect"])
def test_each_declared_fault_at_each_step(base: tuple[Path, Lab], after: bool, ending: str) -> None:
    with quick_folder() as folder:
        hits = [(s, fault) for s in steps(fresh(base, folder).plan) for fault in declared(s)]
    assert len({fault for _, fault in hits}) > 4
    for number, (step, fault) in enumerate(hits):
        if number % 2 != (ending == "resume"):  # the one half here, the other half there
            continue
        with quick_folder() as folder:
            here = fresh(base, folder)
            call = CATALOG.operations[step.operation].call
            kind = "task_fault" if call.endswith("_Task") else "fault"
            try:
                rule = {"kind": kind, "method": call, "fault": fault, "after": after}
                outcome = here.apply(Injection(step.id, [rule]))
                here.house.faults.clear()
                assert outcome.exit_code == (1 if not here.made() and not after else 3), outcome
                assert fault.rpartition(".")[2] in str(outcome.failures[0]), outcome
                here.reopen()
                if outcome.exit_code == 1:
                    assert here.opened.dump() == here.before
                    continue
                done = (resume if ending == "resume" else rollback)(here.engine())
                assert done.exit_code == 0, done
                if ending == "resume":
                    assert here.opened.plan().empty
                    assert here.made() == here.reviewed()
                else:
                    assert here.opened.dump() == here.before
            except BaseException as error:
                error.add_note(f"{fault} at step {step.id}: {step.operation} of {step.address}")
                raise
