"""Operations of the whole catalogue, each in an apply that makes it: for tests that disturb one call at a time."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hypothesis import HealthCheck, Phase, given, seed, settings

from planner.execute.engine import apply
from planner.model import FleetError, Plan, Step
from tests.faults.directed import pairs
from tests.faults.kit import Bench, planned
from tests.properties.test_catalogue import APART, unchanged
from tests.support.breadth import Objects, needed, seed_of, sites
from tests.support.lab import CATALOG, Lab, Ticking, fleet
from tests.support.places import once, quick_folder

EXAMPLES, ROUNDS = 40, 6
"""Pairs of fleets that are looked at for a type, and how often, until all its operations were seen; the same ones on
every run."""


UNWITNESSED: Mapping[str, str] = {
    "vm_group.update": "the site has no VMs: tests/unit/vsphere/test_drs.py",
    "autostart.vms": "the site has no VMs: tests/unit/vsphere/test_host_services.py",
    "certificate.refresh": "a newborn's certificate is good: tests/unit/vsphere/test_access.py",
    "swap.datastore": "the site has no datastore that takes swap files: tests/unit/vsphere/test_host_services.py",
    "fc.rescan": "everything presented is seen at once: tests/unit/vsphere/test_storage.py",
    "vmfs.scan": "everything presented is seen at once: tests/unit/vsphere/test_storage.py",
    "vmfs.create": "it is made only on a blank disk, when asked: tests/unit/vsphere/test_storage.py",
    "distributed_switch.clean": "only a host that is gone is taken out: tests/unit/vsphere/test_dvs.py",
}
"""Operations that need more than a fleet to be planned, and where they are tested instead."""


@dataclass(frozen=True)
class Witness:
    """A pair of fleets whose second apply has a step of one operation."""

    first: Objects
    second: Objects
    operation: str

    def step(self, plan: Plan) -> Step:
        return next(s for s in plan.steps if s.operation == self.operation)


@functools.cache
def witnesses(name: str) -> Mapping[str, Witness]:
    """Operation of this type → a pair of fleets whose plan has it. Plans only; nothing of the second is applied."""
    return once(f"witnesses-{name}", lambda _folder: _witnesses(name))


def _witnesses(name: str) -> dict[str, Witness]:
    types = needed(name)
    drawn = sites(types, always=(name,))
    found = dict(directed()[name])
    calls = {o.name for o in CATALOG.types[name].operations if o.kind == "call"}
    wanted = calls - UNWITNESSED.keys()

    def look(first: Objects, second: Objects) -> None:
        if not wanted <= found.keys():
            for operation in _planned(first, second):
                if operation in calls:
                    found.setdefault(operation, Witness(first, second, operation))

    ways = settings(deadline=None, max_examples=EXAMPLES, database=None, phases=(Phase.generate,),
                    suppress_health_check=list(HealthCheck))
    for number in range(ROUNDS):
        if wanted <= found.keys():
            break
        cast(Any, seed(seed_of(name) + number)(ways(given(first=sites(types) | drawn, second=sites(types) | drawn)(
            look))))()
    return found


def _planned(first: Objects, second: Objects) -> list[str]:
    """Operations of the plan from one fleet to another; those behind a guard left out."""
    with quick_folder() as folder:
        try:
            lab = Lab(folder)
            _apply(lab, first)
            return [s.operation for s in lab.open(fleet(second)).plan().steps if not s.when]
        except FleetError:  # the fleets refuse each other
            return []


@functools.cache
def directed() -> Mapping[str, dict[str, Witness]]:
    """Type → operation → the pair of `tests.faults.directed` that plans it."""
    return once("directed-witnesses", lambda _folder: _directed())


def _directed() -> dict[str, dict[str, Witness]]:
    owner = {o.name: t.name for t in CATALOG.types.values() for o in t.operations}
    found: dict[str, dict[str, Witness]] = {name: {} for name in CATALOG.types}
    for first, second in pairs():
        for operation in _planned(first, second):
            if operation in owner:
                found[owner[operation]].setdefault(operation, Witness(first, second, operation))
    return found


def _apply(lab: Lab, resources: Objects) -> None:
    opened = lab.open(fleet(resources))
    plan = opened.plan()
    outcome = apply(opened.engine(), plan, images=dict(plan.image_digests))
    assert outcome.exit_code == 0, outcome


class Ground:
    """A witness's first fleet, applied once; each `bench` is a fresh copy with the second one planned."""

    def __init__(self, witness: Witness, folder: Path) -> None:
        self.witness = witness
        self.lab = Lab(folder)
        _apply(self.lab, witness.first)

    @contextmanager
    def bench(self) -> Iterator[Bench]:
        with quick_folder() as folder:
            shutil.copytree(self.lab.folder, folder, dirs_exist_ok=True)
            clock = Ticking()
            clock.time = self.lab.clock.time
            yield planned(Lab(folder, dict(self.lab.staged), clock), self.witness.second)

    @functools.cached_property
    def finished(self) -> Any:
        """Live after an undisturbed apply of the second fleet."""
        with self.bench() as here:
            assert here.apply().exit_code == 0
            return here.opened.dump()


def complete(here: Bench, ground: Ground) -> None:
    """Live is as an undisturbed apply leaves it, there is nothing left to plan, and the journal is sound."""
    now = here.opened.dump()
    assert {k: v for k, v in now.items() if k not in APART[1:]} == {
        k: v for k, v in ground.finished.items() if k not in APART[1:]}
    again = here.opened.plan()
    assert again.empty, ([str(s) for s in again.steps], [str(c) for c in again.changes])
    assert list(here.opened.store.verify()) == []


def restored(here: Bench) -> None:
    """Live and state are as before the run."""
    unchanged(here.before, here.opened.dump())
    assert here.state() == here.recorded
    assert list(here.opened.store.verify()) == []
