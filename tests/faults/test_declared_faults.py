"""Every operation of the catalogue meets every fault that the API declares for its method, once each.

Either the apply completes (the fault passes, or leaves in doubt what a look then settles), or it stops: 1 where nothing
was changed, 3 otherwise; and then `resume` ends where an undisturbed apply ends, or `rollback` restores.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.catalog import Operation
from planner.execute.engine import resume, rollback
from providers.twin.core.meta import methods_of
from tests.faults.breadth_kit import UNWITNESSED, Ground, complete, restored, witnesses
from tests.faults.kit import Bench, Injection
from tests.support.breadth import covered
from tests.support.lab import CATALOG
from tests.support.places import quick_folder

PLAIN = "vmodl.fault.NotEnoughLicenses"
"""Stands for the RuntimeFault that every method may raise, where the metadata declares nothing else."""


def declared(operation: Operation) -> list[str]:
    """Names of the faults that the metadata declares for an operation's method."""
    wire, _, method = operation.call.partition(".")
    return list(methods_of(wire)[method].faults) or [PLAIN]


def disturbances(name: str) -> Iterator[tuple[str, str]]:
    for operation in CATALOG.types[name].operations:
        if operation.name in witnesses(name):
            yield from ((operation.name, fault) for fault in declared(operation))


@pytest.mark.slow
@pytest.mark.parametrize("name", covered())
def test_each_operation_meets_the_faults_of_its_method(name: str) -> None:
    endings = itertools.cycle(("resume", "rollback"))
    struck = 0
    for operation, pairs in itertools.groupby(disturbances(name), key=lambda pair: pair[0]):
        with quick_folder() as folder:
            ground = Ground(witnesses(name)[operation], folder)
            for _, fault in pairs:
                with ground.bench() as here:
                    struck += _meet(here, ground, fault, next(endings))
    assert struck or not witnesses(name)


def _meet(here: Bench, ground: Ground, fault: str, ending: str) -> bool:
    operation = CATALOG.operations[ground.witness.operation]
    step = ground.witness.step(here.plan)
    kind = "task_fault" if operation.call.endswith("_Task") else "fault"
    injection = Injection(step.id, [{"kind": kind, "method": operation.call, "fault": fault}])
    try:
        _held(here, ground, injection, ending)
    except BaseException as error:
        error.add_note(f"{operation.name} ({operation.call}) of {step.address} met {fault}; then {ending}")
        raise
    return injection.done


def _held(here: Bench, ground: Ground, injection: Injection, ending: str) -> None:
    outcome = here.apply(injection)
    here.house.faults.clear()
    if outcome.exit_code == 0:
        complete(here, ground)
        return
    assert outcome.failures, outcome
    assert all(text.strip() for _, *texts in outcome.failures for text in texts[:1]), outcome
    if outcome.exit_code == 1:
        assert here.made() == []
        assert here.state() == here.recorded
        return
    assert outcome.exit_code == 3, outcome
    here.reopen()
    outcome = resume(here.engine()) if ending == "resume" else rollback(here.engine())
    assert outcome.exit_code == 0, outcome
    if ending == "resume":
        complete(here, ground)
    else:
        restored(here)


@pytest.mark.slow
@pytest.mark.parametrize("name", covered())
def test_no_operation_is_left_out(name: str) -> None:
    """Each has a pair of fleets that plans it, or a place where it is tested instead."""
    calls = {o.name for o in CATALOG.types[name].operations if o.kind == "call"}
    assert calls - witnesses(name).keys() == {each for each in UNWITNESSED if each in calls}


@pytest.mark.parametrize("operation", UNWITNESSED)
def test_what_is_left_out_is_tested_where_it_says(operation: str) -> None:
    where = Path(__file__).parents[2] / UNWITNESSED[operation].rpartition(": ")[2]
    assert operation.partition(".")[0] in where.read_text()
